//! The AWS wing: objects of S3, queues, the ledger, and what proves who we are; a trait beside each implementation.

mod archive;
#[cfg(feature = "cli")]
mod bucket;
mod credential;
mod http;
#[cfg(feature = "cli")]
mod inspection;
mod ledger;
#[cfg(feature = "cli")]
mod mailbox;
mod notes;
mod objects;
mod public_keys;
mod queues;
#[cfg(feature = "cli")]
mod writing;

use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use rustls::{ClientConfig, RootCertStore};

pub use archive::{Archive, Mark, Stored, Versions};
#[cfg(feature = "cli")]
pub use bucket::{Bucket, BucketError, Listed, Page};
pub use credential::{AzureProofs, Secrets};
#[cfg(feature = "cli")]
pub use inspection::{
    BucketFacts, Caller, Inspection, LookError, QueueFacts, Redrive, TableFacts, is_denial,
};
pub use ledger::{DynamoLedger, Ledger, LedgerError};
#[cfg(feature = "cli")]
pub use mailbox::{Mailbox, MailboxError, Received, SqsMailbox};
pub use notes::{Note, Notes};
pub use objects::{Chunks, ObjectReader, ReadError, S3Chunks, S3Objects};
pub use public_keys::{CloudTrailKeys, KeyError, PublicKeys};
pub use queues::{MOST_MESSAGES, Queue, QueueError, Refusals, SqsQueue};
#[cfg(feature = "cli")]
pub use writing::Writing;

/// How long one try of a call may take until its answer begins, and all tries together: an answer that never comes must
/// leave time to settle.
const ATTEMPT: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(25);

/// The one HTTP client of both clouds: one set of embedded roots, one pool of connections.
///
/// # Errors
/// If the client can't be built.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // ring supports both protocol versions, so the versions can always be set.
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // Neither cloud's API redirects; what would follow takes the body along, and with it a secret.
    let redirects = reqwest::redirect::Policy::none();
    let builder =
        reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).no_proxy().redirect(redirects);
    match tls {
        Ok(tls) => {
            builder.tls_backend_preconfigured(tls.with_root_certificates(roots).with_no_client_auth()).build()
        }
        Err(_) => builder.build(),
    }
}

/// The SDK's settings: region, credentials and endpoints as the environment says.
pub async fn sdk_config(client: reqwest::Client) -> SdkConfig {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(OPERATION).build();
    let loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    loader.http_client(http::SharedClient::new(client)).load().await
}
