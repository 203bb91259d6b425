//! A queue in an operator's hands: its messages are received, released, deleted, and sent on, ten at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageAttributeValue,
    MessageSystemAttributeName, QueueAttributeName,
};
use jiff::Timestamp;
use thiserror::Error;

use super::error::{AwsError, classify};
use super::queues::{Refusals, groups, refusals, send_together, whole_seconds};

/// A receive that waits asks all servers of the queue, so that an empty answer means an empty queue
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html>).
const WAIT_SECONDS: i32 = 1;

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The same however often it is received.
    pub message_id: String,
    /// By which it is deleted or released; another each time.
    pub receipt: String,
    /// The text.
    pub body: String,
    /// When it was sent first.
    pub sent_at: Timestamp,
    /// What its sender wrote beside the body.
    pub attributes: BTreeMap<String, String>,
}

/// A queue does not do what it was asked for; all of it, not one message alone.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", self.text())]
pub struct MailboxError {
    /// The queue.
    pub url: String,
    /// Why not.
    pub error: AwsError,
}

impl MailboxError {
    fn text(&self) -> String {
        let Self { url, error } = self;
        match error {
            AwsError::Missing { code } => format!(
                "there is no queue {url} ({code}): compare the address with the outputs of the stack, and look at \
                 the account and region that you are in"
            ),
            _ => format!("queue {url}: {error}"),
        }
    }
}

/// A queue whose messages are worked on.
pub trait Mailbox {
    /// Up to ten messages, hidden from others for so long. That there are none is sure only if it waited for some.
    fn receive(
        &self,
        hide: Duration,
        waits: bool,
    ) -> impl Future<Output = Result<Vec<Received>, MailboxError>>;

    /// Makes messages visible at once.
    fn release(&self, receipts: &[&str]) -> impl Future<Output = Result<Refusals, MailboxError>>;

    /// Deletes messages.
    fn delete(&self, receipts: &[&str]) -> impl Future<Output = Result<Refusals, MailboxError>>;

    /// Sends messages; one that is not refused is safe.
    fn send(&self, bodies: &[&str]) -> impl Future<Output = Result<Refusals, MailboxError>>;

    /// Sends one message with what its first sender wrote beside the body; the code, if it is refused.
    fn send_back(
        &self,
        body: &str,
        attributes: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Option<String>, MailboxError>>;

    /// About how many messages there are, visible or not.
    fn depth(&self) -> impl Future<Output = Result<u64, MailboxError>>;
}

/// A queue of SQS.
pub struct SqsMailbox {
    client: Client,
    url: String,
}

impl SqsMailbox {
    /// The queue at that address.
    #[must_use]
    pub fn new(config: &SdkConfig, url: String) -> Self {
        Self { client: Client::new(config), url }
    }

    fn failure<E>(&self, error: &SdkError<E, HttpResponse>, action: &'static str) -> MailboxError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        MailboxError { url: self.url.clone(), error: classify(error, action) }
    }

    async fn send_together(&self, bodies: &[&str]) -> Result<Refusals, MailboxError> {
        let sent = send_together(&self.client, &self.url, bodies).await;
        sent.map_err(|error| self.failure(&error, "sqs:SendMessage"))
    }
}

impl Mailbox for SqsMailbox {
    async fn receive(&self, hide: Duration, waits: bool) -> Result<Vec<Received>, MailboxError> {
        let wait_seconds = if waits { WAIT_SECONDS } else { 0 };
        let request = self.client.receive_message().queue_url(&self.url).wait_time_seconds(wait_seconds);
        let request = request.max_number_of_messages(10).visibility_timeout(whole_seconds(hide));
        let request = request
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = request.send().await.map_err(|error| self.failure(&error, "sqs:ReceiveMessage"))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    async fn release(&self, receipts: &[&str]) -> Result<Refusals, MailboxError> {
        let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
        for (place, receipt) in receipts.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
            request = request.entries(built(entry.receipt_handle(*receipt).visibility_timeout(0).build())?);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.failure(&error, "sqs:ChangeMessageVisibility"))?;
        Ok(refusals(receipts.len(), answer.failed))
    }

    async fn delete(&self, receipts: &[&str]) -> Result<Refusals, MailboxError> {
        let mut request = self.client.delete_message_batch().queue_url(&self.url);
        for (place, receipt) in receipts.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            request = request.entries(built(entry.receipt_handle(*receipt).build())?);
        }
        let answer = request.send().await.map_err(|error| self.failure(&error, "sqs:DeleteMessage"))?;
        Ok(refusals(receipts.len(), answer.failed))
    }

    async fn send(&self, bodies: &[&str]) -> Result<Refusals, MailboxError> {
        let mut all = Vec::with_capacity(bodies.len());
        for group in groups(bodies) {
            match self.send_together(group).await {
                Ok(refusals) => all.extend(refusals),
                // One message may spoil the call for all: each by itself shows which.
                Err(failure) if failure.error.is_lasting() => return Err(failure),
                Err(_) => {
                    for body in group {
                        all.push(match self.send_together(&[body]).await {
                            Ok(refusals) => refusals.into_iter().next().flatten(),
                            Err(failure) if failure.error.is_lasting() => return Err(failure),
                            Err(failure) => Some(failure.error.to_string()),
                        });
                    }
                }
            }
        }
        Ok(all)
    }

    async fn send_back(
        &self,
        body: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<Option<String>, MailboxError> {
        let mut request = self.client.send_message().queue_url(&self.url).message_body(body);
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            request = request.message_attributes(name, built(value)?);
        }
        match request.send().await.map_err(|error| self.failure(&error, "sqs:SendMessage")) {
            Ok(_) => Ok(None),
            Err(failure) if failure.error.is_lasting() => Err(failure),
            Err(failure) => Ok(Some(failure.error.to_string())),
        }
    }

    async fn depth(&self) -> Result<u64, MailboxError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let answer = answer.map_err(|error| self.failure(&error, "sqs:GetQueueAttributes"))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(names.iter().filter_map(|name| attributes.get(name)?.parse::<u64>().ok()).sum())
    }
}

fn received(message: Message) -> Received {
    let system = message.attributes.unwrap_or_default();
    let sent_ms = system.get(&MessageSystemAttributeName::SentTimestamp).and_then(|text| text.parse().ok());
    let attributes = message.message_attributes.unwrap_or_default();
    Received {
        message_id: message.message_id.unwrap_or_default(),
        receipt: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        sent_at: Timestamp::from_millisecond(sent_ms.unwrap_or_default()).unwrap_or_default(),
        attributes: attributes
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.string_value?)))
            .collect(),
    }
}

/// An entry has all that it needs, so building it does not fail.
fn built<T, E: std::fmt::Display>(entry: Result<T, E>) -> Result<T, MailboxError> {
    entry.map_err(|error| MailboxError {
        url: String::new(),
        error: AwsError::Rejected { code: error.to_string() },
    })
}
