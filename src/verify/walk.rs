//! Walks one account-region: its digests in the order of their time, and day by day the files that lie in S3.
//!
//! Of a day no more is kept than the sums of its hours, and a hash of the name of each file that a digest lists: such a
//! file was looked at with its digest, and is not looked up again.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::chains::Newest;
use super::exception::{Exception, IN_LETTERS, hours_of};
use super::hour::{Hour, State};
use super::looking::{Counted, NoQueue, Overlay};
use super::{Asked, BESIDE, HOUR, Progress, Seal, Source, Verified, hour_to};
use crate::aws::{Archive, LedgerError, Mark, Notes, PublicKeys, ReadError};
use crate::deadline::Deadline;
use crate::digest::{Chain, DigestKey, Document, Finding, Place, hour_of};
use crate::json;
use crate::notary::{Examine, ExamineError, Notary};
use crate::task::ObjectRef;

/// What is found wrong is named up to so often in an account-region, and else only counted.
const MOST_NAMED: usize = 1000;
/// A chain is looked for so long before the hours that are asked for: so it shows if it ends just there.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);
/// Digests are looked at so long after the hours that are asked for, since files of these hours may be listed there.
const BEHIND: SignedDuration = SignedDuration::from_hours(2);
/// One digest may take so long.
pub(super) const EXAMINATION: Duration = Duration::from_hours(1);

/// Why a walk ends early.
#[derive(Debug, Error)]
pub(super) enum WalkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Examine(#[from] ExamineError),
}

/// The first moment of each day that has an hour which is asked for.
pub(super) fn days(asked: &Asked) -> impl Iterator<Item = Timestamp> {
    let (second, until) = (asked.from.as_second(), asked.until);
    let first = Timestamp::from_second(second - second.rem_euclid(86_400)).unwrap_or(asked.from);
    std::iter::successors(Some(first), |day| Some(*day + DAY)).take_while(move |day| *day < until)
}

pub(super) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A digest, as it is listed.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) key: DigestKey,
    pub(super) object: ObjectRef,
}

impl Found {
    fn hour(&self) -> Timestamp {
        hour_to(self.key.end)
    }

    pub(super) fn place(&self) -> Place {
        Place::of(&self.object)
    }
}

/// A walk under way.
pub(super) struct Walk<'a, A, K, N> {
    pub(super) archive: Counted<A>,
    pub(super) ledger: Counted<N>,
    pub(super) overlay: Overlay<N>,
    pub(super) notary: Notary<Counted<A>, Counted<K>, Overlay<N>, NoQueue>,
    pub(super) asked: &'a Asked,
    pub(super) tell: &'a dyn Fn(Progress),
    pub(super) hours: BTreeMap<Timestamp, Hour>,
    pub(super) verified: Verified,
    pub(super) hasher: RandomState,
    /// By the hours of the digests that list them.
    pub(super) listed: BTreeMap<Timestamp, HashSet<u64>>,
    pub(super) chains: HashMap<Chain, Newest>,
    /// Digests of chains before all that is looked at.
    pub(super) before: HashMap<Chain, Vec<Found>>,
}

impl<'a, A: Archive, K: PublicKeys, N: Notes> Walk<'a, A, K, N> {
    pub(super) fn new(
        archive: Counted<A>,
        keys: Counted<K>,
        ledger: Counted<N>,
        asked: &'a Asked,
        source: Source,
        tell: &'a dyn Fn(Progress),
    ) -> Self {
        let overlay = Overlay::new(ledger.clone());
        let notary = Notary::new(archive.clone(), keys, overlay.clone(), NoQueue, None);
        let hours = asked.hours().map(|hour| (hour, Hour::new(hour))).collect();
        let verified = Verified {
            source,
            hours: Vec::new(),
            seals: Vec::new(),
            exceptions: Vec::new(),
            unnamed: 0,
            error: None,
        };
        Self {
            archive,
            ledger,
            overlay,
            notary,
            asked,
            tell,
            hours,
            verified,
            hasher: RandomState::new(),
            listed: BTreeMap::new(),
            chains: HashMap::new(),
            before: HashMap::new(),
        }
    }

    /// Walks to the end, or to what keeps it from going on.
    pub(super) async fn run(mut self) -> Verified {
        let mut walked = self.asked.from;
        let ended = self.walk(&mut walked).await;
        for (begins, hour) in &mut self.hours {
            let is_due = self.asked.is_due(*begins);
            if hour.digests == 0 {
                hour.worsen(if is_due || self.verified.source.digests.is_none() {
                    State::Unvouched
                } else {
                    State::Pending
                });
            }
            if ended.is_err() && *begins >= walked {
                hour.worsen(State::Unchecked);
            }
        }
        self.verified.error = ended.err().map(|error| error.to_string());
        self.verified.hours = self.hours.into_values().collect();
        self.verified.exceptions.sort_by_key(|exception| exception.hour);
        self.verified
    }

    async fn walk(&mut self, walked: &mut Timestamp) -> Result<(), WalkError> {
        let mut digests = self.digests().await?.into_iter().peekable();
        let files = self.verified.source.files.clone();
        for day in days(self.asked) {
            let end = day + DAY;
            while let Some(found) = digests.next_if(|found| found.hour() < end + BEHIND) {
                self.digest(found).await?;
            }
            for folder in &files {
                self.files(folder, day).await?;
            }
            self.listed.retain(|hour, _| *hour >= end - BEHIND);
            *walked = end;
            (self.tell)(Progress { days: 1, ..Progress::default() });
        }
        // Nothing is said of how a chain ends before all of it was seen.
        self.ends().await
    }

    /// The digests of the hours that are asked for, and beside them, in the order of their time.
    async fn digests(&mut self) -> Result<Vec<Found>, WalkError> {
        let Some(folder) = self.verified.source.digests.clone() else { return Ok(Vec::new()) };
        let (first, last) = (self.asked.from - BESIDE, self.asked.until + BEHIND);
        let mut digests = Vec::new();
        let mut behind =
            Some(Mark { key: format!("{folder}{}", date(self.asked.from - BEFORE)), version_id: None });
        let stop = format!("{folder}{}", date(last + DAY));
        while let Some(mark) = behind.filter(|mark| mark.key < stop) {
            let page = self.archive.versions(&self.asked.bucket, &folder, &mark).await?;
            for version in page.versions.into_iter().filter(|version| version.is_latest) {
                let Some(key) = DigestKey::parse(&version.object.key) else { continue };
                // The content that lies there now, whichever version that is.
                let object = ObjectRef { version_id: None, etag: None, ..version.object };
                let found = Found { key, object };
                if found.hour() >= last {
                    continue;
                }
                if found.hour() >= first {
                    digests.push(found);
                } else if found.hour() >= self.asked.from - BEFORE && !found.key.is_backfill {
                    self.before.entry(found.key.chain.clone()).or_default().push(found);
                }
            }
            behind = page.next;
        }
        digests.sort_by(|one, other| {
            let order = |found: &Found| (found.key.end, found.key.is_backfill);
            order(one).cmp(&order(other)).then_with(|| one.object.key.cmp(&other.object.key))
        });
        Ok(digests)
    }

    /// Looks at a digest, and at all that it lists.
    async fn digest(&mut self, found: Found) -> Result<(), WalkError> {
        let opened = self.notary.open(&found.object, found.key.clone()).await?;
        self.seed(&opened).await?;
        let until = Deadline::at(Instant::now() + EXAMINATION);
        let examined = self.notary.examine(&opened, until).await?;
        let document = opened.document.as_ref().ok();
        let genuine = document.filter(|_| examined.is_genuine);
        let begins = genuine.map_or_else(|| found.hour(), hour_of);
        if let Some(document) = genuine {
            self.notary.remember(&opened, &examined.account).await?;
            self.list(begins, document);
            if !found.key.is_backfill {
                self.follow(&found, document).await?;
            }
        }
        if let Some(hour) = self.hours.get_mut(&begins) {
            hour.digests += u64::from(examined.is_genuine);
            hour.account.add(&examined.account);
            self.verified.seals.push(Seal {
                hour: begins,
                key: opened.object.key.clone(),
                sha256: document.map(|document| json::hex(&document.sha256)),
                fingerprint: document.map(|document| document.fingerprint.clone()),
                is_genuine: examined.is_genuine,
            });
        }
        for finding in &examined.findings {
            self.find(finding, begins, Some(&opened.object));
        }
        let in_letters = examined.account.in_letters;
        self.tell_in_letters(begins, in_letters, Some(&found.object.key), "listed");
        (self.tell)(Progress { digests: 1, files: examined.account.listed, days: 0 });
        Ok(())
    }

    fn list(&mut self, hour: Timestamp, document: &Document) {
        let names = self.listed.entry(hour).or_default();
        for (folder, files) in &document.folders {
            names.extend(
                files.iter().map(|file| self.hasher.hash_one(format!("{}{}", folder.prefix, file.name))),
            );
        }
    }

    /// Takes in what was found by a digest of an hour, or of no digest.
    pub(super) fn find(&mut self, finding: &Finding, begins: Timestamp, digest: Option<&ObjectRef>) {
        let (first, end) = hours_of(finding).unwrap_or((begins, begins + HOUR));
        self.find_in(finding, first, end, digest);
    }

    /// Takes in what was found, if one of these hours is asked for.
    pub(super) fn find_in(
        &mut self,
        finding: &Finding,
        first: Timestamp,
        end: Timestamp,
        digest: Option<&ObjectRef>,
    ) {
        let (first, end) = (first.max(self.asked.from), end.min(self.asked.until));
        if first < end {
            let exception = Exception::of(finding, first, digest);
            for (_, hour) in self.hours.range_mut(first..end) {
                hour.worsen(exception.state());
            }
            self.name(exception);
        }
    }

    pub(super) fn tell_in_letters(
        &mut self,
        begins: Timestamp,
        files: u64,
        digest: Option<&String>,
        what: &str,
    ) {
        let Some(hour) = self.hours.get_mut(&begins).filter(|_| files > 0) else { return };
        let exception = Exception {
            hour: begins,
            name: IN_LETTERS,
            says: format!("{files} {what} files could not be delivered, and stand in dead letters"),
            digest: digest.cloned(),
            file: None,
            letter: None,
        };
        hour.worsen(exception.state());
        self.name(exception);
    }

    fn name(&mut self, exception: Exception) {
        if self.verified.exceptions.len() < MOST_NAMED {
            self.verified.exceptions.push(exception);
        } else {
            self.verified.unnamed += 1;
        }
    }
}

/// A day as the layout writes it.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y/%m/%d/").to_string()
}
