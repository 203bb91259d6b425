//! Chains that fall silent, in the same world.

use super::*;

impl World {
    /// Puts a digest into the listing, and an entry that says how far its check is.
    fn list_digest(&self, digest: &Forged, stage: Option<Stage>) -> ObjectRef {
        let object = ObjectRef { etag: Some("e".to_owned()), ..digest.place.object() };
        let version = Version { object: object.clone(), modified: Timestamp::UNIX_EPOCH, is_latest: true };
        self.0.lock().unwrap().files.insert(object.key.clone(), vec![version]);
        if let Some(stage) = stage {
            self.deliver(&object, b"");
            let mut inside = self.0.lock().unwrap();
            inside.entries.get_mut(Key::object(&object).as_str()).unwrap().stage = stage;
        }
        object
    }

    fn silence(&self, now: &str) -> Silence {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let until = Deadline::at(Instant::now() + Duration::from_mins(1));
        runtime.block_on(self.notary().silence(now.parse().unwrap(), until)).unwrap()
    }

    fn tell(&self, silent: &Silent) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.notary().note_told(silent)).unwrap();
    }
}

fn ends(silence: &Silence) -> Vec<String> {
    silence.chains.iter().flat_map(|silent| &silent.missed).map(|missed| missed.to.to_string()).collect()
}

/// A chain that ends at 10:01:31.
fn begun() -> (World, Forged) {
    let (world, first) = (World::default(), Plan::new(9, None).forge());
    world.put(&first);
    world.list_digest(&first, Some(Stage::Delivered { at: Timestamp::UNIX_EPOCH }));
    world.examine(&first);
    (world, first)
}

#[test]
fn a_chain_that_falls_silent_is_found_once_an_hour_and_no_longer_when_it_speaks() {
    let (world, first) = begun();
    assert_eq!(world.silence("2026-03-10T13:01:30Z"), Silence::default());
    let silence = world.silence("2026-03-10T13:01:31Z");
    assert_eq!((ends(&silence), silence.unannounced.len()), (vec!["2026-03-10T11:01:31Z".to_owned()], 0));
    assert_eq!(silence.chains[0].chain.trail, "main");
    assert_eq!(world.silence("2026-03-10T13:15:00Z"), silence, "whoever found it died before it was told");
    world.tell(&silence.chains[0]);
    assert_eq!(world.silence("2026-03-10T13:30:00Z"), Silence::default());
    let silence = world.silence("2026-03-10T14:15:00Z");
    assert_eq!(ends(&silence), ["2026-03-10T12:01:31Z"]);
    world.tell(&silence.chains[0]);
    // It comes late, and what was told stays told.
    let second = Plan::new(10, Some(&first)).forge();
    world.put(&second);
    world.examine(&second);
    assert_eq!(world.silence("2026-03-10T14:30:00Z"), Silence::default());
    assert_eq!(ends(&world.silence("2026-03-10T15:01:31Z")), ["2026-03-10T13:01:31Z"]);
}

#[test]
fn a_digest_that_is_in_the_bucket_is_announced_or_awaited() {
    let now = "2026-03-10T14:30:00Z";
    let (world, first) = begun();
    let second = Plan::new(10, Some(&first)).forge();
    world.put(&second);
    let unannounced = world.list_digest(&second, None);
    // Of the same folder, and none of the chain's next.
    let backfill = Plan { is_backfill: true, ..Plan::new(11, Some(&first)) }.forge();
    world.list_digest(&backfill, None);
    let silence = world.silence(now);
    assert_eq!((ends(&silence).len(), &silence.unannounced), (0, &vec![Task::whole(unannounced)]));
    for stage in [Stage::Open, Stage::Claimed { lease_until: Timestamp::UNIX_EPOCH }] {
        world.list_digest(&second, Some(stage));
        assert_eq!(world.silence(now), Silence::default(), "its files are on their way");
    }
    // It was examined and not believed: the chain is as silent as before.
    world.list_digest(&second, Some(Stage::Delivered { at: Timestamp::UNIX_EPOCH }));
    assert_eq!(ends(&world.silence(now)).len(), 2);
}

#[test]
fn what_only_has_the_name_of_a_digest_keeps_no_chain_from_being_overdue() {
    let now = "2026-03-10T14:30:00Z";
    let (world, first) = begun();
    let forged = Plan { by_forger: true, ..Plan::new(10, Some(&first)) }.forge();
    let unreadable = world.list_digest(&Plan::new(11, Some(&forged)).forge(), None);
    world.put(&forged);
    let object = world.list_digest(&forged, None);
    let silence = world.silence(now);
    assert_eq!(ends(&silence).len(), 2);
    let tasks = [object, unreadable].map(Task::whole);
    assert_eq!(silence.unannounced, tasks, "each is looked at, and told by itself");
    world.list_digest(&forged, Some(Stage::Open));
    assert_eq!(ends(&world.silence(now)).len(), 2);
}

#[test]
fn a_bucket_that_is_not_ours_to_read_is_not_looked_into() {
    let (world, first) = begun();
    world.list_digest(&Plan::new(10, Some(&first)).forge(), None);
    let notary = Notary { allowed_buckets: Some(vec!["another".to_owned()]), ..world.notary() };
    let until = Deadline::at(Instant::now() + Duration::from_mins(1));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let pages = world.0.lock().unwrap().pages;
    let silence = runtime.block_on(notary.silence("2026-03-10T13:30:00Z".parse().unwrap(), until)).unwrap();
    assert_eq!((ends(&silence).len(), world.0.lock().unwrap().pages), (1, pages));
}

#[test]
fn each_chain_is_listed_once_and_all_lists_are_read() {
    let (world, first) = begun();
    let head = world.note("chain#111122223333#eu-west-1#us-east-1#main").content;
    {
        let mut inside = world.0.lock().unwrap();
        let lists: Vec<_> = inside.notes.iter().filter(|(key, _)| key.starts_with("chains#")).collect();
        assert_eq!((lists.len(), lists[0].1.content.len(), lists[0].1.version), (1, 1, 1));
        for account in 0..300 {
            let account = format!("{account:012}");
            let key = Key::chain(&account, "eu-west-1", "us-east-1", "main", None);
            let (mut head, digest) = (head.clone(), head["key"].as_str().unwrap());
            head.insert("key".to_owned(), digest.replace("111122223333", &account).into());
            inside.notes.insert(key.as_str().to_owned(), Note { version: 1, content: head });
            let list = inside.notes.entry(Key::chains(key.list()).as_str().to_owned()).or_default();
            list.content.insert(key.as_str().to_owned(), true.into());
        }
    }
    assert_eq!(world.silence("2026-03-10T13:30:00Z").chains.len(), 301);
    let second = Plan::new(10, Some(&first)).forge();
    world.put(&second);
    world.examine(&second);
    assert_eq!(world.silence("2026-03-10T13:30:00Z").chains.len(), 300);
}
