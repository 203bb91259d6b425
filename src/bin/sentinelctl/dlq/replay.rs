//! `sentinelctl dlq replay`.

use std::cell::RefCell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use jiff::Timestamp;
use sentinel_forwarder::aws::{DynamoLedger, SqsMailbox};
use sentinel_forwarder::dlq::{self, Ending, Found, Held, Verdict};
use serde::Serialize;

use super::given::{Chosen, parse_rate};
use super::queues::Risk;
use super::view::{COLUMNS, View, row, short_id};
use super::{Desk, Misuse};
use crate::console::{Output, Progress, is_coloured, note, say, width};
use crate::table::{Fit, render};

/// So many messages that were not replayed are told one by one; more would bury the counts.
const MOST_TOLD: usize = 20;

#[derive(clap::Args)]
#[command(after_help = "\
A message is deleted once the work queue has it. The function delivers exactly the
range of a letter; the same letter replayed twice is delivered once, so a replay
that was killed is simply run again.

A letter that was replayed and not delivered is held: it came back, or waits in the
work queue. Mend what its reason says, then replay it with --again. The ledger is
what knows it; without one only what this run itself replayed is known.

Exit codes: 0 all that was meant is replayed or held, 1 something was refused, was
interrupted, or an ID is held or not there, 2 wrong usage.

Examples:
  sentinelctl dlq replay 0ec42ac7db0b
  sentinelctl dlq replay --reason Forbidden --reason Unauthorized --rate 50/s
  sentinelctl dlq replay --all --dry-run
  sentinelctl dlq replay --reason Rejected --again --limit 1")]
pub(super) struct Replay {
    #[command(flatten)]
    chosen: Chosen,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Also letters that were replayed before and came back.
    #[arg(long)]
    again: bool,
    /// No faster than so many messages a second or minute: 10/s, 30/m.
    #[arg(long, value_name = "N/s", value_parser = parse_rate)]
    rate: Option<f64>,
    #[command(flatten)]
    risk: Risk,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

/// What became of what was meant.
#[derive(Default)]
struct Outcome {
    replayed: u64,
    held: u64,
    refused: u64,
    left: u64,
    returned: u64,
    late: u64,
    /// The ids that were seen, where some were asked for.
    seen: Vec<String>,
    /// What there is to tell of single messages: what was not replayed, or in a dry run all.
    told: Vec<(Found, Verdict)>,
}

#[derive(Serialize)]
struct Told<'a> {
    outcome: &'static str,
    why: String,
    #[serde(flatten)]
    view: View<'a>,
}

#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    is_whole: bool,
    replayed: u64,
    held: u64,
    refused: u64,
    left: u64,
    returned: u64,
    late: u64,
    missing: Vec<&'a str>,
    messages: Vec<Told<'a>>,
}

impl Replay {
    /// Whether it says which messages are meant.
    pub(super) fn check(&self) -> Result<(), Misuse> {
        self.chosen.check()
    }

    pub(super) async fn run(&self, desk: &Desk) -> io::Result<ExitCode> {
        self.risk.check_replay(desk).await?;
        let work_queue = SqsMailbox::new(&desk.aws, desk.queues.work.clone().unwrap_or_default());
        let table = desk.queues.ledger_table.clone();
        let ledger = table.map(|table| DynamoLedger::new(&desk.aws, table));
        if ledger.is_none() {
            note("without LEDGER_TABLE only what this run itself replays is known when it comes back");
        }
        let filter = self.chosen.filter();
        let replay = dlq::Replay {
            dead_letters: &desk.dead_letters,
            work_queue: &work_queue,
            ledger: ledger.as_ref(),
            filter: &filter,
            again: self.again,
            dry_run: self.dry_run,
            rate: self.rate,
            limit: self.chosen.given.limit,
        };
        let (outcome, progress, began) = (RefCell::new(Outcome::default()), Progress::new(), Instant::now());
        let ending = replay.run(&desk.stop, |found, verdict| {
            let mut outcome = outcome.borrow_mut();
            outcome.take(found, verdict, self);
            let rate = outcome.replayed / began.elapsed().as_secs().max(1);
            progress.show(format_args!("{}, {rate} a second", outcome.counts()));
        });
        let ending = ending.await;
        progress.clear();
        let outcome = outcome.into_inner();
        if ending.is_err() && !self.dry_run {
            say(format_args!("until it failed: {}", outcome.counts()));
        }
        let ending = ending.map_err(io::Error::other)?;
        let missing: Vec<&str> = filter.missing(&outcome.seen).collect();
        let mut out = io::stdout().lock();
        match self.output {
            Output::Text => self.write_text(&mut out, &outcome)?,
            Output::Json => {
                serde_json::to_writer(&mut out, &self.report(&outcome, ending, missing.clone()))?;
                writeln!(out)?;
            }
        }
        for id in &missing {
            say(format_args!("no message has the id {id}: sentinelctl dlq list shows those that there are"));
        }
        let is_whole = Desk::tell(ending);
        let by_id_held = !self.chosen.ids.is_empty() && outcome.held > 0;
        let is_done =
            is_whole && missing.is_empty() && !by_id_held && outcome.refused == 0 && outcome.left == 0;
        Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn write_text(&self, out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
        let now = Timestamp::now();
        let most = if self.dry_run { usize::MAX } else { MOST_TOLD };
        let told = outcome.told.iter().take(most);
        let text = if self.dry_run {
            let columns = [&[("WOULD BE", Fit::Whole)], &COLUMNS[..]].concat();
            let rows =
                told.map(|(found, verdict)| [vec![word(verdict).to_owned()], row(found, now)].concat());
            render(&columns, &rows.collect::<Vec<_>>(), width(), is_coloured())
        } else {
            let columns = [("", Fit::Whole), ("ID", Fit::Whole), ("REASON", Fit::Whole), ("WHY", Fit::Wrap)];
            let rows = told.map(|(found, verdict)| {
                vec![word(verdict).to_owned(), short_id(found), found.reason.clone(), why(verdict)]
            });
            render(&columns, &rows.collect::<Vec<_>>(), width(), is_coloured())
        };
        if !outcome.told.is_empty() {
            out.write_all(text.as_bytes())?;
        }
        if outcome.told.len() > most {
            writeln!(out, "and {} more: --output json names all", outcome.told.len() - most)?;
        }
        writeln!(out, "{}{}", if self.dry_run { "would be: " } else { "" }, outcome.counts())
    }

    fn report<'a>(&self, outcome: &'a Outcome, ending: Ending, missing: Vec<&'a str>) -> Report<'a> {
        let now = Timestamp::now();
        let messages = outcome.told.iter().map(|(found, verdict)| Told {
            outcome: word(verdict),
            why: why(verdict),
            view: View::of(found, now),
        });
        Report {
            dry_run: self.dry_run,
            is_whole: ending == Ending::Whole,
            replayed: outcome.replayed,
            held: outcome.held,
            refused: outcome.refused,
            left: outcome.left,
            returned: outcome.returned,
            late: outcome.late,
            missing,
            messages: messages.collect(),
        }
    }
}

impl Outcome {
    fn take(&mut self, found: &Found, verdict: &Verdict, asked: &Replay) {
        let count = match verdict {
            Verdict::Replayed => &mut self.replayed,
            Verdict::Held(_) => &mut self.held,
            Verdict::Refused(_) => &mut self.refused,
            Verdict::Left => &mut self.left,
            Verdict::Returned => &mut self.returned,
            Verdict::Late => &mut self.late,
        };
        *count += 1;
        if *verdict == Verdict::Late {
            return;
        }
        if !asked.chosen.ids.is_empty() {
            self.seen.push(found.id.clone());
        }
        if asked.dry_run || *verdict != Verdict::Replayed {
            self.told.push((found.clone(), verdict.clone()));
        }
    }

    fn counts(&self) -> String {
        let Self { replayed, held, refused, left, returned, late, .. } = self;
        let parts = [
            (*refused, "refused"),
            (*left, "replayed but not deleted"),
            (*returned, "came back already"),
            (*late, "came meanwhile and wait for the next run"),
        ];
        let rest =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}"));
        format!("{replayed} replayed, {held} held{}", rest.collect::<String>())
    }
}

const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Replayed => "replayed",
        Verdict::Held(_) => "held",
        Verdict::Refused(_) => "refused",
        Verdict::Left => "left",
        Verdict::Returned => "returned",
        Verdict::Late => "late",
    }
}

fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Replayed | Verdict::Late => String::new(),
        Verdict::Held(Held::CameBack) => {
            "replayed before: it came back, or is still under way; --again replays it".to_owned()
        }
        Verdict::Held(Held::Twin) => {
            "its twin was replayed just now; run it again once that is done".to_owned()
        }
        Verdict::Returned => {
            "the function could not deliver it this time either: mend what its reason says first".to_owned()
        }
        Verdict::Refused(code) => format!("the work queue answers {code}; it is where it was"),
        Verdict::Left => {
            "it is on the work queue, but could not be deleted here; replayed again, it is delivered once"
                .to_owned()
        }
    }
}
