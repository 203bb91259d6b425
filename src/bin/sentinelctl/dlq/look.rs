//! `sentinelctl dlq list` and `summary`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use jiff::Timestamp;
use sentinel_forwarder::dlq::{Ending, Found, advice, look_through};
use serde::Serialize;

use super::Desk;
use super::given::Given;
use super::view::{COLUMNS, View, age, row};
use crate::console::{Output, Progress, is_coloured, width};
use crate::table::{Fit, render};

#[derive(clap::Args)]
#[command(after_help = "\
Ids are shown by their first 12 characters, which the other commands take. A range
ends before its last number. What is no letter has the reason ReceivedTooOften
(from SQS), NotHandedOver (EventBridge), InvocationFailed (Lambda) or UnknownBody.

Examples:
  sentinelctl dlq list --table AWSGuardDuty --limit 20
  sentinelctl dlq list --key-prefix AWSLogs/111122223333/ --output json")]
pub(super) struct List {
    #[command(flatten)]
    given: Given,
    /// How the list is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sentinelctl dlq summary
  sentinelctl dlq summary --output json")]
pub(super) struct Summary {
    #[command(flatten)]
    given: Given,
    /// How the summary is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// Hands on what is meant.
async fn look(desk: &Desk, given: &Given, mut each: impl FnMut(Found, Timestamp)) -> io::Result<Ending> {
    let (filter, progress) = (given.filter(&[]), Progress::new());
    let (mut seen, mut meant) = (0_u64, 0_u64);
    let ending = look_through(&desk.dead_letters, &desk.stop, |_, found| {
        let now = Timestamp::now();
        seen += 1;
        if filter.takes(&found, now) {
            meant += 1;
            each(found, now);
        }
        progress.show(format_args!("{seen} messages seen, {meant} meant"));
        if given.limit.is_some_and(|limit| meant >= limit) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    let ending = ending.await;
    progress.clear();
    ending.map_err(io::Error::other)
}

/// What was seen is told, also if it is not all.
fn code(ending: Ending) -> ExitCode {
    if Desk::tell(ending) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl List {
    pub(super) async fn run(&self, desk: &Desk) -> io::Result<ExitCode> {
        let mut all = Vec::new();
        let ending = look(desk, &self.given, |found, _| all.push(found)).await?;
        all.sort_by(|one, other| (one.failed_at, &one.id).cmp(&(other.failed_at, &other.id)));
        let now = Timestamp::now();
        let mut out = io::stdout().lock();
        match self.output {
            Output::Json => {
                let views: Vec<_> = all.iter().map(|found| View::of(found, now)).collect();
                serde_json::to_writer(&mut out, &views)?;
                writeln!(out)?;
            }
            Output::Text if all.is_empty() => writeln!(out, "no messages")?,
            Output::Text => {
                let rows: Vec<_> = all.iter().map(|found| row(found, now)).collect();
                out.write_all(render(&COLUMNS, &rows, width(), is_coloured()).as_bytes())?;
            }
        }
        Ok(code(ending))
    }
}

#[derive(Serialize)]
struct Group {
    reason: String,
    count: u64,
    oldest: String,
    oldest_age_seconds: i64,
    advice: &'static str,
}

impl Summary {
    pub(super) async fn run(&self, desk: &Desk) -> io::Result<ExitCode> {
        let mut reasons: BTreeMap<String, (u64, Timestamp)> = BTreeMap::new();
        let ending = look(desk, &self.given, |found, _| {
            let (count, oldest) = reasons.entry(found.reason).or_insert((0, found.failed_at));
            *count += 1;
            *oldest = found.failed_at.min(*oldest);
        });
        let ending = ending.await?;
        let now = Timestamp::now();
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let mut out = io::stdout().lock();
        match self.output {
            Output::Json => {
                let groups: Vec<_> = reasons
                    .into_iter()
                    .map(|(reason, (count, oldest))| Group {
                        advice: advice(&reason),
                        reason,
                        count,
                        oldest: oldest.to_string(),
                        oldest_age_seconds: now.duration_since(oldest).as_secs().max(0),
                    })
                    .collect();
                serde_json::to_writer(&mut out, &groups)?;
                writeln!(out)?;
            }
            Output::Text if reasons.is_empty() => writeln!(out, "no messages")?,
            Output::Text => {
                let rows: Vec<_> = reasons
                    .iter()
                    .map(|(reason, (count, oldest))| {
                        vec![reason.clone(), count.to_string(), age(*oldest, now), advice(reason).to_owned()]
                    })
                    .collect();
                let columns = [
                    ("REASON", Fit::Whole),
                    ("COUNT", Fit::Right),
                    ("OLDEST", Fit::Right),
                    ("WHAT TO DO", Fit::Wrap),
                ];
                out.write_all(render(&columns, &rows, width(), is_coloured()).as_bytes())?;
            }
        }
        Ok(code(ending))
    }
}
