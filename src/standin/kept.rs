//! What the stand-in remembers of the calls it got: rows, exchanges, refusals, and how many ran at once.

use super::refusal::Refusal;
use super::row::Judged;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;

/// The most exchanges, and the most refusals, that are remembered; all are counted.
const KEPT_EXCHANGES: usize = 10_000;
/// The most of a row's text that the state shows: the page needs a glance, `/_standin/rows` has it whole.
const GLANCE_BYTES: usize = 2_000;
/// How many rows, exchanges and refusals the state shows.
const GLANCE: usize = 50;

/// A row that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptRow {
    /// Its JSON, verbatim, but for a `TimeGenerated` that was replaced.
    pub text: String,
    /// When it was taken.
    #[serde(serialize_with = "as_text")]
    pub received_at: Timestamp,
    /// The `x-ms-client-request-id` it came with; empty on the legacy API.
    pub request_id: String,
    /// The immutable id of the rule it came through; empty on the legacy API.
    pub dcr: String,
    /// Whether `TimeGenerated` was too far off, so that the time of receipt replaced it.
    pub time_replaced: bool,
}

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// When the request came.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The status answered; absent where the connection ended without an answer.
    pub status: Option<u16>,
    /// Bytes of the body on the wire.
    pub bytes_wire: usize,
    /// Bytes of the body inflated, as far as it was.
    pub bytes_inflated: usize,
    /// Rows taken.
    pub rows: usize,
    /// Its `x-ms-client-request-id`.
    pub request_id: Option<String>,
    /// How long the answer took, in milliseconds.
    pub ms: u64,
    /// The error code answered.
    pub error_code: Option<String>,
    /// The injected fault that made the outcome.
    pub fault: Option<&'static str>,
}

/// What came of the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenCounts {
    /// Tokens issued.
    pub exchanges: u64,
    /// Requests refused.
    pub refused: u64,
    /// Times that an assertion came which had come before.
    pub reused_assertions: u64,
}

#[derive(Default)]
struct TableRows {
    rows: VecDeque<KeptRow>,
    total: u64,
    bytes: u64,
    replaced: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// The store behind a [`Standin`](super::Standin).
pub(super) struct Kept {
    keep_rows: usize,
    tables: BTreeMap<String, TableRows>,
    exchanges: VecDeque<Exchange>,
    refusals: VecDeque<Refusal>,
    request_ids: HashSet<String>,
    by_status: BTreeMap<String, u64>,
    exchange_total: u64,
    refusal_total: u64,
    in_flight: usize,
    most_in_flight: usize,
    pub(super) tokens: TokenCounts,
}

impl Kept {
    pub(super) fn new(keep_rows: usize) -> Self {
        Self {
            keep_rows,
            tables: BTreeMap::new(),
            exchanges: VecDeque::new(),
            refusals: VecDeque::new(),
            request_ids: HashSet::new(),
            by_status: BTreeMap::new(),
            exchange_total: 0,
            refusal_total: 0,
            in_flight: 0,
            most_in_flight: 0,
            tokens: TokenCounts::default(),
        }
    }

    /// Forgets all but the uploads that are in flight.
    pub(super) fn reset(&mut self) {
        let in_flight = self.in_flight;
        *self = Self { in_flight, most_in_flight: in_flight, ..Self::new(self.keep_rows) };
    }

    /// Whether no earlier request had this id.
    pub(super) fn is_fresh(&mut self, request_id: &str) -> bool {
        self.request_ids.insert(request_id.to_ascii_lowercase())
    }

    pub(super) fn upload_started(&mut self) {
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
    }

    pub(super) fn upload_ended(&mut self) {
        self.in_flight -= 1;
    }

    pub(super) fn most_in_flight(&self) -> usize {
        self.most_in_flight
    }

    /// Takes the rows of one batch.
    pub(super) fn take(
        &mut self,
        table: &str,
        rows: Vec<Judged>,
        request_id: &str,
        dcr: &str,
        at: Timestamp,
    ) {
        let kept = self.tables.entry(table.to_owned()).or_default();
        for row in rows {
            kept.total += 1;
            kept.bytes += row.text.len() as u64;
            kept.replaced += u64::from(row.time_replaced);
            kept.first = Some(kept.first.map_or(row.time_generated, |first| first.min(row.time_generated)));
            kept.last = kept.last.max(Some(row.time_generated));
            kept.rows.push_back(KeptRow {
                text: row.text,
                received_at: at,
                request_id: request_id.to_owned(),
                dcr: dcr.to_owned(),
                time_replaced: row.time_replaced,
            });
            if kept.rows.len() > self.keep_rows {
                kept.rows.pop_front();
            }
        }
    }

    pub(super) fn note_exchange(&mut self, exchange: Exchange) {
        self.exchange_total += 1;
        let status = exchange.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *self.by_status.entry(status).or_default() += 1;
        push_bounded(&mut self.exchanges, exchange);
    }

    pub(super) fn note_refusal(&mut self, refusal: Refusal) {
        self.refusal_total += 1;
        push_bounded(&mut self.refusals, refusal);
    }

    pub(super) fn rows(&self, table: &str) -> impl Iterator<Item = &KeptRow> {
        self.tables.get(table).into_iter().flat_map(|kept| &kept.rows)
    }

    pub(super) fn row_total(&self, table: &str) -> u64 {
        self.tables.get(table).map_or(0, |kept| kept.total)
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.iter().cloned().collect()
    }

    pub(super) fn refusals(&self) -> Vec<Refusal> {
        self.refusals.iter().cloned().collect()
    }

    /// What the page shows, the latest first.
    pub(super) fn summary(&self) -> Summary {
        let tables = self.tables.iter().map(|(name, kept)| TableSummary {
            name: name.clone(),
            rows: kept.total,
            kept: kept.rows.len(),
            bytes: kept.bytes,
            replaced: kept.replaced,
            first: kept.first.map(|time| time.to_string()),
            last: kept.last.map(|time| time.to_string()),
        });
        let mut rows: Vec<_> = self
            .tables
            .iter()
            .flat_map(|(table, kept)| kept.rows.iter().rev().take(GLANCE).map(move |row| (table, row)))
            .collect();
        // Stable, so rows of one batch stay latest first.
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.received_at));
        let rows = rows.into_iter().take(GLANCE).map(|(table, row)| RowSummary {
            table: table.clone(),
            row: KeptRow { text: glance(&row.text), ..row.clone() },
        });
        Summary {
            tables: tables.collect(),
            latest_rows: rows.collect(),
            requests: Log {
                total: self.exchange_total,
                by_status: Some(self.by_status.clone()),
                latest: self.exchanges.iter().rev().take(GLANCE).cloned().collect(),
            },
            refusals: Log {
                total: self.refusal_total,
                by_status: None,
                latest: self.refusals.iter().rev().take(GLANCE).cloned().collect(),
            },
            tokens: self.tokens,
            uploads: Uploads { in_flight: self.in_flight, most_in_flight: self.most_in_flight },
        }
    }
}

fn push_bounded<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() == KEPT_EXCHANGES {
        kept.pop_front();
    }
    kept.push_back(new);
}

fn glance(text: &str) -> String {
    if text.len() <= GLANCE_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(GLANCE_BYTES)])
}

/// The store at a glance, as `GET /_standin/state` answers it.
#[derive(Serialize)]
pub(super) struct Summary {
    tables: Vec<TableSummary>,
    latest_rows: Vec<RowSummary>,
    requests: Log<Exchange>,
    refusals: Log<Refusal>,
    tokens: TokenCounts,
    uploads: Uploads,
}

#[derive(Serialize)]
struct TableSummary {
    name: String,
    rows: u64,
    kept: usize,
    bytes: u64,
    replaced: u64,
    first: Option<String>,
    last: Option<String>,
}

#[derive(Serialize)]
struct RowSummary {
    table: String,
    #[serde(flatten)]
    row: KeptRow,
}

#[derive(Serialize)]
struct Log<T> {
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_status: Option<BTreeMap<String, u64>>,
    latest: Vec<T>,
}

#[derive(Serialize)]
struct Uploads {
    in_flight: usize,
    most_in_flight: usize,
}

/// Serialises a value as its text.
pub(super) fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
