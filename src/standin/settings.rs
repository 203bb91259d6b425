//! What a stand-in knows before it starts: identity, clouds, rules, streams, limits of its store.
//!
//! Every value of the default is made up. The stand-in keeps its own reading of the clouds' constants, so that
//! it can contradict the code under test.

use super::limits::RuleLimits;
use crate::table::Table;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What the stand-in accepts, and how much it keeps.
#[derive(Clone)]
pub struct Settings {
    /// The port of 127.0.0.1 to listen on; 0 takes a free one.
    pub port: u16,
    /// The Entra tenant that exists.
    pub tenant: String,
    /// The application (or managed identity) that exists in it.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: String,
    /// The cloud whose token scope and federation audience are right.
    pub cloud: Cloud,
    /// The issuer of the federated credential; any one if absent.
    pub issuer: Option<String>,
    /// The subject of the federated credential; any one if absent.
    pub subject: Option<String>,
    /// The audience of the federated credential; that of the cloud if absent.
    pub audience: Option<String>,
    /// The `x5t` of the one registered certificate; any one if absent.
    pub certificate_thumbprint: Option<String>,
    /// How far its clock is ahead of this machine's, in seconds.
    pub clock_ahead_seconds: i64,
    /// How long an access token lasts, in seconds.
    pub token_seconds: u64,
    /// The immutable ids of the data collection rules that exist.
    pub dcrs: Vec<String>,
    /// The streams of each rule, and the table that each feeds.
    pub streams: BTreeMap<String, Table>,
    /// What each rule takes a minute.
    pub rule_limits: RuleLimits,
    /// The workspace of the legacy API.
    pub workspace_id: String,
    /// Its shared key, base64.
    pub shared_key: String,
    /// The most rows kept of a table; older ones are forgotten but stay counted.
    pub keep_rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            port: 0,
            tenant: "11111111-1111-1111-1111-111111111111".to_owned(),
            client_id: "22222222-2222-2222-2222-222222222222".to_owned(),
            client_secret: "made-up-client-secret".to_owned(),
            cloud: Cloud::Public,
            issuer: None,
            subject: None,
            audience: None,
            certificate_thumbprint: None,
            clock_ahead_seconds: 0,
            token_seconds: 3599,
            dcrs: vec!["dcr-33333333333333333333333333333333".to_owned()],
            streams: Table::ALL
                .into_iter()
                .map(|table| (format!("Custom-{}", table.name()), table))
                .collect(),
            rule_limits: RuleLimits::DOCUMENTED,
            workspace_id: "44444444-4444-4444-4444-444444444444".to_owned(),
            shared_key: "bWFkZS11cC1zaGFyZWQta2V5".to_owned(),
            keep_rows: 100_000,
        }
    }
}

impl Settings {
    /// What time it is by the stand-in's clock.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::now()
            .checked_add(SignedDuration::from_secs(self.clock_ahead_seconds))
            .unwrap_or(if self.clock_ahead_seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

/// A Microsoft cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cloud {
    /// The public cloud.
    Public,
    /// Azure Government.
    #[value(name = "usgovernment")]
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    /// The name that `AZURE_CLOUD` takes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::UsGovernment => "usgovernment",
            Self::China => "china",
        }
    }

    /// The host of Entra's token endpoint.
    #[must_use]
    pub const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// The scope of a token for the Logs Ingestion API.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Public => "https://monitor.azure.com/.default",
            Self::UsGovernment => "https://monitor.azure.us/.default",
            Self::China => "https://monitor.azure.cn/.default",
        }
    }

    /// The audience of an assertion by another identity provider.
    #[must_use]
    pub const fn federation_audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}
