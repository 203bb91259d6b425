//! One record of a log file, and what is known of the row that comes of it.

use jiff::Timestamp;

/// One record as it stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the decoded file, from 0.
    pub index: u64,
    /// Its JSON text.
    pub json: &'a [u8],
}

/// What is known of a row besides its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowFacts {
    /// When the thing happened, if the record says so.
    pub event_time: Option<Timestamp>,
    /// How many values were cut to the limit of a field.
    pub values_truncated: u32,
    /// Whether the text was no valid JSON or UTF-8 until it was mended.
    pub repaired: bool,
    /// Whether members without a column are carried under `unmapped`.
    pub unmapped: bool,
}
