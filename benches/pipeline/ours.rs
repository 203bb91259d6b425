//! The product: an object's chunks → rows → posts, by the pipeline that the function runs.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sentinel_forwarder::aws::{
    Chunks, Ledger, LedgerError, ObjectReader, Queue, QueueError, ReadError, S3Objects, function_config,
    http_client,
};
use sentinel_forwarder::config::{Api, Config, Sdk};
use sentinel_forwarder::credential::{Proof, ProofError, ProofSource};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::delivery::{Entry, Key};
use sentinel_forwarder::forward::{Attempt, Forwarder, Limits};
use sentinel_forwarder::http_client::HttpClient;
use sentinel_forwarder::report::Tally;
use sentinel_forwarder::sentinel::LogsIngestionSink;
use sentinel_forwarder::task::{ObjectRef, Task};
use sentinel_forwarder::trigger::Item;

use super::cost::Cost;
use super::{ENDPOINT, Failure};

/// About what S3's client hands out at a time.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// A setting that a run may change.
pub(super) const IN_FLIGHT: &str = "SENTINEL_MAX_CONCURRENCY";
const RULE: &str = "dcr-00000000000000000000000000000000";

struct OneFile(PathBuf);

impl ObjectReader for OneFile {
    type Chunks = FileChunks;

    async fn open(&self, object: &ObjectRef) -> Result<(ObjectRef, FileChunks), ReadError> {
        let opened = File::open(&self.0).map(FileChunks);
        opened
            .map(|chunks| (object.clone(), chunks))
            .map_err(|error| ReadError::Gone { code: error.to_string() })
    }
}

struct FileChunks(File);

impl Chunks for FileChunks {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read =
            self.0.read(&mut chunk).map_err(|error| ReadError::Unavailable { code: error.to_string() })?;
        chunk.truncate(read);
        Ok((read > 0).then(|| chunk.into()))
    }
}

struct AnySecret;

impl ProofSource for AnySecret {
    async fn proof(&self) -> Result<Proof, ProofError> {
        Ok(Proof::Secret("any".into()))
    }
}

/// Nothing is to fail here.
struct NoLetters;

impl Queue for NoLetters {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        bodies.iter().map(|body| Err(QueueError { code: body.clone() })).collect()
    }

    async fn hide_all(&self, _: &[(&str, Duration)]) -> Result<(), QueueError> {
        Ok(())
    }

    fn is(&self, _: &str) -> bool {
        false
    }
}

/// A ledger that remembers in memory: what a file's content is hashed for, without the calls.
#[derive(Default)]
struct Memory(Mutex<HashMap<String, Entry>>);

impl Ledger for Memory {
    async fn write(&self, key: &Key, entry: &Entry) -> Result<(), LedgerError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.as_str().to_owned(), entry.clone());
        Ok(())
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, LedgerError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key.as_str()).cloned())
    }
}

/// What stands around the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Around {
    /// It reads from the disk, and remembers nothing.
    Nothing,
    /// It reads by the SDK from what is S3 in so far as time and bytes go.
    S3,
    /// And it remembers, by the content's hash.
    S3AndLedger,
}

pub(super) fn run(path: &Path, level: u32, around: Around) -> Result<Cost, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = http_client()?;
        let ledger = (around == Around::S3AndLedger).then(Memory::default);
        if around == Around::Nothing {
            return forward(path, level, client, OneFile(path.to_owned()), ledger).await;
        }
        let objects = S3Objects::new(&function_config(client.clone(), Sdk::from_env()));
        forward(path, level, client, objects, ledger).await
    })
}

async fn forward(
    path: &Path,
    level: u32,
    client: HttpClient,
    objects: impl ObjectReader,
    ledger: Option<Memory>,
) -> Result<Cost, Failure> {
    let began = Instant::now();
    let endpoint = std::env::var(ENDPOINT)?;
    // As many rules as keep the limits of each out of it.
    let rules = [RULE; 8].join(",");
    let environment = [
        ("SENTINEL_ENDPOINT", endpoint.as_str()),
        ("SENTINEL_DCR_ID", rules.as_str()),
        ("AZURE_AUTHORITY_HOST", endpoint.as_str()),
        ("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000000"),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000000"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter();
    let in_flight = std::env::var(IN_FLIGHT).ok().map(|value| (IN_FLIGHT.to_owned(), value));
    let config = Config::parse(environment.chain(in_flight).collect())?;
    let Api::LogsIngestion(api) = config.api else { return Err("not the default API".into()) };
    let sink = LogsIngestionSink::new(client, api, AnySecret, u8::try_from(level)?);
    let limits = Limits {
        max_request_bytes: config.max_request_bytes,
        max_concurrency: config.max_concurrency,
        allowed_buckets: None,
    };
    let forwarder = Forwarder::new(sink, objects, NoLetters, ledger, limits);
    let name = path.file_name().ok_or("no file")?.to_string_lossy();
    let object = ObjectRef {
        bucket: "b".to_owned(),
        key: format!("AWSLogs/111122223333/CloudTrail/eu-west-1/{name}"),
        version_id: None,
        etag: None,
    };
    let now = Instant::now();
    let deadline = Deadline::at(now + Duration::from_hours(1));
    let (most_failures, reads_until, ends) = (1, deadline, deadline);
    let attempt = Attempt { receives: 1, most_failures, began: now, reads_until, deadline, ends };
    let mut tally = Tally::default();
    forwarder
        .forward(&Item::Object { task: Task::whole(object), letter: None }, attempt, &mut tally)
        .await
        .map_err(|again| again.why)?;
    let table = tally.table("AWSCloudTrail");
    if table.rows != table.records {
        return Err(format!("{} records, but {} rows", table.records, table.rows).into());
    }
    let (records, bytes_out) = (table.records, table.bytes_uploaded);
    // How many bytes the file has inflated, the bound says.
    Cost::since(began, records, 0, bytes_out)
}
