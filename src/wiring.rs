//! Builds the pipeline out of settings: the clients of both clouds, once.

use aws_config::SdkConfig;
use secrecy::ExposeSecret;
use thiserror::Error;
use tracing::warn;

use crate::aws::{AzureProofs, DynamoLedger, S3Objects, Secrets, SqsQueue};
use crate::config::{Api, Config};
use crate::credential::ProofError;
use crate::forward::{Forwarder, Limits};
use crate::sentinel::{DataCollectorSink, LogsIngestionSink, Sink};

/// The pipeline between the two clouds.
pub type Pipeline = Forwarder<Sink<AzureProofs>, S3Objects, SqsQueue, DynamoLedger>;

/// Why it can't be built.
#[derive(Debug, Error)]
pub enum WiringError {
    /// The workspace's key can't be read.
    #[error(transparent)]
    Key(#[from] ProofError),
    /// The workspace's key is none.
    #[error("LOG_ANALYTICS_SHARED_KEY: the workspace's key is no base64")]
    NoKey,
}

/// The pipeline as the settings say.
///
/// # Errors
/// If the key of the legacy API can't be read.
pub async fn pipeline(
    config: &Config,
    client: reqwest::Client,
    aws: &SdkConfig,
) -> Result<Pipeline, WiringError> {
    let sink = match config.api.clone() {
        Api::LogsIngestion(settings) => {
            let proofs = AzureProofs::new(aws, settings.credential.clone(), settings.cloud);
            Sink::LogsIngestion(LogsIngestionSink::new(client, settings, proofs, config.compression_level))
        }
        Api::DataCollector(settings) => {
            warn!(
                "SENTINEL_API=data-collector: Microsoft ended its support on 14 September 2026; use logs-ingestion"
            );
            let key = Secrets::new(aws.clone()).read(&settings.shared_key).await?;
            let sink =
                DataCollectorSink::new(client, settings.endpoint, settings.workspace_id, key.expose_secret());
            Sink::DataCollector(sink.ok_or(WiringError::NoKey)?)
        }
    };
    let limits = Limits {
        max_request_bytes: config.max_request_bytes,
        max_concurrency: config.max_concurrency,
        allowed_buckets: config.allowed_buckets.clone(),
    };
    let dead_letters = SqsQueue::new(aws, config.dead_letter_queue_url.clone());
    let ledger = config.ledger_table.clone().map(|table| DynamoLedger::new(aws, table));
    Ok(Forwarder::new(sink, S3Objects::new(aws), dead_letters, ledger, limits))
}
