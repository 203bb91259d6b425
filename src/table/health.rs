//! What a run of the function did → row of `SentinelForwarderHealth_CL`, our own table: the record's members are named
//! as its columns.

use jiff::Timestamp;

use super::map::Rule::{Dynamic, EventTime, Long, Text};
use super::map::{Mapper, Member, check};
use super::{MapError, TIME_GENERATED, Table};
use crate::record::RowFacts;

const RUN: &[Member] = &[
    (TIME_GENERATED, EventTime),
    ("FunctionName", Text("FunctionName")),
    ("FunctionVersion", Text("FunctionVersion")),
    ("AwsAccountId", Text("AwsAccountId")),
    ("AwsRegion", Text("AwsRegion")),
    ("AwsRequestId", Text("AwsRequestId")),
    ("DurationMilliseconds", Long("DurationMilliseconds")),
    ("Objects", Long("Objects")),
    ("Records", Long("Records")),
    ("Rows", Long("Rows")),
    ("RowsFiltered", Long("RowsFiltered")),
    ("RowsTruncated", Long("RowsTruncated")),
    ("DeadLetters", Long("DeadLetters")),
    ("Duplicates", Long("Duplicates")),
    ("Ignored", Long("Ignored")),
    ("Continuations", Long("Continuations")),
    ("ActionNeeded", Long("ActionNeeded")),
    ("BytesRead", Long("BytesRead")),
    ("BytesUploaded", Long("BytesUploaded")),
    ("Uploads", Long("Uploads")),
    ("UploadThrottled", Long("UploadThrottled")),
    ("UploadFailed", Long("UploadFailed")),
    ("CircuitOpen", Long("CircuitOpen")),
    ("FilesMissing", Long("FilesMissing")),
    ("UnsentRuns", Long("UnsentRuns")),
    ("DeliveryLagSeconds", Long("DeliveryLagSeconds")),
    ("Tables", Dynamic("Tables")),
    ("Reasons", Dynamic("Reasons")),
];

const _: () = check(Table::Health, RUN);

/// Appends the row of one run.
///
/// # Errors
/// If the text is not one JSON object.
pub(super) fn map(text: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, MapError> {
    let mut mapper = Mapper::new(out);
    mapper.object(RUN, text)?;
    Ok(mapper.end(now))
}
