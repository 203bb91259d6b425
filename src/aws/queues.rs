//! Sends to queues of SQS and hides their messages, ten in a call: calls are what is paid for.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message_batch::SendMessageBatchError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry,
};
use futures_util::{StreamExt, stream};
use thiserror::Error;

/// The most messages of one call
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
pub const MOST_MESSAGES: usize = 10;
/// The most bytes of one call: what every queue takes, also one that was limited to it. A longer message goes alone.
const CALL_BYTES: usize = 256 * 1024;

/// Calls that send at once: a queue that takes its time must not take the invocation's.
const CALLS_AT_ONCE: usize = 8;

/// A message could not be sent; what it stands for must come again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the queue did not take the message ({code})")]
pub struct QueueError {
    /// The code that AWS gave.
    pub code: String,
}

impl QueueError {
    fn of(code: Option<&str>) -> Self {
        Self { code: code.unwrap_or("no answer").to_owned() }
    }
}

/// A queue that takes messages.
pub trait Queue: Send + Sync + 'static {
    /// Sends messages; each is safe once its own answer is good.
    fn send_all(&self, bodies: &[String]) -> impl Future<Output = Vec<Result<(), QueueError>>> + Send;

    /// Hides received messages of this queue, by their receipts, each for so long; then they come again.
    ///
    /// The error is that of one of those that were not hidden.
    fn hide_all(&self, messages: &[(&str, Duration)]) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// Whether that ARN is this queue's.
    fn is(&self, arn: &str) -> bool;
}

/// A queue of SQS.
#[derive(Clone)]
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

    async fn send(&self, url: &str, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        let sent = send_together(&self.client, url, bodies).await;
        if bodies.len() > 1 && matches!(sent, Err(SdkError::ServiceError(_))) {
            // One message may spoil the call for all: each by itself shows which.
            let mut all = Vec::with_capacity(bodies.len());
            for body in bodies {
                all.extend(Box::pin(self.send(url, std::slice::from_ref(body))).await);
            }
            return all;
        }
        match sent {
            Ok(refusals) => refusals
                .into_iter()
                .map(|refusal| refusal.map_or(Ok(()), |code| Err(QueueError { code })))
                .collect(),
            Err(error) => vec![Err(QueueError::of(error.code())); bodies.len()],
        }
    }
}

impl Queue for SqsQueue {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        let Some(url) = &self.url else {
            return vec![Err(QueueError { code: "no queue is configured".to_owned() }); bodies.len()];
        };
        let calls: Vec<_> = groups(bodies).into_iter().map(|group| self.send(url, group)).collect();
        stream::iter(calls).buffered(CALLS_AT_ONCE).collect::<Vec<_>>().await.concat()
    }

    async fn hide_all(&self, messages: &[(&str, Duration)]) -> Result<(), QueueError> {
        let mut hidden = Ok(());
        for group in messages.chunks(MOST_MESSAGES) {
            let entries = group.iter().enumerate().filter_map(|(place, (receipt, time))| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
                entry.receipt_handle(*receipt).visibility_timeout(whole_seconds(*time)).build().ok()
            });
            let request = self.client.change_message_visibility_batch().set_queue_url(self.url.clone());
            match request.set_entries(Some(entries.collect())).send().await {
                Ok(answer) => {
                    if let Some(failed) = answer.failed.first() {
                        hidden = Err(QueueError { code: failed.code.clone() });
                    }
                }
                Err(error) => hidden = Err(QueueError::of(error.code())),
            }
        }
        hidden
    }

    fn is(&self, arn: &str) -> bool {
        // arn:aws:sqs:region:account:name, and https://sqs.region.amazonaws.com/account/name.
        let mut ends = arn.rsplit(':').zip(self.url.as_deref().unwrap_or_default().rsplit('/'));
        ends.by_ref().take(2).filter(|(ours, theirs)| ours == theirs).count() == 2
    }
}

pub(super) fn whole_seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

/// What a call about several messages answers: for each, nothing or the code by which it was refused.
pub type Refusals = Vec<Option<String>>;

/// Sends messages in one call.
pub(super) async fn send_together<B: AsRef<str>>(
    client: &Client,
    url: &str,
    bodies: &[B],
) -> Result<Refusals, SdkError<SendMessageBatchError, HttpResponse>> {
    let entries = bodies.iter().enumerate().filter_map(|(place, body)| {
        let entry = SendMessageBatchRequestEntry::builder().id(place.to_string());
        entry.message_body(body.as_ref()).build().ok()
    });
    let request = client.send_message_batch().queue_url(url).set_entries(Some(entries.collect()));
    let answer = request.send().await?;
    let mut sent = refusals(bodies.len(), answer.failed);
    for (place, refusal) in sent.iter_mut().enumerate() {
        // What is not said to be safe is not.
        if !answer.successful.iter().any(|done| done.id == place.to_string()) {
            refusal.get_or_insert("no answer".to_owned());
        }
    }
    Ok(sent)
}

/// The codes of what was refused, each in its place.
pub(super) fn refusals(count: usize, failed: Vec<BatchResultErrorEntry>) -> Refusals {
    let mut refusals = vec![None; count];
    for failure in failed {
        if let Some(place) = failure.id.parse::<usize>().ok().and_then(|place| refusals.get_mut(place)) {
            *place = Some(failure.code);
        }
    }
    refusals
}

/// Consecutive messages that fit into one call each.
pub(super) fn groups<B: AsRef<str>>(mut bodies: &[B]) -> Vec<&[B]> {
    let mut groups = Vec::new();
    while !bodies.is_empty() {
        let mut bytes = 0;
        let fitting = bodies.iter().take(MOST_MESSAGES).take_while(|body| {
            bytes += body.as_ref().len();
            bytes <= CALL_BYTES
        });
        let (group, rest) = bodies.split_at(fitting.count().max(1));
        groups.push(group);
        bodies = rest;
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_sqs::config::{Credentials, Region, SharedCredentialsProvider};
    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse as Response};
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
    use aws_smithy_types::body::SdkBody;
    use serde_json::{Value, json};

    use super::*;

    /// Plays SQS: what each call's entries come to is for the test to say.
    #[derive(Clone, Debug)]
    struct Played {
        answer: fn(&[Value]) -> (u16, Value),
        calls: Arc<Mutex<Vec<Vec<Value>>>>,
    }

    impl HttpConnector for Played {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let asked: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let entries = asked["Entries"].as_array().unwrap().clone();
            let (status, answer) = (self.answer)(&entries);
            self.calls.lock().unwrap().push(entries);
            let status = status.try_into().unwrap();
            HttpConnectorFuture::ready(Ok(Response::new(status, SdkBody::from(answer.to_string()))))
        }
    }

    impl HttpClient for Played {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    fn queue(answer: fn(&[Value]) -> (u16, Value)) -> (SqsQueue, Arc<Mutex<Vec<Vec<Value>>>>) {
        let played = Played { answer, calls: Arc::default() };
        let calls = Arc::clone(&played.calls);
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let config = aws_config::SdkConfig::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(played)
            .build();
        (SqsQueue::new(&config, Some("http://127.0.0.1:1/1/work".to_owned())), calls)
    }

    fn taken(entries: &[Value]) -> Vec<Value> {
        entries
            .iter()
            .map(|entry| json!({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "d"}))
            .collect()
    }

    fn bodies(bodies: &[&str]) -> Vec<String> {
        bodies.iter().map(|body| (*body).to_owned()).collect()
    }

    #[tokio::test]
    async fn each_message_of_a_call_has_its_own_answer() {
        let (queue, calls) = queue(|entries| {
            let failed = json!([{"Id": "1", "Code": "InternalError", "SenderFault": false}]);
            (200, json!({"Successful": [taken(entries)[0]], "Failed": failed}))
        });
        let refused = |code: &str| Err(QueueError { code: code.to_owned() });
        let sent = queue.send_all(&bodies(&["a", "b", "c"])).await;
        assert_eq!(sent, [Ok(()), refused("InternalError"), refused("no answer")]);
        assert_eq!(calls.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_message_that_spoils_a_call_spoils_no_other() {
        let (queue, calls) = queue(|entries| {
            if entries.iter().any(|entry| entry["MessageBody"] == "bad") {
                return (400, json!({"__type": "com.amazonaws.sqs#InvalidMessageContents"}));
            }
            (200, json!({"Successful": taken(entries), "Failed": []}))
        });
        let sent = queue.send_all(&bodies(&["a", "bad", "c"])).await;
        let code = "InvalidMessageContents".to_owned();
        assert_eq!(sent, [Ok(()), Err(QueueError { code }), Ok(())]);
        assert_eq!(calls.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1, 1]);
    }

    #[tokio::test]
    async fn messages_are_hidden_ten_in_a_call_each_for_its_own_time() {
        let (queue, calls) = queue(|entries| {
            let failed: Vec<_> = entries
                .iter()
                .filter(|entry| entry["VisibilityTimeout"] == 3)
                .map(
                    |entry| json!({"Id": entry["Id"], "Code": "ReceiptHandleIsInvalid", "SenderFault": true}),
                )
                .collect();
            (200, json!({"Successful": [], "Failed": failed}))
        });
        let receipts: Vec<_> = (0..12).map(|number| format!("r{number}")).collect();
        let messages: Vec<_> = receipts
            .iter()
            .zip(0..)
            .map(|(receipt, number)| (receipt.as_str(), Duration::from_secs(number)))
            .collect();
        let code = "ReceiptHandleIsInvalid".to_owned();
        assert_eq!(queue.hide_all(&messages).await, Err(QueueError { code }));
        assert_eq!(queue.hide_all(&messages[4..]).await, Ok(()));
        let calls = calls.lock().unwrap();
        assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [10, 2, 8]);
        assert_eq!(calls[1][1]["ReceiptHandle"], "r11");
        assert_eq!(calls[1][1]["VisibilityTimeout"], 11);
    }

    #[test]
    fn messages_share_a_call_as_far_as_it_carries_them() {
        let (half, whole, more) =
            ("x".repeat(CALL_BYTES / 2), "x".repeat(CALL_BYTES), "x".repeat(CALL_BYTES + 1));
        let sizes = |bodies: &[&str]| groups(bodies).iter().map(|group| group.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&["x"; 25]), [10, 10, 5]);
        assert_eq!(sizes(&[&half, &half, "x", &whole, &more, "x"]), [2, 1, 1, 1, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
