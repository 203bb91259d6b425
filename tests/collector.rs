//! The legacy API against the strict stand-in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use sentinel_forwarder::aws::http_client;
use sentinel_forwarder::credential::{Proof, ProofError, ProofSource};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::failure::{Disposition, Reason};
use sentinel_forwarder::sentinel::{DataCollectorSink, LogSink};
use sentinel_forwarder::standin::{Settings, Standin};
use sentinel_forwarder::table::Table;

#[tokio::test]
async fn rows_are_signed_over_their_bytes_and_a_wrong_key_is_not_taken() {
    let standin = Standin::start(Settings::default()).unwrap();
    let settings = standin.settings();
    let sink = |key: &str| {
        let (client, url) = (http_client().unwrap(), standin.url().to_owned());
        DataCollectorSink::new(client, url, settings.workspace_id.clone(), SecretString::from(key))
    };
    let deadline = Deadline::at(Instant::now() + Duration::from_secs(20));
    let body = r#"[{"TimeGenerated":"2026-01-02T03:04:05Z","EventTime_CF":"2026-01-02T03:04:05Z","EventName":"Zürich"}]"#.as_bytes();

    let (_, taken) = sink(&settings.shared_key).upload(Table::AwsCloudTrail, body, deadline).await;
    assert_eq!(taken, Ok(()), "{:?}", standin.refusals());
    assert_eq!(standin.rows("AWSCloudTrail_CL").len(), 1);

    let (_, refused) = sink("d3Jvbmc=").upload(Table::AwsCloudTrail, body, deadline).await;
    assert!(matches!(
        refused.unwrap_err().disposition(),
        Disposition::Permanent(Reason::Unauthorized | Reason::Forbidden)
    ));
    assert!(sink("no base64!").fetch_ahead().await.is_err());
}

/// A store that is busy at first.
struct Keys {
    key: String,
    asked: Arc<AtomicUsize>,
}

impl ProofSource for Keys {
    async fn proof(&self) -> Result<Proof, ProofError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(ProofError::Unavailable { what: "the secret", code: "busy".to_owned() });
        }
        Ok(Proof::Secret(self.key.clone().into()))
    }
}

#[tokio::test]
async fn the_key_is_asked_for_until_it_is_there_and_then_no_more() {
    let standin = Standin::start(Settings::default()).unwrap();
    let settings = standin.settings();
    let asked = Arc::new(AtomicUsize::default());
    let sink = |key: &str| {
        let keys = Keys { key: key.to_owned(), asked: Arc::clone(&asked) };
        let (client, url) = (http_client().unwrap(), standin.url().to_owned());
        DataCollectorSink::new(client, url, settings.workspace_id.clone(), keys)
    };
    let deadline = Deadline::at(Instant::now() + Duration::from_secs(20));
    let body = br#"[{"TimeGenerated":"2026-01-02T03:04:05Z","EventTime_CF":"2026-01-02T03:04:05Z"}]"#;

    let right = sink(&settings.shared_key);
    for _ in 0..2 {
        let (_, taken) = right.upload(Table::AwsCloudTrail, body, deadline).await;
        assert_eq!(taken, Ok(()), "{:?}", standin.refusals());
    }
    assert_eq!(standin.rows("AWSCloudTrail_CL").len(), 2);
    assert_eq!(asked.load(Ordering::Relaxed), 2);

    let (_, unfit) = sink("no base64!").upload(Table::AwsCloudTrail, body, deadline).await;
    assert_eq!(unfit.unwrap_err().disposition(), Disposition::Permanent(Reason::Unauthorized));
}
