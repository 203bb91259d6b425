//! What becomes of a file and of Sentinel's answers.

use sentinel_forwarder::aws::ReadError;
use sentinel_forwarder::forward::MOST_FAILED_ATTEMPTS;
use sentinel_forwarder::standin::{Fault, FaultKind};

use crate::world::{KEY, World, names, object_item, reason, records};

#[test]
fn every_record_lands_once_and_the_strict_stand_in_refuses_nothing() {
    let world = World::with(records(500));
    let went = world.forward();
    assert!(went.is_done() && world.letters().is_empty() && world.standin.refusals().is_empty());
    assert_eq!(world.events(), names(0..500));
    assert_eq!((went.tally.report().records, went.tally.report().rows), (500, 500));
    assert_eq!(world.standin.token_exchanges(), 1);
}

#[test]
fn a_task_delivers_its_range_and_nothing_else() {
    let world = World::with(records(100));
    let went = world.forward_task(40, Some(43));
    assert_eq!(world.events(), names(40..43));
    assert_eq!(went.tally.report().records, 3);
}

#[test]
fn throttling_and_broken_connections_are_waited_out() {
    let world = World::with(records(10))
        .fault(Fault::status(429).retry_after("1").times(1))
        .fault(Fault::new(FaultKind::DropBefore).times(1));
    let went = world.forward();
    assert!(went.is_done() && world.letters().is_empty());
    assert_eq!(world.events().len(), 10);
    assert_eq!(went.tally.tables["AWSCloudTrail"].upload_throttled, 1);
}

#[test]
fn a_refused_token_is_replaced_once() {
    let world = World::with(records(10)).fault(Fault::status(401).times(1));
    assert!(world.forward().is_done());
    assert_eq!((world.events().len(), world.standin.token_exchanges()), (10, 2));
}

#[test]
fn a_rejected_record_becomes_a_letter_and_its_neighbours_are_delivered() {
    let fault = Fault::new(FaultKind::RejectWhere { contains: "Event0007".to_owned() });
    let world = World::with(records(50)).fault(fault);
    assert!(world.forward().is_done());
    assert_eq!(world.events().len(), 49);
    let letters = world.letters();
    assert_eq!(letters.iter().map(reason).collect::<Vec<_>>(), [("Rejected", (7, Some(8)))]);
}

#[test]
fn a_request_that_is_too_large_is_halved() {
    let world = World::with(records(60)).fault(Fault::new(FaultKind::TooLargeOver { bytes: 2_000 }));
    assert!(world.forward().is_done() && world.letters().is_empty());
    assert_eq!(world.events().len(), 60);
}

#[test]
fn what_an_operator_mends_comes_again_before_it_is_a_letter() {
    let world = World::ledgered(records(5)).fault(Fault::status(403));
    for _ in 1..MOST_FAILED_ATTEMPTS {
        let went = world.forward();
        assert!(!went.is_done() && world.letters().is_empty());
        // The alarm rings at once, not with the letter.
        assert_eq!(went.tally.action_needed.values().sum::<u64>(), 1);
    }
    assert!(world.forward().is_done());
    assert_eq!(reason(&world.letters()[0]), ("Forbidden", (0, Some(5))));
}

#[test]
fn a_broken_file_delivers_what_is_before_the_fault_and_names_the_rest() {
    let mut bytes = records(30);
    bytes.truncate(bytes.len() / 2);
    let world = World::with(bytes);
    assert!(world.forward().is_done());
    let delivered = world.events().len() as u64;
    assert!(delivered > 10);
    assert_eq!(reason(&world.letters()[0]), ("Corrupt", (delivered, None)));
}

#[test]
fn a_letter_that_cannot_be_sent_brings_the_message_again() {
    for refuses in [true, false] {
        let world = World::with(Vec::new());
        world.put(KEY, Err(ReadError::Gone { code: "NoSuchKey".to_owned() }));
        world.refuse_letters(refuses);
        assert_eq!(world.forward().is_done(), !refuses);
        assert_eq!(world.letters().len(), usize::from(!refuses));
    }
}

#[test]
fn an_outage_is_not_hammered_and_the_message_comes_again() {
    // 40 batches and more; the circuit opens after a few.
    let world = World::with(records(5_000)).fault(Fault::status(503));
    let went = world.forward();
    assert!(!went.is_done() && world.letters().is_empty());
    assert_eq!(went.tally.circuit_open, 1);
    let posts = world.standin.requests().len();
    assert!(posts < 12, "{posts} requests");
}

#[test]
fn findings_whose_key_says_nothing_land_in_their_table_from_the_first_on() {
    let finding = r#"{"id":"1","updatedAt":"2026-01-02T03:04:05Z","resource":{},"service":{}}"#;
    let world = World::with(Vec::new());
    world.put("export.jsonl", Ok(format!("{finding}\n{finding}\n").into_bytes()));
    assert!(world.forward_item(&object_item("export.jsonl"), 1).is_done());
    assert_eq!(world.standin.rows("AWSGuardDuty").len(), 2);
    assert!(world.standin.rows("AWSCloudTrail").is_empty());
}
