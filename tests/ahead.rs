//! What is fetched ahead holds nobody up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sentinel_forwarder::aws::http_client;
use sentinel_forwarder::config::{Api, Config};
use sentinel_forwarder::credential::{Proof, ProofError, ProofSource};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::failure::{Disposition, Reason};
use sentinel_forwarder::sentinel::{LogSink, LogsIngestionSink, Sink};
use sentinel_forwarder::table::Table;
use tokio::time::Instant;

/// Never answers the first time, as when the function was frozen while the answer came; refuses from then on.
#[derive(Clone, Default)]
struct Frozen {
    asked: Arc<AtomicUsize>,
}

impl ProofSource for Frozen {
    async fn proof(&self) -> Result<Proof, ProofError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            std::future::pending::<()>().await;
        }
        Err(ProofError::Refused { what: "the proof", code: "any".to_owned(), advice: "none" })
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_shares_what_is_under_way_and_replaces_what_hangs() {
    let environment = [
        ("SENTINEL_ENDPOINT", "http://127.0.0.1:9"),
        ("SENTINEL_DCR_ID", "dcr-00000000000000000000000000000000"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Api::LogsIngestion(settings) = Config::parse(environment.into()).unwrap().api else {
        panic!("not the default API")
    };
    let proofs = Frozen::default();
    let sink = LogsIngestionSink::new(http_client().unwrap(), settings, proofs.clone(), 6);
    let sink = Sink::LogsIngestion(Arc::new(sink));

    let began = Instant::now();
    let deadline = Deadline::at((began + Duration::from_mins(1)).into_std());
    let upload = sink.upload(Table::AwsGuardDuty, b"[{}]", deadline);
    let ((), (_, result)) = tokio::join!(sink.fetch_ahead(), upload);
    assert_eq!(result.unwrap_err().disposition(), Disposition::Permanent(Reason::Unauthorized));
    assert_eq!(proofs.asked.load(Ordering::Relaxed), 2);
    assert_eq!(began.elapsed().as_secs(), 3);
}
