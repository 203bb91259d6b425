//! Record → row of a Sentinel table; one file a table.
//!
//! A row holds only declared columns, and no empty value: every byte is billed.

mod cloudtrail;
pub mod columns;
mod completeness;
mod guardduty;
mod health;
mod map;
mod plain;
mod row;

use std::borrow::Cow;

use jiff::Timestamp;
use thiserror::Error;

pub use cloudtrail::PlainMapper;
pub use columns::{Column, ColumnKind, EVENT_TIME, TIME_GENERATED, Table};
pub use plain::PlainRow;
pub use row::MAX_FIELD_BYTES;

use crate::json;
use crate::record::RowFacts;

/// A record that can't become a row, even when repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the record is no valid JSON object")]
pub struct Unreadable;

impl Table {
    /// Appends the row of one record to `out`. The clock decides which times the service would replace.
    ///
    /// # Errors
    /// If the record is no JSON object; nothing is appended then.
    pub fn map(self, record: &[u8], now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, Unreadable> {
        let start = out.len();
        let map = match self {
            Self::AwsCloudTrail => cloudtrail::map,
            Self::AwsGuardDuty => guardduty::map,
            Self::Health => health::map,
            Self::Completeness => completeness::map,
        };
        let text = json::readable(record);
        let was_repaired = matches!(&text, Cow::Owned(text) if text.as_bytes() != record);
        if let Ok(facts) = map(&text, now, out) {
            return Ok(RowFacts { repaired: was_repaired, ..facts });
        }
        out.truncate(start);
        let repaired = json::repair(record);
        if repaired.as_bytes() == text.as_bytes() {
            return Err(Unreadable);
        }
        map(&repaired, now, out).map(|facts| RowFacts { repaired: true, ..facts }).map_err(|_| {
            out.truncate(start);
            Unreadable
        })
    }
}

#[cfg(test)]
mod tests;
