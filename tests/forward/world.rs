//! What surrounds the pipeline in a test.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sentinel_forwarder::aws::{
    Chunks, Ledger, LedgerError, ObjectReader, Queue, QueueError, ReadError, http_client,
};
use sentinel_forwarder::config::{Api, Config};
use sentinel_forwarder::credential::{Proof, ProofError, ProofSource};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::delivery::{Entry, Key, Stage};
use sentinel_forwarder::forward::{Attempt, ComeAgain, Forwarder, Limits, MOST_FAILED_ATTEMPTS, Outcome};
use sentinel_forwarder::report::Tally;
use sentinel_forwarder::sentinel::LogsIngestionSink;
use sentinel_forwarder::standin::{Fault, Settings, Standin};
use sentinel_forwarder::task::{ObjectRef, Task};
use sentinel_forwarder::trigger::{Item, Trigger};
use serde_json::Value;
use tokio::sync::Notify;

pub(crate) const KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/x.json.gz";

struct Secret(String);

impl ProofSource for Secret {
    async fn proof(&self) -> Result<Proof, ProofError> {
        Ok(Proof::Secret(self.0.clone().into()))
    }
}

/// Objects by their keys, read in chunks.
#[derive(Clone, Default)]
pub(crate) struct Objects(Arc<Mutex<HashMap<String, Object>>>);

#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) content: Result<Vec<u8>, ReadError>,
    /// How long S3 takes for a chunk.
    pub(crate) pause: Duration,
    /// How many bytes come before the body breaks off.
    pub(crate) breaks_after: usize,
    /// Whether it keeps silent from there on instead.
    pub(crate) stalls: bool,
    /// Its version, where the bucket keeps versions.
    pub(crate) version_id: Option<String>,
    /// Told when it is read, which kills the function.
    pub(crate) kills: Option<Arc<Notify>>,
}

impl ObjectReader for Objects {
    type Chunks = InMemory;

    async fn open(&self, object: &ObjectRef) -> Result<(ObjectRef, InMemory), ReadError> {
        let found = self.0.lock().unwrap().get(&object.key).cloned();
        let found = found.ok_or(ReadError::Gone { code: "NoSuchKey".to_owned() })?;
        assert_ne!(found.content, Err(ReadError::NotAllowed), "a crash that the test asks for");
        let etag = object.etag.clone().or(Some("e".to_owned()));
        Ok((
            ObjectRef { etag, version_id: found.version_id, ..object.clone() },
            InMemory {
                bytes: found.content?.into(),
                pause: found.pause,
                left: found.breaks_after,
                stalls: found.stalls,
                kills: found.kills,
            },
        ))
    }
}

pub(crate) struct InMemory {
    bytes: Bytes,
    pause: Duration,
    left: usize,
    stalls: bool,
    kills: Option<Arc<Notify>>,
}

impl Chunks for InMemory {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        tokio::time::sleep(self.pause).await;
        if let Some(killed) = &self.kills {
            killed.notify_one();
            std::future::pending::<()>().await;
        }
        if self.left == 0 && self.stalls {
            std::future::pending::<()>().await;
        }
        if self.left == 0 {
            return Err(ReadError::Unavailable { code: "the body broke off".to_owned() });
        }
        let chunk = self.bytes.split_to(self.bytes.len().min(1000).min(self.left));
        self.left -= chunk.len();
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

#[derive(Clone, Default)]
pub(crate) struct Letters {
    sent: Arc<Mutex<Vec<Value>>>,
    refuses: Arc<Mutex<bool>>,
    /// How long each call of ten takes.
    pub(crate) pause: Duration,
    /// What is longer is refused.
    pub(crate) most_bytes: Option<usize>,
}

impl Queue for Letters {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        let send = |body: &String| {
            if *self.refuses.lock().unwrap() || self.most_bytes.is_some_and(|most| body.len() > most) {
                return Err(QueueError { code: "refused".to_owned() });
            }
            let sent = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
            self.sent.lock().unwrap().push(sent);
            Ok(())
        };
        let mut all = Vec::new();
        for call in bodies.chunks(10) {
            tokio::time::sleep(self.pause).await;
            all.extend(call.iter().map(send));
        }
        all
    }

    async fn hide_all(&self, _: &[(&str, Duration)]) -> Result<(), QueueError> {
        Ok(())
    }

    fn is(&self, _: &str) -> bool {
        false
    }
}

/// Entries in memory; a write may fail before it is done, or lose its answer after.
#[derive(Clone, Default)]
pub(crate) struct InMemoryLedger {
    entries: Arc<Mutex<HashMap<Key, Entry>>>,
    /// For each write that comes: whether it is refused, or its answer is lost.
    faults: Arc<Mutex<Vec<LedgerFault>>>,
    writes: Arc<Mutex<u32>>,
    /// How long each write takes.
    pub(crate) pause: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LedgerFault {
    None,
    Refused,
    AnswerLost,
    /// Another has claimed it meanwhile.
    TakenOver,
}

impl Ledger for InMemoryLedger {
    async fn write(&self, key: &Key, entry: &Entry) -> Result<(), LedgerError> {
        *self.writes.lock().unwrap() += 1;
        tokio::time::sleep(self.pause).await;
        let fault = self.faults.lock().unwrap().pop().unwrap_or(LedgerFault::None);
        if fault == LedgerFault::Refused {
            return Err(LedgerError::Unavailable { code: "refused".to_owned() });
        }
        let mut entries = self.entries.lock().unwrap();
        if fault == LedgerFault::TakenOver {
            let taken = entries.get_mut(key).unwrap();
            (taken.version, taken.holder) = (taken.version + 1, "another".to_owned());
        }
        let found = entries.get(key);
        if found.map_or(0, |found| found.version) != entry.version - 1 {
            return Err(LedgerError::Conflict(found.cloned().map(Box::new)));
        }
        entries.insert(key.clone(), entry.clone());
        // The SDK asks again, and finds its own entry there.
        match fault {
            LedgerFault::AnswerLost => Err(LedgerError::Conflict(Some(Box::new(entry.clone())))),
            _ => Ok(()),
        }
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, LedgerError> {
        Ok(self.entries.lock().unwrap().get(key).cloned())
    }
}

/// One stand-in, objects, letters and a ledger; items are forwarded by a new function each time.
pub(crate) struct World {
    pub(crate) standin: Standin,
    pub(crate) objects: Objects,
    pub(crate) letters: Letters,
    pub(crate) ledger: Option<InMemoryLedger>,
    /// How long an invocation may take.
    pub(crate) time: Duration,
}

/// How one item went.
pub(crate) struct Went {
    pub(crate) outcome: Result<Outcome, ComeAgain>,
    pub(crate) tally: Tally,
}

impl Went {
    pub(crate) fn is_done(&self) -> bool {
        self.outcome == Ok(Outcome::Done)
    }
}

impl World {
    /// A world without a ledger, that holds this object.
    pub(crate) fn with(content: Vec<u8>) -> Self {
        let world = Self {
            standin: Standin::start(Settings::default()).unwrap(),
            objects: Objects::default(),
            letters: Letters::default(),
            ledger: None,
            time: Duration::from_secs(20),
        };
        world.put(KEY, Ok(content));
        world
    }

    pub(crate) fn ledgered(content: Vec<u8>) -> Self {
        Self { ledger: Some(InMemoryLedger::default()), ..Self::with(content) }
    }

    pub(crate) fn put(&self, key: &str, content: Result<Vec<u8>, ReadError>) {
        self.put_slow(key, content, Duration::ZERO);
    }

    pub(crate) fn put_slow(&self, key: &str, content: Result<Vec<u8>, ReadError>, pause: Duration) {
        let (breaks_after, stalls, version_id, kills) = (usize::MAX, false, None, None);
        let object = Object { content, pause, breaks_after, stalls, version_id, kills };
        self.objects.0.lock().unwrap().insert(key.to_owned(), object);
    }

    pub(crate) fn keep_versions(&self, key: &str) {
        self.objects.0.lock().unwrap().get_mut(key).unwrap().version_id = Some("v".to_owned());
    }

    pub(crate) fn break_after(&self, key: &str, bytes: usize) {
        self.objects.0.lock().unwrap().get_mut(key).unwrap().breaks_after = bytes;
    }

    /// Puts an object that kills the function once it is read.
    pub(crate) fn put_killer(&self, key: &str) -> Arc<Notify> {
        self.put(key, Ok(Vec::new()));
        let killed = Arc::new(Notify::new());
        self.objects.0.lock().unwrap().get_mut(key).unwrap().kills = Some(Arc::clone(&killed));
        killed
    }

    /// What Lambda's time-out or a kill leaves behind, once the leases have run out.
    pub(crate) fn let_leases_run_out(&self) {
        self.edit(|entry| {
            if let Stage::Claimed { lease_until } = &mut entry.stage {
                *lease_until = jiff::Timestamp::now();
            }
        });
    }

    /// Forwards an item until it is done, in invocations that are killed at their end, and counts them.
    pub(crate) fn forward_to_the_end(&self, item: &Item) -> u32 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for round in 1..=20 {
            let ends = self.time * 6 / 5;
            let attempt = Attempt { ends: Deadline::at(Instant::now() + ends), ..self.attempt(round) };
            let (forwarder, mut tally) = (self.forwarder(), Tally::default());
            let outcome = runtime.block_on(async {
                tokio::time::timeout(ends, forwarder.forward(item, attempt, &mut tally)).await
            });
            if matches!(outcome, Ok(Ok(Outcome::Done))) {
                return round;
            }
            self.let_leases_run_out();
        }
        panic!("not done after 20 invocations")
    }

    pub(crate) fn stall_after(&self, key: &str, bytes: usize) {
        self.break_after(key, bytes);
        self.objects.0.lock().unwrap().get_mut(key).unwrap().stalls = true;
    }

    pub(crate) fn fault(self, fault: Fault) -> Self {
        self.standin.inject(fault);
        self
    }

    pub(crate) fn refuse_letters(&self, refuses: bool) {
        *self.letters.refuses.lock().unwrap() = refuses;
    }

    /// What happens to the next writes to the ledger.
    pub(crate) fn ledger_faults(&self, faults: &[LedgerFault]) {
        let mut faults = faults.to_vec();
        faults.reverse();
        *self.ledger.as_ref().unwrap().faults.lock().unwrap() = faults;
    }

    pub(crate) fn ledger_writes(&self) -> u32 {
        *self.ledger.as_ref().unwrap().writes.lock().unwrap()
    }

    pub(crate) fn entry(&self, key: &Key) -> Entry {
        self.ledger.as_ref().unwrap().entries.lock().unwrap()[key].clone()
    }

    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.ledger.as_ref().unwrap().entries.lock().unwrap().contains_key(key)
    }

    /// Changes what the ledger knows.
    pub(crate) fn edit(&self, change: impl Fn(&mut Entry)) {
        self.ledger.as_ref().unwrap().entries.lock().unwrap().values_mut().for_each(change);
    }

    pub(crate) fn letters(&self) -> Vec<Value> {
        self.letters.sent.lock().unwrap().clone()
    }

    /// Forwards the object at its first receipt.
    pub(crate) fn forward(&self) -> Went {
        self.forward_item(&object_item(KEY), 1)
    }

    pub(crate) fn forward_task(&self, from_record: u64, until_record: Option<u64>) -> Went {
        let task = Task { object: object(KEY), from_record, until_record };
        self.forward_item(&Item::Object { task, letter: None }, 1)
    }

    pub(crate) fn forward_item(&self, item: &Item, receives: u32) -> Went {
        let mut tally = Tally::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(self.forwarder().forward(item, self.attempt(receives), &mut tally));
        Went { outcome, tally }
    }

    /// Forwards the items of one invocation.
    pub(crate) fn forward_all(&self, items: &[Item]) -> Vec<Went> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let forwarder = self.forwarder();
        let items = items.iter().map(|item| (item, self.attempt(1)));
        let outcomes = runtime.block_on(forwarder.forward_all(items));
        outcomes.into_iter().map(|(tally, outcome)| Went { outcome, tally }).collect()
    }

    pub(crate) fn attempt(&self, receives: u32) -> Attempt {
        let now = Instant::now();
        Attempt {
            receives,
            most_failures: MOST_FAILED_ATTEMPTS,
            began: now,
            reads_until: Deadline::at(now + self.time * 7 / 10),
            deadline: Deadline::at(now + self.time),
            ends: Deadline::at(now + self.time),
        }
    }

    pub(crate) fn forwarder(
        &self,
    ) -> Forwarder<LogsIngestionSink<impl ProofSource + 'static>, Objects, Letters, InMemoryLedger> {
        self.letter_forwarder(self.letters.clone())
    }

    /// A pipeline whose letters go to that queue.
    pub(crate) fn letter_forwarder<Q: Queue>(
        &self,
        letters: Q,
    ) -> Forwarder<LogsIngestionSink<impl ProofSource + use<Q>>, Objects, Q, InMemoryLedger> {
        let settings = self.standin.settings();
        let config = Config::parse(
            [
                ("SENTINEL_ENDPOINT", self.standin.url()),
                ("SENTINEL_DCR_ID", &settings.dcrs[0]),
                ("SENTINEL_COMPLETENESS_ROWS", "true"),
                ("AZURE_AUTHORITY_HOST", self.standin.url()),
                ("AZURE_TENANT_ID", &settings.tenant),
                ("AZURE_CLIENT_ID", &settings.client_id),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        );
        let Api::LogsIngestion(api) = config.unwrap().api else { panic!("not the default API") };
        let secret = Secret(settings.client_secret.clone());
        let sink = LogsIngestionSink::new(http_client().unwrap(), api, secret, 1);
        let limits = Limits {
            max_request_bytes: 20_000,
            max_concurrency: 4,
            allowed_buckets: Some(vec!["b".to_owned()]),
        };
        Forwarder::new(sink, self.objects.clone(), letters, self.ledger.clone(), limits)
    }

    /// The names of the events that landed, sorted.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .standin
            .rows("AWSCloudTrail")
            .iter()
            .map(|row| serde_json::from_str::<Value>(row).unwrap()["EventName"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn object(key: &str) -> ObjectRef {
    ObjectRef { bucket: "b".into(), key: key.into(), version_id: None, etag: Some("e".into()) }
}

pub(crate) fn object_item(key: &str) -> Item {
    Item::Object { task: Task::whole(object(key)), letter: None }
}

/// A finding.
pub(crate) fn finding(id: &str) -> String {
    format!(
        r#"{{"schemaVersion":"2.0","id":"{id}","updatedAt":"2026-01-02T03:04:05Z","type":"t","resource":{{}},"service":{{}}}}"#
    )
}

/// The event that carries it.
pub(crate) fn finding_item(id: &str) -> Item {
    let detail = finding(id);
    let event =
        format!(r#"{{"source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":{detail}}}"#);
    let Trigger::Direct(mut items) = Trigger::parse(&event) else { panic!() };
    items.remove(0)
}

/// A file of so many records whose events are named by their number.
pub(crate) fn records(count: u64) -> Vec<u8> {
    records_of(0..count)
}

/// A file of the records with these numbers.
pub(crate) fn records_of(numbers: Range<u64>) -> Vec<u8> {
    let records: Vec<_> = numbers
        .map(|number| {
            format!(
                r#"{{"eventName":"Event{number:04}","eventTime":"2026-01-02T03:04:05Z","requestID":"{}"}}"#,
                "r".repeat(100)
            )
        })
        .collect();
    format!("{{\"Records\":[{}]}}", records.join(",")).into_bytes()
}

/// The names that those records' events have.
pub(crate) fn names(records: impl IntoIterator<Item = u64>) -> Vec<String> {
    records.into_iter().map(|number| format!("Event{number:04}")).collect()
}

pub(crate) fn range(letter: &Value) -> (u64, Option<u64>) {
    (letter["task"]["from_record"].as_u64().unwrap_or(0), letter["task"]["until_record"].as_u64())
}

/// What a letter says, and which records it stands for.
pub(crate) fn reason(letter: &Value) -> (&str, (u64, Option<u64>)) {
    (letter["reason"].as_str().unwrap(), range(letter))
}
