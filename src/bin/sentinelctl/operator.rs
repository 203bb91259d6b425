//! Who the operator is at AWS, and what is told of the calls.

use std::io;
use std::sync::OnceLock;

use aws_config::SdkConfig;
use sentinel_forwarder::aws::{SignIn, http_client, operator_config};
use sentinel_forwarder::http_client::HttpClient;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

static SIGN_IN: OnceLock<SignIn> = OnceLock::new();

/// Takes over what the command line says of profile and region, once.
pub(crate) fn sign_in(sign_in: SignIn) {
    SIGN_IN.get_or_init(|| sign_in);
}

/// The settings of the SDK.
pub(crate) async fn config(client: HttpClient) -> SdkConfig {
    operator_config(client, SIGN_IN.get().cloned().unwrap_or_default()).await
}

/// The same, with a client of its own.
pub(crate) async fn config_and_client() -> io::Result<(SdkConfig, HttpClient)> {
    let client = http_client().map_err(io::Error::other)?;
    Ok((config(client.clone()).await, client))
}

/// Writes what is called, and what the pipeline reports, to standard error.
pub(crate) fn trace() {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let ours = Targets::new().with_target("sentinel_forwarder", Level::DEBUG);
    let started = tracing_subscriber::registry().with(lines.without_time()).with(ours).try_init();
    // Another subscriber can't be there yet: this is the first that a command does.
    let _ = started;
}
