//! What this worker holds of the ledger, and the steps of the protocol that it takes there.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::time::{sleep, timeout_at};
use uuid::Uuid;

use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Ledger, LedgerError, ObjectReader, Queue, ServiceError};
use crate::deadline::Deadline;
use crate::delivery::{Claim, Claimant, Content, Entry, Key, LedgerTime, Settled};
use crate::sentinel::LogSink;

/// How often a step is tried anew when another entry stands there.
const TRIES: u32 = 4;
/// The first wait, and the longest, before a step that the ledger did not take is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A thing that is this worker's.
#[derive(Debug)]
pub(super) struct Hold {
    /// None where no ledger is kept: then every step succeeds, and nothing is remembered.
    key: Option<Key>,
    pub(super) entry: Entry,
    /// Until when a step is tried again that the ledger did not take.
    writes_until: Deadline,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Claims a thing; none if it was delivered before. Work on a new one begins with `from_record`.
    pub(super) async fn claim(
        &self,
        key: Option<Key>,
        from_record: u64,
        attempt: Attempt,
    ) -> Result<Option<Hold>, ComeAgain> {
        let writes_until = attempt.writes_until();
        let holder = Uuid::new_v4().to_string();
        let mut found: Option<Entry> = None;
        for _ in 0..TRIES {
            // After a conflict the ledger's time is known, since its answer told it.
            let claimant =
                Claimant { holder: holder.clone(), time: self.ledger_time(), lifetime: attempt.lifetime() };
            let entry = match Entry::claim(found.as_ref(), &claimant, from_record) {
                Claim::Take(entry) => *entry,
                Claim::Delivered => return Ok(None),
                Claim::Busy { until } => return Err(busy(until, claimant.time.earliest)),
            };
            let Some((ledger, key)) = self.ledger.as_ref().zip(key.as_ref()) else {
                return Ok(Some(Hold { key: None, entry, writes_until }));
            };
            match ledger.write(key, &entry).await {
                Ok(()) => {}
                // The answer to our own write was lost.
                Err(LedgerError::Conflict(Some(other))) if *other == entry => {}
                Err(LedgerError::Conflict(other)) => {
                    found = other.map(|other| *other);
                    continue;
                }
                Err(error) => return Err(ComeAgain::because(&error)),
            }
            let mut hold = Hold { key: Some(key.clone()), entry, writes_until };
            // Work begins only under a lease that is no shorter than the invocation by the ledger's own time.
            if let Some(renewed) = hold.entry.renew(self.ledger_time(), attempt.lifetime()) {
                self.step(&mut hold, renewed).await?;
            }
            return Ok(Some(hold));
        }
        Err(ComeAgain::new("others claim the same thing"))
    }

    pub(super) fn ledger_time(&self) -> LedgerTime {
        self.ledger.as_ref().map_or_else(|| LedgerTime::exactly(Timestamp::now()), Ledger::time)
    }

    /// Writes the checkpoint.
    ///
    /// # Errors
    /// If another took the thing over, or the ledger took no write until the end: then no more may be uploaded.
    pub(super) async fn checkpoint(&self, hold: &mut Hold, settled: &Settled) -> Result<(), ComeAgain> {
        let next = hold.entry.checkpoint(settled);
        self.step(hold, next).await
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

    /// Writes the next entry. What the ledger does not take is tried again as long as the invocation allows: rows that
    /// were uploaded and are not known of come twice.
    async fn step(&self, hold: &mut Hold, mut next: Entry) -> Result<(), ComeAgain> {
        let Some((ledger, key)) = self.ledger.as_ref().zip(hold.key.as_ref()) else {
            hold.entry = next;
            return Ok(());
        };
        let (mut conflicts, mut wait) = (0, FIRST_WAIT);
        while conflicts < TRIES {
            let written = timeout_at(hold.writes_until.instant().into(), ledger.write(key, &next)).await;
            match written {
                Ok(Ok(())) => {
                    hold.entry = next;
                    return Ok(());
                }
                // An answer to a write of ours was lost: to this one, or to one before.
                Ok(Err(LedgerError::Conflict(Some(found)))) if found.holder == next.holder => {
                    if found.stage == next.stage && found.settled == next.settled {
                        hold.entry = *found;
                        return Ok(());
                    }
                    next.version = found.version + 1;
                    conflicts += 1;
                }
                Ok(Err(LedgerError::Conflict(_))) => {
                    return Err(ComeAgain::new("another took it over"));
                }
                Ok(Err(error)) => {
                    if error.needs_operator().is_some() || !hold.writes_until.leaves(Instant::now(), wait) {
                        return Err(ComeAgain::because(&error));
                    }
                    sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(_) => {
                    return Err(ComeAgain::new("the ledger did not answer before the deadline"));
                }
            }
        }
        Err(ComeAgain::new("ledger entry changed on all 4 attempts"))
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
