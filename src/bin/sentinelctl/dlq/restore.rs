//! `sentinelctl dlq restore`.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use sentinel_forwarder::dlq::{self, Restored, read_archive};
use serde::Serialize;

use super::Desk;
use super::queues::Risk;
use crate::console::{Output, Progress, say};
use crate::files::{naming, open};

#[derive(clap::Args)]
#[command(after_help = "\
Messages that the queue holds already are left out, so a restore that was killed is
simply run again. The whole archive is read before anything is sent.

Exit codes: 0 all messages are in the queue, 1 one was refused, or it was
interrupted, 2 wrong usage.

Examples:
  sentinelctl dlq restore dead-letters-20260310T112455Z.jsonl
  sentinelctl dlq restore --stack sentinel-forwarder gone.jsonl --dry-run
  grep Rejected gone.jsonl | sentinelctl dlq restore -")]
pub(super) struct Restore {
    /// What discard wrote; - is standard input.
    archive: PathBuf,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    risk: Risk,
    /// How the outcome is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    is_whole: bool,
    restored: u64,
    present: u64,
    refused: &'a [(usize, String)],
}

impl Restore {
    pub(super) async fn run(&self, desk: &Desk) -> io::Result<ExitCode> {
        let mut text = String::new();
        open(&self.archive)?.read_to_string(&mut text).map_err(|error| naming(&self.archive, &error))?;
        let messages = read_archive(&text).map_err(|(line, error)| {
            let path = self.archive.display();
            io::Error::other(format!(
                "{path}:{line}: no message of an archive ({error}); nothing was restored"
            ))
        })?;
        drop(text);
        self.risk.check_dead_letters(desk).await?;
        let restore =
            dlq::Restore { dead_letters: &desk.dead_letters, messages: &messages, dry_run: self.dry_run };
        let progress = Progress::new();
        let ran = restore.run(&desk.stop, |sum| progress.show(counts(sum))).await;
        progress.clear();
        let (sum, ending) = ran.map_err(io::Error::other)?;
        let mut out = io::stdout().lock();
        match self.output {
            Output::Text => {
                writeln!(out, "{}{}", if self.dry_run { "would be: " } else { "" }, counts(&sum))?;
            }
            Output::Json => {
                let report = Report {
                    dry_run: self.dry_run,
                    is_whole: ending == dlq::Ending::Whole,
                    restored: sum.restored,
                    present: sum.present,
                    refused: &sum.refused,
                };
                serde_json::to_writer(&mut out, &report)?;
                writeln!(out)?;
            }
        }
        for (place, code) in &sum.refused {
            say(format_args!("message {place} of the archive: the queue answers {code}"));
        }
        let is_done = Desk::tell(ending) && sum.refused.is_empty();
        Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn counts(sum: &Restored) -> String {
    let refused = match sum.refused.len() {
        0 => String::new(),
        count => format!(", {count} refused"),
    };
    format!("{} restored, {} in the queue already{refused}", sum.restored, sum.present)
}
