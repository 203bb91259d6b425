//! The ledger of deliveries: entries that change only where the one they follow still stands.
//!
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html>. A delivery
//! without trouble is two writes: claimed, delivered.
//!
//! Each is a call of its own. `DynamoDB` is paid by the write, not by the call
//! (<https://aws.amazon.com/dynamodb/pricing/on-demand/>): several in one call would cost the same, and each would wait
//! for the others. `BatchWriteItem` takes no conditions, without which a claim is none; `TransactWriteItems` costs twice
//! as much; `BatchExecuteStatement` takes conditions, and saves nothing. Reads are one for a rest that goes on.

use std::collections::{BTreeMap, HashMap};
use std::time::SystemTime;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::ledger_clock::LedgerClock;
use crate::delivery::{Content, Counts, Entry, Key, LedgerTime, Settled, Stage};
use crate::failure::Reason;

/// How long entries are kept: longer than anyone replays or verifies a year's logs.
pub const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Why an entry was not written or read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LedgerError {
    /// Another entry stands there, or none.
    #[error("the ledger's entry has changed meanwhile")]
    Conflict(Option<Box<Entry>>),
    /// `DynamoDB` can't be reached, is busy, or denies: the thing comes again.
    #[error("the ledger is not to be had ({code})")]
    Unavailable {
        /// The code that AWS gave.
        code: String,
    },
}

/// Where deliveries are accounted for.
pub trait Ledger: Send + Sync + 'static {
    /// Writes an entry in the place of the one whose version is one less; of version 1, where there is none.
    fn write(&self, key: &Key, entry: &Entry) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The entry that stands there.
    fn read(&self, key: &Key) -> impl Future<Output = Result<Option<Entry>, LedgerError>> + Send;

    /// The time by which leases are granted and judged: the ledger's, or this machine's where it tells none.
    fn time(&self) -> LedgerTime {
        LedgerTime::exactly(own_time())
    }
}

fn own_time() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or_default()
}

/// A table of `DynamoDB`.
#[derive(Clone)]
pub struct DynamoLedger {
    pub(super) client: Client,
    pub(super) table: String,
    clock: LedgerClock,
}

impl DynamoLedger {
    /// The table of that name.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, table: String) -> Self {
        let clock = LedgerClock::default();
        let client = Client::from_conf(Builder::from(config).interceptor(clock.clone()).build());
        Self { client, table, clock }
    }
}

impl Ledger for DynamoLedger {
    async fn write(&self, key: &Key, entry: &Entry) -> Result<(), LedgerError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item(key, entry)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let request = if entry.version == 1 {
            request.condition_expression("attribute_not_exists(pk)")
        } else {
            // The name goes by a placeholder, since DynamoDB reserves words.
            request
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", number(entry.version - 1))
        };
        let Err(error) = request.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let found = match failed.item() {
                    Some(item) => Some(entry_of(item)?),
                    // Gone meanwhile, or an endpoint that does not say.
                    None => self.read(key).await?,
                };
                Err(LedgerError::Conflict(found.map(Box::new)))
            }
            _ => Err(unavailable(error.code())),
        }
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let read = request.key("pk", text(key.as_str())).send().await;
        let output = read.map_err(|error| unavailable(error.code()))?;
        output.item().map(entry_of).transpose()
    }

    fn time(&self) -> LedgerTime {
        self.clock.time().unwrap_or_else(|| LedgerTime::exactly(own_time()))
    }
}

pub(super) fn unavailable(code: Option<&str>) -> LedgerError {
    LedgerError::Unavailable { code: code.unwrap_or("no answer").to_owned() }
}

pub(super) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn item(key: &Key, entry: &Entry) -> HashMap<String, AttributeValue> {
    let (stage, until, delivered_at) = match entry.stage {
        Stage::Open => ("open", None, None),
        Stage::Claimed { lease_until } => ("claimed", Some(lease_until), None),
        Stage::Delivered { at } => ("delivered", None, Some(at)),
    };
    let counts = &entry.settled.counts;
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or(entry.announced_at);
    let mut item = HashMap::from([
        ("pk".to_owned(), text(key.as_str())),
        ("version".to_owned(), number(entry.version)),
        ("stage".to_owned(), text(stage)),
        ("holder".to_owned(), text(&entry.holder)),
        ("announced_at".to_owned(), text(&entry.announced_at.to_string())),
        ("expires_at".to_owned(), number((now.as_second() + KEPT.as_secs()).unsigned_abs())),
    ]);
    let content = entry.content.as_ref();
    for (name, count) in [
        ("next_record", entry.settled.next_record),
        ("records", counts.records),
        ("rows", counts.rows),
        ("filtered", counts.filtered),
        ("letters", counts.letters),
        ("duplicates", counts.duplicates),
        ("takeovers", entry.takeovers.into()),
        ("size", content.map_or(0, |content| content.size)),
        ("bytes", content.map_or(0, |content| content.bytes)),
    ] {
        if count > 0 {
            item.insert(name.to_owned(), number(count));
        }
    }
    for (name, time) in [
        ("lease_until", until),
        ("delivered_at", delivered_at),
        ("oldest_event", entry.settled.oldest),
        ("newest_event", entry.settled.newest),
    ] {
        if let Some(time) = time {
            item.insert(name.to_owned(), text(&time.to_string()));
        }
    }
    if !entry.settled.beyond.is_empty() {
        let spans = entry.settled.beyond.iter().map(|(start, (end, counts))| {
            let Counts { records, rows, filtered, letters, duplicates } = *counts;
            AttributeValue::L([*start, *end, records, rows, filtered, letters, duplicates].map(number).into())
        });
        item.insert("beyond".to_owned(), AttributeValue::L(spans.collect()));
    }
    if !entry.failures.is_empty() {
        let counts =
            entry.failures.iter().map(|(reason, count)| (reason.name().to_owned(), number((*count).into())));
        item.insert("failures".to_owned(), AttributeValue::M(counts.collect()));
    }
    if let Some(content) = content {
        item.insert("sha256".to_owned(), text(&content.sha256));
    }
    item
}

fn spans_of(value: &AttributeValue) -> Option<BTreeMap<u64, (u64, Counts)>> {
    let spans = value.as_l().ok()?.iter().map(|span| {
        let numbers: Option<Vec<u64>> =
            span.as_l().ok()?.iter().map(|number| number.as_n().ok()?.parse().ok()).collect();
        let [start, end, records, rows, filtered, letters, duplicates] = numbers?[..] else { return None };
        Some((start, (end, Counts { records, rows, filtered, letters, duplicates })))
    });
    spans.collect()
}

/// What is not known counts as none: patience begins anew.
fn failures_of(value: &AttributeValue) -> BTreeMap<Reason, u32> {
    let counts = value.as_m().into_iter().flatten();
    counts
        .filter_map(|(name, count)| Some((Reason::parse(name)?, count.as_n().ok()?.parse().ok()?)))
        .collect()
}

pub(super) fn entry_of(item: &HashMap<String, AttributeValue>) -> Result<Entry, LedgerError> {
    let string = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let time = |name: &str| string(name).and_then(|text| text.parse::<Timestamp>().ok());
    let count = |name: &str| {
        item.get(name).and_then(|value| value.as_n().ok()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let read = || {
        let stage = match string("stage")?.as_str() {
            "open" => Stage::Open,
            "claimed" => Stage::Claimed { lease_until: time("lease_until")? },
            "delivered" => Stage::Delivered { at: time("delivered_at")? },
            _ => return None,
        };
        let content = string("sha256").map(|sha256| Content {
            size: count("size"),
            bytes: count("bytes"),
            sha256: sha256.clone(),
        });
        Some(Entry {
            version: item.get("version")?.as_n().ok()?.parse().ok()?,
            holder: string("holder").cloned().unwrap_or_default(),
            stage,
            settled: Settled {
                next_record: count("next_record"),
                counts: Counts {
                    records: count("records"),
                    rows: count("rows"),
                    filtered: count("filtered"),
                    letters: count("letters"),
                    duplicates: count("duplicates"),
                },
                beyond: item.get("beyond").map_or_else(|| Some(BTreeMap::new()), spans_of)?,
                oldest: time("oldest_event"),
                newest: time("newest_event"),
            },
            takeovers: u32::try_from(count("takeovers")).unwrap_or(u32::MAX),
            failures: item.get("failures").map(failures_of).unwrap_or_default(),
            announced_at: time("announced_at")?,
            content,
        })
    };
    read().ok_or_else(|| LedgerError::Unavailable { code: "an entry that can't be read".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_was_written() {
        let time = |second| Timestamp::from_second(second).unwrap();
        let counts = Counts { records: 10, rows: 6, filtered: 1, letters: 2, duplicates: 1 };
        let settled = Settled {
            next_record: 10,
            counts,
            beyond: [(12, (15, counts)), (20, (21, Counts::default()))].into(),
            oldest: Some(time(1)),
            newest: Some(time(2)),
        };
        let content = Content { size: 5, bytes: 50, sha256: "ab".to_owned() };
        for (stage, content) in [
            (Stage::Open, None),
            (Stage::Claimed { lease_until: time(9) }, None),
            (Stage::Delivered { at: time(8) }, Some(content)),
        ] {
            let entry = Entry {
                version: 3,
                holder: "h".to_owned(),
                stage,
                settled: settled.clone(),
                takeovers: 2,
                failures: [(Reason::Forbidden, 3), (Reason::Exhausted, 1)].into(),
                announced_at: time(7),
                content,
            };
            assert_eq!(entry_of(&item(&Key::letter("x"), &entry)).unwrap(), entry);
        }
    }

    #[test]
    fn what_is_no_entry_is_said_so() {
        assert!(entry_of(&HashMap::new()).is_err());
    }
}
