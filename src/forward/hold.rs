//! What this worker holds of the ledger, and the steps of the protocol that it takes there.

use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;
use uuid::Uuid;

use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Ledger, LedgerError, ObjectReader, Queue};
use crate::delivery::{Claim, Claimant, Content, Entry, Key, Settled};
use crate::sentinel::LogSink;

/// How often a step is tried anew when another entry stands there.
const TRIES: u32 = 4;

/// A thing that is this worker's.
#[derive(Debug)]
pub(super) struct Hold {
    /// None where no ledger is kept: then every step succeeds, and nothing is remembered.
    key: Option<Key>,
    pub(super) entry: Entry,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Claims a thing; none if it was delivered before. Work on a new one begins with `from_record`.
    pub(super) async fn claim(
        &self,
        key: Option<Key>,
        from_record: u64,
        attempt: Attempt,
    ) -> Result<Option<Hold>, ComeAgain> {
        let key = key.filter(|_| self.ledger.is_some());
        let now = Timestamp::now();
        let claimant = Claimant { holder: Uuid::new_v4().to_string(), now, lease_until: attempt.lease_until };
        let mut found: Option<Entry> = None;
        for _ in 0..TRIES {
            let entry = match Entry::claim(found.as_ref(), &claimant, from_record) {
                Claim::Take(entry) => *entry,
                Claim::Delivered => return Ok(None),
                Claim::Busy { until } => return Err(busy(until, now)),
            };
            let Some((ledger, key)) = self.ledger.as_ref().zip(key.as_ref()) else {
                return Ok(Some(Hold { key: None, entry }));
            };
            match ledger.write(key, &entry).await {
                Ok(()) => return Ok(Some(Hold { key: Some(key.clone()), entry })),
                // The answer to our own write was lost.
                Err(LedgerError::Conflict(Some(other))) if *other == entry => {
                    return Ok(Some(Hold { key: Some(key.clone()), entry }));
                }
                Err(LedgerError::Conflict(other)) => found = other.map(|other| *other),
                Err(error) => return Err(ComeAgain::because(&error)),
            }
        }
        Err(ComeAgain::new("others claim the same thing"))
    }

    /// Writes the checkpoint. Without it nothing is lost: more is sent again after a crash.
    pub(super) async fn checkpoint(&self, hold: &mut Hold, settled: &Settled) {
        let next = hold.entry.checkpoint(settled);
        if let Err(again) = self.step(hold, next).await {
            warn!(why = again.why, "a checkpoint could not be written");
        }
    }

    /// Leaves the rest to whoever comes next.
    pub(super) async fn release(&self, hold: &mut Hold, settled: &Settled) -> Result<(), ComeAgain> {
        let next = hold.entry.release(settled);
        self.step(hold, next).await
    }

    /// Notes that everything is settled; only then may the thing be acknowledged.
    pub(super) async fn deliver(
        &self,
        hold: &mut Hold,
        settled: &Settled,
        content: Option<Content>,
    ) -> Result<(), ComeAgain> {
        let next = hold.entry.deliver(settled, content, Timestamp::now());
        self.step(hold, next).await
    }

    /// The entry that stands under a key.
    pub(super) async fn look_up(&self, key: &Key) -> Result<Option<Entry>, ComeAgain> {
        match &self.ledger {
            Some(ledger) => ledger.read(key).await.map_err(|error| ComeAgain::because(&error)),
            None => Ok(None),
        }
    }

    async fn step(&self, hold: &mut Hold, mut next: Entry) -> Result<(), ComeAgain> {
        let Some((ledger, key)) = self.ledger.as_ref().zip(hold.key.as_ref()) else {
            hold.entry = next;
            return Ok(());
        };
        for _ in 0..TRIES {
            match ledger.write(key, &next).await {
                Ok(()) => {
                    hold.entry = next;
                    return Ok(());
                }
                // An answer to a write of ours was lost: to this one, or to one before.
                Err(LedgerError::Conflict(Some(found))) if found.holder == next.holder => {
                    if found.stage == next.stage && found.settled == next.settled {
                        hold.entry = *found;
                        return Ok(());
                    }
                    next.version = found.version + 1;
                }
                Err(LedgerError::Conflict(_)) => {
                    return Err(ComeAgain::new("another took it over"));
                }
                Err(error) => return Err(ComeAgain::because(&error)),
            }
        }
        Err(ComeAgain::new("the ledger's entry won't hold still"))
    }
}

impl Hold {
    /// Whether the ledger remembers what this worker does.
    pub(super) const fn is_remembered(&self) -> bool {
        self.key.is_some()
    }
}

fn busy(until: Timestamp, now: Timestamp) -> ComeAgain {
    let wait = until.duration_since(now).try_into().unwrap_or(Duration::ZERO);
    ComeAgain { after: Some(wait), ..ComeAgain::new("another works on it") }
}
