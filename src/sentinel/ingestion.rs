//! The client of the Logs Ingestion API.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>. Bodies and tokens are never logged.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::answer::{judge, kind_of};
use super::gzip::Gzip;
use super::retry::Backoff;
use super::rules::Rules;
use super::{LogSink, TokenCache, UploadCosts, UploadError, now};
use crate::config::{DataCollectionRule, LogsIngestion};
use crate::credential::ProofSource;
use crate::deadline::Deadline;
use crate::http_client::HttpClient;
use crate::table::Table;

/// How long one post may take: a megabyte over a poor line, and then some.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
const API_VERSION: &str = "2023-01-01";
/// Success: everything that it took was valid and will be written.
const RECEIPT: u16 = 204;

/// Posts batches to data collection rules.
pub struct LogsIngestionSink<P> {
    client: HttpClient,
    streams: BTreeMap<Table, String>,
    tokens: TokenCache<P>,
    gzip: Gzip,
    rules: Rules,
}

impl<P: ProofSource> LogsIngestionSink<P> {
    /// A sink for the rules of the settings.
    pub fn new(client: HttpClient, settings: LogsIngestion, proofs: P, compression_level: u8) -> Self {
        let tokens = TokenCache::new(client.clone(), &settings, proofs);
        let rules = Rules::new(settings.rules);
        let (streams, gzip) = (settings.streams, Gzip::new(compression_level));
        Self { client, streams, tokens, gzip, rules }
    }

    /// Fetches a token ahead.
    pub(super) async fn fetch_ahead(&self) -> Result<(), UploadError> {
        self.tokens.token().await.map(drop)
    }

    fn url(&self, rule: &DataCollectionRule, table: Table) -> String {
        let stream = self.streams.get(&table).map_or("", String::as_str);
        let (endpoint, id) = (&rule.endpoint, &rule.dcr_immutable_id);
        format!("{endpoint}/dataCollectionRules/{id}/streams/{stream}?api-version={API_VERSION}")
    }

    /// Posts to one of the rules, and once more with a fresh token if the first one's was refused.
    async fn post(&self, table: Table, body: &[u8], packed: &Bytes) -> Result<(), UploadError> {
        // Nothing is asked of Entra while nothing is posted.
        if let Some(rest) = self.rules.rests(now()) {
            return Err(UploadError::Resting { rest });
        }
        let mut has_fresh_token = false;
        loop {
            let token = self.tokens.token().await?;
            let post = |rule: &DataCollectionRule| {
                let (url, token) = (self.url(rule, table), &token);
                async move { self.post_once(&url, token, packed).await }
            };
            match self.rules.upload(table, body, post).await {
                Err(UploadError::Unauthorized { .. }) if !has_fresh_token => {
                    self.tokens.forget(&token).await;
                    has_fresh_token = true;
                }
                Err(UploadError::Unauthorized { what, status }) => {
                    let what = format!("{what} with a fresh token: is AZURE_CLOUD right?");
                    return Err(UploadError::Unauthorized { what, status });
                }
                result => return result,
            }
        }
    }

    async fn post_once(&self, url: &str, token: &SecretString, packed: &Bytes) -> Result<(), UploadError> {
        let request_id = Uuid::new_v4().to_string();
        let sent = self.client.send(|client| {
            client
                .post(url)
                .timeout(POST_TIMEOUT)
                .bearer_auth(token.expose_secret())
                .header("content-type", "application/json")
                .header("content-encoding", "gzip")
                .header("x-ms-client-request-id", &request_id)
                .body(packed.clone())
        });
        let response = sent.await.map_err(|error| UploadError::no_answer(kind_of(&error)))?;
        judge(response, RECEIPT, request_id).await
    }
}

impl<P: ProofSource + 'static> LogSink for LogsIngestionSink<P> {
    fn rests(&self) -> Option<Duration> {
        let now = now();
        self.rules.rests(now).max(self.tokens.rests(now))
    }

    async fn upload(
        &self,
        table: Table,
        body: &[u8],
        deadline: Deadline,
    ) -> (UploadCosts, Result<(), UploadError>) {
        let Some(packed) = self.gzip.pack(body).map(Bytes::from) else {
            return (UploadCosts::default(), Err(UploadError::TooLarge));
        };
        let bytes = packed.len() as u64;
        let attempt = || self.post(table, body, &packed);
        let (mut costs, result) = ask_again(deadline, bytes, attempt).await;
        self.rules.account(&mut costs);
        (costs, result)
    }
}

/// Tries until it is taken, can't be, or it is not worth asking again before the deadline.
pub(super) async fn ask_again<F: Future<Output = Result<(), UploadError>>>(
    deadline: Deadline,
    bytes: u64,
    attempt: impl Fn() -> F,
) -> (UploadCosts, Result<(), UploadError>) {
    let began = now();
    let mut costs = UploadCosts { bytes, ..UploadCosts::default() };
    let mut backoff = Backoff::default();
    let mut answered = None;
    let result = loop {
        let tried = tokio::time::timeout_at(deadline.instant().into(), attempt()).await;
        let result = tried.unwrap_or_else(|_| Err(UploadError::no_answer("no answer before the deadline")));
        let (status, after) = match result {
            Err(UploadError::Unavailable { status, after, .. }) => (status, after),
            // What was answered says more than the rest that follows it.
            Err(UploadError::Resting { rest }) => {
                break Err(answered
                    .map_or(UploadError::Resting { rest }, |error: UploadError| error.not_before(rest)));
            }
            _ => {
                costs.failed += u64::from(result.is_err());
                break result;
            }
        };
        if status == Some(429) {
            costs.throttled += 1;
        } else {
            costs.failed += 1;
        }
        match backoff.wait(after).filter(|wait| deadline.leaves(now(), *wait)) {
            Some(wait) => {
                answered = result.err();
                tokio::time::sleep(wait).await;
            }
            None => break result,
        }
    };
    costs.elapsed = now() - began;
    (costs, result)
}
