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

use map::MAX_MEMBERS;

use crate::batch::MAX_REQUEST_BYTES;
use crate::failure::Reason;
use crate::json;
use crate::record::RowFacts;

/// How many bytes a record may grow by while it is repaired: no more than a row has room for.
const MAX_REPAIR_BYTES: usize = MAX_REQUEST_BYTES;

/// Why a record can't become a row, even when repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MapError {
    /// It is not JSON, or not an object.
    #[error("the record is no valid JSON object")]
    Invalid,
    /// Nothing in it is known: its row would be empty.
    #[error("the record has no member that the table knows")]
    NothingKnown,
    /// An object in it has too many members.
    #[error("an object of the record has more than {MAX_MEMBERS} members")]
    TooManyMembers,
    /// Repairing it would make it too long.
    #[error("the record would grow by more than {MAX_REPAIR_BYTES} bytes when repaired")]
    RepairTooLong,
}

impl MapError {
    /// The reason of its dead letter.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Invalid | Self::NothingKnown => Reason::Corrupt,
            Self::TooManyMembers | Self::RepairTooLong => Reason::TooLarge,
        }
    }
}

impl From<serde_json::Error> for MapError {
    fn from(_: serde_json::Error) -> Self {
        Self::Invalid
    }
}

impl Table {
    /// Appends the row of one record to `out`. The clock decides which times the service would replace.
    ///
    /// # Errors
    /// If the record can't become a row; nothing is appended then.
    pub fn map(self, record: &[u8], now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, MapError> {
        let start = out.len();
        let map = match self {
            Self::AwsCloudTrail => cloudtrail::map,
            Self::AwsGuardDuty => guardduty::map,
            Self::Health => health::map,
            Self::Completeness => completeness::map,
        };
        let most_bytes = record.len() + MAX_REPAIR_BYTES;
        let text = json::readable(record, most_bytes).ok_or(MapError::RepairTooLong)?;
        let was_repaired = matches!(&text, Cow::Owned(text) if text.as_bytes() != record);
        let mut mapped = map(&text, now, out);
        if mapped == Err(MapError::Invalid) && matches!(text, Cow::Borrowed(_)) {
            out.truncate(start);
            let repaired = json::repair(record, most_bytes).ok_or(MapError::RepairTooLong)?;
            mapped = map(&repaired, now, out).map(|facts| RowFacts { repaired: true, ..facts });
        }
        mapped
            .map(|facts| RowFacts { repaired: facts.repaired || was_repaired, ..facts })
            .inspect_err(|_| out.truncate(start))
    }
}

#[cfg(test)]
mod tests;
