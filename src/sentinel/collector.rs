//! The client of the HTTP Data Collector API, which Microsoft no longer supports.
//!
//! <https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api>.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use reqwest::Client;
use sha2::Sha256;

use super::ingestion::{ask_again, kind_of, taken};
use super::{LogSink, UploadCosts, UploadError};
use crate::deadline::Deadline;
use crate::table::{TIME_GENERATED, Table};

const POST_TIMEOUT: Duration = Duration::from_secs(30);

/// Posts batches to a workspace's own tables.
pub struct DataCollectorSink {
    client: Client,
    endpoint: String,
    workspace_id: String,
    key: Hmac<Sha256>,
}

impl DataCollectorSink {
    /// A sink for a workspace; none if the key is no base64.
    #[must_use]
    pub fn new(client: Client, endpoint: String, workspace_id: String, shared_key: &str) -> Option<Self> {
        let key = Hmac::new_from_slice(&STANDARD.decode(shared_key.trim()).ok()?).ok()?;
        Some(Self { client, endpoint, workspace_id, key })
    }

    fn authorization(&self, length: usize, date: &str) -> String {
        let mut mac = self.key.clone();
        mac.update(format!("POST\n{length}\napplication/json\nx-ms-date:{date}\n/api/logs").as_bytes());
        format!("SharedKey {}:{}", self.workspace_id, STANDARD.encode(mac.finalize().into_bytes()))
    }

    async fn post(&self, table: Table, body: &Bytes) -> Result<(), UploadError> {
        let unavailable = |what: &str| UploadError::Unavailable { what: what.to_owned(), after: None };
        let date = DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&Timestamp::now())
            .map_err(|_| unavailable("the clock is off"))?;
        let sent = self
            .client
            .post(format!("{}/api/logs?api-version=2016-04-01", self.endpoint))
            .timeout(POST_TIMEOUT)
            .header("authorization", self.authorization(body.len(), &date))
            .header("content-type", "application/json")
            .header("log-type", table.name())
            .header("x-ms-date", date)
            .header("time-generated-field", TIME_GENERATED)
            .body(body.clone())
            .send()
            .await;
        taken(sent.map_err(|error| unavailable(kind_of(&error)))?, String::new()).await
    }
}

impl LogSink for DataCollectorSink {
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
