//! The client of the Logs Ingestion API.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>. Bodies and tokens are never logged.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{timeout, timeout_at};
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
                let (url, token, rule) = (self.url(rule, table), &token, rule.clone());
                async move { self.post_once(&url, token, packed).await.map_err(|error| error.of_rule(&rule)) }
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
        // Each post has its own, also where a connection broke and it is repeated.
        let request_id = Mutex::new(String::new());
        let sent = self.client.send(|client| {
            let fresh = Uuid::new_v4().to_string();
            request_id.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&fresh);
            client
                .post(url)
                .timeout(POST_TIMEOUT)
                .bearer_auth(token.expose_secret())
                .header("content-type", "application/json")
                .header("content-encoding", "gzip")
                .header("x-ms-client-request-id", fresh)
                .body(packed.clone())
        });
        let response = sent.await.map_err(|error| UploadError::no_answer(kind_of(&error)))?;
        let request_id = request_id.into_inner().unwrap_or_else(PoisonError::into_inner);
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

/// What is begun with less time left is taken by Sentinel, perhaps, and not answered in time: its rows come twice.
const LEAST: Duration = Duration::from_millis(50);
/// After the deadline an answer is read that has arrived already: a function that was frozen sees its deadline first.
const UNREAD: Duration = Duration::from_millis(100);

/// The answer, if it comes before the deadline.
async fn answer_before<F: Future>(deadline: Deadline, mut attempt: Pin<&mut F>) -> Option<F::Output> {
    if let Ok(answer) = timeout_at(deadline.instant().into(), attempt.as_mut()).await {
        return Some(answer);
    }
    timeout(UNREAD, attempt).await.ok()
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
        if !deadline.leaves(now(), LEAST) {
            break Err(answered.unwrap_or_else(|| UploadError::no_answer("no time is left to upload")));
        }
        let tried = answer_before(deadline, pin!(attempt())).await;
        let result = tried.unwrap_or_else(|| Err(UploadError::no_answer("no answer before the deadline")));
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
        match backoff.wait(after).filter(|wait| deadline.leaves(now(), *wait + LEAST)) {
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The result of an upload with so much time left that is answered so long after it began, and how often it was tried.
    async fn upload(left_ms: u64, answer_ms: u64, answer: Result<(), UploadError>) -> (bool, u32) {
        let tries = Cell::new(0);
        let attempt = || async {
            tries.set(tries.get() + 1);
            tokio::time::sleep(Duration::from_millis(answer_ms)).await;
            answer.clone()
        };
        let deadline = Deadline::at(now() + Duration::from_millis(left_ms));
        let (_, result) = ask_again(deadline, 0, attempt).await;
        (result.is_ok(), tries.get())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_there_when_a_frozen_function_wakes_is_read() {
        assert_eq!(upload(1000, 999, Ok(())).await, (true, 1));
        assert_eq!(upload(1000, 1050, Ok(())).await, (true, 1));
        assert_eq!(upload(1000, 1150, Ok(())).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_posted_whose_answer_would_come_too_late() {
        assert_eq!(upload(0, 0, Ok(())).await, (false, 0));
        assert_eq!(upload(40, 0, Ok(())).await, (false, 0));
        assert_eq!(upload(60, 0, Ok(())).await, (true, 1));
        let busy = UploadError::Unavailable {
            what: "503".to_owned(),
            status: Some(503),
            after: Some(Duration::from_secs(2)),
            alarm: None,
        };
        assert_eq!(upload(2040, 0, Err(busy.clone())).await, (false, 1));
        assert_eq!(upload(2300, 0, Err(busy)).await, (false, 2));
    }
}
