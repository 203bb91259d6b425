//! What the check of a digest came to → row of `SentinelForwarderCompleteness_CL`, our own table: the record's members are
//! named as its columns.

use jiff::Timestamp;

use super::map::Rule::{Boolean, Dynamic, EventTime, Long, Text, Time};
use super::map::{Mapper, Member, check};
use super::{MapError, TIME_GENERATED, Table};
use crate::record::RowFacts;

const CHECK: &[Member] = &[
    (TIME_GENERATED, EventTime),
    ("Hour", Time("Hour")),
    ("AwsAccountId", Text("AwsAccountId")),
    ("AwsRegion", Text("AwsRegion")),
    ("OrganizationId", Text("OrganizationId")),
    ("Trail", Text("Trail")),
    ("HomeRegion", Text("HomeRegion")),
    ("DigestBucket", Text("DigestBucket")),
    ("DigestKey", Text("DigestKey")),
    ("DigestStart", Time("DigestStart")),
    ("DigestEnd", Time("DigestEnd")),
    ("IsGenuine", Boolean("IsGenuine")),
    ("FilesListed", Long("FilesListed")),
    ("FilesDelivered", Long("FilesDelivered")),
    ("FilesLate", Long("FilesLate")),
    ("FilesMissing", Long("FilesMissing")),
    ("FilesGone", Long("FilesGone")),
    ("FilesAltered", Long("FilesAltered")),
    ("FilesInLetters", Long("FilesInLetters")),
    ("Records", Long("Records")),
    ("Rows", Long("Rows")),
    ("RowsFiltered", Long("RowsFiltered")),
    ("DeadLetters", Long("DeadLetters")),
    ("Findings", Dynamic("Findings")),
];

const _: () = check(Table::Completeness, CHECK);

/// Appends the row of one check.
///
/// # Errors
/// If the text is not one JSON object.
pub(super) fn map(text: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, MapError> {
    let mut mapper = Mapper::new(out);
    mapper.object(CHECK, text)?;
    Ok(mapper.end(now))
}
