//! The pipeline against the strict stand-in, with objects and queues that lie in memory.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sentinel_forwarder::aws::{Chunks, ObjectReader, Queue, QueueError, ReadError, http_client};
use sentinel_forwarder::config::{Api, Config};
use sentinel_forwarder::credential::{Proof, ProofError, ProofSource};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::forward::{Attempt, Forwarder, Limits, PATIENCE_RECEIVES};
use sentinel_forwarder::report::Tally;
use sentinel_forwarder::sentinel::LogsIngestionSink;
use sentinel_forwarder::standin::{Fault, FaultKind, Settings, Standin};
use sentinel_forwarder::task::{ObjectRef, Task};
use sentinel_forwarder::trigger::Item;
use serde_json::Value;

struct Secret(String);

impl ProofSource for Secret {
    async fn proof(&self) -> Result<Proof, ProofError> {
        Ok(Proof::Secret(self.0.clone().into()))
    }
}

/// One object, in chunks.
#[derive(Clone)]
struct OneObject(Result<Vec<u8>, ReadError>);

impl ObjectReader for OneObject {
    type Chunks = InMemory;
    async fn open(&self, _: &ObjectRef) -> Result<Self::Chunks, ReadError> {
        let bytes = self.0.clone()?;
        Ok(InMemory(bytes.chunks(1000).map(Bytes::copy_from_slice).collect::<Vec<_>>().into_iter()))
    }
}

struct InMemory(std::vec::IntoIter<Bytes>);

impl Chunks for InMemory {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        Ok(self.0.next())
    }
}

#[derive(Clone, Default)]
struct Letters {
    sent: Arc<Mutex<Vec<Value>>>,
    refuses: bool,
}

impl Queue for Letters {
    async fn send(&self, body: &str) -> Result<(), QueueError> {
        if self.refuses {
            return Err(QueueError { code: "refused".to_owned() });
        }
        self.sent.lock().unwrap().push(serde_json::from_str(body).unwrap());
        Ok(())
    }
}

/// What became of one item.
struct Outcome {
    standin: Standin,
    letters: Vec<Value>,
    tally: Tally,
    done: bool,
}

/// Forwards one object, or a range of it, against a stand-in with these faults.
fn forward(
    object: OneObject,
    faults: Vec<Fault>,
    receives: u32,
    letters: Letters,
    task: Option<(u64, u64)>,
) -> Outcome {
    let key = ObjectRef { bucket: "b".into(), key: KEY.into(), version_id: None, etag: None };
    let (from_record, until_record) = task.map_or((0, None), |(from, until)| (from, Some(until)));
    forward_item(
        &Item::Object(Task { object: key, from_record, until_record }),
        object,
        faults,
        receives,
        letters,
    )
}

fn forward_item(
    item: &Item,
    object: OneObject,
    faults: Vec<Fault>,
    receives: u32,
    letters: Letters,
) -> Outcome {
    let standin = Standin::start(Settings::default()).unwrap();
    for fault in faults {
        standin.inject(fault);
    }
    let settings = standin.settings();
    let config = Config::parse(
        [
            ("SENTINEL_ENDPOINT", standin.url()),
            ("SENTINEL_DCR_ID", &settings.dcrs[0]),
            ("AZURE_AUTHORITY_HOST", standin.url()),
            ("AZURE_TENANT_ID", &settings.tenant),
            ("AZURE_CLIENT_ID", &settings.client_id),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    );
    let Api::LogsIngestion(api) = config.unwrap().api else { panic!("not the default API") };
    let sink = LogsIngestionSink::new(http_client().unwrap(), api, Secret(settings.client_secret.clone()), 1);
    let limits =
        Limits { max_request_bytes: 20_000, max_concurrency: 4, allowed_buckets: Some(vec!["b".to_owned()]) };
    let forwarder = Forwarder::new(sink, object, letters.clone(), limits);
    let attempt = Attempt { receives, deadline: Deadline::at(Instant::now() + Duration::from_secs(20)) };
    let mut tally = Tally::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let done = runtime.block_on(forwarder.forward(item, attempt, &mut tally)).is_ok();
    let letters = letters.sent.lock().unwrap().clone();
    Outcome { standin, letters, tally, done }
}

const KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/x.json.gz";

fn records(count: u64) -> OneObject {
    let records: Vec<_> = (0..count)
        .map(|number| {
            format!(
                r#"{{"eventName":"Event{number:04}","eventTime":"2026-01-02T03:04:05Z","requestID":"{}"}}"#,
                "r".repeat(100)
            )
        })
        .collect();
    OneObject(Ok(format!("{{\"Records\":[{}]}}", records.join(",")).into_bytes()))
}

fn events(standin: &Standin) -> Vec<String> {
    let mut names: Vec<String> = standin
        .rows("AWSCloudTrail")
        .iter()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["EventName"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn range(letter: &Value) -> (u64, Option<u64>) {
    (letter["task"]["from_record"].as_u64().unwrap_or(0), letter["task"]["until_record"].as_u64())
}

#[test]
fn every_record_lands_once_and_the_strict_stand_in_refuses_nothing() {
    let outcome = forward(records(500), vec![], 1, Letters::default(), None);
    assert!(outcome.done && outcome.letters.is_empty() && outcome.standin.refusals().is_empty());
    assert_eq!(events(&outcome.standin), (0..500).map(|n| format!("Event{n:04}")).collect::<Vec<_>>());
    assert_eq!((outcome.tally.report().records, outcome.tally.report().rows), (500, 500));
    assert_eq!(outcome.standin.token_exchanges(), 1);
}

#[test]
fn a_task_delivers_its_range_and_nothing_else() {
    let outcome = forward(records(100), vec![], 1, Letters::default(), Some((40, 43)));
    assert_eq!(events(&outcome.standin), ["Event0040", "Event0041", "Event0042"]);
    assert_eq!(outcome.tally.report().records, 3);
}

#[test]
fn throttling_and_broken_connections_are_waited_out() {
    let faults =
        vec![Fault::status(429).retry_after("1").times(1), Fault::new(FaultKind::DropBefore).times(1)];
    let outcome = forward(records(10), faults, 1, Letters::default(), None);
    assert!(outcome.done && outcome.letters.is_empty());
    assert_eq!(events(&outcome.standin).len(), 10);
    assert_eq!(outcome.tally.tables["AWSCloudTrail"].upload_throttled, 1);
}

#[test]
fn a_refused_token_is_replaced_once() {
    let outcome = forward(records(10), vec![Fault::status(401).times(1)], 1, Letters::default(), None);
    assert!(outcome.done);
    assert_eq!((events(&outcome.standin).len(), outcome.standin.token_exchanges()), (10, 2));
}

#[test]
fn a_rejected_record_becomes_a_letter_and_its_neighbours_are_delivered() {
    let fault = Fault::new(FaultKind::RejectWhere { contains: "Event0007".to_owned() });
    let outcome = forward(records(50), vec![fault], 1, Letters::default(), None);
    assert!(outcome.done);
    assert_eq!(events(&outcome.standin).len(), 49);
    assert_eq!(outcome.letters.len(), 1);
    assert_eq!(
        (outcome.letters[0]["reason"].as_str(), range(&outcome.letters[0])),
        (Some("Rejected"), (7, Some(8)))
    );
}

#[test]
fn a_request_that_is_too_large_is_halved() {
    let fault = Fault::new(FaultKind::TooLargeOver { bytes: 2_000 });
    let outcome = forward(records(60), vec![fault], 1, Letters::default(), None);
    assert!(outcome.done && outcome.letters.is_empty());
    assert_eq!(events(&outcome.standin).len(), 60);
}

#[test]
fn what_an_operator_mends_comes_again_before_it_is_a_letter() {
    let forbidden = || vec![Fault::status(403)];
    let early = forward(records(5), forbidden(), 1, Letters::default(), None);
    assert!(!early.done && early.letters.is_empty());
    let late = forward(records(5), forbidden(), PATIENCE_RECEIVES, Letters::default(), None);
    assert!(late.done);
    assert_eq!(
        (late.letters[0]["reason"].as_str(), range(&late.letters[0])),
        (Some("Forbidden"), (0, Some(5)))
    );
}

#[test]
fn a_broken_file_delivers_what_is_before_the_fault_and_names_the_rest() {
    let OneObject(Ok(mut bytes)) = records(30) else { unreachable!() };
    bytes.truncate(bytes.len() / 2);
    let outcome = forward(OneObject(Ok(bytes)), vec![], 1, Letters::default(), None);
    let delivered = events(&outcome.standin).len() as u64;
    assert!(outcome.done && delivered > 10);
    assert_eq!(
        (outcome.letters[0]["reason"].as_str(), range(&outcome.letters[0])),
        (Some("Corrupt"), (delivered, None))
    );
}

#[test]
fn a_letter_that_cannot_be_sent_brings_the_message_again() {
    let letters = Letters { refuses: true, ..Letters::default() };
    let gone = OneObject(Err(ReadError::Gone { code: "NoSuchKey".to_owned() }));
    assert!(!forward(gone.clone(), vec![], 1, letters, None).done);
    let sent = forward(gone, vec![], 1, Letters::default(), None);
    assert!(sent.done);
    assert_eq!(sent.letters[0]["reason"], "NotFound");
}

#[test]
fn an_outage_is_not_hammered_and_the_message_comes_again() {
    // 40 batches and more; each in flight is tried five times, then reading stops.
    let outcome = forward(records(5_000), vec![Fault::status(503)], 1, Letters::default(), None);
    assert!(!outcome.done && outcome.letters.is_empty());
    let posts = outcome.standin.requests().len();
    assert!(posts < 60, "{posts} requests");
}

#[test]
fn findings_whose_key_says_nothing_land_in_their_table_from_the_first_on() {
    let finding = r#"{"id":"1","updatedAt":"2026-01-02T03:04:05Z","resource":{},"service":{}}"#;
    let object = ObjectRef { bucket: "b".into(), key: "export.jsonl".into(), version_id: None, etag: None };
    let file = OneObject(Ok(format!("{finding}\n{finding}\n").into_bytes()));
    let outcome = forward_item(&Item::Object(Task::whole(object)), file, vec![], 1, Letters::default());
    assert_eq!(outcome.standin.rows("AWSGuardDuty").len(), 2);
    assert!(outcome.standin.rows("AWSCloudTrail").is_empty());
}
