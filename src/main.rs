//! The Lambda function: builds settings and clients once, then handles invocations.

use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sentinel_forwarder::aws::{AzureProofs, DynamoLedger, S3Objects, SqsQueue, http_client, sdk_config};
use sentinel_forwarder::config::Config;
use sentinel_forwarder::handler::{Answer, Handler};
use sentinel_forwarder::sentinel::Sink;
use sentinel_forwarder::wiring;
use serde_json::value::RawValue;
use tracing::error;

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
    let forwarder = wiring::pipeline(&config, client, &aws).await?;
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
