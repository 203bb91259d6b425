//! Walks one account-region: its digests, its chains, and day by day the files that lie in S3.
//!
//! What can't be read is an exception of its own, and hides nothing else.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use thiserror::Error;

use super::chain::{Evidence, Seen};
use super::exception::{Exception, IN_LETTERS, OLDER};
use super::files::Cursor;
use super::hour::{Hour, State};
use super::looking::{Counted, NoQueue};
use super::remembered::{Remains, Remembered, hour_of_file};
use super::{Asked, BEFORE, BEHIND, BESIDE, DAY, HOUR, Progress, Seal, Source, Verified, hour_to};
use crate::aws::{Archive, LedgerError, Mark, Notes, PublicKeys, ReadError};
use crate::deadline::Deadline;
use crate::digest::{self, Chain, DigestKey, Finding, Place};
use crate::json;
use crate::notary::{Examine, ExamineError, Examined, Notary, Opened};
use crate::task::ObjectRef;

/// What is found wrong is named up to so often in an account-region, and else only counted.
const MOST_NAMED: usize = 1000;
/// Digests that are read at once: each is at most 8 MB.
const DIGESTS_AT_ONCE: usize = 8;
/// One digest may take so long.
const EXAMINATION: Duration = Duration::from_hours(1);
/// From so many reads on that failed for the moment, S3 is taken to be down.
const MOST_FAILURES: u32 = 8;

/// Why a walk ends early.
#[derive(Debug, Error)]
pub(super) enum WalkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("it was interrupted")]
    Interrupted,
}

/// A digest, as it is listed or known.
#[derive(Clone)]
pub(super) struct Found {
    key: DigestKey,
    object: ObjectRef,
}

impl Found {
    fn hour(&self) -> Timestamp {
        hour_to(self.key.end)
    }
}

/// A walk under way.
pub(super) struct Walk<'a, A, K, N> {
    pub(super) archive: Counted<A>,
    pub(super) ledger: Counted<N>,
    notary: Notary<Counted<A>, Counted<K>, Counted<N>, NoQueue>,
    pub(super) asked: &'a Asked,
    pub(super) remembered: &'a Remembered,
    is_interrupted: &'a AtomicBool,
    pub(super) tell: &'a dyn Fn(Progress),
    pub(super) hours: BTreeMap<Timestamp, Hour>,
    pub(super) verified: Verified,
    pub(super) hasher: RandomState,
    /// The files that digests list, by the hours of the digests.
    pub(super) listed: BTreeMap<Timestamp, HashSet<u64>>,
    chains: HashMap<Chain, Evidence>,
    failures: u32,
}

impl<'a, A: Archive, K: PublicKeys, N: Notes> Walk<'a, A, K, N> {
    pub(super) fn new(
        (archive, keys, ledger): (Counted<A>, Counted<K>, Counted<N>),
        asked: &'a Asked,
        remembered: &'a Remembered,
        is_interrupted: &'a AtomicBool,
        source: Source,
        tell: &'a dyn Fn(Progress),
    ) -> Self {
        Self {
            notary: Notary::new(archive.clone(), keys, ledger.clone(), NoQueue, None),
            archive,
            ledger,
            asked,
            remembered,
            is_interrupted,
            tell,
            hours: asked.hours().map(|hour| (hour, Hour::new(hour))).collect(),
            verified: Verified::nothing(source),
            hasher: RandomState::new(),
            listed: BTreeMap::new(),
            chains: HashMap::new(),
            failures: 0,
        }
    }

    /// Looks at nothing: every hour is unchecked.
    pub(super) fn give_up(mut self) -> Verified {
        self.hours.values_mut().for_each(|hour| hour.worsen(State::Unchecked));
        self.verified.hours = self.hours.into_values().collect();
        self.verified
    }

    /// Walks to the end, or to what keeps it from going on.
    pub(super) async fn run(mut self) -> Verified {
        if let Err(error) = self.walk().await {
            self.verified.error.get_or_insert(error.to_string());
        }
        self.tell_older();
        let is_without_digests = self.verified.source.digests.is_none();
        for (begins, hour) in &mut self.hours {
            hour.conclude(self.asked.is_due(*begins) || is_without_digests);
        }
        self.verified.hours = self.hours.into_values().collect();
        self.verified.exceptions.sort_by_key(|exception| exception.hour);
        self.verified
    }

    async fn walk(&mut self) -> Result<(), WalkError> {
        let found = match self.digests().await {
            Err(WalkError::Read(error)) => {
                // The files are looked at all the same.
                self.verified.error.get_or_insert(error.to_string());
                self.hours.values_mut().for_each(|hour| hour.worsen(State::Unchecked));
                self.chains.clear();
                Vec::new()
            }
            found => found?,
        };
        let (before, within): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| found.hour() < self.asked.from - BESIDE);
        self.begin_chains(before).await?;
        let mut rest = within.into_iter().peekable();
        let mut cursors: Vec<Cursor> =
            self.verified.source.files.iter().map(|folder| Cursor::new(folder)).collect();
        for day in self.asked.days() {
            let end = day + DAY;
            let due: Vec<Found> =
                std::iter::from_fn(|| rest.next_if(|found| found.hour() < end + BEHIND)).collect();
            self.examine(due).await?;
            let mut is_walked = true;
            for cursor in &mut cursors {
                is_walked &= self.files(cursor, day).await?;
            }
            for (_, hour) in self.hours.range_mut(day..end) {
                hour.is_walked = is_walked;
            }
            self.listed.retain(|hour, _| *hour >= end - BEHIND);
            (self.tell)(Progress { days: 1, ..Progress::default() });
        }
        self.judge().await
    }

    /// The digests around the hours that are asked for, in the order of their time: those that lie there, and those that
    /// the ledger knows of a chain that lay there, wherever it wrote them.
    async fn digests(&mut self) -> Result<Vec<Found>, WalkError> {
        let (first, last) = (self.asked.from - BEFORE, self.asked.until + BEHIND);
        let mut found: BTreeMap<(Timestamp, bool, Place), Found> = BTreeMap::new();
        let mut take = |key: DigestKey, object: ObjectRef| {
            let each = Found { key, object };
            if first <= each.hour() && each.hour() < last {
                found.insert((each.key.end, each.key.is_backfill, Place::of(&each.object)), each);
            }
        };
        let folder = self.verified.source.digests.clone();
        let stop = folder.iter().map(|folder| format!("{folder}{}", date(last + DAY))).next();
        let mut behind =
            folder.as_ref().map(|folder| Mark { key: format!("{folder}{}", date(first)), version_id: None });
        while let (Some(folder), Some(mark)) =
            (&folder, behind.filter(|mark| Some(&mark.key) < stop.as_ref()))
        {
            self.check_interruption()?;
            let page = self.archive.versions(&self.asked.bucket, folder, &mark).await?;
            for version in page.versions.into_iter().filter(|version| version.is_latest) {
                let Some(key) = DigestKey::parse(&version.object.key) else { continue };
                self.chains.entry(key.chain.clone()).or_default();
                // The content that lies there now, whichever version that is.
                take(key, ObjectRef { version_id: None, etag: None, ..version.object });
            }
            behind = page.next;
        }
        for (chain, remains) in &self.remembered.chains {
            if !self.verified.source.has(chain) || !remains.is_here && !self.chains.contains_key(chain) {
                continue;
            }
            let Remains { known, head, .. } = remains.clone();
            // What lies in the folder is listed already; what was removed from it is read in vain, and known to be gone.
            for known in known.iter().filter(|known| !self.is_listed_here(&known.place)) {
                if let Some(key) = DigestKey::parse(&known.place.key) {
                    take(key, known.place.object());
                }
            }
            self.chains.insert(chain.clone(), Evidence { known, head, ..Evidence::default() });
        }
        Ok(found.into_values().collect())
    }

    fn is_listed_here(&self, place: &Place) -> bool {
        let folder = self.verified.source.digests.as_ref();
        place.bucket == self.asked.bucket && folder.is_some_and(|folder| place.key.starts_with(folder))
    }

    /// Finds the newest genuine digest of each chain before the hours: so it shows where a chain ends, and a name alone
    /// is no chain.
    async fn begin_chains(&mut self, before: Vec<Found>) -> Result<(), WalkError> {
        let mut begun = HashSet::new();
        for found in before.into_iter().rev().filter(|found| !found.key.is_backfill) {
            if begun.contains(&found.key.chain) {
                continue;
            }
            self.check_interruption()?;
            let Ok(opened) = self.notary.open(&found.object, found.key.clone()).await else { continue };
            if matches!(self.notary.believe(&opened).await, Ok(Ok(_))) {
                begun.insert(found.key.chain.clone());
                self.see(opened);
            }
        }
        Ok(())
    }

    /// Looks at digests, and at all that they list.
    async fn examine(&mut self, found: Vec<Found>) -> Result<(), WalkError> {
        let notary = &self.notary;
        let looks = found.into_iter().map(|found| async move {
            let opened = match notary.open(&found.object, found.key.clone()).await {
                Ok(opened) => opened,
                Err(error) => return (found, Err(ExamineError::from(error))),
            };
            let until = Deadline::at(Instant::now() + EXAMINATION);
            let examined = notary.inspect(&opened, until).await;
            (found, examined.map(|examined| (opened, examined)))
        });
        let looks: Vec<_> = stream::iter(looks.collect::<Vec<_>>()).buffered(DIGESTS_AT_ONCE).collect().await;
        for (found, looked) in looks {
            self.check_interruption()?;
            match looked {
                Ok((opened, examined)) => self.take_in(&found, opened, examined),
                Err(ExamineError::Ledger(error)) => return Err(error.into()),
                Err(error) => self.leave_unread(&found, &error)?,
            }
        }
        Ok(())
    }

    fn take_in(&mut self, found: &Found, opened: Opened, examined: Examined) {
        let place = Place::of(&opened.object);
        let seal = Seal {
            hour: found.hour(),
            key: place.key.clone(),
            sha256: opened.document.as_ref().ok().map(|document| json::hex(&document.sha256)),
            fingerprint: opened.document.as_ref().ok().map(|document| document.fingerprint.clone()),
            is_genuine: examined.is_genuine,
        };
        let is_unread = examined.findings.iter().any(Finding::is_unreadable);
        let mut begins = found.hour();
        if examined.is_genuine {
            let names = examined.folders.iter().flat_map(|(folder, files)| {
                files.iter().map(|file| format!("{}{}", folder.prefix, file.name))
            });
            let names: Vec<u64> = names.map(|name| self.hasher.hash_one(name)).collect();
            if let Some(seen) = self.see(opened) {
                begins = seen.hours().next().unwrap_or(begins);
                for hour in seen.hours().filter(|_| !seen.is_backfill && !is_unread) {
                    if let Some(hour) = self.hours.get_mut(&hour) {
                        hour.is_vouched_for = true;
                    }
                }
            }
            self.listed.entry(found.hour()).or_default().extend(names);
        } else if let Some(evidence) = self.chains.get_mut(&found.key.chain) {
            evidence.doubtful.insert(place.clone());
        }
        if let Some(hour) = self.hours.get_mut(&begins) {
            hour.digests += u64::from(examined.is_genuine);
            hour.account.add(&examined.account);
            self.verified.seals.push(Seal { hour: begins, ..seal });
        }
        for finding in examined.findings {
            self.find(finding, begins, Some(&place));
        }
        for file in examined.in_letters {
            self.find_in_letters(file, begins, Some(&place));
        }
        (self.tell)(Progress { digests: 1, files: examined.account.listed, days: 0 });
    }

    /// Takes a genuine digest into the evidence of its chain.
    fn see(&mut self, opened: Opened) -> Option<Seen> {
        let Opened { key, document: Ok(document), signature: Some(signature), .. } = opened else {
            return None;
        };
        let seen = Seen { document, signature, is_backfill: key.is_backfill };
        self.chains.entry(key.chain).or_default().seen.push(seen.clone());
        Some(seen)
    }

    /// A digest that can't be read: what it is about is not known, and the rest is judged all the same.
    fn leave_unread(&mut self, found: &Found, error: &ExamineError) -> Result<(), WalkError> {
        let place = Place::of(&found.object);
        match error {
            // The ledger names it, and it lies in another bucket or folder no longer.
            ExamineError::Read(ReadError::Gone { .. }) => return Ok(()),
            ExamineError::Read(ReadError::Unavailable { .. }) => self.failures += 1,
            _ => {}
        }
        if let Some(evidence) = self.chains.get_mut(&found.key.chain) {
            evidence.doubtful.insert(place.clone());
        }
        if let ExamineError::Keys(error) = error {
            // It is the same for each digest of the region.
            self.verified.error.get_or_insert(error.to_string());
            if let Some(hour) = self.hours.get_mut(&found.hour()) {
                hour.worsen(State::Unchecked);
            }
            return Ok(());
        }
        if let ExamineError::Read(error @ ReadError::Unavailable { .. }) = error
            && self.failures > MOST_FAILURES
        {
            return Err(error.clone().into());
        }
        self.find(
            Finding::Unreadable { what: place.clone(), why: error.to_string() },
            found.hour(),
            Some(&place),
        );
        Ok(())
    }

    /// Judges the chains, and names what the ledger knows and the bucket has no longer.
    async fn judge(&mut self) -> Result<(), WalkError> {
        let mut chains: Vec<(Chain, Evidence)> = std::mem::take(&mut self.chains).into_iter().collect();
        chains.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (_, mut evidence) in chains {
            self.check_interruption()?;
            for place in evidence.to_look_at(self.asked) {
                let looked = self.notary.look(&place, &self.asked.bucket).await;
                let (found, unreadable) = match looked {
                    Ok(looked) => looked,
                    Err(error) => {
                        let (what, why) = (place.clone(), error.to_string());
                        (digest::Found::NotLookedAt, Some(Finding::Unreadable { what, why }))
                    }
                };
                if let Some(finding) = unreadable.filter(|_| !evidence.doubtful.contains(&place)) {
                    let begins = DigestKey::parse(&place.key).map_or(self.asked.from, |key| hour_to(key.end));
                    self.find(finding, begins, Some(&place));
                }
                evidence.found.insert(place, found);
            }
            for judged in evidence.judge(self.asked) {
                self.find_in(&judged.finding, judged.first, judged.end, judged.digest.as_ref());
            }
        }
        Ok(())
    }

    /// Takes in what was found in an hour, by a digest or by none.
    pub(super) fn find(&mut self, finding: Finding, begins: Timestamp, digest: Option<&Place>) {
        let finding = match finding {
            // The ledger knows a file by its content, which is gone with it; by its name it knows it all the same.
            Finding::Gone(place)
                if place.bucket == self.asked.bucket && self.remembered.files.take(&place.key) =>
            {
                Finding::Removed(place)
            }
            Finding::Removed(place) => {
                self.remembered.files.take(&place.key);
                Finding::Removed(place)
            }
            finding => finding,
        };
        let is_about_delivery = matches!(finding, Finding::Missing(_) | Finding::Gone(_));
        if is_about_delivery && !self.asked.is_remembered(begins) {
            if let Some(hour) = self.hours.get_mut(&begins) {
                hour.worsen(State::Unchecked);
            }
            return;
        }
        self.find_in(&finding, begins, begins + HOUR, digest);
    }

    /// Takes in what was found, if one of these hours is asked for.
    fn find_in(&mut self, finding: &Finding, first: Timestamp, end: Timestamp, digest: Option<&Place>) {
        let (first, end) = (first.max(self.asked.from), end.min(self.asked.until));
        if first < end {
            let exception = Exception::of(finding, first, digest);
            for (_, hour) in self.hours.range_mut(first..end) {
                hour.worsen(exception.state());
            }
            self.verified.name(exception);
        }
    }

    pub(super) fn find_in_letters(&mut self, file: Place, begins: Timestamp, digest: Option<&Place>) {
        let Some(hour) = self.hours.get_mut(&begins) else { return };
        let exception = Exception {
            hour: begins,
            name: IN_LETTERS,
            says: format!("records of a log file stand in dead letters, and were not delivered: {file}"),
            digest: digest.map(|digest| digest.key.clone()),
            file: Some(file),
            letter: None,
        };
        hour.worsen(exception.state());
        self.verified.name(exception);
    }

    /// Says once that hours are older than what the ledger keeps.
    fn tell_older(&mut self) {
        let older: Vec<Timestamp> =
            self.asked.hours().filter(|hour| !self.asked.is_remembered(*hour)).collect();
        let (Some(first), Some(last)) = (older.first(), older.last()) else { return };
        for hour in &older {
            if let Some(hour) = self.hours.get_mut(hour) {
                hour.worsen(State::Unchecked);
            }
        }
        self.verified.name(Exception {
            hour: *first,
            name: OLDER,
            says: format!(
                "the ledger keeps deliveries for 400 days, and the hours from {first} to {} are older: whether their files \
                 were delivered can't be known",
                *last + HOUR
            ),
            digest: None,
            file: None,
            letter: None,
        });
    }

    pub(super) fn check_interruption(&self) -> Result<(), WalkError> {
        if self.is_interrupted.load(Ordering::Relaxed) { Err(WalkError::Interrupted) } else { Ok(()) }
    }
}

impl Verified {
    /// Names files that were delivered and that nobody has seen in the bucket, where all of it was seen.
    pub(super) fn name_removed(&mut self, asked: &Asked, keys: impl Iterator<Item = String>) {
        for key in keys {
            let Some(begins) = hour_of_file(&key, asked) else { continue };
            let Ok(place) = self.hours.binary_search_by_key(&begins, |hour| hour.begins) else { continue };
            if self.hours[place].is_walked {
                let finding = Finding::Removed(Place::new(&asked.bucket, &key));
                let exception = Exception::of(&finding, begins, None);
                self.hours[place].worsen(exception.state());
                self.name(exception);
            }
        }
        self.exceptions.sort_by_key(|exception| exception.hour);
    }

    pub(super) fn name(&mut self, exception: Exception) {
        if self.exceptions.len() < MOST_NAMED {
            self.exceptions.push(exception);
        } else {
            self.unnamed += 1;
        }
    }
}

/// A day as the layout writes it.
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y/%m/%d/").to_string()
}
