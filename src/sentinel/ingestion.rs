//! The client of the Logs Ingestion API.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>. Bodies, tokens and the
//! service's messages are never logged: they may quote log text. Its codes are.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use uuid::Uuid;

use super::gzip::Gzip;
use super::retry::{Backoff, retry_after};
use super::rules::Rules;
use super::{LogSink, TokenCache, UploadCosts, UploadError, now};
use crate::config::{DataCollectionRule, LogsIngestion};
use crate::credential::ProofSource;
use crate::deadline::Deadline;
use crate::table::Table;

/// How long one post may take: a megabyte over a poor line, and then some.
const POST_TIMEOUT: Duration = Duration::from_secs(30);
const API_VERSION: &str = "2023-01-01";

/// Posts batches to data collection rules.
pub struct LogsIngestionSink<P> {
    client: Client,
    streams: BTreeMap<Table, String>,
    tokens: TokenCache<P>,
    gzip: Gzip,
    rules: Rules,
}

impl<P: ProofSource> LogsIngestionSink<P> {
    /// A sink for the rules of the settings.
    pub fn new(client: Client, settings: LogsIngestion, proofs: P, compression_level: u8) -> Self {
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

    /// One post, and one more with a fresh token if the first one's was refused.
    async fn post(&self, url: &str, packed: &Bytes) -> Result<(), UploadError> {
        for _ in 0..2 {
            let token = self.tokens.token().await?;
            let request_id = Uuid::new_v4().to_string();
            let sent = self
                .client
                .post(url)
                .timeout(POST_TIMEOUT)
                .bearer_auth(token.expose_secret())
                .header("content-type", "application/json")
                .header("content-encoding", "gzip")
                .header("x-ms-client-request-id", &request_id)
                .body(packed.clone())
                .send()
                .await;
            let response = sent.map_err(|error| UploadError::Unavailable {
                what: kind_of(&error).to_owned(),
                after: None,
            })?;
            if response.status() == StatusCode::UNAUTHORIZED {
                self.tokens.forget(&token).await;
                continue;
            }
            return taken(response, request_id).await;
        }
        Err(UploadError::Unauthorized { what: "401 with a fresh token: is AZURE_CLOUD right?".to_owned() })
    }
}

impl<P: ProofSource + 'static> LogSink for LogsIngestionSink<P> {
    fn rests(&self) -> Option<Duration> {
        self.rules.rests(now())
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
        let attempt =
            || self.rules.upload(body.len(), async |rule| self.post(&self.url(rule, table), &packed).await);
        let (mut costs, result) = ask_again(deadline, bytes, attempt).await;
        costs.circuit_open = self.rules.opened();
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
    let result = loop {
        let tried = tokio::time::timeout_at(deadline.instant().into(), attempt()).await;
        let result = tried.unwrap_or_else(|_| {
            Err(UploadError::Unavailable { what: "no answer before the deadline".to_owned(), after: None })
        });
        let Err(error) = &result else { break result };
        let (what, after) = match error {
            UploadError::Unavailable { what, after } => (what, after),
            UploadError::Resting { .. } => break result,
            _ => {
                costs.failed += 1;
                break result;
            }
        };
        if what == "429" {
            costs.throttled += 1;
        } else {
            costs.failed += 1;
        }
        match backoff.wait(*after).filter(|wait| deadline.leaves(now(), *wait)) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => break result,
        }
    };
    costs.elapsed = now() - began;
    (costs, result)
}

/// Reads an answer.
pub(super) async fn taken(response: Response, request_id: String) -> Result<(), UploadError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let after = response
        .headers()
        .get("retry-after")
        .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
    let code = code_of(response).await;
    Err(match status.as_u16() {
        // A stream that the rule does not have fails all rows alike: bisecting would post each of them in vain.
        400 if code == "InvalidStream" => UploadError::Misconfigured { code, status: 400 },
        401 => UploadError::Unauthorized { what: format!("401 {code}") },
        403 => UploadError::Forbidden { code },
        404 => UploadError::Misconfigured { code, status: 404 },
        413 => UploadError::TooLarge,
        408 | 429 | 500 | 502..=599 => UploadError::Unavailable { what: status.as_u16().to_string(), after },
        _ => UploadError::Rejected { code, request_id },
    })
}

#[derive(Deserialize)]
struct Answer {
    error: AnswerError,
}

#[derive(Deserialize)]
struct AnswerError {
    code: String,
}

/// The service's code, by the header or the body; nothing else of it.
async fn code_of(response: Response) -> String {
    let header =
        response.headers().get("x-ms-error-code").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let code = match header {
        Some(code) => Some(code),
        None => response
            .bytes()
            .await
            .ok()
            .and_then(|body| Some(serde_json::from_slice::<Answer>(&body).ok()?.error.code)),
    };
    code.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

/// A word for what went wrong on the way; never the address.
pub(super) fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}
