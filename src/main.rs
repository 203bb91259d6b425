//! The Lambda function: builds settings and clients once, then handles invocations.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use secrecy::ExposeSecret;
use sentinel_forwarder::aws::{
    AzureProofs, DynamoLedger, S3Objects, Secrets, SqsQueue, http_client, sdk_config,
};
use sentinel_forwarder::config::{Api, Config};
use sentinel_forwarder::forward::{Forwarder, Limits};
use sentinel_forwarder::handler::{Answer, Handler};
use sentinel_forwarder::sentinel::{DataCollectorSink, LogsIngestionSink, Sink};
use serde_json::value::RawValue;
use tracing::{error, warn};

type Function = Handler<Sink<AzureProofs>, S3Objects, SqsQueue, DynamoLedger>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    lambda_runtime::tracing::init_default_subscriber();
    let ran = match build().await {
        Ok(handler) => run(handler).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ran {
        error!(%error, "the function can't run");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

async fn build() -> Result<Function, Error> {
    let config = Config::from_env()?;
    let client = http_client()?;
    let aws = sdk_config(client.clone()).await;
    let sink = match config.api {
        Api::LogsIngestion(settings) => {
            let proofs = AzureProofs::new(&aws, settings.credential.clone(), settings.cloud);
            Sink::LogsIngestion(LogsIngestionSink::new(client, settings, proofs, config.compression_level))
        }
        Api::DataCollector(settings) => {
            warn!(
                "SENTINEL_API=data-collector: Microsoft ended its support on 14 September 2026; use logs-ingestion"
            );
            let key = Secrets::new(aws.clone()).read(&settings.shared_key).await?;
            let sink =
                DataCollectorSink::new(client, settings.endpoint, settings.workspace_id, key.expose_secret());
            Sink::DataCollector(sink.ok_or("LOG_ANALYTICS_SHARED_KEY: the workspace's key is no base64")?)
        }
    };
    let limits = Limits {
        max_request_bytes: config.max_request_bytes,
        max_concurrency: config.max_concurrency,
        allowed_buckets: config.allowed_buckets,
    };
    let dead_letters = SqsQueue::new(&aws, config.dead_letter_queue_url);
    let ledger = config.ledger_table.map(|table| DynamoLedger::new(&aws, table));
    let forwarder = Forwarder::new(sink, S3Objects::new(&aws), dead_letters, ledger, limits);
    Ok(Handler::new(forwarder, SqsQueue::new(&aws, config.work_queue_url), config.health_rows))
}

async fn run(handler: Function) -> Result<(), Error> {
    let handler = Arc::new(handler);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let handler = Arc::clone(&handler);
        async move { answer(&handler, event).await }
    }))
    .await
}

#[expect(clippy::print_stdout, reason = "CloudWatch takes metrics from the function's output")]
async fn answer(handler: &Function, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, Error> {
    let (answer, tally) = handler.handle(event).await?;
    for line in tally.metrics(Timestamp::now()) {
        println!("{line}");
    }
    Ok(answer)
}
