//! `sentinelctl dlq discard`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use sentinel_forwarder::dlq::{self, Discarded, Found, Stop};
use serde::Serialize;
use tokio::sync::oneshot;

use super::given::Chosen;
use super::queues::Risk;
use super::{Desk, Misuse};
use crate::console::{Output, Progress, say};

#[derive(clap::Args)]
#[command(after_help = "\
All that is meant is written to the archive, one JSON line a message with its body
as it came, and is on the disk before anything is deleted. An archive that exists
is never overwritten. sentinelctl dlq restore puts its messages back.

Exit codes: 0 all that was meant is deleted, 1 you declined, something stays, it was
interrupted, or an ID is not there, 2 wrong usage.

Examples:
  sentinelctl dlq discard 0ec42ac7db0b
  sentinelctl dlq discard --reason NotFound --older-than 7d --archive gone.jsonl
  sentinelctl dlq discard --all --yes")]
pub(super) struct Discard {
    #[command(flatten)]
    chosen: Chosen,
    /// File that the messages are written to [default: dead-letters-TIME.jsonl in this folder]
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    risk: Risk,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Default)]
struct Meant {
    reasons: BTreeMap<String, u64>,
    /// The ids that were seen, where some were asked for.
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    deleted: u64,
    stay: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive: Option<&'a str>,
    reasons: &'a BTreeMap<String, u64>,
    missing: Vec<&'a str>,
}

impl Discard {
    /// Whether it says which messages are meant, and can ask.
    pub(super) fn check(&self) -> Result<(), Misuse> {
        self.chosen.check()?;
        if !self.yes && !io::stdin().is_terminal() {
            return Err(Misuse("there is no terminal to ask you on: confirm by --yes"));
        }
        Ok(())
    }

    pub(super) async fn run(&self, desk: &Desk) -> io::Result<ExitCode> {
        self.risk.check_dead_letters(desk).await?;
        let filter = self.chosen.filter();
        let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let archive =
            self.archive.clone().unwrap_or_else(|| PathBuf::from(format!("dead-letters-{time}.jsonl")));
        let discard = dlq::Discard {
            dead_letters: &desk.dead_letters,
            filter: &filter,
            archive: &archive,
            limit: self.chosen.given.limit,
        };
        let (meant, progress) = (RefCell::new(Meant::default()), Progress::new());
        let see = |found: &Found| {
            let mut meant = meant.borrow_mut();
            *meant.reasons.entry(found.reason.clone()).or_default() += 1;
            if !self.chosen.ids.is_empty() {
                meant.ids.push(found.id.clone());
            }
            progress.show(format_args!("{} messages in the archive", meant.reasons.values().sum::<u64>()));
        };
        let ask = async |count: usize| {
            progress.clear();
            if self.yes {
                return true;
            }
            let reasons = meant.borrow().reasons.clone();
            let reasons: Vec<_> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let question = format!(
                "Delete {count} messages ({})? They are in {}. [y/N] ",
                reasons.join(", "),
                archive.display()
            );
            confirm(&question, &desk.stop).await
        };
        let done = discard.run(&desk.stop, see, ask).await;
        progress.clear();
        let (discarded, ending) = done.map_err(io::Error::other)?;
        let meant = meant.into_inner();
        let (deleted, stay) = match discarded {
            Discarded::Done { deleted, stay } => (deleted, stay),
            Discarded::Nothing | Discarded::Declined | Discarded::TooLate => {
                (0, meant.reasons.values().sum())
            }
        };
        let archived = matches!(discarded, Discarded::Done { .. }).then(|| archive.display().to_string());
        let missing: Vec<&str> = filter.missing(&meant.ids).collect();
        let mut out = io::stdout().lock();
        match (self.output, &archived) {
            (Output::Json, archived) => {
                let (archive, reasons) = (archived.as_deref(), &meant.reasons);
                let report = Report { deleted, stay, archive, reasons, missing: missing.clone() };
                serde_json::to_writer(&mut out, &report)?;
                writeln!(out)?;
            }
            (Output::Text, Some(archive)) if stay == 0 => {
                writeln!(out, "{deleted} deleted; they are in {archive}")?;
            }
            (Output::Text, Some(archive)) => {
                writeln!(out, "{deleted} deleted, {stay} stay in the queue; all are in {archive}")?;
            }
            (Output::Text, None) if discarded == Discarded::Nothing => writeln!(out, "no messages")?,
            (Output::Text, None) => writeln!(out, "nothing was deleted, and no archive is left")?,
        }
        if discarded == Discarded::TooLate {
            say("the answer came so late that others may have the messages: run it again");
        }
        for id in &missing {
            say(format_args!("no message has the id {id}: sentinelctl dlq list shows those that there are"));
        }
        let is_done = Desk::tell(ending) && stay == 0 && missing.is_empty();
        Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Asks on the terminal; an interruption is a no.
async fn confirm(question: &str, stop: &Stop) -> bool {
    // Standard output may be a file; the question is for whoever sits there.
    let mut err = io::stderr();
    if write!(err, "{question}").and_then(|()| err.flush()).is_err() {
        return false;
    }
    let (answer, answered) = oneshot::channel();
    // Reading can't be interrupted: the thread is left behind then, and ends with the program.
    std::thread::spawn(move || {
        let mut line = String::new();
        let is_read = io::stdin().read_line(&mut line).is_ok();
        answer.send(is_read && matches!(line.trim(), "y" | "Y" | "yes")).ok();
    });
    tokio::select! {
        answer = answered => answer.unwrap_or(false),
        () = stop.sleep(Duration::MAX) => false,
    }
}
