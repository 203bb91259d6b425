//! Sound account-regions, and any damage: the answer is `proven` exactly if all of it is harmless, which each kind of damage
//! says by itself.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::delivery::Counts;
use crate::digest::forge::Plan;

const PLACES: [(&str, &str); 2] = [(ACCOUNTS[0], REGIONS[0]), (ACCOUNTS[1], REGIONS[1])];
const TRAILS: [&str; 2] = ["main", "other"];
/// The hours that are asked for; the chains begin before and end behind them.
const ASKED: std::ops::Range<i64> = 0..8;
const LIVES: std::ops::Range<i64> = -2..11;

/// Something that happens to an hour of a trail in an account-region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    // Harmless.
    Filtered,
    LinkForgotten,
    LinksWithoutOrder,
    SignatureInUpperCase,
    SameContentAgain,
    GarbageRestored,
    UnlistedDelivered,
    Backfilled,
    TrailAdded,
    // Not so.
    FileRemoved,
    FilePurged,
    FileOverwritten,
    FileReplaced,
    FileAltered,
    FileUndelivered,
    FileUnderWay,
    RecordsInLetters,
    FileInLetters,
    UnlistedUndelivered,
    UnlistedRemoved,
    UnlistedOverwritten,
    DigestRemoved,
    DigestOfAnother,
    DigestForged,
    DigestUnreadable,
    DigestsSwapped,
    BackfillRemoved,
    TrailStopped,
    ValidationOff,
    RegionRemoved,
}

const HARMLESS: [Damage; 9] = [
    Damage::Filtered,
    Damage::LinkForgotten,
    Damage::LinksWithoutOrder,
    Damage::SignatureInUpperCase,
    Damage::SameContentAgain,
    Damage::GarbageRestored,
    Damage::UnlistedDelivered,
    Damage::Backfilled,
    Damage::TrailAdded,
];
const HARMFUL: [Damage; 21] = [
    Damage::FileRemoved,
    Damage::FilePurged,
    Damage::FileOverwritten,
    Damage::FileReplaced,
    Damage::FileAltered,
    Damage::FileUndelivered,
    Damage::FileUnderWay,
    Damage::RecordsInLetters,
    Damage::FileInLetters,
    Damage::UnlistedUndelivered,
    Damage::UnlistedRemoved,
    Damage::UnlistedOverwritten,
    Damage::DigestRemoved,
    Damage::DigestOfAnother,
    Damage::DigestForged,
    Damage::DigestUnreadable,
    Damage::DigestsSwapped,
    Damage::BackfillRemoved,
    Damage::TrailStopped,
    Damage::ValidationOff,
    Damage::RegionRemoved,
];

type Chains = HashMap<(usize, usize), Vec<Forged>>;

/// A trail's chain from one hour to another, checked by the function.
fn grow(world: &World, place: usize, trail: &'static str, hours: std::ops::Range<i64>) -> Vec<Forged> {
    let (of, mut chain) = (PLACES[place], Vec::<Forged>::new());
    for hour in hours {
        let listed = file(of, hour, trail);
        world.store(&listed);
        world.deliver(&listed, b"true");
        let plan = Plan { of, trail, ..Plan::new(hour, chain.last()) };
        chain.push(plan.with_key(listed, b"true").forge());
    }
    for digest in &chain {
        world.put(digest);
    }
    world.check(&chain);
    world.head(&chain);
    chain
}

fn sound() -> (World, Chains) {
    static SOUND: LazyLock<(World, Chains)> = LazyLock::new(|| {
        let (world, mut chains) = (World::default(), Chains::new());
        for place in 0..PLACES.len() {
            for (number, trail) in TRAILS.into_iter().enumerate() {
                chains.insert((place, number), grow(&world, place, trail, LIVES));
            }
        }
        (world, chains)
    });
    let (world, chains) = &*SOUND;
    let copy = World {
        objects: Mutex::new(world.objects.lock().unwrap().clone()),
        entries: Mutex::new(world.entries.lock().unwrap().clone()),
        links: Mutex::new(world.links.lock().unwrap().clone()),
        ..World::default()
    };
    (copy, chains.clone())
}

impl Damage {
    fn is_harmless(self) -> bool {
        HARMLESS.contains(&self)
    }

    /// Does it; `number` tells damages of one kind apart.
    #[expect(clippy::too_many_lines, reason = "one arm a kind of damage")]
    fn strike(self, world: &World, chains: &mut Chains, at: (usize, usize, i64), number: usize) {
        let (place, trail, hour) = at;
        let of = PLACES[place];
        let index = usize::try_from(hour - LIVES.start).unwrap();
        let listed = file(of, hour, TRAILS[trail]);
        let chain = chains[&(place, trail)].clone();
        let digest = &chain[index];
        let link = Key::link(BUCKET, &digest.place.key).as_str().to_owned();
        let extra = file(of, hour, &format!("extra{number}"));
        let is_there = world.now_at(&listed).is_some();
        let has_entry = is_there && {
            let key = Key::object(&world.now_at(&listed).unwrap().reference(&listed));
            world.entries.lock().unwrap().contains_key(key.as_str())
        };
        let change = |change: &dyn Fn(&mut Entry)| {
            if has_entry {
                world.change_entry(&listed, change);
            }
        };
        let unlisted = |is_delivered: bool| {
            world.store(&extra);
            if is_delivered {
                world.deliver(&extra, b"true");
            }
        };
        match self {
            Self::Filtered => change(&|entry| {
                if entry.settled.counts.letters == 0 {
                    entry.settled.counts = Counts { records: 3, filtered: 3, ..Counts::default() };
                }
            }),
            Self::LinkForgotten => drop(world.links.lock().unwrap().remove(&link)),
            Self::LinksWithoutOrder => {
                for note in world.links.lock().unwrap().values_mut() {
                    note.content.remove("next");
                    note.content.remove("after");
                }
            }
            Self::SignatureInUpperCase => {
                if let Some(held) = world.objects.lock().unwrap().get_mut(&digest.place.key)
                    && let Some(digest) = &mut held.versions[0].digest
                {
                    digest.signature.hex = digest.signature.hex.to_uppercase();
                }
            }
            Self::SameContentAgain if is_there => {
                let content = world.now_at(&listed).unwrap().content;
                world.overwrite(&listed, &format!("same{number}"), &content);
            }
            Self::GarbageRestored if is_there => {
                let content = world.now_at(&listed).unwrap().content;
                world.overwrite(&listed, &format!("garbage{number}"), b"garbage");
                world.overwrite(&listed, &format!("restored{number}"), &content);
            }
            Self::SameContentAgain | Self::GarbageRestored => {}
            Self::UnlistedDelivered => unlisted(true),
            Self::Backfilled | Self::BackfillRemoved => {
                unlisted(true);
                let plan = Plan {
                    of,
                    trail: TRAILS[trail],
                    is_backfill: true,
                    ..Plan::new(hour, Some(&chain[index - 1]))
                };
                let backfill = plan.with_key(extra, b"true").forge();
                world.check(std::slice::from_ref(&backfill));
                if self == Self::Backfilled {
                    world.put(&backfill);
                } else {
                    world.objects.lock().unwrap().remove(&backfill.place.key);
                }
            }
            Self::TrailAdded => {
                let added = ["added0", "added1", "added2", "added3"][number % 4];
                grow(world, place, added, hour..LIVES.end);
            }
            Self::FileRemoved => {
                if let Some(held) = world.objects.lock().unwrap().get_mut(&listed) {
                    held.is_deleted = true;
                }
            }
            Self::FilePurged => drop(world.objects.lock().unwrap().remove(&listed)),
            Self::FileOverwritten => {
                if world.objects.lock().unwrap().contains_key(&listed) {
                    world.overwrite(&listed, &format!("other{number}"), b"other");
                }
            }
            // A bucket without versions.
            Self::FileReplaced => world.store_as(&listed, Object::file(b"other")),
            Self::FileAltered => {
                world.store_as(&listed, Object::file(b"altered"));
                world.deliver(&listed, b"altered");
            }
            Self::FileUndelivered => {
                world.entries.lock().unwrap().retain(|key, _| !key.ends_with(&listed));
            }
            Self::FileUnderWay => {
                for (_, entry) in
                    world.entries.lock().unwrap().iter_mut().filter(|(key, _)| key.ends_with(&listed))
                {
                    entry.stage = Stage::Open;
                }
            }
            Self::RecordsInLetters | Self::FileInLetters => {
                for (_, entry) in
                    world.entries.lock().unwrap().iter_mut().filter(|(key, _)| key.ends_with(&listed))
                {
                    entry.settled.counts = Counts { records: 3, rows: 2, letters: 1, ..Counts::default() };
                    if self == Self::FileInLetters {
                        entry.content = None;
                    }
                }
            }
            Self::UnlistedUndelivered => unlisted(false),
            Self::UnlistedRemoved => {
                unlisted(true);
                world.remove(&extra);
            }
            Self::UnlistedOverwritten => {
                unlisted(true);
                world.overwrite(&extra, "other", b"other");
            }
            Self::DigestRemoved => drop(world.objects.lock().unwrap().remove(&digest.place.key)),
            Self::DigestOfAnother => {
                world.put(&Forged { bytes: chain[index - 1].bytes.clone(), ..digest.clone() });
            }
            Self::DigestForged => {
                let plan = Plan {
                    of,
                    trail: TRAILS[trail],
                    by_forger: true,
                    ..Plan::new(hour, Some(&chain[index - 1]))
                };
                world.put(&plan.forge());
            }
            Self::DigestUnreadable => world.unreadable.lock().unwrap().push(digest.place.key.clone()),
            Self::DigestsSwapped => {
                let other = &chain[index + 1];
                world.put(&Forged { place: digest.place.clone(), ..other.clone() });
                world.put(&Forged { place: other.place.clone(), ..digest.clone() });
            }
            Self::TrailStopped => {
                // Nothing of it was ever written from then on.
                for (offset, digest) in chain[index..].iter().enumerate() {
                    world.objects.lock().unwrap().remove(&digest.place.key);
                    world.links.lock().unwrap().remove(Key::link(BUCKET, &digest.place.key).as_str());
                    let later = file(of, hour + i64::try_from(offset).unwrap(), TRAILS[trail]);
                    world.objects.lock().unwrap().remove(&later);
                    world.entries.lock().unwrap().retain(|key, _| !key.ends_with(&later));
                }
                world.head(&chain[..index]);
            }
            Self::ValidationOff => {
                // The chain begins anew an hour later; the hour has its files, and no digest.
                for digest in &chain[index..] {
                    world.objects.lock().unwrap().remove(&digest.place.key);
                    world.links.lock().unwrap().remove(Key::link(BUCKET, &digest.place.key).as_str());
                }
                let mut anew: Vec<Forged> = Vec::new();
                for hour in hour + 1..LIVES.end {
                    let plan = Plan { of, trail: TRAILS[trail], ..Plan::new(hour, anew.last()) };
                    anew.push(plan.with_key(file(of, hour, TRAILS[trail]), b"true").forge());
                }
                for digest in &anew {
                    world.put(digest);
                }
                world.check(&anew);
            }
            Self::RegionRemoved => {
                let folder = format!("/{}/", of.1);
                world.objects.lock().unwrap().retain(|key, _| !key.contains(&folder));
            }
        }
    }
}

fn answer(world: World) -> Outcome {
    // What the bucket shows: folders without an object are none.
    let folders: Vec<[String; 2]> = PLACES.iter().map(|of| source(*of)).collect();
    let objects = world.objects.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    let has = |folder: &String| objects.iter().any(|key| key.starts_with(folder));
    let folders = folders.into_iter().filter(|folders| folders.iter().any(has)).collect();
    Arc::new(world).verify(ASKED, beginning(ASKED.end + 24), folders)
}

#[test]
fn each_damage_by_itself_is_proven_exactly_if_it_is_harmless() {
    let (world, _) = sound();
    assert_eq!(answer(world).answer(), Answer::Proven);
    for damage in HARMLESS.into_iter().chain(HARMFUL) {
        for at in [(0, 0, 3), (1, 1, ASKED.start), (0, 1, ASKED.end - 1)] {
            let (world, mut chains) = sound();
            damage.strike(&world, &mut chains, at, 0);
            let outcome = answer(world);
            let is_proven = outcome.answer() == Answer::Proven;
            assert_eq!(is_proven, damage.is_harmless(), "{damage:?} at {at:?}: {:?}", named(&outcome));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn it_is_proven_exactly_if_all_damage_is_harmless(
        harmless in prop::collection::vec(
            (prop::sample::select(&HARMLESS[..]), 0_usize..2, 0_usize..2, ASKED), 0..6),
        harmful in prop::collection::vec(
            (prop::sample::select(&HARMFUL[..]), 0_usize..2, 0_usize..2, ASKED), 0..3),
        order in any::<u64>(),
    ) {
        let (world, mut chains) = sound();
        let is_sound = harmful.is_empty();
        let mut all: Vec<_> = harmless.into_iter().chain(harmful.clone()).collect();
        // What is restored is no longer damaged: what does harm comes last.
        fastrand::Rng::with_seed(order).shuffle(&mut all);
        all.sort_by_key(|(damage, ..)| !damage.is_harmless());
        for (number, (damage, place, trail, hour)) in all.iter().enumerate() {
            damage.strike(&world, &mut chains, (*place, *trail, *hour), number);
        }
        let outcome = answer(world);
        prop_assert_eq!(outcome.answer() == Answer::Proven, is_sound, "{:?}: {:?}", all, named(&outcome));
        // Nor is the damaged hour complete.
        for (damage, place, _, hour) in harmful {
            let whole = outcome.verified.iter().filter(|verified| verified.source.account == PLACES[place].0);
            let begins = hour_at(beginning(hour));
            let state = whole.flat_map(|verified| &verified.hours).find(|each| each.begins == begins);
            prop_assert!(state.is_some_and(|hour| hour.state != State::Complete), "{:?}", damage);
        }
    }
}
