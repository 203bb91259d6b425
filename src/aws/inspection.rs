//! Looks at what stands in the account, for the doctor: reads alone, nothing is changed.
//!
//! Letters are looked at for their age, and are at once as visible as before; messages of the work queue never are,
//! since their receipts count.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeDefinition, KeyType, ScalarAttributeType, TimeToLiveStatus};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use jiff::Timestamp;
use serde::Deserialize;

use super::error::{AwsError, classify};
use super::signed::SignedCalls;
use crate::http_client::HttpClient;

/// How many letters one call shows at most.
const LETTERS_SEEN: i32 = 10;

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The user or the session of a role.
    pub arn: String,
}

/// What is known of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its ARN.
    pub arn: String,
    /// How long a received message is hidden.
    pub visibility_seconds: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that are received and neither deleted nor visible again.
    pub in_flight: u64,
    /// Where messages go in the end.
    pub redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redrive {
    /// The ARN of that queue.
    pub dead_letter_target_arn: String,
    /// How often a message is received before; AWS writes it as a number or as text.
    #[serde(deserialize_with = "number_or_text")]
    pub max_receive_count: u64,
}

/// What is known of the ledger's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFacts {
    /// Whether it can be used.
    pub status: String,
    /// The names of its keys with their roles and types, such as `pk HASH S`.
    pub keys: Vec<String>,
    /// The attribute by which entries expire, if they do.
    pub expires_by: Option<String>,
}

/// Whom a bucket tells of new objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketFacts {
    /// `EventBridge` is told.
    pub event_bridge: bool,
    /// The ARNs of queues, topics and functions that are told.
    pub targets: Vec<String>,
}

/// Reads of an account.
pub struct Inspection {
    pub(super) config: SdkConfig,
    pub(super) signed: SignedCalls,
}

impl Inspection {
    /// With the SDK's settings.
    #[must_use]
    pub fn new(client: HttpClient, config: SdkConfig) -> Self {
        Self { signed: SignedCalls::new(client, config.clone()), config }
    }

    /// Who we are.
    ///
    /// # Errors
    /// If we are nobody, or nobody answers.
    pub async fn caller(&self) -> Result<Caller, AwsError> {
        if self.config.region().is_none() {
            return Err(AwsError::NoRegion);
        }
        let answer = aws_sdk_sts::Client::new(&self.config).get_caller_identity().send().await;
        let answer = answer.map_err(|error| classify(&error, "sts:GetCallerIdentity"))?;
        Ok(Caller { account: answer.account.unwrap_or_default(), arn: answer.arn.unwrap_or_default() })
    }

    /// What is known of a queue.
    ///
    /// # Errors
    /// If it can't be looked at.
    pub async fn queue(&self, url: &str) -> Result<QueueFacts, AwsError> {
        let request = aws_sdk_sqs::Client::new(&self.config).get_queue_attributes().queue_url(url);
        let answer = request.attribute_names(QueueAttributeName::All).send().await;
        let answer = answer.map_err(|error| classify(&error, "sqs:GetQueueAttributes"))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or_default();
        let redrive = attributes.get(&QueueAttributeName::RedrivePolicy);
        Ok(QueueFacts {
            arn: attributes.get(&QueueAttributeName::QueueArn).cloned().unwrap_or_default(),
            visibility_seconds: number(QueueAttributeName::VisibilityTimeout),
            waiting: number(QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
            redrive: redrive.and_then(|text| serde_json::from_str(text).ok()),
        })
    }

    /// When the oldest was sent of those letters that one call shows; they stay as they are.
    ///
    /// # Errors
    /// If they can't be looked at.
    pub async fn oldest_letter(&self, url: &str) -> Result<Option<Timestamp>, AwsError> {
        let request = aws_sdk_sqs::Client::new(&self.config).receive_message().queue_url(url);
        let request = request.visibility_timeout(0).max_number_of_messages(LETTERS_SEEN);
        let answer =
            request.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp).send().await;
        let answer = answer.map_err(|error| classify(&error, "sqs:ReceiveMessage"))?;
        let sent = answer.messages().iter().filter_map(|message| {
            let text = message.attributes()?.get(&MessageSystemAttributeName::SentTimestamp)?;
            Timestamp::from_millisecond(text.parse().ok()?).ok()
        });
        Ok(sent.min())
    }

    /// What is known of a table.
    ///
    /// # Errors
    /// If it can't be looked at.
    pub async fn table(&self, name: &str) -> Result<TableFacts, AwsError> {
        let client = aws_sdk_dynamodb::Client::new(&self.config);
        let answer = client.describe_table().table_name(name).send().await;
        let answer = answer.map_err(|error| classify(&error, "dynamodb:DescribeTable"))?;
        let missing = || AwsError::Unavailable { code: "no description".to_owned() };
        let table = answer.table.ok_or_else(missing)?;
        let keys = table.key_schema().iter().map(|key| {
            let name = key.attribute_name();
            let types = table.attribute_definitions().iter();
            let kind =
                types.filter(|known| known.attribute_name() == name).map(AttributeDefinition::attribute_type);
            let role = if *key.key_type() == KeyType::Hash { "HASH" } else { "RANGE" };
            format!("{name} {role} {}", kind.map(ScalarAttributeType::as_str).next().unwrap_or("?"))
        });
        let status = table.table_status().map_or_else(String::new, |status| status.as_str().to_owned());
        let keys = keys.collect();
        let answer = client.describe_time_to_live().table_name(name).send().await;
        let answer = answer.map_err(|error| classify(&error, "dynamodb:DescribeTimeToLive"))?;
        let expiry = answer.time_to_live_description.filter(|expiry| {
            let on = [Some(&TimeToLiveStatus::Enabled), Some(&TimeToLiveStatus::Enabling)];
            on.contains(&expiry.time_to_live_status())
        });
        Ok(TableFacts { status, keys, expires_by: expiry.and_then(|expiry| expiry.attribute_name) })
    }

    /// Whom a bucket tells of new objects.
    ///
    /// # Errors
    /// If it can't be looked at.
    pub async fn bucket(&self, name: &str) -> Result<BucketFacts, AwsError> {
        let client = super::objects::client(&self.config);
        let answer = client.get_bucket_notification_configuration().bucket(name).send().await;
        let answer = answer.map_err(|error| classify(&error, "s3:GetBucketNotification"))?;
        let queues = answer.queue_configurations().iter().map(|told| told.queue_arn().to_owned());
        let topics = answer.topic_configurations().iter().map(|told| told.topic_arn().to_owned());
        let functions =
            answer.lambda_function_configurations().iter().map(|told| told.lambda_function_arn().to_owned());
        Ok(BucketFacts {
            event_bridge: answer.event_bridge_configuration().is_some(),
            targets: queues.chain(topics).chain(functions).collect(),
        })
    }
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u64),
        Text(String),
    }
    match Count::deserialize(deserializer)? {
        Count::Number(number) => Ok(number),
        Count::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redrive_policy_is_read_in_both_forms() {
        for count in ["100", "\"100\""] {
            let text = format!(r#"{{"deadLetterTargetArn":"arn","maxReceiveCount":{count}}}"#);
            let redrive = Redrive { dead_letter_target_arn: "arn".to_owned(), max_receive_count: 100 };
            assert_eq!(serde_json::from_str::<Redrive>(&text).unwrap(), redrive);
        }
    }
}
