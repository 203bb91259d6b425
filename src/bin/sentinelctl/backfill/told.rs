//! Plan and report, as text and as JSON.

use std::fmt::Write;
use std::time::Duration;

use sentinel_forwarder::backfill::manifest::{Manifest, Target};
use sentinel_forwarder::backfill::plan::{Estimate, Via};
use sentinel_forwarder::backfill::progress::{number, rough, size, time};
use sentinel_forwarder::backfill::state::State;
use sentinel_forwarder::backfill::{Carried, Ending};
use serde_json::{Value, json};

use super::arguments::{Arguments, Way};
use crate::console::visible;

/// Requests that one rule takes in a minute
/// (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>).
const REQUESTS_PER_MINUTE: u32 = 12_000;

/// What is told of a backfill.
pub(super) struct Told {
    state: State,
    via: Via,
    estimate: Estimate,
    usd_per_gb: f64,
    notes: Vec<String>,
}

impl Told {
    pub(super) fn of(state: &State, arguments: &Arguments, way: &Way) -> Self {
        let via = match way {
            Way::Queue { files_per_second, .. } => Via::Queue { files_per_second: *files_per_second },
            Way::Batch { .. } => Via::Batch,
            Way::Direct { .. } => Via::Direct,
        };
        let usd_per_gb = arguments.price_per_gb;
        Self {
            state: state.clone(),
            via,
            estimate: Estimate::of(state.found, state.sample, via, usd_per_gb),
            usd_per_gb,
            notes: notes(state, way),
        }
    }

    pub(super) fn plan_text(&self) -> String {
        let (found, estimate) = (self.state.found, self.estimate);
        let mut text = format!("{}\n", self.state.selection);
        let mut line = |name: &str, value: String| {
            // A String takes all that is written.
            let _ = writeln!(text, "  {name:<12}{value}");
        };
        line("files", format!("{}, {} compressed", number(found.files), size(found.bytes)));
        if found.archived + found.other > 0 {
            let (archived, other) = (number(found.archived), number(found.other));
            line("left out", format!("{archived} in Glacier, {other} that hold no logs of ours"));
        }
        let basis = match estimate.files_read {
            0 => "by a typical trail, since no file could be read".to_owned(),
            files => format!("by {files} of the files"),
        };
        line("records", format!("about {} ({basis})", rough(estimate.records)));
        line(
            "rows",
            format!(
                "about {}, of which {} are billed",
                size(estimate.row_bytes),
                size(estimate.billed_bytes)
            ),
        );
        line("Sentinel", format!("about ${:.2}, at ${:.2} a GB", estimate.sentinel_usd, self.usd_per_gb));
        match self.via {
            Via::Queue { .. } => {
                line("Lambda", format!("about ${:.2}", estimate.lambda_usd));
                line("SQS", format!("about ${:.2}", estimate.sqs_usd));
            }
            Via::Batch => {
                line("Lambda", format!("about ${:.2}", estimate.lambda_usd));
                line("the job", format!("about ${:.2}", estimate.batch_usd));
            }
            Via::Direct => {}
        }
        line("other AWS", format!("about ${:.2}: S3, the ledger, data out", estimate.other_aws_usd));
        if let (Via::Queue { files_per_second }, Some(seconds)) = (self.via, estimate.seconds) {
            let seconds = time(Duration::from_secs(seconds));
            line("time", format!("{seconds}, at {files_per_second} files a second"));
        }
        if self.state.is_finished {
            line("done", "all: the state says that nothing is left".to_owned());
        } else if let Some(position) = &self.state.position {
            line("done", format!("{}, up to {}", number(self.state.files), visible(position)));
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}");
        }
        text
    }

    pub(super) fn plan_json(&self) -> Value {
        json!({"plan": self.plan()})
    }

    pub(super) fn report_text(&self, carried: &Carried, arguments: &Arguments) -> String {
        let (done, elapsed) = (carried.done, carried.elapsed);
        let mut text = match self.via {
            Via::Direct => format!(
                "Forwarded {} files, {}: {} rows of {} records, {} files delivered before, {} ignored, {} dead letters",
                number(done.files),
                size(done.bytes),
                number(done.rows),
                number(done.records),
                number(done.duplicates),
                number(done.ignored),
                number(done.dead_letters),
            ),
            _ => format!("Sent the tasks of {} files, {}", number(done.files), size(done.bytes)),
        };
        let _ = write!(text, ", in {}, {:.1} files a second.", time(elapsed), carried.files_per_second());
        let again = if arguments.state.is_some() {
            "The same command goes on from there."
        } else {
            "The same command begins anew, and the ledger skips what was delivered; with --state it would go on."
        };
        match &carried.ending {
            Ending::Finished if self.is_queue() => {
                text += "\nThe function forwards them now: look at the work queue, and at the dead letter queue after.";
            }
            Ending::Finished if done.dead_letters > 0 => text += "\nLook at the dead letter queue.",
            Ending::Finished => {}
            Ending::Interrupted => {
                let _ = write!(text, "\nInterrupted. {again}");
            }
            Ending::Failed(why) => {
                let _ = write!(text, "\nStopped: {}\n{again}", visible(why));
            }
        }
        text
    }

    pub(super) fn report_json(&self, carried: &Carried, state: &State) -> Value {
        let done = carried.done;
        let mut report = json!({
            "ended": match carried.ending {
                Ending::Finished => "finished",
                Ending::Interrupted => "interrupted",
                Ending::Failed(_) => "failed",
            },
            "files": done.files,
            "compressed_bytes": done.bytes,
            "seconds": carried.elapsed.as_secs_f64(),
            "files_per_second": carried.files_per_second(),
            "files_in_all": state.files,
            "position": state.position,
        });
        if let Ending::Failed(why) = &carried.ending {
            report["why"] = json!(why);
        }
        if !self.is_queue() {
            report["records"] = json!(done.records);
            report["rows"] = json!(done.rows);
            report["duplicates"] = json!(done.duplicates);
            report["ignored"] = json!(done.ignored);
            report["dead_letters"] = json!(done.dead_letters);
        }
        json!({"plan": self.plan(), "report": report})
    }

    pub(super) fn manifest_json(&self, target: &Target, manifest: &Manifest, command: &str) -> Value {
        let report = json!({
            "ended": "finished",
            "files": manifest.files,
            "manifest": place(target),
            "etag": manifest.etag,
            "command": command,
        });
        json!({"plan": self.plan(), "report": report})
    }

    const fn is_queue(&self) -> bool {
        matches!(self.via, Via::Queue { .. })
    }

    fn plan(&self) -> Value {
        let found = self.state.found;
        json!({
            "selection": self.state.selection,
            "via": match self.via {
                Via::Queue { .. } => "queue",
                Via::Batch => "batch",
                Via::Direct => "direct",
            },
            "files": found.files,
            "compressed_bytes": found.bytes,
            "left_out": {"archived": found.archived, "other": found.other},
            "estimate": self.estimate,
            "done": self.state.files,
            "is_finished": self.state.is_finished,
            "notes": self.notes,
        })
    }
}

pub(super) fn manifest_text(target: &Target, manifest: &Manifest, command: &str) -> String {
    let mut text = format!("The manifest {} names {} files.", place(target), number(manifest.files));
    if let Target::File(path) = target {
        let _ = write!(
            text,
            " Put it into a bucket of this region, and take its entity tag:\n\n\
             aws s3api put-object --bucket MANIFEST_BUCKET --key MANIFEST_KEY --body '{}'",
            path.display()
        );
    }
    text + "\nThe job is created by:\n\n" + command
}

fn place(target: &Target) -> String {
    match target {
        Target::Object(object) => format!("s3://{}/{}", object.bucket, object.prefix),
        Target::File(path) => path.display().to_string(),
    }
}

fn notes(state: &State, way: &Way) -> Vec<String> {
    let mut notes = vec![
        "Sentinel replaces a TimeGenerated of more than two days ago by the time of receipt. Such rows keep their time in \
         EventTime_CF: AWSCloudTrail | extend Time = coalesce(EventTime_CF, TimeGenerated). Scheduled rules see them as \
         new."
            .to_owned(),
    ];
    if state.found.archived > 0 {
        notes.push("What is in Glacier can't be read: restore it, and run this again.".to_owned());
    }
    match way {
        Way::Queue { files_per_second, .. } if *files_per_second > REQUESTS_PER_MINUTE / 60 => notes.push(format!(
            "A data collection rule takes {REQUESTS_PER_MINUTE} requests a minute, and each file is at least one: \
             list several rules, or the queue grows."
        )),
        Way::Direct { config } if config.ledger_table.is_none() => notes.push(
            "LEDGER_TABLE is not set: what was delivered before is delivered again.".to_owned(),
        ),
        _ => {}
    }
    notes
}
