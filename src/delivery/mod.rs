//! The protocol of a delivery: claim, checkpoint, release, deliver.
//!
//! Pure: each step makes the next [`Entry`] out of the one that stands in the ledger, and is valid only if that one
//! still stands there when it is written. So the same code runs in the function and under the model checker, and two
//! workers can't both believe that a thing is theirs for good.

mod key;
#[cfg(test)]
mod model;
mod settled;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::failure::Reason;

pub use key::Key;
pub use settled::{Counts, Settled};

/// How often a lease may run out with nothing settled before the thing itself is taken to be what kills its workers.
/// A file is not given up for a few unlucky ends: one in four workers killed at random would take a file here once in
/// a million.
pub const MOST_TAKEOVERS: u32 = 10;

/// Added to every lease: Lambda ends an invocation by a clock of its own.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// The ledger's time, as far as it is known: no earlier than one, no later than the other.
///
/// Leases are granted and judged by this clock alone, since two workers' own clocks may be apart: a lease lasts at
/// least as long as its holder by the latest, and has run out for certain by the earliest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerTime {
    /// The lower bound.
    pub earliest: Timestamp,
    /// The upper bound.
    pub latest: Timestamp,
}

impl LedgerTime {
    /// A time that is known exactly.
    #[must_use]
    pub const fn exactly(time: Timestamp) -> Self {
        Self { earliest: time, latest: time }
    }

    /// When a lease ends that is granted now to a worker that lives so long.
    fn lease(self, lifetime: Duration) -> Timestamp {
        self.latest.saturating_add(lifetime + LEASE_MARGIN).unwrap_or(Timestamp::MAX)
    }
}

/// Who claims, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// Unlike any other's.
    pub holder: String,
    /// The time.
    pub time: LedgerTime,
    /// In how long the claimant has settled, or has been ended.
    pub lifetime: Duration,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nobody works on it.
    Open,
    /// Its holder works on it until then.
    Claimed {
        /// The lease's end.
        lease_until: Timestamp,
    },
    /// All of it was taken by Sentinel, or stands in letters.
    Delivered {
        /// When the last of it was.
        at: Timestamp,
    },
}

/// What an object held, known once it was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// The object's bytes, as S3 counts them.
    pub size: u64,
    /// The bytes of the uncompressed content.
    pub bytes: u64,
    /// Their SHA-256 in hexadecimal digits, as `CloudTrail`'s digests state it.
    pub sha256: String,
}

/// What the ledger knows of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Counts the changes: who writes the next entry names this one's version.
    pub version: u64,
    /// Who changed it last.
    pub holder: String,
    /// Where it stands.
    pub stage: Stage,
    /// What is settled: below the checkpoint everything, and spans beyond it.
    pub settled: Settled,
    /// Leases that ran out since something was last settled.
    pub takeovers: u32,
    /// Attempts that failed since something was last settled, by what an operator would have to mend.
    pub failures: BTreeMap<Reason, u32>,
    /// When it was first announced.
    pub announced_at: Timestamp,
    /// What it held.
    pub content: Option<Content>,
}

/// What a claim comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the claimant's, once this entry is written.
    Take(Box<Entry>),
    /// It was delivered before.
    Delivered,
    /// Another works on it until then.
    Busy {
        /// The end of the other's lease.
        until: Timestamp,
    },
}

impl Entry {
    /// Claims the thing of which `found` is known; work on a new one begins with `from_record`.
    #[must_use]
    pub fn claim(found: Option<&Self>, claimant: &Claimant, from_record: u64) -> Claim {
        let lease_until = claimant.time.lease(claimant.lifetime);
        let Some(found) = found else {
            return Claim::Take(Box::new(Self {
                version: 1,
                holder: claimant.holder.clone(),
                stage: Stage::Claimed { lease_until },
                settled: Settled::up_to(from_record),
                takeovers: 0,
                failures: BTreeMap::new(),
                announced_at: claimant.time.earliest,
                content: None,
            }));
        };
        let takeovers = match found.stage {
            Stage::Delivered { .. } => return Claim::Delivered,
            Stage::Claimed { lease_until } if lease_until > claimant.time.earliest => {
                return Claim::Busy { until: lease_until };
            }
            Stage::Claimed { .. } => found.takeovers + 1,
            Stage::Open => found.takeovers,
        };
        Claim::Take(Box::new(Self {
            holder: claimant.holder.clone(),
            stage: Stage::Claimed { lease_until },
            takeovers,
            ..found.next()
        }))
    }

    /// Extends the lease, if by what is known now it could end before its holder, who lives so long.
    #[must_use]
    pub fn renew(&self, time: LedgerTime, lifetime: Duration) -> Option<Self> {
        let needed = time.latest.saturating_add(lifetime).unwrap_or(Timestamp::MAX);
        match self.stage {
            Stage::Claimed { lease_until } if lease_until < needed => {
                Some(Self { stage: Stage::Claimed { lease_until: time.lease(lifetime) }, ..self.next() })
            }
            _ => None,
        }
    }

    /// So much is settled, the rest still the holder's.
    #[must_use]
    pub fn checkpoint(&self, settled: &Settled) -> Self {
        let mut next = Self { settled: settled.clone(), ..self.next() };
        if (settled.next_record, &settled.beyond) != (self.settled.next_record, &self.settled.beyond) {
            next.takeovers = 0;
            next.failures.clear();
        }
        next
    }

    /// The rest is anyone's.
    #[must_use]
    pub fn release(&self, settled: &Settled) -> Self {
        Self { stage: Stage::Open, takeovers: 0, ..self.checkpoint(settled) }
    }

    /// Everything is settled.
    #[must_use]
    pub fn deliver(&self, settled: &Settled, content: Option<Content>, at: Timestamp) -> Self {
        Self {
            stage: Stage::Delivered { at },
            settled: settled.clone(),
            takeovers: 0,
            failures: BTreeMap::new(),
            content,
            ..self.next()
        }
    }

    fn next(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn claimant(holder: &str, second: i64) -> Claimant {
        let (time, lifetime) = (LedgerTime::exactly(at(second)), Duration::from_secs(8));
        Claimant { holder: holder.to_owned(), time, lifetime }
    }

    fn taken(found: Option<&Entry>, holder: &str, second: i64) -> Entry {
        match Entry::claim(found, &claimant(holder, second), 0) {
            Claim::Take(entry) => *entry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lease_keeps_others_away_until_it_runs_out() {
        let first = taken(None, "a", 0);
        assert_eq!(Entry::claim(Some(&first), &claimant("b", 9), 0), Claim::Busy { until: at(10) });
        let second = taken(Some(&first), "b", 10);
        assert_eq!((second.version, second.takeovers, second.announced_at), (2, 1, at(0)));
    }

    #[test]
    fn a_lease_that_was_granted_by_a_slow_clock_is_extended_once_the_time_is_known() {
        let first = taken(None, "a", 0);
        let lifetime = Duration::from_secs(8);
        assert_eq!(first.renew(LedgerTime::exactly(at(2)), lifetime), None, "the margin covers it");
        let renewed = first.renew(LedgerTime { earliest: at(3), latest: at(5) }, lifetime).unwrap();
        assert_eq!((renewed.stage, renewed.version), (Stage::Claimed { lease_until: at(15) }, 2));
        assert_eq!(renewed.renew(LedgerTime::exactly(at(7)), lifetime), None);
    }

    #[test]
    fn a_lease_has_run_out_only_if_it_has_by_the_earliest_time_that_it_may_be() {
        let first = taken(None, "a", 0);
        let time = LedgerTime { earliest: at(9), latest: at(60) };
        let claimant = Claimant { time, ..claimant("b", 0) };
        assert_eq!(Entry::claim(Some(&first), &claimant, 0), Claim::Busy { until: at(10) });
    }

    #[test]
    fn what_is_delivered_is_never_claimed_again() {
        let first = taken(None, "a", 0);
        let done = first.deliver(&Settled::up_to(3), None, at(5));
        assert_eq!(Entry::claim(Some(&done), &claimant("b", 100), 0), Claim::Delivered);
    }

    #[test]
    fn work_goes_on_from_the_checkpoint_and_progress_forgets_what_crashed() {
        let first = taken(None, "a", 0);
        let second = taken(Some(&first), "b", 20).checkpoint(&Settled::up_to(7));
        assert_eq!((second.settled.next_record, second.takeovers), (7, 0));
        let third = taken(Some(&second.release(&Settled::up_to(9))), "c", 21);
        assert_eq!((third.settled.next_record, third.takeovers), (9, 0));
    }

    #[test]
    fn failed_attempts_are_counted_until_something_is_settled() {
        let mut first = taken(None, "a", 0);
        first.failures.insert(Reason::Forbidden, 1);
        let released = first.release(&Settled::default());
        assert_eq!(released.failures[&Reason::Forbidden], 1);
        assert_eq!(taken(Some(&released), "b", 1).failures[&Reason::Forbidden], 1);
        assert!(first.release(&Settled::up_to(1)).failures.is_empty());
        assert!(first.checkpoint(&Settled::up_to(1)).failures.is_empty());
        assert!(first.deliver(&Settled::default(), None, at(5)).failures.is_empty());
    }
}
