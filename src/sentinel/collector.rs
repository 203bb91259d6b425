//! The client of the HTTP Data Collector API, which Microsoft no longer supports.
//!
//! <https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api>.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use secrecy::ExposeSecret;
use sha2::Sha256;

use super::answer::{judge, kind_of};
use super::cache::Cache;
use super::ingestion::ask_again;
use super::{ExchangeError, LogSink, UploadCosts, UploadError};
use crate::credential::{Proof, ProofSource};
use crate::deadline::Deadline;
use crate::http_client::HttpClient;
use crate::table::{TIME_GENERATED, Table};

const POST_TIMEOUT: Duration = Duration::from_secs(30);
/// Success, by the page above.
const RECEIPT: u16 = 200;

/// Posts batches to a workspace's own tables.
pub struct DataCollectorSink<P> {
    client: HttpClient,
    endpoint: String,
    workspace_id: String,
    keys: P,
    key: Cache<Hmac<Sha256>>,
}

impl<P: ProofSource> DataCollectorSink<P> {
    /// A sink for a workspace; its key is the secret of the source.
    pub const fn new(client: HttpClient, endpoint: String, workspace_id: String, keys: P) -> Self {
        Self { client, endpoint, workspace_id, keys, key: Cache::new() }
    }

    /// Fetches the workspace's key ahead.
    ///
    /// # Errors
    /// If there is no key to be had for now, or none at all.
    pub async fn fetch_ahead(&self) -> Result<(), UploadError> {
        self.key().await.map(drop)
    }

    /// The workspace's key, fetched when it is first needed and after it was refused: it may have been regenerated.
    async fn key(&self) -> Result<Arc<Hmac<Sha256>>, UploadError> {
        let fetched = self.key.get(async {
            let proof = self.keys.proof().await.map_err(ExchangeError::from)?;
            let Proof::Secret(key) = proof else { return Err(unfit()) };
            let key = STANDARD.decode(key.expose_secret().trim()).map_err(|_| unfit())?;
            let key = Hmac::new_from_slice(&key).map_err(|_| unfit())?;
            Ok((key, None))
        });
        fetched.await
    }

    fn authorization(&self, key: &Hmac<Sha256>, length: usize, date: &str) -> String {
        let mut mac = key.clone();
        mac.update(format!("POST\n{length}\napplication/json\nx-ms-date:{date}\n/api/logs").as_bytes());
        format!("SharedKey {}:{}", self.workspace_id, STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Posts, and once more with a fresh key if the first one's signature was refused.
    async fn post(&self, table: Table, body: &Bytes) -> Result<(), UploadError> {
        let key = self.key().await?;
        let result = self.post_once(table, body, &key).await;
        if !matches!(result, Err(UploadError::Unauthorized { .. } | UploadError::Forbidden { .. })) {
            return result;
        }
        self.key.forget(&key).await;
        let fresh = self.key().await?;
        if self.authorization(&fresh, 0, "") == self.authorization(&key, 0, "") {
            return result;
        }
        self.post_once(table, body, &fresh).await
    }

    async fn post_once(&self, table: Table, body: &Bytes, key: &Hmac<Sha256>) -> Result<(), UploadError> {
        let date = DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&Timestamp::now())
            .map_err(|_| UploadError::no_answer("the clock is off"))?;
        let sent = self.client.send(|client| {
            client
                .post(format!("{}/api/logs?api-version=2016-04-01", self.endpoint))
                .timeout(POST_TIMEOUT)
                .header("authorization", self.authorization(key, body.len(), &date))
                .header("content-type", "application/json")
                .header("log-type", table.name())
                .header("x-ms-date", &date)
                .header("time-generated-field", TIME_GENERATED)
                .body(body.clone())
        });
        let response = sent.await.map_err(|error| UploadError::no_answer(kind_of(&error)))?;
        judge(response, RECEIPT, String::new()).await
    }
}

impl<P: ProofSource + 'static> LogSink for DataCollectorSink<P> {
    fn rests(&self) -> Option<Duration> {
        None
    }

    async fn upload(
        &self,
        table: Table,
        body: &[u8],
        deadline: Deadline,
    ) -> (UploadCosts, Result<(), UploadError>) {
        let body = Bytes::copy_from_slice(body);
        ask_again(deadline, body.len() as u64, || self.post(table, &body)).await
    }
}

fn unfit() -> UploadError {
    UploadError::Unauthorized { what: "the workspace's key is no base64".to_owned(), status: None }
}
