//! Small batches of an invocation's items share a request, and each item is settled as if it had had its own.

use std::time::Duration;

use sentinel_forwarder::aws::ReadError;
use sentinel_forwarder::delivery::{Key, Stage};
use sentinel_forwarder::standin::{Fault, FaultKind};
use sentinel_forwarder::trigger::Item;

use crate::world::{Went, World, finding_item, names, object, object_item, reason, records_of};

const OBJECTS: u64 = 10;
const RECORDS: u64 = 5;

fn key_of(number: u64) -> String {
    format!("AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/{number}.json.gz")
}

/// A world with ten small objects, whose records are numbered through, and what announces them.
fn small_objects() -> (World, Vec<Item>) {
    let world = World::ledgered(Vec::new());
    let items = (0..OBJECTS).map(|number| {
        let key = key_of(number);
        world.put(&key, Ok(records_of(number * RECORDS..(number + 1) * RECORDS)));
        object_item(&key)
    });
    let items = items.collect();
    (world, items)
}

/// The paths of the uploads that were answered, and how.
fn uploads(world: &World) -> Vec<(String, Option<u16>)> {
    let requests = world.standin.requests().into_iter();
    let uploads = requests.filter(|request| request.path.contains("/streams/"));
    uploads.map(|request| (request.path, request.status)).collect()
}

fn all_done(went: &[Went]) -> bool {
    went.iter().all(Went::is_done)
}

/// Each object counts its own records in the ledger, and nobody else's.
fn counted(world: &World, number: u64) -> (u64, u64, u64) {
    let entry = world.entry(&Key::object(&object(&key_of(number))));
    assert!(matches!(entry.stage, Stage::Delivered { .. }));
    let counts = entry.settled.counts;
    (entry.settled.next_record, counts.rows, counts.letters)
}

#[test]
fn small_objects_and_findings_of_an_invocation_take_one_upload_a_table() {
    let (world, mut items) = small_objects();
    items.insert(3, finding_item("f1"));
    items.push(finding_item("f2"));
    let went = world.forward_all(&items);
    assert!(all_done(&went) && world.letters().is_empty() && world.standin.refusals().is_empty());
    assert_eq!(world.events(), names(0..OBJECTS * RECORDS));
    assert_eq!(world.standin.rows("AWSGuardDuty").len(), 2);
    let uploads = uploads(&world);
    assert_eq!(uploads.len(), 2, "{uploads:?}");
    for number in 0..OBJECTS {
        assert_eq!(counted(&world, number), (RECORDS, RECORDS, 0));
    }
    // One upload is counted once, and rows where they came from.
    for (table, rows) in [("AWSCloudTrail", RECORDS), ("AWSGuardDuty", 1)] {
        let tallies: Vec<_> = went.iter().filter_map(|went| went.tally.tables.get(table)).collect();
        assert_eq!(tallies.iter().map(|tally| tally.uploads).sum::<u64>(), 1);
        assert!(tallies.iter().all(|tally| tally.rows == rows));
    }
}

#[test]
fn more_than_one_request_carries_take_as_many_as_they_need() {
    let world = World::ledgered(Vec::new());
    let items: Vec<_> = (0..30)
        .map(|number| {
            world.put(&key_of(number), Ok(records_of(number * 20..(number + 1) * 20)));
            object_item(&key_of(number))
        })
        .collect();
    assert!(all_done(&world.forward_all(&items)) && world.standin.refusals().is_empty());
    assert_eq!(world.events(), names(0..600));
    let requests = world.standin.requests();
    let bytes: Vec<_> =
        requests.iter().map(|request| request.bytes_inflated).filter(|bytes| *bytes > 0).collect();
    assert!(bytes.iter().all(|bytes| *bytes <= 20_000), "{bytes:?}");
    assert!(bytes.len() < 15, "{bytes:?}");
}

#[test]
fn a_record_that_is_refused_costs_no_other_item_anything() {
    let (world, mut items) = small_objects();
    let world = world.fault(Fault::new(FaultKind::RejectWhere { contains: "Event0017".to_owned() }));
    items.push(finding_item("f1"));
    assert!(all_done(&world.forward_all(&items)));
    assert_eq!(world.events(), names((0..OBJECTS * RECORDS).filter(|number| *number != 17)));
    // The third record of the fourth object.
    let letters = world.letters();
    assert_eq!(letters.iter().map(reason).collect::<Vec<_>>(), [("Rejected", (2, Some(3)))]);
    assert_eq!(letters[0]["task"]["object"]["key"], key_of(3));
    for number in 0..OBJECTS {
        let is_hit = u64::from(number == 3);
        assert_eq!(counted(&world, number), (RECORDS, RECORDS - is_hit, is_hit));
    }
}

#[test]
fn a_shared_request_that_is_too_large_is_taken_apart() {
    let (world, items) = small_objects();
    let world = world.fault(Fault::new(FaultKind::TooLargeOver { bytes: 2_000 }));
    assert!(all_done(&world.forward_all(&items)) && world.letters().is_empty());
    assert_eq!(world.events(), names(0..OBJECTS * RECORDS));
    let uploads = uploads(&world);
    assert_eq!(uploads.iter().filter(|(_, status)| *status == Some(413)).count(), 1);
    assert_eq!(uploads.len() as u64, 1 + OBJECTS);
}

#[test]
fn what_is_not_taken_for_now_brings_each_item_again() {
    let (world, items) = small_objects();
    world.standin.inject(Fault::status(503).retry_after("600"));
    let went = world.forward_all(&items);
    assert!(went.iter().all(|went| !went.is_done()) && world.letters().is_empty());
    assert_eq!(uploads(&world).len(), 1);
    world.standin.clear_faults();
    assert!(all_done(&world.forward_all(&items)));
    assert_eq!(world.events(), names(0..OBJECTS * RECORDS));
    assert!((0..OBJECTS).all(|number| counted(&world, number) == (RECORDS, RECORDS, 0)));
}

#[test]
fn an_item_that_crashes_or_has_nothing_keeps_no_other_waiting() {
    let (world, items) = small_objects();
    world.put(&key_of(2), Err(ReadError::NotAllowed));
    world.put(&key_of(5), Err(ReadError::Unavailable { code: "SlowDown".to_owned() }));
    world.put(&key_of(7), Ok(br#"{"Records":[]}"#.to_vec()));
    let went = world.forward_all(&items);
    let failed: Vec<_> = (0..went.len()).filter(|place| !went[*place].is_done()).collect();
    assert_eq!(failed, [2, 5]);
    assert_eq!(uploads(&world).len(), 1);
    assert_eq!(world.events().len() as u64, (OBJECTS - 3) * RECORDS);
}

#[test]
fn what_is_small_does_not_wait_for_what_is_large() {
    let (mut world, mut items) = small_objects();
    world.time = Duration::from_hours(1);
    // Five, so that the last has no place: each breaks off without a word after some batches.
    for number in 100..105 {
        world.put(&key_of(number), Ok(records_of(1_000..2_000)));
        world.stall_after(&key_of(number), 100_000);
        items.insert(4, object_item(&key_of(number)));
    }
    items.push(finding_item("f1"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let forwarder = world.forwarder();
        let forwarding = forwarder.forward_all(items.iter().map(|item| (item, world.attempt(1))));
        let landed = async {
            let first = names(0..4 * RECORDS);
            while world.standin.rows("AWSGuardDuty").is_empty()
                || !first.iter().all(|name| world.events().contains(name))
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = forwarding => panic!("what keeps silent can't have been forwarded"),
            landed = tokio::time::timeout(Duration::from_secs(30), landed) => landed.unwrap(),
        }
    });
}
