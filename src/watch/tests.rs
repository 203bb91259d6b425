//! The watch over findings with a `GuardDuty`, notes and a queue in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::aws::{IdPage, Note};
use crate::delivery::{Entry, Settled, Stage};
use crate::trigger::{Item, Trigger};

/// Findings a page, so that the tests turn some.
const PAGE: usize = 3;
const DETECTOR: &str = "12abc34d567e8fa901bc2d34e56789f0";

#[derive(Clone, Default)]
struct World(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// Id, time of the last update, occurrences.
    findings: Vec<(String, Timestamp, u64)>,
    entries: HashMap<String, Entry>,
    notes: HashMap<String, Note>,
    queued: Vec<String>,
    asked_since: Vec<Timestamp>,
    refuses: bool,
    contents: usize,
}

impl Findings for World {
    async fn detectors(&self) -> Result<Vec<Detector>, GuardDutyError> {
        Ok(vec![Detector { id: DETECTOR.to_owned(), tells_every: SignedDuration::from_hours(6) }])
    }

    async fn updated_since(
        &self,
        detector: &str,
        since: Timestamp,
        page: Option<&str>,
    ) -> Result<IdPage, GuardDutyError> {
        assert_eq!(detector, DETECTOR);
        let mut inside = self.0.lock().unwrap();
        inside.asked_since.push(since);
        inside.findings.sort_by_key(|(_, updated_at, _)| *updated_at);
        let from = page.map_or(0, |page| page.parse().unwrap());
        let found: Vec<String> =
            inside.findings.iter().filter(|(_, at, _)| *at >= since).map(|(id, ..)| id.clone()).collect();
        let next = (found.len() > from + PAGE).then(|| (from + PAGE).to_string());
        Ok(IdPage { ids: found.into_iter().skip(from).take(PAGE).collect(), next })
    }

    async fn findings(&self, _: &str, ids: &[String]) -> Result<Vec<String>, GuardDutyError> {
        let mut inside = self.0.lock().unwrap();
        inside.contents += ids.len();
        let found = inside.findings.iter().filter(|(id, ..)| ids.contains(id));
        Ok(found.map(|(id, at, count)| text(id, *at, *count)).collect())
    }
}

impl Notes for World {
    async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        let inside = self.0.lock().unwrap();
        let found = keys.iter().filter_map(|key| inside.entries.get_key_value(key.as_str()));
        Ok(found.map(|(key, entry)| (key.clone(), entry.clone())).collect())
    }

    async fn notes(&self, _: &[Key]) -> Result<HashMap<String, Note>, LedgerError> {
        Ok(HashMap::new())
    }

    async fn scan(&self, _: &(dyn Fn(&str, Note) + Sync)) -> Result<u64, LedgerError> {
        panic!("the function scans nothing");
    }

    async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        Ok(self.0.lock().unwrap().notes.get(key.as_str()).cloned().unwrap_or_default())
    }

    async fn write_note(&self, key: &Key, note: &Note) -> Result<(), LedgerError> {
        let note = Note { version: note.version + 1, content: note.content.clone() };
        self.0.lock().unwrap().notes.insert(key.as_str().to_owned(), note);
        Ok(())
    }
}

impl Queue for World {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        let mut inside = self.0.lock().unwrap();
        if inside.refuses {
            return vec![Err(QueueError { code: "refused".to_owned() }); bodies.len()];
        }
        inside.queued.extend_from_slice(bodies);
        vec![Ok(()); bodies.len()]
    }

    async fn hide_all(&self, _: &[(&str, Duration)]) -> Result<(), QueueError> {
        Ok(())
    }

    fn is(&self, _: &str) -> bool {
        false
    }
}

fn text(id: &str, updated_at: Timestamp, count: u64) -> String {
    format!(
        r#"{{"id":"{id}","severity":5.30,"updatedAt":"{updated_at:.3}","service":{{"archived":false,"count":{count}}},"new":1}}"#
    )
}

fn at(text: &str) -> Timestamp {
    format!("2026-03-10T{text}Z").parse().unwrap()
}

impl World {
    fn find(&self, id: &str, updated_at: &str, count: u64) {
        let mut inside = self.0.lock().unwrap();
        inside.findings.retain(|(other, ..)| other != id);
        inside.findings.push((id.to_owned(), at(updated_at), count));
    }

    /// Makes an entry, as whoever begins to forward a finding does.
    fn know(&self, id: &str, updated_at: &str, stage: Stage) {
        let key = Key::finding(id, &format!("{:.3}", at(updated_at)));
        let entry = Entry {
            version: 1,
            holder: String::new(),
            stage,
            settled: Settled::default(),
            takeovers: 0,
            failures: std::collections::BTreeMap::default(),
            announced_at: Timestamp::UNIX_EPOCH,
            content: None,
        };
        self.0.lock().unwrap().entries.insert(key.as_str().to_owned(), entry);
    }

    fn watch(&self, now: &str) -> (Watched, Result<(), WatchError>) {
        self.watch_for(now, Duration::from_mins(1))
    }

    fn watch_for(&self, now: &str, time: Duration) -> (Watched, Result<(), WatchError>) {
        let watch = FindingWatch::new(self.clone(), self.clone(), self.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(watch.watch(at(now), Deadline::at(Instant::now() + time)))
    }

    /// The ids of the findings that were queued since, each as the function understands it.
    fn queued(&self) -> Vec<String> {
        let queued = std::mem::take(&mut self.0.lock().unwrap().queued);
        let id = |body: &String| {
            let Trigger::Direct(items) = Trigger::parse(body) else { panic!("no queue sends it bare") };
            let [Item::Event { record, .. }] = &items[..] else { panic!("{items:?}") };
            let [id] = json::pick(record, ["id"]).unwrap();
            json::string(id.unwrap()).unwrap().into_owned()
        };
        queued.iter().map(id).collect()
    }

    fn asked_since(&self) -> Timestamp {
        *self.0.lock().unwrap().asked_since.last().unwrap()
    }
}

#[test]
fn what_the_ledger_does_not_know_is_brought_as_it_is_written() {
    let world = World::default();
    world.find("delivered", "11:00:00", 1);
    world.find("under-way", "11:01:00", 1);
    world.find("missing", "11:02:00", 1);
    world.find("too", "11:02:30", 1);
    world.know("delivered", "11:00:00", Stage::Delivered { at: Timestamp::UNIX_EPOCH });
    world.know("under-way", "11:01:00", Stage::Open);
    // Of another state of the same finding.
    world.know("too", "10:00:00", Stage::Delivered { at: Timestamp::UNIX_EPOCH });
    let (watched, result) = world.watch("12:00:00");
    assert_eq!((watched, result), (Watched { missing: 2, is_cut_off: false }, Ok(())));
    assert!(world.0.lock().unwrap().queued[0].contains(&text("missing", at("11:02:00"), 1)));
    assert_eq!(world.queued(), ["missing", "too"]);
    // The next one knows of them, or looks at no more than the overlap.
    assert_eq!(world.watch("12:15:00").0.missing, 0);
    assert_eq!(world.asked_since(), at("11:30:00"));
}

#[test]
fn what_may_be_on_its_way_is_left_to_the_next_watch() {
    let world = World::default();
    world.find("new", "11:45:01", 1);
    assert_eq!(world.watch("12:00:00").0.missing, 0);
    assert_eq!(world.watch("12:15:00").0.missing, 1);
    world.know("new", "11:45:01", Stage::Open);
    // It occurred again: an event tells of it within the six hours that the detector is set to.
    world.find("again", "12:00:00", 2);
    for now in ["12:30:00", "15:00:00", "18:14:59"] {
        assert_eq!(world.watch(now).0.missing, 0, "{now}");
    }
    assert_eq!(world.watch("18:15:00").0.missing, 1);
    assert_eq!(world.queued(), ["new", "again"]);
    // Once nothing is waited for, it is looked at no more.
    world.know("again", "12:00:00", Stage::Open);
    assert_eq!(world.watch("18:30:00"), (Watched::default(), Ok(())));
    assert_eq!(world.watch("18:45:00"), (Watched::default(), Ok(())));
    assert_eq!(world.asked_since(), at("18:00:00"));
}

#[test]
fn the_first_watch_looks_back_a_day() {
    let world = World::default();
    assert_eq!(world.watch("12:00:00"), (Watched::default(), Ok(())));
    assert_eq!(world.asked_since(), at("12:00:00") - SignedDuration::from_hours(24));
}

#[test]
fn nothing_is_passed_over_that_the_queue_did_not_take() {
    let world = World::default();
    world.find("missing", "11:00:00", 1);
    world.0.lock().unwrap().refuses = true;
    let (watched, result) = world.watch("12:00:00");
    assert_eq!(watched.missing, 0);
    assert!(matches!(result, Err(WatchError::Queue(_))));
    world.0.lock().unwrap().refuses = false;
    assert_eq!(world.watch("13:30:00").0.missing, 1, "whenever the next one comes");
}

#[test]
fn a_watch_without_time_goes_on_where_it_was_cut_off() {
    let world = World::default();
    for number in 0..10 {
        world.find(&format!("{number}"), &format!("11:{number:02}:00"), 1);
    }
    let mut times = 0;
    loop {
        let (watched, result) = world.watch_for("12:00:00", Duration::ZERO);
        assert_eq!(result, Ok(()));
        times += 1;
        for id in world.queued() {
            world.know(&id, &format!("11:0{id}:00"), Stage::Open);
        }
        if !watched.is_cut_off {
            break;
        }
        assert!(times < 20, "it gets nowhere");
    }
    let inside = world.0.lock().unwrap();
    assert_eq!(inside.entries.len(), 10);
    assert!(inside.queued.is_empty());
}

#[test]
fn pages_are_turned_to_the_end() {
    let world = World::default();
    for number in 0..50 {
        world.find(&format!("{number}"), &format!("11:00:{number:02}"), 1);
    }
    assert_eq!(world.watch("12:00:00").0.missing, 50);
    assert_eq!(world.0.lock().unwrap().contents, 50);
}
