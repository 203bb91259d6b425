//! The Lambda function: builds settings and clients once, then handles invocations.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sentinel_forwarder::aws::{
    AzureProofs, DynamoLedger, GuardDuty, S3Objects, SqsQueue, function_config, http_client,
};
use sentinel_forwarder::config::{Config, Logging, Sdk};
use sentinel_forwarder::handler::{Answer, Handler, HandlerError};
use sentinel_forwarder::sentinel::Sink;
use sentinel_forwarder::wiring::{self, Parts};
use serde_json::value::RawValue;
use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

type Function = Handler<Sink<AzureProofs>, S3Objects, SqsQueue, DynamoLedger>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    log(&Logging::from_env());
    let ran = match build() {
        Ok(handler) => run(handler).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ran {
        error!(%error, "the function can't run");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Writes log lines to the function's output. The runtime's own subscriber would do the same, with two engines for
/// regular expressions.
fn log(settings: &Logging) {
    let filter = settings.filter.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer().with_target(false).without_time();
    let lines = if settings.is_json { lines.json().boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(lines).with(filter).init();
}

fn build() -> Result<Function, Error> {
    let config = Config::from_env()?;
    let client = http_client()?;
    let aws = function_config(client.clone(), Sdk::from_env());
    let sink = wiring::sink(&config, client.clone(), &aws);
    tokio::spawn(fetch_ahead(sink.clone()));
    let parts = Parts::new(&config, &aws);
    let forwarder = wiring::pipeline(&config, sink, &aws, &parts);
    let forwarder = wiring::watching(forwarder, GuardDuty::new(client, &aws), &parts);
    Ok(Handler::new(forwarder, parts.work_queue, config.health_rows))
}

/// By how much the first poll goes before what is fetched ahead: it leaves a millisecond after the runtime has started
/// (`make bench-cold`). Where no invocation waits, Lambda freezes the function at its poll, and then no exchange is under
/// way.
const HEAD_START: Duration = Duration::from_millis(5);

/// Fetches what the first upload has to show while the first invocation comes and its file is read.
///
/// The first poll waits for none of it: Entra may be down, and an invocation may come that needs no token. The clients
/// are built before it all the same: a start has a whole processor, an invocation with 128 MB a fourteenth of one.
async fn fetch_ahead(sink: Sink<AzureProofs>) {
    tokio::time::sleep(HEAD_START).await;
    sink.fetch_ahead().await;
}

async fn run(handler: Function) -> Result<(), Error> {
    let handler = Arc::new(handler);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let handler = Arc::clone(&handler);
        // On the heap: the runtime's layers need not carry about a future as large as this.
        Box::pin(async move { answer(&handler, event).await })
    }))
    .await
}

#[expect(clippy::print_stdout, reason = "CloudWatch takes metrics from the function's output")]
async fn answer(handler: &Function, event: LambdaEvent<Box<RawValue>>) -> Result<Answer, HandlerError> {
    let function = Arc::clone(&event.context.env_config);
    let (answer, tally) = handler.handle(event).await;
    for line in tally.metrics(Timestamp::now(), &function.function_name) {
        println!("{line}");
    }
    answer
}
