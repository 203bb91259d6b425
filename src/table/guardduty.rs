//! `GuardDuty` finding → row of `AWSGuardDuty`.
//!
//! <https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Finding.html> →
//! <https://learn.microsoft.com/azure/azure-monitor/reference/tables/awsguardduty>. Findings come in camelCase from
//! `EventBridge` and the S3 export, in `PascalCase` from the API; Sentinel's rules read camelCase.

use std::borrow::Cow;

use jiff::Timestamp;

use super::Table;
use super::map::Rule::{Dynamic, EventTime, Floor, Text, Time};
use super::map::{Mapper, Member, check};
use crate::json;
use crate::record::RowFacts;

const FINDING: &[Member] = &[
    ("schemaVersion", Text("SchemaVersion")),
    ("accountId", Text("AccountId")),
    ("region", Text("Region")),
    ("partition", Text("Partition")),
    ("id", Text("Id")),
    ("arn", Text("Arn")),
    ("type", Text("ActivityType")),
    ("resource", Dynamic("ResourceDetails")),
    ("service", Dynamic("ServiceDetails")),
    ("severity", Floor("Severity")),
    ("createdAt", Time("TimeCreated")),
    ("updatedAt", EventTime),
    ("title", Text("Title")),
    ("description", Text("Description")),
];

const _: () = check(Table::AwsGuardDuty, FINDING);

/// Appends the row of one finding.
///
/// # Errors
/// If the text is not one JSON object.
pub(super) fn map(text: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, serde_json::Error> {
    let text = match json::pick(text, ["id", "Id"])? {
        [None, Some(_)] => Cow::Owned(camel_case(text)),
        _ => Cow::Borrowed(text),
    };
    let mut mapper = Mapper::new(out);
    mapper.object(FINDING, &text)?;
    Ok(mapper.end(now))
}

/// The text with the names of all members in camelCase, at every level.
///
/// Names that are no identifiers (`AWS::EC2::Instance`) are keys of the user's data and stay.
fn camel_case(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut converted = bytes.to_vec();
    let mut place = 0;
    while let Some(open) = memchr::memchr(b'"', &bytes[place..]).map(|step| place + step) {
        place = json::end_of_string(bytes, open);
        let is_name = bytes[place..].trim_ascii_start().first() == Some(&b':');
        let name = &bytes[open + 1..place - 1];
        if is_name && name.iter().all(u8::is_ascii_alphanumeric) {
            let capitals = name.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
            // Of several capitals the last begins the next word, unless the name ends with them: `IAMUser`, `ASN`.
            let last_begins_word = capitals > 1 && name.get(capitals).is_some_and(u8::is_ascii_lowercase);
            converted[open + 1..][..capitals - usize::from(last_begins_word)].make_ascii_lowercase();
        }
    }
    String::from_utf8_lossy(&converted).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_camel_case_and_values_stay() {
        assert_eq!(
            camel_case(
                r#"{"Id":"Id","S3BucketDetails":[{"ASN" : "A:\"B\":"}],"IAMUser":{"AWS::EC2::Instance":1}}"#
            ),
            r#"{"id":"Id","s3BucketDetails":[{"asn" : "A:\"B\":"}],"iamUser":{"AWS::EC2::Instance":1}}"#
        );
    }
}
