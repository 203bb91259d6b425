//! A backfill from this machine: what ends the run, and what becomes a letter while the rest goes on.

use jiff::Timestamp;
use sentinel_forwarder::aws::{Listed, ReadError};
use sentinel_forwarder::backfill::{Carrier, Direct, Done, Halt};
use sentinel_forwarder::standin::Fault;
use tokio::sync::watch;

use crate::world::{KEY, World, names, reason, records};

const SECOND: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/y.json.gz";

/// Carries these one after the other, as one run.
fn carried(world: &World, keys: &[&str], stop: &watch::Sender<bool>) -> Vec<Result<Done, Halt>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let direct = Direct::new(world.forwarder(), "b".to_owned(), 2, stop.subscribe());
        let mut results = Vec::new();
        for key in keys {
            let (key, modified) = ((*key).to_owned(), Timestamp::UNIX_EPOCH);
            results.push(direct.carry(&[Listed { key, bytes: 7, modified, is_archived: false }]).await);
        }
        results
    })
}

fn denied() -> Result<Vec<u8>, ReadError> {
    Err(ReadError::Denied { code: "InvalidObjectState".to_owned() })
}

#[test]
fn what_was_delivered_before_is_counted_and_not_sent() {
    let world = World::ledgered(records(3));
    let results = carried(&world, &[KEY, KEY], &watch::Sender::new(false));
    let first = Done { files: 1, bytes: 7, records: 3, rows: 3, ..Done::default() };
    assert_eq!(results, [Ok(first), Ok(Done { files: 1, bytes: 7, duplicates: 1, ..Done::default() })]);
    assert_eq!(world.events(), names(0..3));
}

#[test]
fn one_object_that_is_denied_among_others_is_a_letter_at_once() {
    let world = World::ledgered(records(3));
    world.put(SECOND, denied());
    let results = carried(&world, &[KEY, SECOND], &watch::Sender::new(false));
    assert_eq!(results[1], Ok(Done { files: 1, bytes: 7, dead_letters: 1, ..Done::default() }));
    assert_eq!(reason(&world.letters()[0]), ("AccessDenied", (0, None)));
}

#[test]
fn where_nothing_can_be_read_the_run_ends_without_a_letter() {
    let world = World::ledgered(records(3));
    world.put(SECOND, denied());
    let results = carried(&world, &[SECOND], &watch::Sender::new(false));
    assert!(matches!(&results[0], Err(Halt::Failed(why)) if why.contains("s3:GetObject")), "{results:?}");
    assert!(world.letters().is_empty());
}

#[test]
fn a_missing_role_ends_the_run_without_a_letter() {
    let world = World::ledgered(records(3)).fault(Fault::status(403));
    let results = carried(&world, &[KEY], &watch::Sender::new(false));
    assert!(
        matches!(&results[0], Err(Halt::Failed(why)) if why.contains("Monitoring Metrics")),
        "{results:?}"
    );
    assert!(world.letters().is_empty() && world.events().is_empty());
}

#[test]
fn an_interruption_ends_the_wait_for_a_sentinel_that_is_down() {
    // The breaks between tries in an invocation end at once where the answer asks for more than it has.
    let world = World::ledgered(records(3)).fault(Fault::status(503).retry_after("600"));
    let stop = watch::Sender::new(false);
    let results = std::thread::scope(|scope| {
        let run = scope.spawn(|| carried(&world, &[KEY], &stop));
        while world.standin.requests().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        stop.send_replace(true);
        run.join().unwrap()
    });
    assert_eq!(results, [Err(Halt::Interrupted)]);
    assert!(world.letters().is_empty());
}

#[test]
fn what_has_not_begun_when_it_is_to_stop_never_does() {
    let world = World::ledgered(records(3));
    assert_eq!(carried(&world, &[KEY], &watch::Sender::new(true)), [Err(Halt::Interrupted)]);
    assert_eq!(world.ledger_writes(), 0);
}
