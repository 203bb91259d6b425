//! The keys that `CloudTrail` signs digests with, kept once they were asked for.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_ListPublicKeys.html>: each region has its own, and
//! they are the same for every account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::config::{Builder, Region};
use aws_sdk_cloudtrail::error::ProvideErrorMetadata;
use aws_sdk_cloudtrail::primitives::DateTime;
use jiff::Timestamp;
use thiserror::Error;

use crate::digest::PublicKey;
use crate::failure::{Disposition, Reason};

/// Why no keys are to be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyError {
    /// `CloudTrail` can't be reached, or is busy: again.
    #[error("CloudTrail's keys of {region} are not to be had for now ({code})")]
    Unavailable {
        /// The region.
        region: String,
        /// The code.
        code: String,
    },
    /// An operator mends it.
    #[error(
        "AWS denies CloudTrail's keys of {region} ({code}): the function's role needs cloudtrail:ListPublicKeys, \
         and the region must be enabled in its account"
    )]
    Denied {
        /// The region.
        region: String,
        /// The code.
        code: String,
    },
}

impl KeyError {
    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. } => Disposition::Retryable { after: None },
            Self::Denied { .. } => Disposition::Permanent(Reason::AccessDenied),
        }
    }
}

/// Where `CloudTrail`'s public keys are known.
pub trait PublicKeys: Send + Sync + 'static {
    /// The key of a region with that fingerprint, if one signed at some time between these two.
    fn find(
        &self,
        region: &str,
        fingerprint: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<Option<PublicKey>, KeyError>> + Send;
}

/// `CloudTrail` itself.
pub struct CloudTrailKeys {
    config: SdkConfig,
    regions: Mutex<HashMap<String, Known>>,
}

/// A region's client, and the keys that it has told of.
#[derive(Clone)]
struct Known {
    client: Client,
    keys: Vec<PublicKey>,
}

impl CloudTrailKeys {
    /// With the SDK's settings; clients are built when they are first needed.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { config: config.clone(), regions: Mutex::default() }
    }

    fn known(&self, region: &str) -> Known {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let known = regions.entry(region.to_owned()).or_insert_with(|| {
            let config = Builder::from(&self.config).region(Region::new(region.to_owned())).build();
            Known { client: Client::from_conf(config), keys: Vec::new() }
        });
        known.clone()
    }
}

impl PublicKeys for CloudTrailKeys {
    async fn find(
        &self,
        region: &str,
        fingerprint: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PublicKey>, KeyError> {
        let is_it = |key: &&PublicKey| key.is(fingerprint, from, until);
        let Known { client, keys } = self.known(region);
        if let Some(key) = keys.iter().find(is_it) {
            return Ok(Some(key.clone()));
        }
        let time = |time: Timestamp| DateTime::from_secs(time.as_second());
        let mut pages = client
            .list_public_keys()
            .start_time(time(from))
            .end_time(time(until))
            .into_paginator()
            .items()
            .send();
        let mut told = Vec::new();
        while let Some(key) = pages.next().await {
            let key = key.map_err(|error| {
                let code = error.code().unwrap_or("no answer").to_owned();
                let region = region.to_owned();
                match code.as_str() {
                    "AccessDeniedException" | "UnrecognizedClientException" | "InvalidClientTokenId" => {
                        KeyError::Denied { region, code }
                    }
                    _ => KeyError::Unavailable { region, code },
                }
            })?;
            told.extend(public_key(&key));
        }
        let found = told.iter().find(is_it).cloned();
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = regions.get_mut(region) {
            known.keys.retain(|key| !told.contains(key));
            known.keys.append(&mut told);
        }
        Ok(found)
    }
}

fn public_key(key: &aws_sdk_cloudtrail::types::PublicKey) -> Option<PublicKey> {
    let time = |time: Option<&DateTime>| Timestamp::from_second(time?.secs()).ok();
    Some(PublicKey {
        fingerprint: key.fingerprint()?.to_owned(),
        der: key.value()?.as_ref().to_vec(),
        valid_from: time(key.validity_start_time())?,
        valid_until: time(key.validity_end_time())?,
    })
}
