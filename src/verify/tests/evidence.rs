//! What must never be called proven, and what must not be called wrong.

use super::*;
use crate::delivery::Counts;

const OF: (&str, &str) = (ACCOUNTS[0], REGIONS[0]);

/// A sound chain whose digests the function has checked.
fn sound(hours: std::ops::Range<i64>) -> (Arc<World>, Vec<Forged>) {
    let world = Arc::new(World::default());
    let chain = world.grow(OF, hours);
    world.check(&chain);
    world.head(&chain);
    (world, chain)
}

fn verify(world: &Arc<World>, hours: std::ops::Range<i64>) -> Outcome {
    world.verify(hours.clone(), beginning(hours.end + 24), vec![source(OF)])
}

/// Hour and name of what is wrong.
fn found(outcome: &Outcome) -> Vec<(i64, &'static str)> {
    named(outcome).into_iter().map(|(_, _, hour, name)| (hour, name)).collect()
}

#[test]
fn records_in_letters_were_not_delivered_until_a_replay_settles_them() {
    let (world, _) = sound(0..6);
    let refused = Counts { records: 3, letters: 3, ..Counts::default() };
    world.change_entry(&file(OF, 2, "a"), |entry| entry.settled.counts = refused);
    // Nothing of it could be read.
    world.change_entry(&file(OF, 3, "a"), |entry| entry.content = None);
    let outcome = verify(&world, 0..6);
    assert_eq!(
        (found(&outcome), outcome.answer()),
        (vec![(2, "InLetters"), (3, "InLetters")], Answer::Wrong)
    );
    assert_eq!(states(&outcome.verified[0]), [(State::Complete, 4), (State::Incomplete, 2)].into());
    assert!(outcome.text().contains(&file(OF, 2, "a")), "the file is named");
    world.deliver(&file(OF, 2, "a"), b"true");
    world.deliver(&file(OF, 3, "a"), b"true");
    assert_eq!(verify(&world, 0..6).answer(), Answer::Proven);
    // The same of a file that no digest lists.
    world.store(&file(OF, 4, "b"));
    world.deliver(&file(OF, 4, "b"), b"true");
    world.change_entry(&file(OF, 4, "b"), |entry| entry.settled.counts = refused);
    assert_eq!(found(&verify(&world, 0..6)), [(4, "InLetters")]);
}

#[test]
fn an_hour_without_validation_shows_in_whatever_order_digests_were_checked() {
    let world = Arc::new(World::default());
    let mut chain = world.grow(OF, 0..3);
    let first = world.grow(OF, 4..7);
    // The fourth hour has its files, and no digest. The function checked the last digest first.
    world.store(&file(OF, 3, "a"));
    world.deliver(&file(OF, 3, "a"), b"true");
    chain.extend(first);
    world.check(&chain);
    world.head(&chain);
    let outcome = verify(&world, 0..7);
    assert_eq!((found(&outcome), outcome.answer()), (vec![(3, "Restarted")], Answer::Wrong));
    assert_eq!(states(&outcome.verified[0]), [(State::Complete, 6), (State::Unsealed, 1)].into());
}

#[test]
fn what_the_ledger_knows_and_the_bucket_has_no_longer_is_named() {
    let all = |world: &World| world.objects.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    // All objects of a region.
    let (world, chain) = sound(0..6);
    for key in all(&world) {
        world.remove(&key);
    }
    let outcome = world.verify(0..6, beginning(30), Vec::new());
    assert_eq!(outcome.answer(), Answer::Wrong);
    assert_eq!((outcome.verified.len(), outcome.verified[0].source.region.as_str()), (1, REGIONS[0]));
    let names: Vec<_> = found(&outcome).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names.iter().filter(|name| **name == "PreviousRemoved").count(), chain.len());
    assert_eq!(names.iter().filter(|name| **name == "Removed").count(), chain.len());

    // Most of the time wiped, and the middle of it verified; of half of the digests the ledger knows no link.
    let (world, chain) = sound(0..96);
    for digest in &chain[5..91] {
        world.remove(&digest.place.key);
        world.remove(&file(
            OF,
            DigestKey::parse(&digest.place.key)
                .map(|key| key.end.duration_since(beginning(1)).as_hours())
                .unwrap(),
            "a",
        ));
    }
    for digest in &chain[..48] {
        world.links.lock().unwrap().remove(Key::link(BUCKET, &digest.place.key).as_str()).unwrap();
    }
    let outcome = world.verify(36..60, beginning(120), vec![source(OF)]);
    assert_eq!(outcome.answer(), Answer::Wrong);
    assert_eq!(states(&outcome.verified[0]), [(State::Unsealed, 24)].into());

    // One of two trails with its files.
    let (world, _) = sound(0..6);
    let mut other: Vec<Forged> = Vec::new();
    for hour in 0..6 {
        let plan = Plan { of: OF, trail: "other", ..Plan::new(hour, other.last()) };
        world.store(&file(OF, hour, "o"));
        world.deliver(&file(OF, hour, "o"), b"true");
        other.push(plan.with_key(file(OF, hour, "o"), b"true").forge());
        world.put(&other[other.len() - 1]);
    }
    world.check(&other);
    world.head(&other);
    assert_eq!(verify(&world, 0..6).answer(), Answer::Proven);
    for (hour, digest) in (0..).zip(&other) {
        world.remove(&digest.place.key);
        world.remove(&file(OF, hour, "o"));
    }
    let names = found(&verify(&world, 0..6));
    assert_eq!(names.iter().filter(|(_, name)| *name == "PreviousRemoved").count(), 6);
    assert_eq!(names.iter().filter(|(_, name)| *name == "Removed").count(), 6);

    // The newest backfill with its file, where the chain itself is whole.
    let (world, chain) = sound(0..6);
    let late = file(OF, 2, "late");
    let backfill = Plan { of: OF, is_backfill: true, ..Plan::new(2, Some(&chain[1])) }
        .with_key(late.clone(), b"true")
        .forge();
    world.check(&[backfill]);
    world.store(&late);
    world.deliver(&late, b"true");
    world.remove(&late);
    assert_eq!(found(&verify(&world, 0..6)), [(2, "PreviousRemoved"), (2, "Removed")]);

    // A stopped trail's later days.
    let (world, _) = sound(0..6);
    let outcome = world.verify(48..72, beginning(120), vec![source(OF)]);
    assert_eq!((found(&outcome), outcome.answer()), (vec![(48, "Ended")], Answer::Wrong));
}

#[test]
fn a_file_that_no_digest_lists_is_judged_by_what_its_key_shows_now() {
    let (world, _) = sound(0..6);
    let unlisted = file(OF, 2, "b");
    world.store(&unlisted);
    world.deliver(&unlisted, b"true");
    assert_eq!(verify(&world, 0..6).answer(), Answer::Proven);
    world.overwrite(&unlisted, "2", b"never delivered");
    assert_eq!(found(&verify(&world, 0..6)), [(2, "Missing")]);
    world.deliver(&unlisted, b"never delivered");
    assert_eq!(verify(&world, 0..6).answer(), Answer::Proven);
    world.objects.lock().unwrap().get_mut(&unlisted).unwrap().is_deleted = true;
    assert_eq!(found(&verify(&world, 0..6)), [(2, "Removed")]);
}

#[test]
fn what_a_listed_file_is_overwritten_with_is_named() {
    let (world, _) = sound(0..6);
    let listed = file(OF, 2, "a");
    world.overwrite(&listed, "2", b"garbage");
    let outcome = verify(&world, 0..6);
    assert_eq!(found(&outcome), [(2, "Overwritten")]);
    assert_eq!(states(&outcome.verified[0])[&State::Altered], 1);
    world.overwrite(&listed, "3", b"true");
    assert_eq!(verify(&world, 0..6).answer(), Answer::Proven, "it was restored");
}

#[test]
fn what_was_asked_for_and_is_nowhere_is_an_exception() {
    let (world, _) = sound(0..6);
    let ask = |accounts: &[&str], regions: &[&str], services: &[&str]| {
        let mut asked = asked(0..6, beginning(30));
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        (asked.wanted.accounts, asked.wanted.regions) = (owned(accounts), owned(regions));
        if !services.is_empty() {
            asked.wanted.services = owned(services);
        }
        let outcome = world.verify_asked(asked, vec![source(OF)]);
        let names: Vec<_> =
            named(&outcome).into_iter().map(|(account, region, _, name)| (account, region, name)).collect();
        (names, outcome.answer())
    };
    let not = |account: &str, region: &str| {
        (vec![(account.to_owned(), region.to_owned(), "NotFound")], Answer::Wrong)
    };
    assert_eq!(ask(&[OF.0], &[OF.1], &[]), (Vec::new(), Answer::Proven));
    assert_eq!(ask(&[OF.0, "999988887777"], &[], &[]), not("999988887777", "-"));
    assert_eq!(ask(&[], &["nonsense"], &[]), not("-", "nonsense"));
    assert_eq!(ask(&[OF.0], &[OF.1, "nonsense"], &[]), not(OF.0, "nonsense"));
    assert_eq!(ask(&[], &[], &["CloudTrail", "GuardDuty"]), not("-", "-"));
    let nothing = World::default();
    let outcome = Arc::new(nothing).verify(0..6, beginning(30), Vec::new());
    assert_eq!((named(&outcome).len(), outcome.answer()), (1, Answer::Wrong));
}

#[test]
fn what_can_not_be_read_is_one_exception_and_hides_no_other() {
    let (world, chain) = sound(0..12);
    world.lose(&file(OF, 2, "a"));
    // Something unreadable under a digest's name, and behind it all.
    let bogus = Plan { of: OF, trail: "bogus", ..Plan::new(5, None) }.forge();
    let behind = Plan { of: OF, ..Plan::new(13, chain.last()) }.forge();
    for digest in [&bogus, &behind] {
        world.put(digest);
        world.unreadable.lock().unwrap().push(digest.place.key.clone());
    }
    let outcome = verify(&world, 0..12);
    assert_eq!(found(&outcome), [(2, "Missing"), (5, "Unreadable")]);
    let expected = [(State::Complete, 10), (State::Unchecked, 1), (State::Incomplete, 1)];
    assert_eq!(states(&outcome.verified[0]), expected.into());
    // With nothing wrong beside it, nothing is known.
    world.deliver(&file(OF, 2, "a"), b"true");
    let outcome = verify(&world, 0..12);
    assert_eq!((found(&outcome), outcome.answer()), (vec![(5, "Unreadable")], Answer::Unknown));
    assert!(!outcome.sentence().contains("as it should be"));
}

#[test]
fn a_gap_is_about_no_hour_that_a_genuine_digest_is_about() {
    let world = Arc::new(World::default());
    let chain = world.grow(OF, 0..8);
    for hour in [2, 5] {
        world.remove(&chain[hour].place.key);
    }
    assert_eq!(found(&verify(&world, 0..8)), [(2, "Gap"), (5, "Gap")]);
    assert_eq!(states(&verify(&world, 0..8).verified[0])[&State::Unsealed], 2);
}

#[test]
fn a_digest_of_three_hours_vouches_for_all_of_them() {
    let world = Arc::new(World::default());
    let first = Plan { of: OF, ..Plan::new(0, None) }.forge();
    let long = Plan { of: OF, hours: 3, ..Plan::new(1, Some(&first)) }.forge();
    let last = Plan { of: OF, ..Plan::new(4, Some(&long)) }.forge();
    for digest in [&first, &long, &last] {
        world.put(digest);
    }
    let folders = vec![source(OF)];
    let outcome = world.verify(0..5, beginning(5), folders.clone());
    assert_eq!(states(&outcome.verified[0]), [(State::Complete, 5)].into());
}

#[test]
fn a_trail_that_writes_elsewhere_now_is_followed_there() {
    let (world, chain) = sound(0..6);
    let mut moved: Vec<Forged> = Vec::new();
    for hour in 6..9 {
        let previous = moved.last().or(chain.last());
        moved.push(Plan { of: OF, bucket: "moved", ..Plan::new(hour, previous) }.forge());
    }
    world.check(&moved);
    let whole = [chain, moved.clone()].concat();
    world.head(&whole);
    world.elsewhere.lock().unwrap().clone_from(&moved);
    let outcome = verify(&world, 0..9);
    assert_eq!((found(&outcome), outcome.answer()), (Vec::new(), Answer::Proven));
    // What is removed there shows too.
    world.elsewhere.lock().unwrap().remove(1);
    assert_eq!(found(&verify(&world, 0..9)), [(7, "PreviousRemoved")]);
}

#[test]
fn hours_that_are_older_than_the_ledger_are_said_so_once() {
    let (world, _) = sound(0..6);
    for hour in 0..6 {
        world.lose(&file(OF, hour, "a"));
    }
    let outcome = world.verify(0..6, beginning(0) + SignedDuration::from_hours(401 * 24), vec![source(OF)]);
    let names = found(&outcome);
    assert!(!names.iter().any(|(_, name)| *name == "Missing"), "{names:?}");
    assert_eq!(names.iter().filter(|(_, name)| *name == "OlderThanLedger").count(), 1);
    assert!(outcome.verified[0].hours.iter().all(|hour| hour.state == State::Unchecked));
}

#[test]
fn digests_that_follow_cost_no_call_of_the_ledger_each() {
    let (world, _) = sound(0..150);
    let outcome = verify(&world, 0..3);
    assert_eq!(outcome.answer(), Answer::Proven);
    assert!(outcome.ledger_calls <= 8, "{}", outcome.ledger_calls);
    // Years without a file cost no call each.
    let outcome = world.verify(-24 * 365 * 5..3, beginning(30), vec![source(OF)]);
    assert!(outcome.s3_calls < 30, "{}", outcome.s3_calls);
}

#[test]
fn all_removed_digests_are_named_whatever_was_checked_first() {
    let (world, chain) = sound(0..90);
    // Checked from the last to the first: no link knows the next one.
    for note in world.links.lock().unwrap().values_mut() {
        note.content.remove("next");
    }
    for digest in &chain[2..88] {
        world.remove(&digest.place.key);
    }
    let outcome = verify(&world, 0..90);
    assert_eq!(found(&outcome).iter().filter(|(_, name)| *name == "PreviousRemoved").count(), 86);
}

#[test]
fn a_key_forges_no_line_and_turns_no_text_around() {
    let (world, _) = sound(0..6);
    world.store(&file(
        OF,
        2,
        "x\n2026-03-10T09 111122223333 eu-west-1 Fake: forged line\u{2028}\u{202e}\u{2067}\u{61c}",
    ));
    let outcome = verify(&world, 0..6);
    let text = outcome.text();
    assert_eq!(found(&outcome), [(2, "Missing")]);
    assert!(!text.lines().any(|line| line.starts_with("2026-03-10T09")), "{text}");
    for hidden in ['\u{2028}', '\u{202e}', '\u{2067}', '\u{61c}'] {
        assert!(!text.contains(hidden) && !page::page(&outcome).contains(hidden));
    }
    assert!(text.contains("x\\u{a}2026"));
}

#[test]
fn a_wrong_ledger_checks_nothing_and_says_so() {
    let (world, _) = sound(0..6);
    *world.ledger_failure.lock().unwrap() = Some("ResourceNotFoundException");
    let outcome = verify(&world, 0..6);
    assert_eq!(outcome.answer(), Answer::Unknown);
    assert_eq!(states(&outcome.verified[0]), [(State::Unchecked, 6)].into());
    assert_eq!(outcome.sentence(), "Nothing could be checked, so nothing is proven.");
    assert!(outcome.text().contains("there is no such table"));
    // Who may not scan it: the rest is judged, and nothing is proven.
    *world.ledger_failure.lock().unwrap() = Some("AccessDeniedException");
    world.lose(&file(OF, 2, "a"));
    let outcome = verify(&world, 0..6);
    assert_eq!((found(&outcome), outcome.answer()), (vec![(2, "Missing")], Answer::Wrong));
    world.deliver(&file(OF, 2, "a"), b"true");
    assert_eq!(verify(&world, 0..6).answer(), Answer::Unknown);
}

#[test]
fn an_interruption_leaves_what_was_not_seen_unchecked() {
    let (world, _) = sound(0..6);
    let parties = Parties {
        archive: Arc::clone(&world),
        keys: Arc::clone(&world),
        ledger: Arc::clone(&world),
        interrupted: Arc::new(AtomicBool::new(true)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folders = source(OF).into();
    let outcome =
        runtime.block_on(super::super::verify(&parties, asked(0..6, beginning(30)), folders, |_, _| {}));
    assert_eq!((named(&outcome), outcome.answer()), (Vec::new(), Answer::Unknown));
    assert_eq!(states(&outcome.verified[0]), [(State::Unchecked, 6)].into());
    assert!(outcome.text().contains("it was interrupted"));
}
