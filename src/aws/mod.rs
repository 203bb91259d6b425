//! The AWS wing: objects of S3, queues, the ledger, and what proves who we are; a trait beside each implementation.

mod archive;
#[cfg(feature = "cli")]
mod bucket;
mod credential;
#[cfg(feature = "cli")]
mod deployment;
mod endpoint;
#[cfg(feature = "cli")]
mod error;
mod guardduty;
mod http;
#[cfg(feature = "cli")]
mod inspection;
mod ledger;
mod ledger_clock;
#[cfg(feature = "cli")]
mod mailbox;
mod notes;
mod objects;
mod public_keys;
mod queues;
mod service;
#[cfg(feature = "cli")]
mod signed;
#[cfg(feature = "cli")]
mod traced;
#[cfg(feature = "cli")]
mod writing;

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
#[cfg(feature = "cli")]
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
#[cfg(feature = "cli")]
use aws_config::meta::region::RegionProviderChain;
#[cfg(feature = "cli")]
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
#[cfg(feature = "cli")]
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

pub use archive::{Archive, Mark, Stored, Versions};
#[cfg(feature = "cli")]
pub use bucket::{Bucket, BucketError, Listed, Page};
pub use credential::{AzureProofs, Secrets};
#[cfg(feature = "cli")]
pub use deployment::{AlarmFacts, Dimension, FunctionFacts, Mapping, RuleFacts, ScheduleFacts};
#[cfg(feature = "cli")]
pub use error::{AwsError, is_denial};
pub use guardduty::{Detector, Findings, GuardDuty, GuardDutyError, IdPage};
#[cfg(feature = "cli")]
pub use inspection::{BucketFacts, Caller, Inspection, QueueFacts, Redrive, TableFacts};
pub use ledger::{DynamoLedger, KEPT, Ledger, LedgerError};
#[cfg(feature = "cli")]
pub use mailbox::{Mailbox, MailboxError, Received, SqsMailbox};
pub use notes::{MOST_KEYS, Note, Notes, update_note};
pub use objects::{Chunks, ObjectReader, ReadError, S3Chunks, S3Objects};
pub use public_keys::{CloudTrailKeys, KeyError, PublicKeys};
pub use queues::{MOST_MESSAGES, Queue, QueueError, Refusals, SqsQueue};
pub use service::ServiceError;
#[cfg(feature = "cli")]
pub use writing::Writing;

use crate::config::Sdk;
use crate::http_client::HttpClient;
pub use crate::http_client::http_client;

/// How long one try of a call may take until its answer begins, and all tries together: an answer that never comes must
/// leave time to settle.
const ATTEMPT: Duration = Duration::from_secs(10);
const OPERATION: Duration = Duration::from_secs(25);
/// The longest answer that the function reads, but for objects of S3, which it never holds whole. The longest of its
/// calls' is a page of 1,000 versions of a bucket, half a megabyte of CloudTrail's keys and at most 1.5 MB.
const FUNCTION_ANSWER_BYTES: usize = 2 << 20;
/// The same for an operator's machine: ten messages of 1 MiB come in one answer, written as JSON in JSON.
#[cfg(feature = "cli")]
const OPERATOR_ANSWER_BYTES: usize = 32 << 20;

/// The function's settings of the SDK, from its environment alone.
#[must_use]
pub fn function_config(client: HttpClient, settings: Sdk) -> SdkConfig {
    // Lambda gives the role's credentials in the environment, for as long as that lives.
    let credentials = SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new());
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(settings.region().map(|region| Region::new(region.to_owned())))
        .credentials_provider(credentials)
        .identity_cache(IdentityCache::lazy().build())
        .timeout_config(timeouts())
        .retry_config(RetryConfig::standard())
        .http_client(http::SharedClient::new(client, FUNCTION_ANSWER_BYTES))
        .use_fips(settings.uses_fips())
        .use_dual_stack(settings.uses_dual_stack());
    config.set_endpoint_url(settings.endpoint_url().map(str::to_owned));
    config.service_config(OfService(settings)).build()
}

/// What the environment says of one service.
#[derive(Debug)]
struct OfService(Sdk);

impl LoadServiceConfig for OfService {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        self.0.of_service(key.service_id(), key.env()).map(str::to_owned)
    }
}

/// How an operator signs in, as far as the environment and the profile are not to say it.
#[cfg(feature = "cli")]
#[derive(Clone, Debug, Default)]
pub struct SignIn {
    /// The profile of the AWS CLI's configuration.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
}

/// An operator's settings of the SDK: region, credentials and endpoints as the environment and the profile say.
#[cfg(feature = "cli")]
pub async fn operator_config(client: HttpClient, sign_in: SignIn) -> SdkConfig {
    let client = traced::TracedClient(http::SharedClient::new(client, OPERATOR_ANSWER_BYTES));
    let loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts());
    let mut loader = loader.http_client(client.clone());
    let region = sign_in.region.map(Region::new);
    if let Some(profile) = sign_in.profile {
        let of_profile = ProfileFileRegionProvider::builder().profile_name(&profile).build();
        let regions = RegionProviderChain::first_try(region.clone())
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(of_profile);
        let provider =
            ProviderConfig::empty().with_http_client(client.clone()).with_region(regions.region().await);
        let credentials = ProfileFileCredentialsProvider::builder().configure(&provider);
        // As for the AWS CLI, the profile that is named counts, whatever keys stand in the environment.
        loader =
            loader.credentials_provider(credentials.profile_name(&profile).build()).profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(region);
    }
    loader.load().await
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(OPERATION).build()
}
