//! `sentinelctl dlq show`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use jiff::Timestamp;
use sentinel_forwarder::aws::Received;
use sentinel_forwarder::dlq::{Filter, Found, advice, look_through};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Desk;
use super::given::parse_id;
use super::view::{View, age, object, range};
use crate::console::{Output, Progress, say, visible};
use crate::pretty::pretty;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sentinelctl dlq show 0ec42ac7db0b
  sentinelctl dlq show 0ec42ac7db0b --output json | jq .body")]
pub(super) struct Show {
    /// The id, or its first 12 characters at least.
    #[arg(value_parser = parse_id)]
    id: String,
    /// How it is written.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    view: View<'a>,
    advice: &'static str,
    sent_at: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, String>,
    /// JSON as it came; any other text as a JSON string.
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl Show {
    pub(super) async fn run(&self, desk: &Desk) -> io::Result<ExitCode> {
        let filter = Filter { ids: vec![self.id.clone()], ..Filter::default() };
        let (mut wanted, progress, mut seen) = (None, Progress::new(), 0_u64);
        let ending = look_through(&desk.dead_letters, &desk.stop, |received, found| {
            seen += 1;
            progress.show(format_args!("{seen} messages seen"));
            if filter.takes(&found, Timestamp::now()) {
                wanted = Some((received, found));
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let ending = ending.await;
        progress.clear();
        let ending = ending.map_err(io::Error::other)?;
        let Some((received, found)) = wanted else {
            Desk::tell(ending);
            say(format_args!(
                "no message has the id {}: sentinelctl dlq list shows those that there are",
                self.id
            ));
            return Ok(ExitCode::FAILURE);
        };
        let mut out = io::stdout().lock();
        match self.output {
            Output::Json => write_json(&mut out, &received, &found)?,
            Output::Text => write_text(&mut out, &received, &found)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write_json(out: &mut impl Write, received: &Received, found: &Found) -> io::Result<()> {
    let body = serde_json::from_str(&received.body).map_or(Body::Text(&received.body), Body::Json);
    let whole = Whole {
        view: View::of(found, Timestamp::now()),
        advice: advice(&found.reason),
        sent_at: received.sent_at.to_string(),
        attributes: &received.attributes,
        body,
    };
    serde_json::to_writer(&mut *out, &whole)?;
    writeln!(out)
}

fn write_text(out: &mut impl Write, received: &Received, found: &Found) -> io::Result<()> {
    let now = Timestamp::now();
    let mut line = |name: &str, value: &str| match value {
        "" => Ok(()),
        value => writeln!(out, "{name:<12}{}", visible(value)),
    };
    line("id", &found.id)?;
    line("reason", &found.reason)?;
    line("message", &found.message)?;
    line("what to do", advice(&found.reason))?;
    line("status", &found.status.map(|status| status.to_string()).unwrap_or_default())?;
    line("table", found.table.as_deref().unwrap_or_default())?;
    line("object", &object(found))?;
    line("range", &found.tasks.first().map(range).unwrap_or_default())?;
    line("failed", &format!("{} ({} ago)", found.failed_at, age(found.failed_at, now)))?;
    line("sent", &received.sent_at.to_string())?;
    line("message id", &found.message_id)?;
    for (name, value) in &received.attributes {
        line("attribute", &format!("{name}: {value}"))?;
    }
    let is_json = serde_json::from_str::<&RawValue>(&received.body).is_ok();
    let body = if is_json { pretty(&received.body) } else { received.body.clone() };
    writeln!(out)?;
    for line in body.lines() {
        writeln!(out, "{}", visible(line))?;
    }
    Ok(())
}
