//! Builds the pipeline out of settings: the clients of both clouds, once.

use std::sync::Arc;

use aws_config::SdkConfig;
use tracing::warn;

use crate::aws::{AzureProofs, CloudTrailKeys, DynamoLedger, GuardDuty, S3Objects, SqsQueue};
use crate::config::{Api, Cloud, Config, Credential};
use crate::forward::{Checks, Forwarder, Limits};
use crate::http_client::HttpClient;
use crate::notary::Notary;
use crate::sentinel::{DataCollectorSink, LogsIngestionSink, Sink};
use crate::watch::FindingWatch;

/// The pipeline between the two clouds.
pub type Pipeline = Forwarder<Sink<AzureProofs>, S3Objects, SqsQueue, DynamoLedger>;

/// Where rows go, as the settings say. Nobody is asked anything yet.
#[must_use]
pub fn sink(config: &Config, client: HttpClient, aws: &SdkConfig) -> Sink<AzureProofs> {
    match config.api.clone() {
        Api::LogsIngestion(settings) => {
            let proofs = AzureProofs::new(aws, settings.credential.clone(), settings.cloud);
            let sink = LogsIngestionSink::new(client, settings, proofs, config.compression_level);
            Sink::LogsIngestion(Arc::new(sink))
        }
        Api::DataCollector(settings) => {
            warn!(
                "SENTINEL_API=data-collector: Microsoft ended its support on 14 September 2026; use logs-ingestion"
            );
            // A secret has no audience.
            let keys = AzureProofs::new(aws, Credential::Secret(settings.shared_key), Cloud::Public);
            let sink = DataCollectorSink::new(client, settings.endpoint, settings.workspace_id, keys);
            Sink::DataCollector(Arc::new(sink))
        }
    }
}

/// What is asked at AWS, by clients that are built once.
pub struct Parts {
    objects: S3Objects,
    /// Without one nobody knows what was delivered.
    ledger: Option<DynamoLedger>,
    dead_letters: SqsQueue,
    /// Where tasks go.
    pub work_queue: SqsQueue,
}

impl Parts {
    /// As the settings say.
    #[must_use]
    pub fn new(config: &Config, aws: &SdkConfig) -> Self {
        Self {
            objects: S3Objects::new(aws),
            ledger: config.ledger_table.clone().map(|table| DynamoLedger::new(aws, table)),
            dead_letters: SqsQueue::new(aws, config.dead_letter_queue_url.clone()),
            work_queue: SqsQueue::new(aws, config.work_queue_url.clone()),
        }
    }
}

/// The pipeline into a sink, as the settings say; with a ledger it checks digests.
#[must_use]
pub fn pipeline(config: &Config, sink: Sink<AzureProofs>, aws: &SdkConfig, parts: &Parts) -> Pipeline {
    let limits = Limits {
        max_request_bytes: config.max_request_bytes,
        max_concurrency: config.max_concurrency,
        allowed_buckets: config.allowed_buckets.clone(),
    };
    let (objects, ledger) = (parts.objects.clone(), parts.ledger.clone());
    let forwarder = Forwarder::new(sink, objects, parts.dead_letters.clone(), ledger, limits);
    let Some(ledger) = parts.ledger.clone() else { return forwarder };
    let notary = Notary::new(
        parts.objects.clone(),
        CloudTrailKeys::new(aws),
        ledger,
        parts.work_queue.clone(),
        config.allowed_buckets.clone(),
    );
    forwarder.checking(Checks { notary: Box::new(notary), sends_rows: config.completeness_rows })
}

/// The pipeline, which with a ledger watches over findings too.
#[must_use]
pub fn watching(pipeline: Pipeline, guardduty: GuardDuty, parts: &Parts) -> Pipeline {
    let Some(ledger) = parts.ledger.clone() else { return pipeline };
    pipeline.watching(Box::new(FindingWatch::new(guardduty, ledger, parts.work_queue.clone())))
}
