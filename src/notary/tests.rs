//! The notary with an archive, keys and notes in memory: what it asks, what it finds, what it remembers.

mod silence;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::*;
use crate::aws::{Mark, Note, Stored, Versions};
use crate::delivery::{Entry, Key, Stage};
use crate::digest::forge::{BUCKET, FILES, Forged, Plan, delivered, key};
use crate::digest::{Hash, Version};

/// Versions a page, so that the tests turn many.
const PAGE: usize = 7;

#[derive(Clone, Default)]
struct World(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    digests: BTreeMap<String, Forged>,
    /// The versions of each key, the newest first.
    files: BTreeMap<String, Vec<Version>>,
    entries: HashMap<String, Entry>,
    /// What is not in the ledger, by the same key.
    contents: HashMap<String, Option<Hash>>,
    notes: HashMap<String, Note>,
    queued: Vec<String>,
    regions_asked: Vec<String>,
    /// Only this region knows the key.
    home_of_key: Option<&'static str>,
    pages: u64,
    batches: u64,
}

impl Archive for World {
    async fn read(&self, object: &ObjectRef, _: usize) -> Result<Stored, ReadError> {
        let found = self.0.lock().unwrap().digests.get(&object.key).cloned();
        let Forged { bytes, signature, .. } =
            found.ok_or_else(|| ReadError::Gone { code: "NoSuchKey".to_owned() })?;
        let object = ObjectRef { etag: Some("e".to_owned()), ..object.clone() };
        Ok(Stored { object, bytes, signature: Some(signature) })
    }

    async fn content_hash(&self, object: &ObjectRef) -> Result<Option<Hash>, ReadError> {
        let inside = self.0.lock().unwrap();
        let content = inside.contents.get(Key::object(object).as_str()).copied();
        content.ok_or_else(|| ReadError::Denied { code: "AccessDenied".to_owned() })
    }

    async fn versions(&self, bucket: &str, prefix: &str, behind: &Mark) -> Result<Versions, ReadError> {
        assert_eq!(bucket, BUCKET);
        let mut inside = self.0.lock().unwrap();
        inside.pages += 1;
        let is_behind = |version: &&Version| {
            let key = &version.object.key;
            key.starts_with(prefix)
                && match &behind.version_id {
                    None => *key > behind.key,
                    // The newest first, and their names fall.
                    Some(id) => {
                        *key > behind.key
                            || *key == behind.key && version.object.version_id.as_ref() < Some(id)
                    }
                }
        };
        let page: Vec<Version> =
            inside.files.values().flatten().filter(is_behind).take(PAGE + 1).cloned().collect();
        let next = page.get(PAGE).map(|_| {
            let last = &page[PAGE - 1].object;
            Mark { key: last.key.clone(), version_id: last.version_id.clone() }
        });
        Ok(Versions { versions: page.into_iter().take(PAGE).collect(), next })
    }
}

impl PublicKeys for World {
    async fn find(
        &self,
        region: &str,
        fingerprint: &str,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<PublicKey>, KeyError> {
        let mut inside = self.0.lock().unwrap();
        inside.regions_asked.push(region.to_owned());
        let is_known = inside.home_of_key.is_none_or(|home| home == region);
        Ok(Some(key()).filter(|key| is_known && key.fingerprint == fingerprint))
    }
}

impl Notes for World {
    async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        let mut inside = self.0.lock().unwrap();
        inside.batches += 1;
        let found = keys.iter().filter_map(|key| inside.entries.get_key_value(key.as_str()));
        Ok(found.map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    async fn notes(&self, keys: &[Key]) -> Result<HashMap<String, Note>, LedgerError> {
        let inside = self.0.lock().unwrap();
        let found = keys.iter().filter_map(|key| inside.notes.get_key_value(key.as_str()));
        Ok(found.map(|(key, note)| (key.clone(), note.clone())).collect())
    }

    async fn scan(&self, _: &(dyn Fn(&str, Note) + Sync)) -> Result<u64, LedgerError> {
        panic!("the function scans nothing");
    }

    async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        Ok(self.0.lock().unwrap().notes.get(key.as_str()).cloned().unwrap_or_default())
    }

    async fn write_note(&self, key: &Key, note: &Note) -> Result<(), LedgerError> {
        let mut inside = self.0.lock().unwrap();
        let known = inside.notes.entry(key.as_str().to_owned()).or_default();
        if known.version != note.version {
            return Err(LedgerError::Conflict(None));
        }
        *known = Note { version: note.version + 1, content: note.content.clone() };
        Ok(())
    }
}

impl Queue for World {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        self.0.lock().unwrap().queued.extend_from_slice(bodies);
        bodies.iter().map(|_| Ok(())).collect()
    }

    async fn hide_all(&self, _: &[(&str, Duration)]) -> Result<(), QueueError> {
        Ok(())
    }

    fn is(&self, _: &str) -> bool {
        false
    }
}

impl World {
    /// Puts a digest.
    fn put(&self, digest: &Forged) {
        self.0.lock().unwrap().digests.insert(digest.place.key.clone(), digest.clone());
    }

    /// Puts a file in a version, as its newest one.
    fn store(&self, name: &str, version_id: Option<&str>) -> ObjectRef {
        let object = ObjectRef {
            bucket: BUCKET.to_owned(),
            key: format!("{FILES}{name}"),
            version_id: version_id.map(str::to_owned),
            etag: Some("e".to_owned()),
        };
        let version = Version { object: object.clone(), modified: Timestamp::UNIX_EPOCH, is_latest: true };
        self.0.lock().unwrap().files.entry(object.key.clone()).or_default().insert(0, version);
        object
    }

    fn deliver(&self, object: &ObjectRef, content: &[u8]) {
        self.0.lock().unwrap().entries.insert(Key::object(object).as_str().to_owned(), delivered(content));
    }

    fn notary(&self) -> Notary<Self, Self, Self, Self> {
        let buckets = Some(vec![BUCKET.to_owned()]);
        Notary::new(self.clone(), self.clone(), self.clone(), self.clone(), buckets)
    }

    /// Examines a digest, and remembers it if it is genuine.
    fn examine(&self, digest: &Forged) -> Examined {
        let notary = self.notary();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let key = DigestKey::parse(&digest.place.key).unwrap();
            let opened = notary.open(&digest.place.object(), key).await.unwrap();
            let until = Deadline::at(Instant::now() + Duration::from_mins(1));
            let examined = notary.examine(&opened, until).await.unwrap();
            if examined.is_genuine {
                notary.remember(&opened, &examined.account).await.unwrap();
            }
            examined
        })
    }

    fn note(&self, key: &str) -> Note {
        self.0.lock().unwrap().notes[key].clone()
    }
}

fn names(examined: &Examined) -> Vec<&'static str> {
    examined.findings.iter().map(Finding::name).collect()
}

#[test]
fn a_good_chain_with_all_files_delivered_finds_nothing_and_is_remembered() {
    let world = World::default();
    let first = Plan::new(9, None).with("a", b"1").with("b", b"2").forge();
    let second = Plan::new(10, Some(&first)).forge();
    for (name, content) in [("a", b"1"), ("b", b"2")] {
        world.deliver(&world.store(name, None), content);
    }
    for digest in [&first, &second, &first] {
        world.put(digest);
        let examined = world.examine(digest);
        assert!(examined.is_genuine);
        assert_eq!(names(&examined), <[&str; 0]>::default());
        assert_eq!(examined.unchecked, None);
    }
    let hour = world.note("hour#111122223333#eu-west-1#2026-03-10T09").content;
    assert_eq!(
        (&hour["files_listed"], &hour["files_delivered"], &hour["records"]),
        (&2.into(), &2.into(), &6.into())
    );
    let head = world.note("chain#111122223333#eu-west-1#us-east-1#main").content;
    assert_eq!(
        (&head["since"], &head["key"]),
        (&"2026-03-10T09:01:31Z".into(), &second.place.key.as_str().into())
    );
    let link = world.note(&format!("link#{BUCKET}#{}", first.place.key));
    assert_eq!(link.content["next"], serde_json::json!({"bucket": BUCKET, "key": second.place.key}));
    assert_eq!(link.version, 2, "what is remembered already is not written again");
}

#[test]
fn each_file_is_found_as_what_it_is_and_no_other_key_is_looked_up() {
    let world = World::default();
    let mut plan = Plan::new(9, None);
    for number in 10..40 {
        plan = plan.with(&format!("file-{number}"), b"true");
        let stored = world.store(&format!("file-{number}"), Some("1"));
        world.deliver(&stored, b"true");
        // Another's file between two of them.
        world.store(&format!("file-{number}x"), Some("1"));
    }
    let digest = plan.with("file-50", b"never announced").with("file-51", b"gone").forge();
    let never_announced = world.store("file-50", Some("1"));
    // Two of them, altered after the delivery and before it.
    world.deliver(&world.store("file-20", Some("2")), b"false");
    world.deliver(&world.store("file-30", Some("2")), b"false");
    let before = format!("object#{BUCKET}#1#{FILES}file-30");
    world.0.lock().unwrap().entries.remove(&before).unwrap();
    world.put(&digest);
    let examined = world.examine(&digest);
    assert_eq!(names(&examined), ["Altered", "Missing", "Altered", "Missing", "Gone"]);
    let tasks: Vec<&ObjectRef> = examined.unknown.iter().map(|task| &task.object).collect();
    assert_eq!(tasks.len(), 2);
    assert_eq!(
        (tasks[0].key.as_str(), tasks[0].version_id.as_deref()),
        (&*format!("{FILES}file-30"), Some("1"))
    );
    assert_eq!(*tasks[1], never_announced);
    let account = examined.account;
    assert_eq!((account.listed, account.delivered, account.missing, account.gone), (32, 29, 3, 1));
    assert_eq!(
        account.counts.records,
        account.counts.rows + account.counts.filtered + account.counts.letters
    );
}

#[test]
fn a_file_of_a_bucket_that_is_not_ours_to_read_is_missing_and_not_looked_for() {
    let world = World::default();
    let forged = Plan::new(9, None).with("a", b"1").forge();
    world.put(&forged);
    let notary = Notary { allowed_buckets: Some(vec!["another".to_owned()]), ..world.notary() };
    let folders = digest::listed(&forged.bytes).unwrap();
    let until = Deadline::at(Instant::now() + Duration::from_mins(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let examined = runtime.block_on(notary.files(&folders, until)).unwrap();
    assert_eq!((names(&examined), examined.unknown.len()), (vec!["Missing"], 0));
    assert_eq!(world.0.lock().unwrap().pages, 0);
}

#[test]
fn what_was_made_up_is_not_looked_at_further() {
    let world = World::default();
    let forged = Plan { by_forger: true, ..Plan::new(9, None).with("a", b"1") }.forge();
    world.put(&forged);
    let examined = world.examine(&forged);
    assert_eq!((names(&examined), examined.is_genuine), (vec!["BadSignature"], false));
    let inside = world.0.lock().unwrap();
    assert_eq!((inside.pages, inside.notes.len(), examined.account), (0, 0, Account::default()));
}

#[test]
fn the_key_is_asked_for_in_the_region_and_then_in_the_trails_own() {
    let world = World::default();
    world.0.lock().unwrap().home_of_key = Some("us-east-1");
    let digest = Plan::new(9, None).forge();
    world.put(&digest);
    assert!(world.examine(&digest).is_genuine);
    assert_eq!(world.0.lock().unwrap().regions_asked, ["eu-west-1", "us-east-1"]);
    world.0.lock().unwrap().home_of_key = Some("nowhere");
    assert_eq!(names(&world.examine(&digest)), ["UnknownKey"]);
}

#[test]
fn digests_removed_in_the_middle_and_changed_afterwards_show_with_the_next_one() {
    let world = World::default();
    let first = Plan::new(9, None).forge();
    let second = Plan::new(10, Some(&first)).forge();
    let third = Plan::new(11, Some(&second)).forge();
    let fourth = Plan::new(12, Some(&third)).forge();
    for digest in [&first, &fourth] {
        world.put(digest);
    }
    world.examine(&first);
    let examined = world.examine(&fourth);
    let from = Some("2026-03-10T10:01:31Z".parse().unwrap());
    let to = "2026-03-10T12:01:31Z".parse().unwrap();
    let gap = Finding::Gap { missing: third.place.clone(), from, to };
    assert_eq!(examined.findings, std::slice::from_ref(&gap));
    assert_eq!(world.examine(&fourth).findings, [gap], "looked at again, it is the same");

    // It comes late, and was changed meanwhile; the one that was checked is removed.
    let changed = Forged { bytes: second.bytes.clone(), ..third.clone() };
    world.put(&changed);
    assert_eq!(names(&world.examine(&fourth)), ["PreviousChanged"]);
    world.0.lock().unwrap().digests.remove(&fourth.place.key);
    let fifth = Plan::new(13, Some(&fourth)).forge();
    world.put(&fifth);
    assert_eq!(names(&world.examine(&fifth)), ["PreviousRemoved"]);
}

#[test]
fn a_digest_that_was_never_announced_is_named_by_the_next_one() {
    let world = World::default();
    let first = Plan::new(9, None).forge();
    let second = Plan::new(10, Some(&first)).forge();
    let third = Plan::new(11, Some(&second)).forge();
    for digest in [&first, &second, &third] {
        world.put(digest);
    }
    world.examine(&first);
    let examined = world.examine(&third);
    assert_eq!(names(&examined), <[&str; 0]>::default());
    assert_eq!(examined.unchecked, Some(Task::whole(second.place.object())));
}

#[test]
fn the_calls_for_an_hour_grow_with_its_files_alone() {
    let world = World::default();
    let mut plan = Plan::new(9, None);
    for number in 0..700 {
        let name = format!("{number:04}");
        plan = plan.with(&name, b"");
        world.deliver(&world.store(&name, None), b"");
    }
    // A folder is full of others.
    for number in 0..700 {
        world.store(&format!("z-{number:04}"), None);
        world.store(&format!("a-{number:04}"), None);
    }
    let digest = plan.forge();
    world.put(&digest);
    assert_eq!(world.examine(&digest).account.delivered, 700);
    let inside = world.0.lock().unwrap();
    // The last page ends with the last file, and only the next one shows that it has no more versions.
    assert_eq!((inside.pages, inside.batches), (101, 101));
}
