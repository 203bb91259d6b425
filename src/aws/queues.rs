//! Sends to queues of SQS.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use thiserror::Error;

/// A message could not be sent; what it stands for must come again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the queue did not take the message ({code})")]
pub struct QueueError {
    /// The code that AWS gave.
    pub code: String,
}

/// A queue that takes messages.
pub trait Queue: Send + Sync + 'static {
    /// Sends one message; it is safe once this is answered.
    fn send(&self, body: &str) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Hides a received message of this queue for so long, then it comes again.
    fn hide(&self, receipt: &str, time: Duration) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Whether that ARN is this queue's.
    fn is(&self, arn: &str) -> bool;
}

/// A queue of SQS.
pub struct SqsQueue {
    client: Client,
    url: Option<String>,
}

impl SqsQueue {
    /// The queue at that address; without one, nothing can be sent.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, url: Option<String>) -> Self {
        Self { client: Client::new(config), url }
    }
}

impl Queue for SqsQueue {
    async fn send(&self, body: &str) -> Result<(), QueueError> {
        let Some(url) = &self.url else {
            return Err(QueueError { code: "no queue is configured".to_owned() });
        };
        let sent = self.client.send_message().queue_url(url).message_body(body).send().await;
        sent.map(|_| ()).map_err(|error| QueueError { code: error.code().unwrap_or("no answer").to_owned() })
    }

    async fn hide(&self, receipt: &str, time: Duration) -> Result<(), QueueError> {
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let request = self.client.change_message_visibility().set_queue_url(self.url.clone());
        let changed = request.receipt_handle(receipt).visibility_timeout(seconds).send().await;
        changed.map_err(|error| QueueError { code: error.code().unwrap_or("no answer").to_owned() })?;
        Ok(())
    }

    fn is(&self, arn: &str) -> bool {
        // arn:aws:sqs:region:account:name, and https://sqs.region.amazonaws.com/account/name.
        let mut ends = arn.rsplit(':').zip(self.url.as_deref().unwrap_or_default().rsplit('/'));
        ends.by_ref().take(2).filter(|(ours, theirs)| ours == theirs).count() == 2
    }
}
