//! The client of the Logs Ingestion API.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>. Bodies, tokens and the
//! service's messages are never logged: they may quote log text. Its codes are.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use uuid::Uuid;

use super::gzip::Gzip;
use super::retry::{Backoff, retry_after};
use super::rules::{Full, Place, Rules};
use super::{LogSink, TokenCache, UploadCosts, UploadError};
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
    /// Circuits that opened and have not been told of yet.
    opened: AtomicU64,
}

impl<P: ProofSource> LogsIngestionSink<P> {
    /// A sink for the rules of the settings.
    pub fn new(client: Client, settings: LogsIngestion, proofs: P, compression_level: u8) -> Self {
        let tokens = TokenCache::new(client.clone(), &settings, proofs);
        let rules = Rules::new(settings.rules);
        let (streams, gzip) = (settings.streams, Gzip::new(compression_level));
        Self { client, streams, tokens, gzip, rules, opened: AtomicU64::default() }
    }

    fn url(&self, rule: &DataCollectionRule, table: Table) -> String {
        let stream = self.streams.get(&table).map_or("", String::as_str);
        let (endpoint, id) = (&rule.endpoint, &rule.dcr_immutable_id);
        format!("{endpoint}/dataCollectionRules/{id}/streams/{stream}?api-version={API_VERSION}")
    }

    /// A place at one of the rules, waited for where one is soon to be had.
    async fn place(&self, bytes: usize) -> Result<Place<'_>, UploadError> {
        loop {
            match self.rules.place(Instant::now(), bytes) {
                Ok(place) => return Ok(place),
                Err(Full::Resting(rest)) => return Err(UploadError::Resting { rest }),
                Err(Full::Soon(wait)) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// Posts to the least busy rule; the rule's circuit learns how it went.
    async fn try_once(&self, table: Table, bytes: usize, packed: &Bytes) -> Result<(), UploadError> {
        let place = self.place(bytes).await?;
        let result = self.post(&self.url(place.settings(), table), packed).await;
        match &result {
            Err(UploadError::Unavailable { after, .. }) => {
                if place.circuit().fail(Instant::now(), *after) {
                    self.opened.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => place.circuit().close(),
        }
        result
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
        self.rules.rests(Instant::now())
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
        let (mut costs, result) =
            ask_again(deadline, bytes, || self.try_once(table, body.len(), &packed)).await;
        costs.circuit_open = self.opened.swap(0, Ordering::Relaxed);
        (costs, result)
    }
}

/// Tries until it is taken, can't be, or it is not worth asking again before the deadline.
pub(super) async fn ask_again<F: Future<Output = Result<(), UploadError>>>(
    deadline: Deadline,
    bytes: u64,
    attempt: impl Fn() -> F,
) -> (UploadCosts, Result<(), UploadError>) {
    let began = Instant::now();
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
        match backoff.wait(*after).filter(|wait| deadline.leaves(Instant::now(), *wait)) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => break result,
        }
    };
    costs.elapsed = began.elapsed();
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
