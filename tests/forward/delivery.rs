//! The ledger's promise: once, however often it is announced, and on from the checkpoint.

use std::time::Duration;

use sentinel_forwarder::aws::ReadError;
use sentinel_forwarder::delivery::{Key, LEASE_MARGIN, Stage};
use sentinel_forwarder::failure::Reason;
use sentinel_forwarder::forward::{MOST_FAILED_ATTEMPTS, Outcome};
use sentinel_forwarder::standin::{Fault, FaultKind};
use sentinel_forwarder::task::{ObjectRef, Task};
use sentinel_forwarder::trigger::{Item, Trigger};

use crate::world::{
    KEY, LedgerFault, World, finding, finding_item, names, object, object_item, reason, records,
};

fn key() -> Key {
    Key::object(&object(KEY))
}

#[test]
fn what_is_announced_again_is_skipped_and_counted_in_whatever_shape() {
    let world = World::ledgered(records(300));
    let nameless = Task::whole(ObjectRef { etag: None, ..object(KEY) });
    for (round, item) in [
        object_item(KEY),
        object_item(KEY),
        // As CloudTrail's own message and a task by hand name it: without its content's tag.
        Item::Object { task: nameless, letter: None },
        Item::Object { task: Task { from_record: 7, ..Task::whole(object(KEY)) }, letter: None },
        Item::Object { task: Task { until_record: Some(9), ..Task::whole(object(KEY)) }, letter: None },
    ]
    .iter()
    .enumerate()
    {
        let went = world.forward_item(item, 1);
        assert!(went.is_done());
        assert_eq!(went.tally.duplicates, u64::from(round > 0), "round {round}");
    }
    assert_eq!(world.events(), names(0..300));
    // Another content under the same key is another object.
    let task = Task::whole(ObjectRef { etag: Some("f".into()), ..object(KEY) });
    assert_eq!(world.forward_item(&Item::Object { task, letter: None }, 1).tally.report().rows, 300);
}

#[test]
fn a_delivery_without_trouble_is_two_writes_and_is_accounted_for() {
    let content = records(60);
    let world = World::ledgered(content.clone());
    assert!(world.forward().is_done());
    assert_eq!(world.ledger_writes(), 2);
    let entry = world.entry(&key());
    assert!(matches!(entry.stage, Stage::Delivered { .. }));
    let counts = &entry.settled.counts;
    assert_eq!((entry.settled.next_record, counts.records, counts.rows), (60, 60, 60));
    assert_eq!(entry.settled.oldest, Some("2026-01-02T03:04:05Z".parse().unwrap()));
    let stated = entry.content.unwrap();
    assert_eq!((stated.size, stated.bytes), (content.len() as u64, content.len() as u64));
    assert_eq!(stated.sha256.len(), 64);
}

#[test]
fn records_are_rows_or_letters_also_where_the_file_breaks_off() {
    let mut content = records(100);
    content.truncate(content.len() / 2);
    let fault = Fault::new(FaultKind::RejectWhere { contains: "Event0007".to_owned() });
    let world = World::ledgered(content).fault(fault);
    assert!(world.forward().is_done());
    let counts = world.entry(&key()).settled.counts;
    assert_eq!(counts.letters, 2);
    assert_eq!(counts.records, counts.rows + counts.letters);
    assert_eq!(counts.rows, world.events().len() as u64);
}

#[test]
fn what_is_in_progress_elsewhere_comes_back_when_its_lease_is_over() {
    let world = World::ledgered(records(10));
    // S3 keeps silent until the invocation is killed.
    world.put_slow(KEY, Ok(records(10)), Duration::from_mins(1));
    let forwarder = world.forwarder();
    let item = object_item(KEY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut tally = sentinel_forwarder::report::Tally::default();
        let killed = forwarder.forward(&item, world.attempt(1), &mut tally);
        assert!(tokio::time::timeout(Duration::from_millis(200), killed).await.is_err());
    });
    world.put(KEY, Ok(records(10)));
    let again = world.forward().outcome.unwrap_err();
    assert!(
        again
            .after
            .is_some_and(|after| after > Duration::from_secs(15) && after <= world.time + LEASE_MARGIN)
    );
    world.edit(|entry| entry.stage = Stage::Claimed { lease_until: jiff::Timestamp::now() });
    assert!(world.forward().is_done());
    assert_eq!(world.events(), names(0..10));
}

#[test]
fn a_body_that_breaks_off_goes_on_from_the_checkpoint() {
    let world = World::ledgered(records(500));
    world.break_after(KEY, 60_000);
    assert!(!world.forward().is_done());
    let settled = world.entry(&key()).settled.next_record;
    assert!(settled > 100, "{settled}");
    world.break_after(KEY, usize::MAX);
    assert!(world.forward().is_done());
    assert_eq!(world.events(), names(0..500));
    assert_eq!(world.entry(&key()).settled.counts.rows, 500);
}

#[test]
fn wherever_a_body_breaks_off_each_record_lands_once() {
    let content = records(60);
    for breaks_after in (1..content.len()).step_by(content.len() / 40) {
        let world = World::ledgered(content.clone());
        world.break_after(KEY, breaks_after);
        assert!(!world.forward().is_done());
        world.break_after(KEY, usize::MAX);
        assert!(world.forward().is_done());
        assert_eq!(world.events(), names(0..60), "broken off after {breaks_after} bytes");
        assert_eq!(world.entry(&key()).settled.counts.rows, 60);
    }
}

#[test]
fn what_was_taken_behind_a_failure_is_not_sent_again() {
    let fault = Fault::new(FaultKind::RejectWhere { contains: "Event0007".to_owned() });
    let world = World::ledgered(records(500)).fault(fault);
    world.refuse_letters(true);
    assert!(!world.forward().is_done());
    assert_eq!(world.entry(&key()).settled.next_record, 7);
    world.refuse_letters(false);
    let went = world.forward();
    assert!(went.is_done());
    assert_eq!(reason(&world.letters()[0]), ("Rejected", (7, Some(8))));
    assert_eq!(world.events(), names((0..500).filter(|number| *number != 7)));
    let counts = world.entry(&key()).settled.counts;
    assert_eq!((counts.records, counts.rows, counts.letters), (500, 499, 1));
}

#[test]
fn when_time_is_up_the_rest_goes_on_as_a_task() {
    for ledgered in [true, false] {
        let mut world = World::ledgered(records(1000));
        if !ledgered {
            world.ledger = None;
        }
        world.time = Duration::from_secs(1);
        world.put_slow(KEY, Ok(records(1000)), Duration::from_millis(5));
        let (mut item, mut rounds) = (object_item(KEY), 0);
        loop {
            rounds += 1;
            match world.forward_item(&item, 1).outcome.unwrap() {
                Outcome::Done => break,
                Outcome::NoTurn => panic!("it was alone"),
                Outcome::GoesOn(task) => {
                    let Trigger::Direct(items) = Trigger::parse(&task.to_json()) else { panic!() };
                    item = items[0].clone();
                    // What was delivered has to be read again.
                    world.time += Duration::from_secs(1);
                }
            }
        }
        assert!(rounds > 1);
        assert_eq!(world.events(), names(0..1000), "ledger {ledgered}");
    }
}

#[test]
fn a_range_that_took_several_invocations_is_a_duplicate_when_it_is_announced_again() {
    let mut world = World::ledgered(records(2000));
    world.time = Duration::from_secs(1);
    world.put_slow(KEY, Ok(records(2000)), Duration::from_millis(5));
    let first = Task { from_record: 7, ..Task::whole(object(KEY)) };
    let mut task = first.clone();
    let mut chain = Vec::new();
    while let Outcome::GoesOn(rest) =
        world.forward_item(&Item::Object { task: task.clone(), letter: None }, 1).outcome.unwrap()
    {
        chain.push(task);
        task = rest;
        world.time += Duration::from_secs(1);
    }
    assert!(chain.len() > 1);
    assert_eq!(chain[0], first);
    chain.push(task);
    for task in chain {
        let went = world.forward_item(&Item::Object { task, letter: None }, 1);
        assert!(went.is_done());
        assert_eq!(went.tally.duplicates, 1);
    }
    assert_eq!(world.events(), names(7..2000));
}

#[test]
fn an_object_is_one_whether_or_not_its_announcement_names_the_version() {
    let versioned = ObjectRef { version_id: Some("v".into()), ..object(KEY) };
    let announcements = [versioned, object(KEY), ObjectRef { etag: None, ..object(KEY) }];
    for first in 0..announcements.len() {
        let world = World::ledgered(records(30));
        world.keep_versions(KEY);
        for place in 0..announcements.len() {
            let object = announcements[(first + place) % announcements.len()].clone();
            let went = world.forward_item(&Item::Object { task: Task::whole(object), letter: None }, 1);
            assert!(went.is_done());
            assert_eq!(went.tally.duplicates, u64::from(place > 0));
        }
        assert_eq!(world.events(), names(0..30));
    }
}

#[test]
fn letters_without_an_id_are_told_apart_by_what_they_are_about() {
    let world = World::ledgered(records(20));
    let letter = |from_record: u64| {
        let task = Task { from_record, until_record: Some(from_record + 1), ..Task::whole(object(KEY)) };
        let letter = format!(
            r#"{{"schema":"sentinel-forwarder/dead-letter/1","reason":"Rejected","task":{}}}"#,
            task.to_json()
        );
        let Trigger::Direct(items) = Trigger::parse(&letter) else { panic!() };
        items[0].clone()
    };
    for (from_record, duplicates) in [(3, 0), (5, 0), (3, 1)] {
        let went = world.forward_item(&letter(from_record), 1);
        assert!(went.is_done());
        assert_eq!(went.tally.duplicates, duplicates, "{from_record}");
    }
    assert_eq!(world.events(), names([3, 5]));
}

#[test]
fn what_never_moves_is_not_tried_for_ever() {
    let mut world = World::ledgered(records(10));
    world.time = Duration::from_millis(300);
    world.put_slow(KEY, Ok(records(10)), Duration::from_secs(5));
    for _ in 1..MOST_FAILED_ATTEMPTS {
        assert!(!world.forward().is_done());
        assert!(world.letters().is_empty());
    }
    assert!(world.forward().is_done());
    assert_eq!(reason(&world.letters()[0]), ("Exhausted", (0, None)));
}

#[test]
fn checkpoints_are_written_on_the_way() {
    let world = World::ledgered(records(8_000));
    assert!(world.forward().is_done());
    let batches = u32::try_from(world.standin.requests().len()).unwrap() - 1;
    assert!(batches > 64);
    // Claimed, delivered, and a checkpoint for every 16 batches at best, every 31 at worst.
    let checkpoints = world.ledger_writes() - 2;
    assert!(checkpoints >= batches / 32 && checkpoints <= batches / 16, "{checkpoints} of {batches}");
}

#[test]
fn a_letter_is_replayed_once_though_its_object_counts_as_delivered() {
    let fault = Fault::new(FaultKind::RejectWhere { contains: "Event0007".to_owned() });
    let world = World::ledgered(records(20)).fault(fault);
    assert!(world.forward().is_done());
    let letter = world.letters()[0].to_string();
    let Trigger::Direct(items) = Trigger::parse(&letter) else { panic!() };
    // Still rejected: the same letter again, which stays to be replayed.
    assert!(world.forward_item(&items[0], 1).is_done());
    assert_eq!(world.letters()[0]["id"], world.letters()[1]["id"]);
    world.standin.clear_faults();
    for duplicates in [0, 1] {
        let went = world.forward_item(&items[0], 1);
        assert!(went.is_done());
        assert_eq!(went.tally.duplicates, duplicates);
    }
    assert_eq!(world.events(), names(0..20));
}

#[test]
fn a_letter_of_what_nobody_knows_comes_back_as_itself_and_the_ledger_remembers_it() {
    let world = World::ledgered(records(1));
    let Trigger::Direct(unknown) = Trigger::parse(r#"{"order":4711}"#) else { panic!() };
    assert!(world.forward_item(&unknown[0], 1).is_done());
    let letter = world.letters()[0].clone();
    let key = Key::letter(letter["id"].as_str().unwrap());
    assert!(!world.knows(&key));
    let Trigger::Direct(replayed) = Trigger::parse(&letter.to_string()) else { panic!() };
    assert!(world.forward_item(&replayed[0], 1).is_done());
    assert_eq!(world.letters()[1]["id"], letter["id"]);
    assert_eq!(world.entry(&key).stage, Stage::Open);
}

const EXPORT: &str = "AWSLogs/111122223333/GuardDuty/us-east-1/2026/01/02/x.jsonl.gz";

#[test]
fn a_finding_is_delivered_once_through_whichever_door() {
    let (one, other) = (finding("f1"), finding("f2"));
    let export = format!("{one}\n{other}\n{one}\n").into_bytes();
    for event_first in [true, false] {
        let world = World::ledgered(Vec::new());
        world.put(EXPORT, Ok(export.clone()));
        let mut items = [finding_item("f1"), object_item(EXPORT)];
        if !event_first {
            items.reverse();
        }
        let mut duplicates = 0;
        for item in &items {
            let went = world.forward_item(item, 1);
            assert!(went.is_done());
            duplicates += went.tally.duplicates;
        }
        assert_eq!((world.standin.rows("AWSGuardDuty").len(), duplicates), (2, 2), "{event_first}");
    }
}

#[test]
fn the_ledger_failing_loses_nothing_and_its_lost_answers_double_nothing() {
    use LedgerFault::{AnswerLost, None, Refused};
    for faults in
        [vec![Refused], vec![None, Refused, Refused, Refused], vec![AnswerLost], vec![None, AnswerLost]]
    {
        let world = World::ledgered(records(30));
        world.ledger_faults(&faults);
        let first = world.forward();
        // A claim comes again; what was uploaded is written down as long as there is time.
        assert_eq!(first.is_done(), faults[0] != Refused);
        assert!(world.forward().is_done());
        assert_eq!(world.events().len(), 30);
    }
}

#[test]
fn findings_are_written_down_though_the_ledger_refuses_for_a_while() {
    let world = World::ledgered(Vec::new());
    let lines: Vec<_> = (0..10).map(|number| finding(&format!("f{number}"))).collect();
    world.put(EXPORT, Ok(lines.join("\n").into_bytes()));
    let claims = 1 + lines.len();
    world.ledger_faults(&[vec![LedgerFault::None; claims], vec![LedgerFault::Refused; 3]].concat());
    assert!(world.forward_item(&object_item(EXPORT), 1).is_done());
    for number in 0..10 {
        assert_eq!(world.forward_item(&finding_item(&format!("f{number}")), 1).tally.duplicates, 1);
    }
}

#[test]
fn no_more_than_31_batches_are_uploaded_while_the_ledger_takes_no_checkpoint() {
    let mut world = World::ledgered(records(8_000));
    world.time = Duration::from_secs(2);
    let mut faults = vec![LedgerFault::Refused; 1_000];
    faults[0] = LedgerFault::None;
    world.ledger_faults(&faults);
    assert!(!world.forward().is_done());
    let batches = world.standin.requests().len() - 1;
    assert!((16..=31).contains(&batches), "{batches}");
}

#[test]
fn who_learns_that_another_took_over_uploads_no_more() {
    let world = World::ledgered(records(8_000));
    world.ledger_faults(&[LedgerFault::None, LedgerFault::TakenOver]);
    let again = world.forward().outcome.unwrap_err();
    assert_eq!(again.why, "another took it over");
    let batches = world.standin.requests().len() - 1;
    assert!((16..=31).contains(&batches), "{batches}");
    assert_eq!(world.entry(&key()).holder, "another");
}

#[test]
fn a_panic_brings_the_message_again_and_at_last_becomes_a_letter() {
    let world = World::ledgered(Vec::new());
    world.put(KEY, Err(ReadError::NotAllowed));
    for crashes in 1..MOST_FAILED_ATTEMPTS {
        assert!(!world.forward().is_done());
        assert!(world.letters().is_empty());
        let entry = world.entry(&key());
        // Nobody waits for the lease of what is no longer in work.
        assert_eq!((entry.stage, entry.failures[&Reason::Crashed]), (Stage::Open, crashes));
    }
    assert!(world.forward().is_done());
    assert_eq!(reason(&world.letters()[0]), ("Crashed", (0, Option::None)));
    assert!(matches!(world.entry(&key()).stage, Stage::Delivered { .. }));
}

#[test]
fn what_kills_its_workers_becomes_a_letter() {
    let world = World::ledgered(records(10));
    assert!(world.forward().is_done());
    world.edit(|entry| {
        entry.stage = Stage::Claimed { lease_until: jiff::Timestamp::now() };
        entry.settled.next_record = 4;
        entry.takeovers = 9;
    });
    assert!(world.forward().is_done());
    assert_eq!(reason(&world.letters()[0]), ("Crashed", (4, None)));
}
