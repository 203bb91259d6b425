//! Verifies after the fact that everything arrived: digests, the files in S3 and the ledger, hour by hour.
//!
//! `source` finds the folders of accounts and regions, `remembered` what the ledger knows of them. `walk` goes through one
//! of them, its digests and its `files`; `chain` judges how its digests hang together; `looking` sees to it that nothing is
//! changed by that. What is wrong with a digest or a file says the notary, as in the function. `hour` and `exception` are
//! what comes of it: an hour is complete because of what was seen of it, never for want of an exception. `told` and `page`
//! write it.

mod chain;
mod exception;
mod files;
mod hour;
mod looking;
pub mod page;
mod remembered;
mod source;
#[cfg(test)]
mod tests;
pub mod told;
mod walk;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

pub use exception::{Exception, advice};
pub use hour::{Hour, State, Unlisted};
pub use source::{Source, folders};
pub use told::visible;

use crate::aws::{Archive, KEPT, LedgerError, Notes, PublicKeys};
use crate::backfill::selection::Wanted;
use crate::digest::{TOLERANCE, hour_at};
use exception::NOT_FOUND;
use looking::{Counted, Tally};
use remembered::Remembered;
use source::{VOUCHED_FOR, together};
use walk::Walk;

/// Account-regions that are walked at once.
const AT_ONCE: usize = 8;
/// Digests are looked at so long before the hours that are asked for, since files of these hours may be listed there.
const BESIDE: SignedDuration = HOUR;
/// Likewise so long behind them.
const BEHIND: SignedDuration = SignedDuration::from_hours(2);
/// A chain is looked for so long before the hours that are asked for: so it shows if it ends just there.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What is to be verified.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The bucket.
    pub bucket: String,
    /// The prefix, accounts, regions and services.
    pub wanted: Wanted,
    /// The first hour.
    pub from: Timestamp,
    /// The end of the last hour.
    pub until: Timestamp,
    /// When it is.
    pub now: Timestamp,
    /// Whether hours that no digest vouches for may be proven.
    pub allows_unvouched: bool,
    /// The ledger's table.
    pub ledger: String,
    /// Who asks, if AWS knows.
    pub identity: Option<String>,
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

    /// The end of the last hour that is asked for and due.
    fn end_of_due(&self) -> Timestamp {
        self.until.min(hour_at(self.now - HOUR - TOLERANCE) + HOUR)
    }

    /// Whether the ledger still keeps what was delivered in an hour.
    fn is_remembered(&self, hour: Timestamp) -> bool {
        self.now.duration_since(hour) <= KEPT
    }

    /// Whether digests vouch for any of the services.
    fn takes_digests(&self) -> bool {
        self.wanted.services.iter().any(|service| service.starts_with(VOUCHED_FOR))
    }

    /// The hours that are asked for.
    pub fn hours(&self) -> impl Iterator<Item = Timestamp> + use<> {
        hours(self.from, self.until)
    }

    /// Those of them between two moments.
    fn hours_in(&self, first: Timestamp, end: Timestamp) -> impl Iterator<Item = Timestamp> + use<> {
        hours(first.max(self.from), end.min(self.until))
    }

    /// The first moment of each day that has an hour which is asked for.
    fn days(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (second, until) = (self.from.as_second(), self.until);
        let first = Timestamp::from_second(second - second.rem_euclid(86_400)).unwrap_or(self.from);
        std::iter::successors(Some(first), |day| Some(*day + DAY)).take_while(move |day| *day < until)
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
    /// Set to end early: what was seen until then is told.
    pub interrupted: Arc<AtomicBool>,
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

impl Verified {
    fn nothing(source: Source) -> Self {
        let (hours, seals, exceptions) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, hours, seals, exceptions, unnamed: 0, error: None }
    }
}

/// What came of it all.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was asked for.
    pub asked: Asked,
    /// Why the ledger could not be read as a whole.
    pub error: Option<String>,
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
    /// Every hour is complete, or no digest vouches for it and that was allowed.
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
        let is_proven = |hour: &Hour| match hour.state {
            State::Complete => true,
            State::Unvouched => self.asked.allows_unvouched,
            _ => false,
        };
        let unnamed = self.verified.iter().any(|verified| verified.unnamed > 0);
        let mut hours = self.verified.iter().flat_map(|verified| &verified.hours).peekable();
        if unnamed || self.exceptions().any(|(_, exception)| exception.is_wrong()) {
            Answer::Wrong
        } else if self.error.is_none()
            && self.verified.iter().all(|verified| verified.error.is_none())
            && self.exceptions().next().is_none()
            && hours.peek().is_some()
            && hours.all(is_proven)
        {
            Answer::Proven
        } else {
            Answer::Unknown
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

/// Looks at all that is asked for, in the folders that the bucket shows and in those that the ledger knows; `tell` hears
/// now and then how far it is, and how many days there are.
pub async fn verify<A: Archive, K: PublicKeys, N: Notes>(
    parties: &Parties<A, K, N>,
    asked: Asked,
    folders: Vec<String>,
    tell: impl Fn(Progress, u64),
) -> Outcome {
    let (begun, tally) = (Instant::now(), Arc::new(Tally::default()));
    let ledger = Counted::new(&parties.ledger, &tally);
    let (remembered, error) = match Remembered::read(&ledger, &asked).await {
        Ok(remembered) => (remembered, None),
        Err(error) => (Remembered::default(), Some(error)),
    };
    // Who may not scan it may look into it all the same.
    let is_there = error.as_ref().is_none_or(|error| ledger_code(error).starts_with("AccessDenied"));
    let mut error = error.map(|error| ledger_failure(&error, &asked.ledger));
    let sources = together(folders.iter().chain(&remembered.folders));
    let days = asked.days().count() as u64 * sources.len() as u64;
    let so_far = Cell::new(Progress::default());
    let add = |more: Progress| {
        let Progress { digests, files, days: done } = so_far.get();
        let sum =
            Progress { digests: digests + more.digests, files: files + more.files, days: done + more.days };
        so_far.set(sum);
        tell(sum, days);
    };
    let not_found = not_found(&asked, &sources);
    let is_interrupted: &AtomicBool = &parties.interrupted;
    let walks = sources.into_iter().map(|source| {
        let parties = (
            Counted::new(&parties.archive, &tally),
            Counted::new(&parties.keys, &tally),
            Counted::new(&parties.ledger, &tally),
        );
        Walk::new(parties, &asked, &remembered, is_interrupted, source, &add)
    });
    let mut verified: Vec<Verified> = if is_there {
        stream::iter(walks.map(Walk::run)).buffer_unordered(AT_ONCE).collect().await
    } else {
        walks.map(Walk::give_up).collect()
    };
    if !parties.interrupted.load(Ordering::Relaxed) {
        match remembered.left(&ledger, &asked).await {
            Ok(keys) => name_removed(&mut verified, &asked, keys),
            Err(failure) => {
                error.get_or_insert(ledger_failure(&failure, &asked.ledger));
            }
        }
    }
    verified.extend(not_found);
    verified.sort_by(|one, other| one.source.cmp(&other.source));
    let (s3_calls, ledger_calls) = tally.calls();
    Outcome { asked, error, verified, s3_calls, ledger_calls, elapsed: begun.elapsed() }
}

fn ledger_code(error: &LedgerError) -> &str {
    match error {
        LedgerError::Unavailable { code } => code,
        LedgerError::Conflict(_) => "",
    }
}

/// Why the ledger could not be read as a whole, and what to do.
fn ledger_failure(error: &LedgerError, table: &str) -> String {
    let advice = match ledger_code(error) {
        "ResourceNotFoundException" => {
            "there is no such table in this account and region: give LedgerTable of the stack's outputs"
        }
        code if code.starts_with("AccessDenied") => {
            "your identity needs dynamodb:Scan on it; what it knows and the bucket has no longer was not seen"
        }
        _ => "run the same command again",
    };
    format!("the ledger {table} could not be read as a whole ({}): {advice}", ledger_code(error))
}

/// What was asked for by name and neither bucket nor ledger has: an account, a region, both, a service.
fn not_found(asked: &Asked, sources: &[Source]) -> Vec<Verified> {
    let Wanted { accounts, regions, services, .. } = &asked.wanted;
    let any = |names: &[String]| -> Vec<Option<String>> {
        if names.is_empty() { vec![None] } else { names.iter().cloned().map(Some).collect() }
    };
    let has_service = |source: &Source, service: &String| {
        source.files.iter().any(|folder| folder.contains(&format!("/{service}/")))
    };
    let mut missing = Vec::new();
    for account in any(accounts) {
        for region in any(regions) {
            let is_it = |source: &Source| {
                account.as_ref().is_none_or(|name| source.account == *name)
                    && region.as_ref().is_none_or(|name| source.region == *name)
            };
            if !sources.iter().any(is_it) {
                missing.push((account.clone(), region.clone(), "no folder of it".to_owned()));
            }
        }
    }
    for service in services {
        if missing.is_empty() && !sources.iter().any(|source| has_service(source, service)) {
            missing.push((None, None, format!("no folder of {service}")));
        }
    }
    let named = |name: Option<String>| name.unwrap_or_else(|| "-".to_owned());
    let verified = missing.into_iter().map(|(account, region, what)| {
        let (account, region) = (named(account), named(region));
        let says = format!(
            "{what} lies in s3://{}/{}, and the ledger knows of none",
            asked.bucket, asked.wanted.path.root
        );
        let source = Source { account, region, organization: None, digests: None, files: Vec::new() };
        let exception =
            Exception { hour: asked.from, name: NOT_FOUND, says, digest: None, file: None, letter: None };
        Verified { exceptions: vec![exception], ..Verified::nothing(source) }
    });
    verified.collect()
}

/// Names the files that the ledger knows as delivered and nobody has seen in the bucket.
fn name_removed(verified: &mut [Verified], asked: &Asked, keys: impl IntoIterator<Item = String>) {
    let mut by_folder: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for key in keys {
        if let Some(folder) = asked.folder_of(&key) {
            by_folder.entry(folder).or_default().push(key);
        }
    }
    for each in verified {
        let folders = each.source.files.clone();
        let keys = folders.iter().filter_map(|folder| by_folder.remove(folder)).flatten();
        each.name_removed(asked, keys);
    }
}

/// The hours between two moments, of which the first begins one.
fn hours(first: Timestamp, end: Timestamp) -> impl Iterator<Item = Timestamp> + use<> {
    std::iter::successors(Some(first), |hour| Some(*hour + HOUR)).take_while(move |hour| *hour < end)
}

/// The hour that a digest is about which begins then: most of its time lies in it.
fn hour_from(start: Timestamp) -> Timestamp {
    hour_at(start + HOUR / 2)
}

/// The hour that a digest is about which ends then.
fn hour_to(end: Timestamp) -> Timestamp {
    hour_at(end - HOUR / 2)
}
