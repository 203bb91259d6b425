//! The legacy API against the strict stand-in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use sentinel_forwarder::aws::http_client;
use sentinel_forwarder::credential::{Proof, ProofError, ProofSource};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::failure::{Disposition, Reason};
use sentinel_forwarder::sentinel::{DataCollectorSink, LogSink};
use sentinel_forwarder::standin::{Fault, Settings, Standin};
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

/// A store whose secret is another one each time.
struct Rotated(Mutex<Vec<String>>);

impl ProofSource for Rotated {
    async fn proof(&self) -> Result<Proof, ProofError> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = if keys.len() > 1 { keys.remove(0) } else { keys[0].clone() };
        Ok(Proof::Secret(key.into()))
    }
}

#[tokio::test]
async fn a_key_that_was_regenerated_is_fetched_again() {
    let standin = Standin::start(Settings::default()).unwrap();
    let settings = standin.settings();
    let sink = |keys: &[&str]| {
        let keys = Rotated(Mutex::new(keys.iter().map(|key| (*key).to_owned()).collect()));
        let (client, url) = (http_client().unwrap(), standin.url().to_owned());
        DataCollectorSink::new(client, url, settings.workspace_id.clone(), keys)
    };
    let deadline = Deadline::at(Instant::now() + Duration::from_secs(20));
    let body = br#"[{"TimeGenerated":"2026-01-02T03:04:05Z","EventTime_CF":"2026-01-02T03:04:05Z"}]"#;

    let rotated = sink(&["b2xkIGtleQ==", &settings.shared_key]);
    assert_eq!(rotated.upload(Table::AwsCloudTrail, body, deadline).await.1, Ok(()));
    assert_eq!(standin.requests().len(), 2);
    standin.reset();
    // One that is wrong and stays so is not posted with twice.
    let wrong = sink(&["b2xkIGtleQ=="]);
    assert!(wrong.upload(Table::AwsCloudTrail, body, deadline).await.1.is_err());
    assert_eq!(standin.requests().len(), 1);
}

#[tokio::test]
async fn its_receipt_is_200_alone_and_a_workspace_that_is_closed_is_no_fault_of_the_rows() {
    let standin = Standin::start(Settings::default()).unwrap();
    let settings = standin.settings();
    let (client, url) = (http_client().unwrap(), standin.url().to_owned());
    let key = SecretString::from(settings.shared_key.as_str());
    let sink = DataCollectorSink::new(client, url, settings.workspace_id.clone(), key);
    let deadline = Deadline::at(Instant::now() + Duration::from_secs(20));
    let body = br#"[{"TimeGenerated":"2026-01-02T03:04:05Z","EventTime_CF":"2026-01-02T03:04:05Z"}]"#;
    for (fault, status) in [
        (Fault::status(204), 204),
        (Fault::status(202), 202),
        (Fault::status(400).code("InactiveCustomer"), 400),
        (Fault::status(404), 404),
    ] {
        standin.inject(fault.times(1));
        let (_, result) = sink.upload(Table::AwsCloudTrail, body, deadline).await;
        let error = result.unwrap_err();
        assert_eq!(error.disposition(), Disposition::Permanent(Reason::Misconfigured), "{error}");
        assert_eq!(error.status(), Some(status));
    }
}
