//! Watches: told once it is safe, never two at a time, and never again by themselves.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sentinel_forwarder::aws::{GuardDutyError, LedgerError, QueueError, ReadError};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::delivery::{Key, Stage};
use sentinel_forwarder::digest::{Account, DigestKey, Head};
use sentinel_forwarder::failure::Reason;
use sentinel_forwarder::forward::{Checks, Outcome};
use sentinel_forwarder::notary::{Examine, ExamineError, Examined, Opened, Silence, Silent};
use sentinel_forwarder::report::Tally;
use sentinel_forwarder::standin::Fault;
use sentinel_forwarder::task::{ObjectRef, Task};
use sentinel_forwarder::trigger::{Item, Watch};
use sentinel_forwarder::watch::{WatchError, Watched, Watchman};
use serde_json::Value;

use super::world::{World, object};

const TABLE: &str = "SentinelForwarderCompleteness_CL";
const DIGEST: &str = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/10/\
     111122223333_CloudTrail-Digest_eu-west-1_main_us-east-1_20260310T100131Z.json.gz";

/// What there is to tell, and what was told and queued.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    silence: Silence,
    told: usize,
    queued: Vec<Task>,
    findings_watched: u32,
    denied: bool,
}

impl Examine for Seen {
    fn open<'a>(&'a self, _: &'a ObjectRef, _: DigestKey) -> BoxFuture<'a, Result<Opened, ReadError>> {
        panic!("no digest comes")
    }

    fn examine<'a>(&'a self, _: &'a Opened, _: Deadline) -> BoxFuture<'a, Result<Examined, ExamineError>> {
        panic!("no digest comes")
    }

    fn queue<'a>(&'a self, tasks: &'a [Task]) -> BoxFuture<'a, Result<(), QueueError>> {
        self.0.lock().unwrap().queued.extend_from_slice(tasks);
        async { Ok(()) }.boxed()
    }

    fn remember<'a>(&'a self, _: &'a Opened, _: &'a Account) -> BoxFuture<'a, Result<(), LedgerError>> {
        panic!("no digest comes")
    }

    fn silence(&self, _: Timestamp, _: Deadline) -> BoxFuture<'_, Result<Silence, ExamineError>> {
        let silence = self.0.lock().unwrap().silence.clone();
        async { Ok(silence) }.boxed()
    }

    fn note_told<'a>(&'a self, _: &'a Silent) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.0.lock().unwrap().told += 1;
        async { Ok(()) }.boxed()
    }
}

impl Watchman for Seen {
    fn watch(&self, _: Timestamp, _: Deadline) -> BoxFuture<'_, (Watched, Result<(), WatchError>)> {
        let mut inside = self.0.lock().unwrap();
        inside.findings_watched += 1;
        let code = "AccessDeniedException".to_owned();
        let result = if inside.denied { Err(GuardDutyError::Denied { code }.into()) } else { Ok(()) };
        async { (Watched { missing: 2, is_cut_off: false }, result) }.boxed()
    }
}

impl Seen {
    /// A chain that has been silent for two hours.
    fn of_silence() -> Self {
        let head = Head {
            since: "2026-03-10T09:01:31Z".parse().unwrap(),
            end: "2026-03-10T10:01:31Z".parse().unwrap(),
            bucket: "b".to_owned(),
            key: DIGEST.to_owned(),
            told: None,
        };
        let missed = head.missed("2026-03-10T14:30:00Z".parse().unwrap());
        let chain = DigestKey::parse(DIGEST).unwrap().chain;
        let seen = Self::default();
        seen.0.lock().unwrap().silence =
            Silence { chains: vec![Silent { chain, head, missed }], unannounced: Vec::new() };
        seen
    }

    fn told(&self) -> usize {
        self.0.lock().unwrap().told
    }

    /// Keeps a watch.
    fn watch(&self, world: &World, watch: Watch, sends_rows: bool) -> Tally {
        let checks = Checks { notary: Box::new(self.clone()), sends_rows };
        let forwarder = world.forwarder().checking(checks).watching(Box::new(self.clone()));
        let mut tally = Tally::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let item = Item::Watch(watch);
        let outcome = runtime.block_on(forwarder.forward(&item, world.attempt(1), &mut tally));
        assert_eq!(outcome, Ok(Outcome::Done), "it never comes again");
        tally
    }
}

const ALL: Watch = Watch { findings: true };

fn ends(world: &World) -> Vec<String> {
    let rows = world.standin.rows(TABLE);
    let end = |row: &String| {
        let row: Value = serde_json::from_str(row).unwrap();
        assert_eq!(row["Findings"][0]["Name"], "Overdue");
        row["DigestEnd"].as_str().unwrap().to_owned()
    };
    rows.iter().map(end).collect()
}

#[test]
fn each_missed_hour_is_a_row_and_counted() {
    let (world, seen) = (World::ledgered(Vec::new()), Seen::of_silence());
    let tally = seen.watch(&world, ALL, true);
    assert_eq!(ends(&world), ["2026-03-10T11:01:31Z", "2026-03-10T12:01:31Z"]);
    assert_eq!((tally.digests_overdue, tally.findings_missing, tally.watches), (2, 2, 1));
    assert_eq!(seen.told(), 1);
    // Without rows, and without findings.
    let tally = seen.watch(&world, Watch { findings: false }, false);
    assert_eq!(ends(&world).len(), 2);
    assert_eq!((tally.digests_overdue, tally.findings_missing, tally.watches), (2, 0, 1));
    assert_eq!((seen.told(), seen.0.lock().unwrap().findings_watched), (2, 1));
}

#[test]
fn what_sentinel_did_not_take_is_told_by_the_next_watch() {
    let world = World::ledgered(Vec::new()).fault(Fault::status(403));
    let seen = Seen::of_silence();
    let tally = seen.watch(&world, ALL, true);
    assert_eq!((seen.told(), tally.digests_overdue, tally.watches), (0, 0, 0));
    assert_eq!(tally.action_needed[&Reason::Forbidden], 1);
    assert_eq!(tally.findings_missing, 2, "one part does not stop the other");
    world.standin.clear_faults();
    assert_eq!(seen.watch(&world, ALL, true).watches, 1);
    assert_eq!((seen.told(), ends(&world).len()), (1, 2));
}

#[test]
fn digests_that_nobody_announced_are_put_on_the_work_queue() {
    let (world, seen) = (World::ledgered(Vec::new()), Seen::default());
    seen.0.lock().unwrap().silence.unannounced = vec![Task::whole(object(DIGEST))];
    let tally = seen.watch(&world, Watch { findings: false }, true);
    assert_eq!((tally.continuations, tally.watches, tally.digests_overdue), (1, 1, 0));
    assert_eq!(seen.0.lock().unwrap().queued, [Task::whole(object(DIGEST))]);
}

#[test]
fn two_watches_are_never_kept_at_a_time() {
    let (world, seen) = (World::ledgered(Vec::new()), Seen::of_silence());
    assert_eq!(seen.watch(&world, ALL, true).watches, 1);
    let lease_until = Timestamp::now() + world.time;
    world.edit(|entry| entry.stage = Stage::Claimed { lease_until });
    let tally = seen.watch(&world, ALL, true);
    assert_eq!((tally.ignored, tally.watches, seen.told()), (1, 0, 1));
    // Whoever kept it died.
    world.edit(|entry| entry.stage = Stage::Claimed { lease_until: Timestamp::UNIX_EPOCH });
    assert_eq!(seen.watch(&world, ALL, true).watches, 1);
    assert_eq!(world.entry(&Key::watch(None)).stage, Stage::Open);
}

#[test]
fn a_denial_is_an_operators_and_the_digests_are_watched_all_the_same() {
    let (world, seen) = (World::ledgered(Vec::new()), Seen::of_silence());
    seen.0.lock().unwrap().denied = true;
    let tally = seen.watch(&world, ALL, true);
    assert_eq!(tally.action_needed[&Reason::AccessDenied], 1);
    assert_eq!((tally.digests_overdue, tally.watches), (2, 0));
}

#[test]
fn without_a_ledger_there_is_nothing_to_compare_with() {
    let world = World::with(Vec::new());
    let went = world.forward_item(&Item::Watch(ALL), 1);
    assert!(went.is_done());
    assert_eq!((went.tally.ignored, went.tally.watches), (1, 0));
}
