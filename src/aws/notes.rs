//! What the ledger remembers beside deliveries: entries looked up by the hundred, and notes of any form.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>: a hundred keys a call, and what
//! is left over is asked for again. A note's members are its item's attributes.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};
use tokio::time::sleep;

use super::ledger::{DynamoLedger, KEPT, LedgerError, entry_of, number, text, unavailable};
use crate::delivery::{Entry, Key};

/// The most keys of one call.
pub const MOST_KEYS: usize = 100;
/// How often what is left over is asked for again before the whole must come again.
const MOST_REST: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// An item that is no delivery's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// Counts the changes; 0 where none is kept.
    pub version: u64,
    /// Its members.
    pub content: Map<String, Value>,
}

impl Note {
    /// What it says; none if it says nothing of the kind.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_value(Value::Object(self.content.clone())).ok()
    }

    /// The content of a note that says so.
    #[must_use]
    pub fn content_of(said: &impl Serialize) -> Option<Map<String, Value>> {
        match serde_json::to_value(said) {
            Ok(Value::Object(content)) => Some(content),
            _ => None,
        }
    }
}

/// Where such things are remembered.
pub trait Notes: Send + Sync + 'static {
    /// The entries that stand under these keys; what was written a moment ago may not show yet.
    fn entries(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Result<HashMap<String, Entry>, LedgerError>> + Send;

    /// The notes that stand under these keys; likewise.
    fn notes(&self, keys: &[Key]) -> impl Future<Output = Result<HashMap<String, Note>, LedgerError>> + Send;

    /// Reads all there is once, in no order; how many calls that took.
    fn scan(
        &self,
        take: &(dyn Fn(&str, Note) + Sync),
    ) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// The note that stands there.
    fn note(&self, key: &Key) -> impl Future<Output = Result<Note, LedgerError>> + Send;

    /// Writes a note in the place of the one that has this one's version.
    fn write_note(&self, key: &Key, note: &Note) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// How often a note is written anew when others write it at the same time.
const TRIES: u32 = 8;

/// Makes a note's next content out of the one that stands there; none, and it stays.
///
/// # Errors
/// If the ledger is not to be had, or others write it again and again.
pub async fn update_note<N: Notes>(
    notes: &N,
    key: &Key,
    next: &(dyn Fn(Option<Note>) -> Option<Map<String, Value>> + Sync),
) -> Result<(), LedgerError> {
    let mut tries = 0;
    loop {
        let known = notes.note(key).await?;
        let version = known.version;
        let before = known.content.clone();
        let Some(content) = next((version > 0).then_some(known)) else { return Ok(()) };
        if content == before {
            return Ok(());
        }
        tries += 1;
        match notes.write_note(key, &Note { version, content }).await {
            Err(LedgerError::Conflict(_)) if tries < TRIES => {}
            written => return written,
        }
    }
}

impl DynamoLedger {
    /// The items under these keys, each by its key.
    async fn items(
        &self,
        keys: &[Key],
    ) -> Result<HashMap<String, HashMap<String, AttributeValue>>, LedgerError> {
        let mut found = HashMap::new();
        for keys in keys.chunks(MOST_KEYS) {
            let keys = keys.iter().map(|key| HashMap::from([("pk".to_owned(), text(key.as_str()))]));
            let asked = KeysAndAttributes::builder().set_keys(Some(keys.collect())).build();
            let mut left = Some(asked.map_err(|_| unavailable(None))?);
            let mut round = 0;
            while let Some(asked) = left {
                if round > 0 {
                    sleep(FIRST_WAIT * 2_u32.pow(round)).await;
                }
                if round > MOST_REST {
                    return Err(unavailable(Some("keys are left over")));
                }
                round += 1;
                let answer = self.client.batch_get_item().request_items(&self.table, asked).send().await;
                let mut output = answer.map_err(|error| unavailable(error.code()))?;
                for item in output.responses.take().into_iter().flat_map(HashMap::into_values).flatten() {
                    let key = item.get("pk").and_then(|key| key.as_s().ok()).cloned();
                    found.insert(key.unwrap_or_default(), item);
                }
                left = output.unprocessed_keys.as_mut().and_then(|rest| rest.remove(&self.table));
            }
        }
        Ok(found)
    }
}

/// So many parts of the table are scanned at once
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan>).
const SEGMENTS: i32 = 8;
/// The attributes that a scan brings along: those of entries, links and heads of chains.
const SCANNED: [&str; 11] =
    ["pk", "version", "stage", "sha256", "signature", "end", "after", "next", "since", "bucket", "key"];

impl DynamoLedger {
    /// Reads one part of the table.
    async fn scan_segment(
        &self,
        segment: i32,
        take: &(dyn Fn(&str, Note) + Sync),
    ) -> Result<u64, LedgerError> {
        let names = SCANNED.map(|name| (format!("#{name}"), name.to_owned()));
        let shown = SCANNED.map(|name| format!("#{name}")).join(", ");
        let (mut calls, mut behind) = (0, None);
        loop {
            let request =
                self.client.scan().table_name(&self.table).segment(segment).total_segments(SEGMENTS);
            let request = request
                .projection_expression(&shown)
                .set_expression_attribute_names(Some(names.clone().into()))
                .set_exclusive_start_key(behind);
            let output = request.send().await.map_err(|error| unavailable(error.code()))?;
            calls += 1;
            for item in output.items.unwrap_or_default() {
                let key = item.get("pk").and_then(|key| key.as_s().ok()).cloned().unwrap_or_default();
                take(&key, note_of(item));
            }
            behind = output.last_evaluated_key.filter(|key| !key.is_empty());
            if behind.is_none() {
                return Ok(calls);
            }
        }
    }
}

impl Notes for DynamoLedger {
    async fn scan(&self, take: &(dyn Fn(&str, Note) + Sync)) -> Result<u64, LedgerError> {
        let segments = (0..SEGMENTS).map(|segment| self.scan_segment(segment, take));
        Ok(try_join_all(segments).await?.into_iter().sum())
    }

    async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        let items = self.items(keys).await?;
        items.into_iter().map(|(key, item)| Ok((key, entry_of(&item)?))).collect()
    }

    async fn notes(&self, keys: &[Key]) -> Result<HashMap<String, Note>, LedgerError> {
        let items = self.items(keys).await?;
        Ok(items.into_iter().map(|(key, item)| (key, note_of(item))).collect())
    }

    async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let output = request.key("pk", text(key.as_str())).send().await;
        let item = output.map_err(|error| unavailable(error.code()))?.item;
        Ok(item.map(note_of).unwrap_or_default())
    }

    async fn write_note(&self, key: &Key, note: &Note) -> Result<(), LedgerError> {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let mut item: HashMap<_, _> =
            note.content.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
        item.insert("pk".to_owned(), text(key.as_str()));
        item.insert("version".to_owned(), number(note.version + 1));
        if !key.is_lasting() {
            item.insert("expires_at".to_owned(), number((now.as_second() + KEPT.as_secs()).unsigned_abs()));
        }
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = if note.version == 0 {
            request.condition_expression("attribute_not_exists(pk)")
        } else {
            request
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", number(note.version))
        };
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.code() {
                Some("ConditionalCheckFailedException") => Err(LedgerError::Conflict(None)),
                code => Err(unavailable(code)),
            },
        }
    }
}

fn note_of(item: HashMap<String, AttributeValue>) -> Note {
    let mut content: Map<_, _> = item.into_iter().map(|(name, value)| (name, value_of(value))).collect();
    let version = content.remove("version").and_then(|version| version.as_u64()).unwrap_or_default();
    content.retain(|name, _| name != "pk" && name != "expires_at");
    Note { version, content }
}

/// A value of JSON as an attribute. Notes are ours, and nest by two.
fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(value) => text(value),
        Value::Array(values) => AttributeValue::L(values.iter().map(attribute).collect()),
        Value::Object(members) => {
            AttributeValue::M(members.iter().map(|(name, value)| (name.clone(), attribute(value))).collect())
        }
    }
}

fn value_of(attribute: AttributeValue) -> Value {
    match attribute {
        AttributeValue::Bool(value) => Value::Bool(value),
        AttributeValue::N(number) => number.parse::<Number>().map_or(Value::Null, Value::Number),
        AttributeValue::S(value) => Value::String(value),
        AttributeValue::L(values) => values.into_iter().map(value_of).collect(),
        AttributeValue::M(members) => {
            members.into_iter().map(|(name, value)| (name, value_of(value))).collect()
        }
        // Nothing of ours.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_note_reads_as_it_was_written() {
        let note = json!({"a": "x", "b": 7, "c": {"d": {"e": 0}}, "f": [true, "y"], "g": null});
        assert_eq!(value_of(attribute(&note)), note);
    }
}
