//! A month of three accounts and four regions in memory, with something wrong in each: it is found and named, nothing else.

mod evidence;
mod properties;

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use super::*;
use crate::aws::{KeyError, LedgerError, Mark, Note, ReadError, Stored, Versions};
use crate::backfill::layout::Period;
use crate::backfill::selection::Selection;
use crate::delivery::{Entry, Key, Stage};
use crate::digest::forge::{BUCKET, Forged, Plan, beginning, delivered, gzip, key};
use crate::digest::{DigestKey, Document, Hash, Head, Link, Place, PublicKey, Version, hour_at};
use crate::json;
use crate::notary::chain_key;
use crate::task::ObjectRef;

pub(super) const ACCOUNTS: [&str; 3] = ["111122223333", "444455556666", "777788889999"];
pub(super) const REGIONS: [&str; 4] = ["ap-south-1", "eu-west-1", "us-east-1", "us-west-2"];
const HOURS: i64 = 720;
const PAGE: usize = 1000;

/// S3, the keys and the ledger.
#[derive(Default)]
pub(super) struct World {
    pub(super) objects: Mutex<BTreeMap<String, Held>>,
    pub(super) entries: Mutex<HashMap<String, Entry>>,
    pub(super) links: Mutex<HashMap<String, Note>>,
    /// From there on S3 answers no more.
    pub(super) denied: Mutex<Option<String>>,
    /// Digests of another bucket.
    pub(super) elsewhere: Mutex<Vec<Forged>>,
    /// Objects that can't be read.
    pub(super) unreadable: Mutex<Vec<String>>,
    /// With what a scan of the ledger fails.
    pub(super) ledger_failure: Mutex<Option<&'static str>>,
    /// The most versions of a page.
    pub(super) page: Mutex<Option<usize>>,
}

/// What a key holds.
#[derive(Clone, Default)]
pub(super) struct Held {
    /// The newest first.
    pub(super) versions: Vec<Object>,
    pub(super) is_deleted: bool,
}

#[derive(Clone)]
pub(super) struct Object {
    pub(super) version_id: Option<String>,
    pub(super) etag: String,
    pub(super) content: Vec<u8>,
    pub(super) digest: Option<Forged>,
}

impl Object {
    pub(super) fn file(content: &[u8]) -> Self {
        let etag = json::hex(&crate::digest::sha256(&gzip(content)).unwrap()[..8]);
        Self { version_id: None, etag, content: content.to_vec(), digest: None }
    }

    pub(super) fn reference(&self, key: &str) -> ObjectRef {
        let (bucket, key) = (BUCKET.to_owned(), key.to_owned());
        ObjectRef { bucket, key, version_id: self.version_id.clone(), etag: Some(self.etag.clone()) }
    }
}

impl World {
    pub(super) fn now_at(&self, key: &str) -> Option<Object> {
        let objects = self.objects.lock().unwrap();
        objects.get(key).filter(|held| !held.is_deleted)?.versions.first().cloned()
    }
}

impl Archive for World {
    async fn read(&self, object: &ObjectRef, _: usize) -> Result<Stored, ReadError> {
        let gone = || ReadError::Gone { code: "NoSuchKey".to_owned() };
        if self.unreadable.lock().unwrap().contains(&object.key) {
            return Err(ReadError::Denied { code: "AccessDenied".to_owned() });
        }
        if object.bucket != BUCKET {
            let elsewhere = self.elsewhere.lock().unwrap();
            let mut found = elsewhere.iter().filter(|digest| digest.place == Place::of(object));
            let digest = found.next().ok_or_else(gone)?.clone();
            let object = object.clone();
            return Ok(Stored { object, bytes: digest.bytes, signature: Some(digest.signature) });
        }
        let found = self.now_at(&object.key).ok_or_else(gone)?;
        let (bytes, signature) = match &found.digest {
            Some(digest) => (digest.bytes.clone(), Some(digest.signature.clone())),
            None => (found.content.clone(), None),
        };
        Ok(Stored { object: found.reference(&object.key), bytes, signature })
    }

    async fn content_hash(&self, object: &ObjectRef) -> Result<Option<Hash>, ReadError> {
        let objects = self.objects.lock().unwrap();
        let versions = objects.get(&object.key).into_iter().flat_map(|held| &held.versions);
        let mut found = versions.filter(|version| version.reference(&object.key) == *object);
        let found = found.next().ok_or_else(|| ReadError::Gone { code: "NoSuchKey".to_owned() })?;
        Ok(crate::digest::sha256(&gzip(&found.content)).ok())
    }

    async fn versions(&self, bucket: &str, prefix: &str, behind: &Mark) -> Result<Versions, ReadError> {
        let objects = self.objects.lock().unwrap();
        let size = self.page.lock().unwrap().unwrap_or(PAGE);
        let from = behind.key.clone().max(prefix.to_owned());
        assert_eq!((bucket, &behind.version_id), (BUCKET, &None), "pages end with the last version of a key");
        let held = objects
            .range(from..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| **key != behind.key);
        let (mut page, mut next) = (Vec::new(), None);
        for (key, held) in held {
            if page.len() >= size {
                next = page
                    .last()
                    .map(|version: &Version| Mark { key: version.object.key.clone(), version_id: None });
                break;
            }
            page.extend(held.versions.iter().enumerate().map(|(place, object)| Version {
                object: object.reference(key),
                modified: Timestamp::UNIX_EPOCH,
                is_latest: place == 0 && !held.is_deleted,
            }));
        }
        let denied = self.denied.lock().unwrap();
        let is_denied = |denied: &String| {
            prefix.starts_with(denied) || page.first().is_some_and(|version| version.object.key >= *denied)
        };
        if denied.as_ref().is_some_and(|denied| denied.starts_with(prefix) || prefix.starts_with(denied))
            && denied.as_ref().is_some_and(is_denied)
        {
            return Err(ReadError::NotListed { code: "AccessDenied".to_owned() });
        }
        Ok(Versions { versions: page, next })
    }
}

impl PublicKeys for World {
    async fn find(
        &self,
        _: &str,
        name: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<PublicKey>, KeyError> {
        Ok(Some(key()).filter(|key| key.fingerprint == name))
    }
}

impl Notes for World {
    async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        let entries = self.entries.lock().unwrap();
        let found = keys.iter().filter_map(|key| entries.get_key_value(key.as_str()));
        Ok(found.map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    async fn notes(&self, keys: &[Key]) -> Result<HashMap<String, Note>, LedgerError> {
        let links = self.links.lock().unwrap();
        let found = keys.iter().filter_map(|key| links.get_key_value(key.as_str()));
        Ok(found.map(|(key, note)| (key.clone(), note.clone())).collect())
    }

    async fn scan(&self, take: &(dyn Fn(&str, Note) + Sync)) -> Result<u64, LedgerError> {
        if let Some(code) = *self.ledger_failure.lock().unwrap() {
            return Err(LedgerError::Unavailable { code: code.to_owned() });
        }
        for (key, entry) in self.entries.lock().unwrap().iter() {
            let stage = if matches!(entry.stage, Stage::Delivered { .. }) { "delivered" } else { "open" };
            let content = [("stage".to_owned(), stage.into())].into_iter().collect();
            take(key, Note { version: entry.version, content });
        }
        for (key, note) in self.links.lock().unwrap().iter() {
            take(key, note.clone());
        }
        Ok(1)
    }

    async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        Ok(self.links.lock().unwrap().get(key.as_str()).cloned().unwrap_or_default())
    }

    async fn write_note(&self, _: &Key, _: &Note) -> Result<(), LedgerError> {
        panic!("who verifies changes nothing");
    }
}

impl World {
    pub(super) fn put(&self, digest: &Forged) {
        let object = Object { digest: Some(digest.clone()), ..Object::file(&digest.bytes) };
        let held = Held { versions: vec![object], is_deleted: false };
        self.objects.lock().unwrap().insert(digest.place.key.clone(), held);
    }

    pub(super) fn store(&self, key: &str) {
        self.store_as(key, Object::file(b"true"));
    }

    pub(super) fn store_as(&self, key: &str, object: Object) {
        let held = Held { versions: vec![object], is_deleted: false };
        self.objects.lock().unwrap().insert(key.to_owned(), held);
    }

    /// Puts another version in front of those that there are.
    pub(super) fn overwrite(&self, key: &str, version_id: &str, content: &[u8]) {
        let object = Object { version_id: Some(version_id.to_owned()), ..Object::file(content) };
        let mut objects = self.objects.lock().unwrap();
        let held = objects.get_mut(key).unwrap();
        held.versions.insert(0, object);
        held.is_deleted = false;
    }

    pub(super) fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key).unwrap();
    }

    /// Delivers what a key shows now, and says with which content.
    pub(super) fn deliver(&self, key: &str, content: &[u8]) {
        self.entries.lock().unwrap().insert(self.entry_key(key), delivered(content));
    }

    pub(super) fn lose(&self, key: &str) {
        self.entries.lock().unwrap().remove(&self.entry_key(key)).unwrap();
    }

    fn entry_key(&self, key: &str) -> String {
        Key::object(&self.now_at(key).unwrap().reference(key)).as_str().to_owned()
    }

    pub(super) fn change_entry(&self, key: &str, change: impl FnOnce(&mut Entry)) {
        change(self.entries.lock().unwrap().get_mut(&self.entry_key(key)).unwrap());
    }

    /// Remembers digests as the function does that checked them.
    pub(super) fn check(&self, digests: &[Forged]) {
        for (digest, next) in digests.iter().zip(digests[1..].iter().map(Some).chain([None])) {
            let link = Link {
                sha256: json::hex(&crate::digest::sha256(&digest.bytes).unwrap()),
                signature: digest.signature.hex.clone(),
                end: DigestKey::parse(&digest.place.key).unwrap().end,
                after: None,
                next: next.map(|next| next.place.clone()),
            };
            let serde_json::Value::Object(content) = serde_json::to_value(link).unwrap() else {
                panic!("an object")
            };
            let key = Key::link(&digest.place.bucket, &digest.place.key).as_str().to_owned();
            self.links.lock().unwrap().insert(key, Note { version: 1, content });
        }
    }

    /// Remembers a chain as the function does that checked these digests.
    pub(super) fn head(&self, digests: &[Forged]) {
        let (first, last) = (&digests[0], &digests[digests.len() - 1]);
        let key = DigestKey::parse(&last.place.key).unwrap();
        let document = |forged: &Forged| Document::read(&forged.bytes).unwrap();
        let head = Head {
            since: document(first).start,
            end: document(last).end,
            bucket: last.place.bucket.clone(),
            key: last.place.key.clone(),
            told: None,
        };
        let note = Note { version: 1, content: Note::content_of(&head).unwrap() };
        self.links.lock().unwrap().insert(chain_key(&key.chain).as_str().to_owned(), note);
    }

    /// A chain with a file in each hour, delivered.
    pub(super) fn grow(&self, of: (&str, &str), hours: std::ops::Range<i64>) -> Vec<Forged> {
        let mut chain: Vec<Forged> = Vec::new();
        for hour in hours {
            let file = file(of, hour, "a");
            self.store(&file);
            self.deliver(&file, b"true");
            let plan = Plan { of, ..Plan::new(hour, chain.last()) };
            chain.push(plan.with_key(file, b"true").forge());
        }
        for digest in &chain {
            self.put(digest);
        }
        chain
    }

    pub(super) fn verify(
        self: &Arc<Self>,
        hours: std::ops::Range<i64>,
        now: Timestamp,
        folders: Vec<[String; 2]>,
    ) -> Outcome {
        self.verify_asked(asked(hours, now), folders)
    }

    pub(super) fn verify_asked(self: &Arc<Self>, asked: Asked, folders: Vec<[String; 2]>) -> Outcome {
        let parties = Parties {
            archive: Arc::clone(self),
            keys: Arc::clone(self),
            ledger: Arc::clone(self),
            interrupted: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(verify(&parties, asked, folders.into_iter().flatten().collect(), |_, _| {}))
    }
}

pub(super) fn asked(hours: std::ops::Range<i64>, now: Timestamp) -> Asked {
    let bucket = BUCKET.to_owned();
    let selection = Selection {
        source: format!("s3://{BUCKET}").parse().unwrap(),
        raw: false,
        accounts: Vec::new(),
        regions: Vec::new(),
        services: Vec::new(),
        period: Period::default(),
    };
    Asked {
        bucket,
        wanted: selection.wanted().unwrap(),
        from: hour_at(beginning(hours.start)),
        until: hour_at(beginning(hours.end)),
        now,
        allows_unvouched: false,
        ledger: "ledger".to_owned(),
        identity: None,
    }
}

pub(super) fn file((account, region): (&str, &str), hour: i64, name: &str) -> String {
    let time = beginning(hour) + SignedDuration::from_mins(5);
    let (day, time) = (time.strftime("%Y/%m/%d"), time.strftime("%Y%m%dT%H%MZ"));
    format!("AWSLogs/{account}/CloudTrail/{region}/{day}/{account}_CloudTrail_{region}_{time}_{name}.json.gz")
}

pub(super) fn source((account, region): (&str, &str)) -> [String; 2] {
    ["CloudTrail-Digest", "CloudTrail"].map(|service| format!("AWSLogs/{account}/{service}/{region}/"))
}

/// Account, region, hour and name of all that is wrong.
pub(super) fn named(outcome: &Outcome) -> Vec<(String, String, i64, &'static str)> {
    let first = hour_at(beginning(0));
    outcome
        .exceptions()
        .map(|(source, exception)| {
            let hour = exception.hour.duration_since(first).as_hours();
            (source.account.clone(), source.region.clone(), hour, exception.name)
        })
        .collect()
}

pub(super) fn states(verified: &Verified) -> BTreeMap<State, usize> {
    let mut states = BTreeMap::new();
    verified.hours.iter().for_each(|hour| *states.entry(hour.state).or_default() += 1);
    states
}

/// A month, with something wrong in most of its account-regions.
fn month() -> (Arc<World>, Vec<(&'static str, &'static str)>) {
    let world = Arc::new(World::default());
    let places: Vec<(&'static str, &'static str)> =
        ACCOUNTS.iter().flat_map(|account| REGIONS.iter().map(move |region| (*account, *region))).collect();
    let chains: Vec<Vec<Forged>> = places
        .iter()
        .enumerate()
        .map(|(place, of)| {
            if place != 9 {
                return world.grow(*of, 0..HOURS);
            }
            // No digest vouches for it, and it is whole.
            for file in (0..HOURS).map(|hour| file(*of, hour, "a")) {
                world.store(&file);
                world.deliver(&file, b"true");
            }
            Vec::new()
        })
        .collect();
    // Withheld: listed, and never announced.
    world.lose(&file(places[0], 100, "a"));
    // Altered on its way.
    world.deliver(&file(places[1], 200, "a"), b"false");
    // Deleted before it was delivered.
    world.lose(&file(places[2], 300, "a"));
    world.remove(&file(places[2], 300, "a"));
    // Digests removed in the middle, that nobody had checked, and at the end.
    (400..404).for_each(|hour| world.remove(&chains[3][hour].place.key));
    (716..720).for_each(|hour| world.remove(&chains[4][hour].place.key));
    // A forged chain: its name looks good, and it goes on behind a genuine digest.
    let (mut forged, of): (Vec<Forged>, _) = (Vec::new(), places[5]);
    for hour in 500..502 {
        let previous = forged.last().unwrap_or(&chains[5][499]).clone();
        forged.push(Plan { of, trail: "main2", by_forger: true, ..Plan::new(hour, Some(&previous)) }.forge());
        world.put(&forged[forged.len() - 1]);
    }
    // A file that no digest lists, and that was never announced.
    world.store(&file(places[6], 150, "b"));
    // The chain begins anew.
    (600..HOURS).for_each(|hour| world.remove(&chains[7][usize::try_from(hour).unwrap()].place.key));
    let mut anew: Vec<Forged> = Vec::new();
    for hour in 605..HOURS {
        let plan = Plan { of: places[7], ..Plan::new(hour, anew.last()) };
        anew.push(plan.with_key(file(places[7], hour, "a"), b"true").forge());
        world.put(&anew[anew.len() - 1]);
    }
    // A digest that was changed afterwards.
    world.put(&Forged { bytes: chains[8][0].bytes.clone(), ..chains[8][250].clone() });
    // Digests that were checked, and removed since, in the middle and at the end.
    world.check(&chains[10]);
    (350..353).for_each(|hour| world.remove(&chains[10][hour].place.key));
    world.remove(&chains[10][719].place.key);
    (world, places)
}

#[test]
fn of_a_month_all_that_is_wrong_is_named_and_nothing_else() {
    let (world, places) = month();
    let sources = places.iter().map(|of| source(*of)).collect();
    let outcome = world.verify(0..HOURS, beginning(HOURS + 24), sources);
    let expected: Vec<_> = [
        (0, 100, "Missing"),
        (1, 200, "Altered"),
        (2, 300, "Gone"),
        (3, 400, "Gap"),
        (4, 716, "Ended"),
        (5, 500, "BadSignature"),
        (5, 501, "BadSignature"),
        (6, 150, "Missing"),
        (7, 600, "Restarted"),
        (8, 250, "Moved"),
        (8, 250, "PreviousChanged"),
        (10, 350, "PreviousRemoved"),
        (10, 351, "PreviousRemoved"),
        (10, 352, "PreviousRemoved"),
        (10, 719, "PreviousRemoved"),
        (10, 719, "Ended"),
    ]
    .map(|(place, hour, name)| (places[place].0.to_owned(), places[place].1.to_owned(), hour, name))
    .into();
    assert_eq!(named(&outcome), expected);
    assert_eq!(outcome.answer(), Answer::Wrong);
    for (place, worse) in [
        (0, [(State::Incomplete, 1)].as_slice()),
        (1, &[(State::Altered, 1)]),
        (2, &[(State::Gone, 1)]),
        (3, &[(State::Unsealed, 4)]),
        (4, &[(State::Unsealed, 4)]),
        (5, &[(State::Unverified, 2)]),
        (6, &[(State::Incomplete, 1)]),
        (7, &[(State::Unsealed, 5)]),
        (8, &[(State::Unverified, 1)]),
        (9, &[(State::Unvouched, 720)]),
        (10, &[(State::Unsealed, 4)]),
        (11, &[]),
    ] {
        let mut all: BTreeMap<State, usize> = worse.iter().copied().collect();
        let whole = 720 - all.values().sum::<usize>();
        if whole > 0 {
            all.insert(State::Complete, whole);
        }
        assert_eq!(states(&outcome.verified[place]), all, "{place}");
    }
    let hours = || outcome.verified.iter().flat_map(|verified| &verified.hours);
    let sum = |of: fn(&Hour) -> u64| hours().map(of).sum::<u64>();
    let delivered = sum(|hour| hour.account.delivered + hour.unlisted.delivered);
    assert_eq!(delivered, 12 * 720 - 3, "all but those that are missing, altered and gone");
    assert_eq!(
        sum(|hour| hour.counts().records),
        sum(|hour| hour.counts().rows + hour.counts().filtered + hour.counts().letters)
    );

    let page = page::page(&outcome);
    assert_eq!(page.matches("<tr id=\"e").count(), expected.len());
    assert_eq!(page.matches(" title=\"2026-").count(), 12 * 720, "a cell for each hour");
    assert_eq!(page.matches("aria-label=\"2026-").count(), 12 * 720);
    let hashes = outcome.verified.iter().flat_map(|verified| &verified.seals);
    assert!(hashes.filter_map(|seal| seal.sha256.as_ref()).all(|sha256| page.contains(sha256)));
}

#[test]
fn a_good_chain_is_proven_and_what_is_not_due_is_pending() {
    let (world, of) = (Arc::new(World::default()), (ACCOUNTS[0], REGIONS[0]));
    world.grow(of, -30..20);
    let now = beginning(20) + SignedDuration::from_mins(30);
    let outcome = world.verify(0..20, now, vec![source(of)]);
    assert_eq!((named(&outcome), outcome.answer()), (Vec::new(), Answer::Proven));
    assert_eq!(outcome.verified[0].seals.len(), 20);
    let outcome = world.verify(0..21, now, vec![source(of)]);
    assert_eq!((named(&outcome), outcome.answer()), (Vec::new(), Answer::Unknown));
    assert_eq!(states(&outcome.verified[0]), [(State::Complete, 20), (State::Pending, 1)].into());
    // Two hours later it is due, and three it is overdue.
    for (hours, state, wrong) in [(1, State::Pending, 0), (3, State::Unsealed, 1)] {
        let outcome = world.verify(0..21, now + SignedDuration::from_hours(hours), vec![source(of)]);
        assert_eq!(outcome.verified[0].hours[20].state, state);
        assert_eq!(outcome.exceptions().count(), wrong);
    }
}

#[test]
fn a_chain_that_ends_just_before_is_overdue_and_a_name_alone_is_no_chain() {
    let (world, of) = (Arc::new(World::default()), (ACCOUNTS[0], REGIONS[0]));
    let chain = world.grow(of, -30..-2);
    let forged = Plan { of, trail: "other", by_forger: true, ..Plan::new(-2, chain.last()) }.forge();
    let later = Plan { of, by_forger: true, ..Plan::new(-2, chain.last()) }.forge();
    world.put(&forged);
    world.put(&later);
    let outcome = world.verify(0..5, beginning(40), vec![source(of)]);
    let last = &chain[27].place;
    let [(_, exception)] = &outcome.exceptions().collect::<Vec<_>>()[..] else { panic!("one: {outcome:?}") };
    assert_eq!((exception.name, exception.says.contains(&last.key)), ("Ended", true));
    assert_eq!(states(&outcome.verified[0]), [(State::Unsealed, 5)].into());
}

#[test]
fn a_trail_that_begins_is_no_alarm_and_files_beside_the_hours_are_none_of_theirs() {
    let (world, of) = (Arc::new(World::default()), (ACCOUNTS[0], REGIONS[0]));
    world.grow(of, 5..30);
    for hour in [-1, 24] {
        world.store(&file(of, hour, "never-announced"));
    }
    let outcome = world.verify(0..24, beginning(100), vec![source(of)]);
    assert_eq!((named(&outcome), outcome.answer()), (Vec::new(), Answer::Unknown));
    assert!(outcome.sentence().contains("no digest vouches for 5 of the hours"));
    let allowed = Asked { allows_unvouched: true, ..outcome.asked };
    assert_eq!(world.verify_asked(allowed, vec![source(of)]).answer(), Answer::Proven);
    assert_eq!(states(&outcome.verified[0]), [(State::Complete, 19), (State::Unvouched, 5)].into());
}

#[test]
fn what_can_not_be_looked_at_is_not_proven() {
    let (world, of) = (Arc::new(World::default()), (ACCOUNTS[0], REGIONS[0]));
    world.grow(of, 0..72);
    *world.denied.lock().unwrap() = Some(format!("AWSLogs/{}/CloudTrail/{}/2026/03/12", of.0, of.1));
    *world.page.lock().unwrap() = Some(24);
    let outcome = world.verify(0..72, beginning(100), vec![source(of)]);
    // What its digests list can't be compared, and all before that was.
    assert_eq!(outcome.answer(), Answer::Unknown);
    assert!(named(&outcome).iter().all(|(_, _, hour, name)| *hour >= 48 && *name == "Unreadable"));
    assert_eq!(states(&outcome.verified[0]), [(State::Complete, 24), (State::Unchecked, 48)].into());
    assert!(outcome.verified[0].error.as_ref().unwrap().contains("s3:ListBucketVersions"));
    assert!(outcome.sentence().contains("only 24 of 72 hours are complete"));
}

#[test]
fn an_hour_with_ten_thousand_files_takes_so_many_calls() {
    let (world, of) = (Arc::new(World::default()), (ACCOUNTS[0], REGIONS[0]));
    let mut plan = Plan { of, ..Plan::new(0, None) };
    for number in 0..10_000 {
        let key = file(of, 0, &format!("{number:05}"));
        world.store_as(&key, Object::file(b""));
        world.deliver(&key, b"");
        plan = plan.with_key(key, b"");
    }
    world.put(&plan.forge());
    let outcome = world.verify(0..1, beginning(1), vec![source(of)]);
    assert_eq!(outcome.verified[0].hours[0].account.delivered, 10_000);
    assert_eq!(outcome.verified[0].hours[0].state, State::Complete);
    // The digest, its listing, ten pages of its files and ten of the day's; a hundred keys a call, and one scan.
    assert_eq!((outcome.s3_calls, outcome.ledger_calls), (22, 101));
}

#[test]
fn what_a_key_says_is_text_on_the_page() {
    let (world, of) = (Arc::new(World::default()), (ACCOUNTS[0], REGIONS[0]));
    world.grow(of, 0..1);
    world.store(&file(of, 0, "<script>alert(\"1\")</script>&'\u{202e}"));
    let outcome = world.verify(0..1, beginning(1), vec![source(of)]);
    assert_eq!(named(&outcome).len(), 1);
    let page = page::page(&outcome);
    assert_eq!(page.matches("<script>").count(), 1, "its own");
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\\u{202e}"));
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
    let json = outcome.json();
    assert_eq!((&json["answer"], &json["states"]["incomplete"]), (&"wrong".into(), &1.into()));
    assert_eq!((&json["totals"]["unlisted"], &json["hours"][0]["files_delivered"]), (&1.into(), &1.into()));
    assert!(outcome.text().ends_with("1 thing is not as it should be."));
}
