//! Invocation JSON → what to forward.
//!
//! Shapes are recognised by what they hold, fields that nobody knows are passed over, and envelopes are opened to
//! whatever depth AWS packs them. Every record of an event counts. What has no known shape is named so, never dropped.

mod eventbridge;
mod job;
mod s3;

use jiff::Timestamp;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

pub use job::Job;
pub use s3::decode_key;

use crate::failure::{DEAD_LETTER_SCHEMA, LETTER_ID_BYTES};
use crate::json;
use crate::table::Table;
use crate::task::{TASK_SCHEMA, Task};

/// One thing that an invocation asks for.
#[derive(Clone, Debug)]
pub enum Item {
    /// To forward an object, or a range of it.
    Object {
        /// What of it.
        task: Task,
        /// The letter that is replayed, if one is.
        letter: Option<String>,
    },
    /// To forward what the event itself carries.
    Event {
        /// The table it belongs to.
        table: Table,
        /// The record or finding.
        record: String,
        /// The event that it came in, for a letter.
        event: Box<RawValue>,
        /// The letter that is replayed, if one is.
        letter: Option<String>,
    },
    /// To ask what should have come.
    Watch(Watch),
    /// Nothing.
    Ignored(&'static str),
    /// What nobody knows.
    Unknown {
        /// As it came, for a letter.
        event: Box<RawValue>,
        /// The letter that is replayed, if one is.
        letter: Option<String>,
    },
}

/// What a schedule asks for: whether anything that should have come has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Whether GuardDuty is asked too.
    pub findings: bool,
}

/// The schema of a watch.
pub const WATCH_SCHEMA: &str = "sentinel-forwarder/watch/1";

/// One message of a queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id, by which the answer names it.
    pub id: String,
    /// How often it has been received, this time included.
    pub receives: u32,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// By which its visibility is changed.
    pub receipt: String,
    /// The queue's ARN.
    pub queue_arn: String,
    /// What it asks for.
    pub items: Vec<Item>,
}

/// An invocation.
#[derive(Clone, Debug)]
pub enum Trigger {
    /// From a queue: what fails for now comes again by itself.
    Queue(Vec<Message>),
    /// From an S3 Batch Operations job, which wants an answer for each task.
    Job(Job),
    /// From anything else.
    Direct(Vec<Item>),
}

/// What the schemas of our own messages begin with.
const OUR_SCHEMAS: &str = "sentinel-forwarder/";
/// Envelopes within envelopes: AWS makes four or five, an attacker any number.
const MOST_ENVELOPES: u32 = 12;

impl Item {
    /// An object that was announced.
    const fn object(task: Task) -> Self {
        Self::Object { task, letter: None }
    }

    /// The letter that is replayed, if one is.
    #[must_use]
    pub fn letter(&self) -> Option<&str> {
        match self {
            Self::Object { letter, .. } | Self::Event { letter, .. } | Self::Unknown { letter, .. } => {
                letter.as_deref()
            }
            Self::Watch(_) | Self::Ignored(_) => None,
        }
    }

    /// The message that asks for the item alone; none if only the letter that it comes out of does.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match self {
            _ if self.letter().is_some() => None,
            Self::Object { task, .. } => Some(task.to_json()),
            Self::Event { event, .. } | Self::Unknown { event, .. } => Some(event.get().to_owned()),
            Self::Watch(_) | Self::Ignored(_) => None,
        }
    }

    /// Notes that the item comes out of a letter.
    fn replays(&mut self, id: &str) {
        match self {
            Self::Object { letter, .. } | Self::Event { letter, .. } | Self::Unknown { letter, .. } => {
                *letter = Some(id.to_owned());
            }
            Self::Watch(_) | Self::Ignored(_) => {}
        }
    }
}

impl Trigger {
    /// Reads an invocation.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut messages = Vec::new();
        if let Some(records) = json::pick(text, ["Records"]).ok().and_then(|[records]| elements(records?))
            && !records.is_empty()
            && records.iter().all(|record| is_from(record, "aws:sqs"))
        {
            for record in records {
                messages.push(message(record));
            }
            return Self::Queue(messages);
        }
        if let Some(job) = job::parse(text) {
            return Self::Job(job);
        }
        let mut items = Vec::new();
        open(text, 0, &mut items);
        Self::Direct(items)
    }
}

fn message(record: &str) -> Message {
    let [id, receipt, queue_arn, body, attributes] =
        json::pick(record, ["messageId", "receiptHandle", "eventSourceARN", "body", "attributes"])
            .unwrap_or_default();
    let [receives, sent_at] = attributes
        .and_then(|attributes| json::pick(attributes, ["ApproximateReceiveCount", "SentTimestamp"]).ok())
        .unwrap_or_default()
        .map(|number| json::string(number?)?.parse::<i64>().ok());
    let receives = receives.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let sent_at = sent_at.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok());
    let mut items = Vec::new();
    open_text(body, record, 0, &mut items);
    let (id, receipt, queue_arn) = (string(id), string(receipt), string(queue_arn));
    Message { id, receives, sent_at, receipt, queue_arn, items }
}

/// Opens the JSON that a member holds as text.
fn open_text(member: Option<&str>, around: &str, depth: u32, items: &mut Vec<Item>) {
    match member.and_then(json::string) {
        Some(text) => open(&text, depth + 1, items),
        None => items.push(unknown(around)),
    }
}

fn open(text: &str, depth: u32, items: &mut Vec<Item>) {
    if depth > MOST_ENVELOPES || !open_known(text, depth, items) {
        items.push(unknown(text));
    }
}

/// Takes in what a text asks for; false if it has no known shape. A shape is told by all that it needs, so that other
/// members change nothing, whatever their names are.
fn open_known(text: &str, depth: u32, items: &mut Vec<Item>) -> bool {
    let Ok([schema, records, kind, message, detail_type, detail, payload, context, bucket, keys, event]) =
        json::pick(
            text,
            [
                "schema",
                "Records",
                "Type",
                "Message",
                "detail-type",
                "detail",
                "requestPayload",
                "requestContext",
                "s3Bucket",
                "s3ObjectKey",
                "Event",
            ],
        )
    else {
        return false;
    };
    let schema = string(schema);
    if schema.starts_with(OUR_SCHEMAS) {
        return open_ours(&schema, text, depth, items);
    }
    if let (Some(detail_type), Some(detail)) = (detail_type, detail)
        && detail.starts_with('{')
        && let Some(item) = eventbridge::item(&string(Some(detail_type)), detail, text)
    {
        items.push(item);
        return true;
    }
    if records.is_some_and(|records| open_records(records, depth, items)) {
        return true;
    }
    if string(event) == "s3:TestEvent" {
        items.push(Item::Ignored("S3 tried whether it can notify"));
        return true;
    }
    if let (Some(_), Some(payload)) = (context, payload) {
        open(payload, depth + 1, items);
        return true;
    }
    if let (Some(bucket), Some(keys)) = (bucket, keys)
        && s3::announced_by_cloudtrail(bucket, keys, items)
    {
        return true;
    }
    if string(kind) == "Notification" && message.is_some() {
        open_text(message, text, depth, items);
        return true;
    }
    // An empty list asks for nothing, and nothing else does.
    let is_empty = records.is_some_and(|records| elements(records).is_some_and(|records| records.is_empty()));
    if is_empty {
        items.push(Item::Ignored("the list of records is empty"));
    }
    is_empty
}

fn open_ours(schema: &str, text: &str, depth: u32, items: &mut Vec<Item>) -> bool {
    match schema {
        TASK_SCHEMA => Task::parse(text).map(|task| items.push(Item::object(task))).is_some(),
        WATCH_SCHEMA => {
            let [findings] = json::pick(text, ["findings"]).unwrap_or_default();
            items.push(Item::Watch(Watch { findings: findings != Some("false") }));
            true
        }
        DEAD_LETTER_SCHEMA => match json::pick(text, ["id", "task", "event"]) {
            Ok([id, Some(inner), _] | [id, None, Some(inner)]) => {
                let before = items.len();
                open(inner, depth + 1, items);
                // One that names none is known by what it is about.
                let id = some_string(id)
                    .unwrap_or_else(|| json::hex(&Sha256::digest(inner.as_bytes())[..LETTER_ID_BYTES]));
                // An event may carry several things; the letter's id stands for the first, and each is its own.
                for (number, item) in items[before..].iter_mut().enumerate() {
                    item.replays(&if number == 0 { id.clone() } else { format!("{id}.{number}") });
                }
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// Takes in a list of records, if any of them comes from a service that sends such lists.
fn open_records(records: &str, depth: u32, items: &mut Vec<Item>) -> bool {
    const SERVICES: [&str; 3] = ["aws:s3", "aws:sns", "aws:sqs"];
    let Some(records) = elements(records) else { return false };
    if !records.iter().any(|record| SERVICES.iter().any(|service| is_from(record, service))) {
        return false;
    }
    for record in records {
        if is_from(record, "aws:s3") {
            items.push(s3::notified(record).unwrap_or_else(|| unknown(record)));
        } else if is_from(record, "aws:sns") {
            let message =
                json::pick(record, ["Sns"]).ok().and_then(|[sns]| json::pick(sns?, ["Message"]).ok()?[0]);
            open_text(message, record, depth, items);
        } else if is_from(record, "aws:sqs") {
            items.extend(message(record).items);
        } else {
            items.push(unknown(record));
        }
    }
    true
}

/// The texts of an array's elements; none if it is no array.
fn elements(array: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    json::for_each_element(array, |element| found.push(element)).ok()?;
    Some(found)
}

/// Whether the record says that it comes from that service; SNS alone writes the name with a capital.
fn is_from(record: &str, service: &str) -> bool {
    let sources = json::pick(record, ["eventSource", "EventSource"]).unwrap_or_default();
    sources.into_iter().flatten().any(|source| json::string(source).as_deref() == Some(service))
}

/// The value of a JSON string, or nothing.
fn string(text: Option<&str>) -> String {
    text.and_then(json::string).unwrap_or_default().into_owned()
}

/// A non-empty JSON string's value.
fn some_string(text: Option<&str>) -> Option<String> {
    Some(string(text)).filter(|text| !text.is_empty())
}

/// The text as JSON; as a JSON string if it is none.
fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned())
        .or_else(|_| RawValue::from_string(json::text(&text)))
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn unknown(text: &str) -> Item {
    Item::Unknown { event: raw(text), letter: None }
}

#[cfg(test)]
mod tests;
