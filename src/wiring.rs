//! Builds the pipeline out of settings: the clients of both clouds, once.

use std::sync::Arc;

use aws_config::SdkConfig;
use tracing::warn;

use crate::aws::{AzureProofs, CloudTrailKeys, DynamoLedger, GuardDuty, S3Objects, SqsQueue};
use crate::config::{Api, Cloud, Config, Credential};
use crate::forward::{Checks, Forwarder, Limits};
use crate::notary::Notary;
use crate::sentinel::{DataCollectorSink, LogsIngestionSink, Sink};
use crate::watch::FindingWatch;

/// The pipeline between the two clouds.
pub type Pipeline = Forwarder<Sink<AzureProofs>, S3Objects, SqsQueue, DynamoLedger>;

/// Where rows go, as the settings say. Nobody is asked anything yet.
#[must_use]
pub fn sink(config: &Config, client: reqwest::Client, aws: &SdkConfig) -> Sink<AzureProofs> {
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

/// The pipeline into a sink, as the settings say.
#[must_use]
pub fn pipeline(config: &Config, sink: Sink<AzureProofs>, aws: &SdkConfig) -> Pipeline {
    let limits = Limits {
        max_request_bytes: config.max_request_bytes,
        max_concurrency: config.max_concurrency,
        allowed_buckets: config.allowed_buckets.clone(),
    };
    let dead_letters = SqsQueue::new(aws, config.dead_letter_queue_url.clone());
    let ledger = config.ledger_table.clone().map(|table| DynamoLedger::new(aws, table));
    let forwarder = Forwarder::new(sink, S3Objects::new(aws), dead_letters, ledger, limits);
    // Without a ledger nobody knows what was delivered.
    match config.ledger_table.clone() {
        Some(table) => forwarder.checking(checks(config, aws, table)),
        None => forwarder,
    }
}

/// The pipeline, watching over findings; without a ledger nobody knows what was delivered.
#[must_use]
pub fn watching(config: &Config, pipeline: Pipeline, client: reqwest::Client, aws: &SdkConfig) -> Pipeline {
    let Some(table) = config.ledger_table.clone() else { return pipeline };
    let guardduty = GuardDuty::new(client, aws);
    let work_queue = SqsQueue::new(aws, config.work_queue_url.clone());
    pipeline.watching(Box::new(FindingWatch::new(guardduty, DynamoLedger::new(aws, table), work_queue)))
}

fn checks(config: &Config, aws: &SdkConfig, ledger_table: String) -> Checks {
    let notary = Notary::new(
        S3Objects::new(aws),
        CloudTrailKeys::new(aws),
        DynamoLedger::new(aws, ledger_table),
        SqsQueue::new(aws, config.work_queue_url.clone()),
        config.allowed_buckets.clone(),
    );
    Checks { notary: Box::new(notary), sends_rows: config.completeness_rows }
}
