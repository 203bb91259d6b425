//! Dead letters are written for what failed, never for how often a message was received or how long others took.

use std::time::Duration;

use sentinel_forwarder::delivery::{Key, Stage};
use sentinel_forwarder::failure::Reason;
use sentinel_forwarder::forward::{MOST_FAILED_ATTEMPTS, Outcome};
use sentinel_forwarder::standin::{Fault, FaultKind};
use sentinel_forwarder::trigger::Trigger;

use crate::world::{KEY, World, finding, names, object, object_item, records, records_of};

#[test]
fn receives_of_an_outage_are_no_attempts_that_failed_for_another_reason() {
    let world = World::ledgered(records(5)).fault(Fault::status(503));
    let item = object_item(KEY);
    assert!(!world.forward_item(&item, 60).is_done());
    assert!(world.entry(&Key::object(&object(KEY))).failures.is_empty());
    world.standin.clear_faults();
    world.standin.inject(Fault::status(403));
    assert!(!world.forward_item(&item, 61).is_done());
    assert!(world.letters().is_empty());
    let failures = world.entry(&Key::object(&object(KEY))).failures;
    assert_eq!(failures.into_iter().collect::<Vec<_>>(), [(Reason::Forbidden, 1)]);
}

#[test]
fn an_event_without_an_entry_of_its_own_is_counted_as_well() {
    let event = r#"{"source":"aws.s3","detail-type":"AWS API Call via CloudTrail","detail":{"eventName":"A","eventTime":"2026-01-02T03:04:05Z"}}"#;
    let Trigger::Direct(items) = Trigger::parse(event) else { panic!() };
    let world = World::ledgered(Vec::new()).fault(Fault::status(403));
    for _ in 1..MOST_FAILED_ATTEMPTS {
        assert!(!world.forward_item(&items[0], 90).is_done());
        assert!(world.letters().is_empty());
    }
    assert!(world.forward_item(&items[0], 90).is_done());
    assert_eq!(world.letters()[0]["reason"], "Forbidden");
}

#[test]
fn an_object_that_had_no_turn_is_left_as_it_was() {
    let mut world = World::ledgered(Vec::new());
    world.time = Duration::from_millis(500);
    let keys: Vec<_> = (0..10).map(|number| format!("{KEY}-{number}")).collect();
    for key in &keys {
        world.put_slow(key, Ok(records(10)), Duration::from_secs(5));
    }
    let items: Vec<_> = keys.iter().map(|key| object_item(key)).collect();
    let went = world.forward_all(&items);
    let had_none: Vec<_> = went.iter().filter(|went| went.outcome == Ok(Outcome::NoTurn)).collect();
    assert_eq!(had_none.len(), 6);
    let known = keys.iter().filter(|key| world.knows(&Key::object(&object(key)))).count();
    assert_eq!((known, world.letters().len()), (4, 0));
}

#[test]
fn a_file_of_findings_moves_on_however_slow_the_ledger_is() {
    const KEY: &str = "AWSLogs/111122223333/GuardDuty/us-east-1/2026/01/02/x.jsonl.gz";
    let lines: Vec<_> = (0..1_500).map(|number| finding(&number.to_string())).collect();
    let mut world = World::ledgered(Vec::new());
    world.put(KEY, Ok(lines.join("\n").into_bytes()));
    world.ledger.as_mut().unwrap().pause = Duration::from_millis(10);
    world.time = Duration::from_secs(3);
    world.forward_to_the_end(&object_item(KEY));
    assert_eq!((world.standin.rows("AWSGuardDuty").len(), world.letters().len()), (1_500, 0));
}

#[test]
fn findings_that_a_file_names_twice_land_once_wherever_they_stand() {
    const KEY: &str = "AWSLogs/111122223333/GuardDuty/us-east-1/2026/01/02/x.jsonl.gz";
    let numbers: Vec<u32> = (0..100).chain(60..140).chain([5, 5, 139]).collect();
    let lines: Vec<_> = numbers.iter().map(|number| finding(&number.to_string())).collect();
    let broken = [lines[..50].join("\n"), "7".to_owned(), lines[50..].join("\n")].join("\n");
    let world = World::ledgered(Vec::new());
    world.put(KEY, Ok(broken.into_bytes()));
    let went = world.forward_item(&object_item(KEY), 1);
    assert!(went.is_done());
    assert_eq!((world.standin.rows("AWSGuardDuty").len(), went.tally.duplicates), (140, 43));
    assert_eq!(world.letters().len(), 1);
    let counts = world.entry(&Key::object(&object(KEY))).settled.counts;
    assert_eq!((counts.records, counts.rows, counts.duplicates, counts.letters), (184, 140, 43, 1));
}

#[test]
fn a_slow_dead_letter_queue_holds_up_no_checkpoint() {
    // Every fourth record is none.
    let elements: Vec<_> = (0..400)
        .map(|number| {
            let one = String::from_utf8(records_of(number..number + 1)).unwrap();
            let record = one.trim_start_matches("{\"Records\":[").trim_end_matches("]}").to_owned();
            if number % 4 == 0 { "7".to_owned() } else { record }
        })
        .collect();
    let mut world = World::ledgered(format!("{{\"Records\":[{}]}}", elements.join(",")).into_bytes());
    world.letters.pause = Duration::from_millis(800);
    world.time = Duration::from_secs(3);
    world.forward_to_the_end(&object_item(KEY));
    let mut letters: Vec<_> =
        world.letters().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect();
    let written = letters.len();
    letters.sort();
    letters.dedup();
    assert_eq!(letters.len(), 100);
    assert!(written <= 150, "{written} letters were written about 100 records");
    assert_eq!(world.events(), names((0..400).filter(|number| number % 4 != 0)), "each row once");
    let entry = world.entry(&Key::object(&object(KEY)));
    assert!(matches!(entry.stage, Stage::Delivered { .. }));
    let counts = entry.settled.counts;
    assert_eq!((counts.records, counts.rows, counts.letters), (400, 300, 100));
}

#[test]
fn an_event_that_no_letter_can_hold_reaches_the_queue_as_it_came() {
    let mut world = World::ledgered(Vec::new());
    let event = format!(r#"{{"order":"{}"}}"#, "x".repeat(300_000));
    world.letters.most_bytes = Some(event.len());
    let Trigger::Direct(items) = Trigger::parse(&event) else { panic!() };
    let went = world.forward_item(&items[0], 1);
    assert!(went.is_done());
    assert_eq!(went.tally.letters[&Reason::UnknownTrigger], 1);
    assert_eq!(world.letters().iter().map(ToString::to_string).collect::<Vec<_>>(), [event]);
}

#[test]
fn letters_of_a_file_that_breaks_off_are_counted_once_though_the_queue_refuses_at_first() {
    let mut content = records(100);
    content.truncate(content.len() / 2);
    let fault = Fault::new(FaultKind::RejectWhere { contains: "Event0007".to_owned() });
    let world = World::ledgered(content).fault(fault);
    world.refuse_letters(true);
    for _ in 0..3 {
        assert!(!world.forward().is_done());
    }
    world.refuse_letters(false);
    assert!(world.forward().is_done());
    let counts = world.entry(&Key::object(&object(KEY))).settled.counts;
    assert_eq!((counts.letters, counts.rows), (2, world.events().len() as u64));
    assert_eq!(counts.records, counts.rows + counts.letters);
}
