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

use super::exception::{Exception, IN_LETTERS, hours_of};
use super::hour::{Hour, State};
use super::looking::{Counted, NoQueue, Overlay};
use super::{Asked, GRACE, HOUR, Progress, Seal, Source, Verified, floor, hour_from, hour_to};
use crate::aws::{Archive, LedgerError, Mark, Note, Notes, PublicKeys, ReadError};
use crate::backfill::layout::stamp;
use crate::deadline::Deadline;
use crate::decode::KeyTells;
use crate::delivery::{Entry, Key, Stage};
use crate::digest::{Chain, DigestKey, Document, Finding, Head, LATE, Link, Place, Version, hour_of};
use crate::json;
use crate::notary::{Examine, ExamineError, Notary, Opened, chain_key};
use crate::task::ObjectRef;

/// What is found wrong is named up to so often in an account-region, and else only counted.
const MOST_NAMED: usize = 1000;
/// A chain is looked for so long before the hours that are asked for: so it shows if it ends just there.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);
/// Digests are looked at so long before and after the hours that are asked for, since files of these hours may be listed
/// there.
const BESIDE: SignedDuration = HOUR;
const BEHIND: SignedDuration = SignedDuration::from_hours(2);
/// One digest may take so long.
const EXAMINATION: Duration = Duration::from_hours(1);

/// Why a walk ends early.
#[derive(Debug, Error)]
enum WalkError {
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

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A digest, as it is listed.
#[derive(Clone)]
struct Found {
    key: DigestKey,
    object: ObjectRef,
}

impl Found {
    fn hour(&self) -> Timestamp {
        hour_to(self.key.end)
    }

    fn place(&self) -> Place {
        Place { bucket: self.object.bucket.clone(), key: self.object.key.clone() }
    }
}

/// The newest genuine digest of a chain.
struct Newest {
    place: Place,
    end: Timestamp,
}

/// A walk under way.
pub(super) struct Walk<'a, A, K, N> {
    archive: Counted<A>,
    ledger: Counted<N>,
    overlay: Overlay<N>,
    notary: Notary<Counted<A>, Counted<K>, Overlay<N>, NoQueue>,
    asked: &'a Asked,
    tell: &'a dyn Fn(Progress),
    hours: BTreeMap<Timestamp, Hour>,
    verified: Verified,
    hasher: RandomState,
    /// By the hours of the digests that list them.
    listed: BTreeMap<Timestamp, HashSet<u64>>,
    chains: HashMap<Chain, Newest>,
    /// Digests of chains before all that is looked at.
    before: HashMap<Chain, Vec<Found>>,
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

    /// Takes in a chain's next digest; what lies between it and the one before is not vouched for.
    async fn follow(&mut self, found: &Found, document: &Document) -> Result<(), WalkError> {
        let newest = Newest { place: found.place(), end: document.end };
        let Some(before) = self.chains.insert(found.key.chain.clone(), newest) else { return Ok(()) };
        for (_, hour) in
            self.hours.range_mut(hour_from(before.end)..hour_from(document.start).max(hour_from(before.end)))
        {
            hour.worsen(State::Unsealed);
        }
        let is_next = document.previous.as_ref().is_some_and(|previous| previous.place == before.place);
        if !is_next {
            // The last of them is named by this digest itself.
            let named = document.previous.as_ref().map(|previous| &previous.place);
            for place in self.removed_behind(&before.place, &found.object.key).await? {
                if Some(&place) != named {
                    self.find(&Finding::PreviousRemoved(place), hour_to(found.key.end), None);
                }
            }
        }
        Ok(())
    }

    /// The digests that were checked behind one, up to another, and that do not lie there any more.
    async fn removed_behind(&self, last: &Place, until: &str) -> Result<Vec<Place>, WalkError> {
        let (mut place, mut removed) = (last.clone(), Vec::new());
        loop {
            let note = self.overlay.note(&Key::link(&place.bucket, &place.key)).await?;
            let link: Option<Link> = serde_json::from_value(serde_json::Value::Object(note.content)).ok();
            match link.and_then(|link| link.next) {
                // A time that does not grow is none of CloudTrail's chain.
                Some(next)
                    if next != until
                        && DigestKey::parse(&next).map(|key| key.end)
                            > DigestKey::parse(&place.key).map(|key| key.end) =>
                {
                    place.key = next;
                    // One that lies there was looked at, and is none of CloudTrail's any more.
                    if !self.verified.seals.iter().any(|seal| seal.key == place.key) {
                        removed.push(place.clone());
                    }
                }
                _ => return Ok(removed),
            }
        }
    }

    /// Says from when on a chain is to be checked: from the first hour on, if it had begun before.
    async fn seed(&self, opened: &Opened) -> Result<(), WalkError> {
        let (chain, first) = (&opened.key.chain, self.asked.from - BESIDE);
        if self.chains.contains_key(chain) {
            return Ok(());
        }
        let had_begun = match opened.document.as_ref().map(|document| &document.previous) {
            Ok(Some(_)) => true,
            _ => self.head(chain).await?.is_some_and(|head| head.since < first),
        };
        let (bucket, key) = (self.asked.bucket.clone(), String::new());
        match serde_json::to_value(Head { since: first, end: first, bucket, key, told: None }) {
            Ok(serde_json::Value::Object(content)) if had_begun => {
                self.overlay.keep(&chain_key(chain), &Note { version: 0, content });
            }
            _ => self.overlay.forget(&chain_key(chain)),
        }
        Ok(())
    }

    /// What the ledger remembers of a chain.
    async fn head(&self, chain: &Chain) -> Result<Option<Head>, LedgerError> {
        let note = self.ledger.note(&chain_key(chain)).await?;
        Ok(serde_json::from_value(serde_json::Value::Object(note.content)).ok())
    }

    fn list(&mut self, hour: Timestamp, document: &Document) {
        let names = self.listed.entry(hour).or_default();
        for (folder, files) in &document.folders {
            names.extend(
                files.iter().map(|file| self.hasher.hash_one(format!("{}{}", folder.prefix, file.name))),
            );
        }
    }

    /// Looks at the files of a day that no digest lists.
    async fn files(&mut self, folder: &str, day: Timestamp) -> Result<(), WalkError> {
        let prefix = format!("{folder}{}", date(day));
        let mut behind = Some(Mark { key: prefix.clone(), version_id: None });
        // The last key of a page may have further versions on the next one.
        let mut open: Vec<Version> = Vec::new();
        while let Some(mark) = behind {
            let page = self.archive.versions(&self.asked.bucket, &prefix, &mark).await?;
            open.extend(
                page.versions.into_iter().filter(|version| self.is_to_be_looked_up(&version.object.key)),
            );
            let last =
                page.next.is_some().then(|| open.last().map(|version| version.object.key.clone())).flatten();
            let rest =
                open.partition_point(|version| last.as_ref().is_none_or(|last| version.object.key < *last));
            let later = open.split_off(rest);
            self.look_up(&open, day).await?;
            open = later;
            behind = page.next;
        }
        Ok(())
    }

    fn is_to_be_looked_up(&self, key: &str) -> bool {
        let name = self.hasher.hash_one(key.to_owned());
        !key.ends_with('/')
            && KeyTells::of(key) != KeyTells::Other
            && !self.listed.values().any(|names| names.contains(&name))
    }

    /// Compares files with the ledger; the versions of each stand together.
    async fn look_up(&mut self, versions: &[Version], day: Timestamp) -> Result<(), WalkError> {
        let keys: Vec<Key> = versions.iter().map(|version| Key::object(&version.object)).collect();
        let entries = self.ledger.entries(&keys).await?;
        let mut from = 0;
        for file in versions.chunk_by(|one, other| one.object.key == other.object.key) {
            let known = keys[from..from + file.len()].iter().filter_map(|key| entries.get(key.as_str()));
            self.settle(file, &known.collect::<Vec<_>>(), day);
            from += file.len();
        }
        Ok(())
    }

    /// Counts a file that no digest lists.
    fn settle(&mut self, versions: &[Version], entries: &[&Entry], day: Timestamp) {
        let Some(version) = versions.last() else { return };
        // Whatever its name says, and whenever it was copied: it lies in that day's folder, and is counted there.
        let written = stamp(&version.object.key).unwrap_or(version.modified);
        let begins = floor(written).clamp(day, day + DAY - HOUR);
        let Some(hour) = self.hours.get_mut(&begins) else { return };
        let unlisted = &mut hour.unlisted;
        unlisted.found += 1;
        (self.tell)(Progress { files: 1, ..Progress::default() });
        let mut delivered = entries.iter().filter(|entry| matches!(entry.stage, Stage::Delivered { .. }));
        let whole = delivered.clone().find(|entry| entry.content.is_some());
        if let Some(entry) = whole {
            unlisted.delivered += 1;
            let counts = entry.settled.counts;
            unlisted.counts.records += counts.records;
            unlisted.counts.rows += counts.rows;
            unlisted.counts.filtered += counts.filtered;
            unlisted.counts.letters += counts.letters;
        } else if delivered.next().is_some() {
            unlisted.in_letters += 1;
            self.tell_in_letters(begins, 1, None, "unlisted");
        } else if self.asked.now.duration_since(version.modified) < LATE {
            unlisted.under_way += 1;
        } else {
            unlisted.missing += 1;
            let ObjectRef { bucket, key, .. } = version.object.clone();
            self.find(&Finding::Missing(Place { bucket, key }), begins, None);
        }
    }

    /// Says which chains end before they should.
    async fn ends(&mut self) -> Result<(), WalkError> {
        for (chain, found) in std::mem::take(&mut self.before) {
            if !self.chains.contains_key(&chain)
                && let Some(newest) = self.newest(found).await?
            {
                self.chains.insert(chain, newest);
            }
        }
        let due = floor(self.asked.now - HOUR - GRACE) + HOUR;
        let until = self.asked.until.min(due);
        for (_, Newest { place, end }) in std::mem::take(&mut self.chains) {
            for removed in self.removed_behind(&place, "").await? {
                self.find(&Finding::PreviousRemoved(removed), hour_from(end), None);
            }
            self.find_in(&Finding::Ended { last: place, from: end }, hour_from(end), until, None);
        }
        Ok(())
    }

    /// The newest digest that is genuine: anybody can put one there whose name looks good.
    async fn newest(&self, found: Vec<Found>) -> Result<Option<Newest>, WalkError> {
        for found in found.into_iter().rev() {
            let opened = self.notary.open(&found.object, found.key.clone()).await?;
            let until = Deadline::at(Instant::now() + EXAMINATION);
            let is_genuine = self.notary.examine(&opened, until).await?.is_genuine;
            if let Some(document) = opened.document.as_ref().ok().filter(|_| is_genuine) {
                return Ok(Some(Newest { place: found.place(), end: document.end }));
            }
        }
        Ok(None)
    }

    /// Takes in what was found by a digest of an hour, or of no digest.
    fn find(&mut self, finding: &Finding, begins: Timestamp, digest: Option<&ObjectRef>) {
        let (first, end) = hours_of(finding).unwrap_or((begins, begins + HOUR));
        self.find_in(finding, first, end, digest);
    }

    /// Takes in what was found, if one of these hours is asked for.
    fn find_in(&mut self, finding: &Finding, first: Timestamp, end: Timestamp, digest: Option<&ObjectRef>) {
        let (first, end) = (first.max(self.asked.from), end.min(self.asked.until));
        if first < end {
            let exception = Exception::of(finding, first, digest);
            for (_, hour) in self.hours.range_mut(first..end) {
                hour.worsen(exception.state());
            }
            self.name(exception);
        }
    }

    fn tell_in_letters(&mut self, begins: Timestamp, files: u64, digest: Option<&String>, what: &str) {
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
fn date(time: Timestamp) -> String {
    time.strftime("%Y/%m/%d/").to_string()
}
