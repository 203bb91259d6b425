//! Asks `GuardDuty` for the findings whose events should have come, and puts on the work queue what the ledger does not
//! know.
//!
//! An event tells of a new finding within 5 minutes, and of one that occurred again as often as the detector is set to
//! (<https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html>); until then it is left alone. The
//! API knows the last state of each finding alone. For each detector it is noted where the next watch begins: behind what was
//! looked at, and only after the queue has taken what was missing.

#[cfg(test)]
mod tests;

use std::time::Instant;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use thiserror::Error;
use tracing::warn;

use crate::aws::{Detector, Findings, GuardDutyError, LedgerError, Notes, Queue, QueueError, update_note};
use crate::deadline::Deadline;
use crate::delivery::Key;
use crate::failure::Disposition;
use crate::json;

/// How long an event may be on its way, three times what AWS states.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(15);
/// How far the first watch over a detector looks back.
const FIRST_LOOK: SignedDuration = SignedDuration::from_hours(24);
/// By how much a watch looks back behind what the one before it had to look at, for what the API showed late.
const OVERLAP: SignedDuration = SignedDuration::from_mins(15);
/// The member of a note that says where the next watch begins.
const SINCE: &str = "since";

/// Why a watch was not kept to its end.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WatchError {
    /// `GuardDuty` did not tell.
    #[error(transparent)]
    GuardDuty(#[from] GuardDutyError),
    /// The ledger is not to be had.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The work queue did not take what was missing.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl WatchError {
    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::GuardDuty(error) => error.disposition(),
            Self::Ledger(_) | Self::Queue(_) => Disposition::Retryable { after: None },
        }
    }
}

/// What a watch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Findings that were missing, and are on the work queue now.
    pub missing: u64,
    /// Whether time was up before the end.
    pub is_cut_off: bool,
}

/// Whoever watches over findings.
pub trait Watchman: Send + Sync + 'static {
    /// Looks at what should have come by now.
    fn watch(&self, now: Timestamp, until: Deadline) -> BoxFuture<'_, (Watched, Result<(), WatchError>)>;
}

/// Watches over the findings of this account and region.
pub struct FindingWatch<G, N, Q> {
    guardduty: G,
    notes: N,
    work_queue: Q,
}

/// A finding, as far as its event is concerned.
struct Told {
    key: Key,
    updated_at: Timestamp,
    due_at: Timestamp,
    finding: String,
}

impl<G: Findings, N: Notes, Q: Queue> FindingWatch<G, N, Q> {
    /// A watch with these parts.
    pub const fn new(guardduty: G, notes: N, work_queue: Q) -> Self {
        Self { guardduty, notes, work_queue }
    }

    async fn all(&self, now: Timestamp, until: Deadline, watched: &mut Watched) -> Result<(), WatchError> {
        for detector in self.guardduty.detectors().await? {
            self.over(&detector, now, until, watched).await?;
        }
        Ok(())
    }

    async fn over(
        &self,
        detector: &Detector,
        now: Timestamp,
        until: Deadline,
        watched: &mut Watched,
    ) -> Result<(), WatchError> {
        let note = Key::watch(Some(&detector.id));
        let known = self.notes.note(&note).await?.content;
        let known = known.get(SINCE).and_then(|since| since.as_str()?.parse::<Timestamp>().ok());
        let since = known.unwrap_or(now - FIRST_LOOK);
        let (mut next, mut page) = (now - ON_ITS_WAY - OVERLAP, None);
        loop {
            let ids = self.guardduty.updated_since(&detector.id, since, page.as_deref()).await?;
            let mut findings = Vec::new();
            if !ids.ids.is_empty() {
                findings = self.guardduty.findings(&detector.id, &ids.ids).await?;
            }
            let told: Vec<Told> =
                findings.into_iter().filter_map(|finding| told(detector, finding)).collect();
            let newest = told.iter().map(|told| told.updated_at).max();
            let (due, early): (Vec<_>, Vec<_>) = told.into_iter().partition(|told| told.due_at <= now);
            watched.missing += self.bring(due).await?;
            next = early.iter().map(|told| told.updated_at).min().unwrap_or(next).min(next);
            page = ids.next;
            if page.is_none() {
                break;
            }
            if Instant::now() >= until.instant() {
                watched.is_cut_off = true;
                // They come the oldest first.
                next = newest.unwrap_or(since).min(next);
                break;
            }
        }
        let content = Map::from_iter([(SINCE.to_owned(), Value::from(next.to_string()))]);
        Ok(update_note(&self.notes, &note, &|_| Some(content.clone())).await?)
    }

    /// Puts on the work queue what the ledger does not know; how many it were.
    async fn bring(&self, due: Vec<Told>) -> Result<u64, WatchError> {
        let keys: Vec<Key> = due.iter().map(|told| told.key.clone()).collect();
        let entries = self.notes.entries(&keys).await?;
        let missing: Vec<_> =
            due.into_iter().filter(|told| !entries.contains_key(told.key.as_str())).collect();
        let bodies: Vec<String> = missing.iter().map(|told| event(&told.finding)).collect();
        self.work_queue.send_all(&bodies).await.into_iter().collect::<Result<(), _>>()?;
        for told in &missing {
            warn!(finding = told.key.as_str(), "nobody has brought a finding: it is on the work queue now");
        }
        Ok(bodies.len() as u64)
    }
}

impl<G: Findings, N: Notes, Q: Queue> Watchman for FindingWatch<G, N, Q> {
    fn watch(&self, now: Timestamp, until: Deadline) -> BoxFuture<'_, (Watched, Result<(), WatchError>)> {
        Box::pin(async move {
            let mut watched = Watched::default();
            let result = self.all(now, until, &mut watched).await;
            (watched, result)
        })
    }
}

/// What is to be known of a finding; none if it has no id or no time, as every finding has.
fn told(detector: &Detector, finding: String) -> Option<Told> {
    let [id, updated_at, service] = json::pick(&finding, ["id", "updatedAt", "service"]).ok()?;
    let [count] = json::pick(service.unwrap_or("{}"), ["count"]).unwrap_or_default();
    let occurred_again = count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 1);
    let (id, text) = (json::string(id?)?, json::string(updated_at?)?);
    let updated_at: Timestamp = text.parse().ok()?;
    let wait = if occurred_again { ON_ITS_WAY + detector.tells_every } else { ON_ITS_WAY };
    let (key, due_at) = (Key::finding(&id, &text), updated_at + wait);
    Some(Told { key, updated_at, due_at, finding })
}

/// The event that should have come, with what is read of one.
fn event(finding: &str) -> String {
    format!(r#"{{"detail-type":"GuardDuty Finding","source":"aws.guardduty","detail":{finding}}}"#)
}
