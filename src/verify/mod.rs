//! Verifies after the fact that everything arrived: digests, the files in S3 and the ledger, hour by hour.
//!
//! `source` finds the folders of accounts and regions. `walk` goes through one of them, its `chains` and its `files`;
//! `looking` sees to it that nothing is changed by that. What is wrong with a digest or a file says the notary, as in the
//! function. `hour` and `exception` are what comes of it; `told` and `page` write it.

mod chains;
mod exception;
mod files;
mod hour;
mod looking;
pub mod page;
mod source;
#[cfg(test)]
mod tests;
pub mod told;
mod walk;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

pub use exception::{Exception, advice};
pub use hour::{Hour, State, Unlisted};
pub use source::{Source, sources};

use crate::aws::{Archive, Notes, PublicKeys};
use crate::digest::{TOLERANCE, hour_at};
use looking::{Counted, Tally};
use walk::Walk;

/// Account-regions that are walked at once.
const AT_ONCE: usize = 8;
/// Digests are looked at so long before the hours that are asked for, since files of these hours may be listed there.
const BESIDE: SignedDuration = HOUR;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The bucket.
    pub bucket: String,
    /// The first hour.
    pub from: Timestamp,
    /// The end of the last hour.
    pub until: Timestamp,
    /// When it is.
    pub now: Timestamp,
}

impl Asked {
    /// Whether an hour is asked for.
    #[must_use]
    pub fn takes(&self, hour: Timestamp) -> bool {
        self.from <= hour && hour < self.until
    }

    /// Whether the digest of an hour must have come.
    #[must_use]
    pub fn is_due(&self, hour: Timestamp) -> bool {
        hour + HOUR + TOLERANCE <= self.now
    }

    /// The hours that are asked for.
    pub fn hours(&self) -> impl Iterator<Item = Timestamp> {
        let until = self.until;
        std::iter::successors(Some(self.from), |hour| Some(*hour + HOUR))
            .take_while(move |hour| *hour < until)
    }
}

/// The parties that are asked, and nothing of theirs is changed.
pub struct Parties<A, K, N> {
    /// S3.
    pub archive: Arc<A>,
    /// `CloudTrail`'s keys.
    pub keys: Arc<K>,
    /// The ledger.
    pub ledger: Arc<N>,
}

/// A digest that was looked at.
#[derive(Clone, Debug)]
pub struct Seal {
    /// The hour that it is about.
    pub hour: Timestamp,
    /// Its key.
    pub key: String,
    /// The SHA-256 of its uncompressed content; none if it can't be read.
    pub sha256: Option<String>,
    /// Which key signed it, as it says.
    pub fingerprint: Option<String>,
    /// Whether `CloudTrail` wrote it.
    pub is_genuine: bool,
}

/// What came of an account-region.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Which.
    pub source: Source,
    /// Each hour that was asked for.
    pub hours: Vec<Hour>,
    /// The digests, in the order of their time.
    pub seals: Vec<Seal>,
    /// What is not as it should be.
    pub exceptions: Vec<Exception>,
    /// How many more there are, which are only counted.
    pub unnamed: u64,
    /// Why it could not be looked at to its end.
    pub error: Option<String>,
}

/// What came of it all.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub asked: Asked,
    /// Each account-region.
    pub verified: Vec<Verified>,
    /// Calls to S3.
    pub s3_calls: u64,
    /// Calls to the ledger.
    pub ledger_calls: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is known when all was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is wrong.
    Proven,
    /// Something is.
    Wrong,
    /// Nothing is as far as was seen, and not all was.
    Unknown,
}

impl Outcome {
    /// The answer.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let are_any = |is: fn(&Verified) -> bool| self.verified.iter().any(is);
        if are_any(|verified| !verified.exceptions.is_empty()) {
            Answer::Wrong
        } else if are_any(|verified| verified.error.is_some()) {
            Answer::Unknown
        } else {
            Answer::Proven
        }
    }

    /// All that is not as it should be, with its account-region.
    pub fn exceptions(&self) -> impl Iterator<Item = (&Source, &Exception)> {
        self.verified
            .iter()
            .flat_map(|verified| verified.exceptions.iter().map(|exception| (&verified.source, exception)))
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Digests looked at.
    pub digests: u64,
    /// Files looked at.
    pub files: u64,
    /// Days of account-regions that are done.
    pub days: u64,
}

/// Looks at all that is asked for; `tell` hears now and then how far it is, and how many days there are.
pub async fn verify<A: Archive, K: PublicKeys, N: Notes>(
    parties: &Parties<A, K, N>,
    asked: Asked,
    sources: Vec<Source>,
    tell: impl Fn(Progress, u64),
) -> Outcome {
    let (begun, tally) = (Instant::now(), Arc::new(Tally::default()));
    let archive = || Counted::new(&parties.archive, &tally);
    let keys = || Counted::new(&parties.keys, &tally);
    let days = walk::days(&asked).count() as u64 * sources.len() as u64;
    let so_far = Cell::new(Progress::default());
    let add = |more: Progress| {
        let Progress { digests, files, days: done } = so_far.get();
        let sum =
            Progress { digests: digests + more.digests, files: files + more.files, days: done + more.days };
        so_far.set(sum);
        tell(sum, days);
    };
    let walks = sources.into_iter().map(|source| {
        let ledger = Counted::new(&parties.ledger, &tally);
        Walk::new(archive(), keys(), ledger, &asked, source, &add).run()
    });
    let mut verified: Vec<Verified> = stream::iter(walks).buffer_unordered(AT_ONCE).collect().await;
    verified.sort_by(|one, other| one.source.cmp(&other.source));
    let (s3_calls, ledger_calls) = tally.calls();
    Outcome { asked, verified, s3_calls, ledger_calls, elapsed: begun.elapsed() }
}

/// The hour that a digest is about which begins then: most of its time lies in it.
fn hour_from(start: Timestamp) -> Timestamp {
    hour_at(start + HOUR / 2)
}

/// The hour that a digest is about which ends then.
fn hour_to(end: Timestamp) -> Timestamp {
    hour_at(end - HOUR / 2)
}
