//! `GuardDuty` finding → row of `AWSGuardDuty`.
//!
//! <https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Finding.html> →
//! <https://learn.microsoft.com/azure/azure-monitor/reference/tables/awsguardduty>. Findings come in camelCase from
//! `EventBridge` and the S3 export, in `PascalCase` from the API; Sentinel's rules read camelCase.

use std::borrow::Cow;

use jiff::Timestamp;

use super::map::Rule::{Dynamic, EventTime, Floor, Kept, Text, Time};
use super::map::{Mapper, Member, check};
use super::{ColumnKind, MapError, Table};
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
    ("service", Kept),
    ("severity", Floor("Severity")),
    ("createdAt", Time("TimeCreated")),
    ("updatedAt", EventTime),
    ("title", Text("Title")),
    ("description", Text("Description")),
];

/// What has no column, or does not fit its column, goes into it.
const SERVICE_DETAILS: &str = "ServiceDetails";

const _: () = {
    check(Table::AwsGuardDuty, FINDING);
    assert!(matches!(Table::AwsGuardDuty.kind_of(SERVICE_DETAILS), Some(ColumnKind::Dynamic)));
};

/// Members whose name on the wire is not that of the API in camelCase: the member that they stand in, where it
/// decides, their name, and what it is on the wire. A test holds them against botocore's model of the service.
const WIRE_NAMES: &[(Option<&str>, &str, &str)] = &[
    (None, "Code", "productCodeId"),
    (None, "ProductType", "productCodeType"),
    (None, "TaskCreatedAt", "createdAt"),
    (None, "SourceIps", "sourceIPs"),
    (None, "LoginAttributes", "LoginAttributes"),
    (None, "KubernetesResourcesTypes", "type"),
    (None, "Latitude", "lat"),
    (None, "Longitude", "lon"),
    (Some("Account"), "Name", "account"),
    (Some("Ec2Instance"), "IamInstanceProfile", "IamInstanceProfile"),
];

/// Appends the row of one finding.
///
/// # Errors
/// If the text can't become a row.
pub(super) fn map(text: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, MapError> {
    let text = match json::pick(text, ["id", "Id"])? {
        [None, Some(_)] => Cow::Owned(camel_case(text)),
        _ => Cow::Borrowed(text),
    };
    let mut mapper = Mapper::new(out);
    mapper.object(FINDING, &text)?;
    if let Some(details) = mapper.kept_with_unmapped()? {
        mapper.row.dynamic(SERVICE_DETAILS, &details);
    }
    Ok(mapper.end(now))
}

/// The text with the names of all members as they are on the wire: mostly in camelCase.
///
/// Names that are no identifiers (`AWS::EC2::Instance`) are keys of the user's data and stay.
fn camel_case(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut converted = String::with_capacity(text.len());
    let (mut copied, mut place) = (0, 0);
    // The members that the place is in, and the one whose value comes next.
    let (mut parents, mut last) = (Vec::new(), "");
    while let Some(found) = memchr::memchr3(b'"', b'{', b'}', &bytes[place..]).map(|step| place + step) {
        place = found + 1;
        match bytes[found] {
            b'{' => parents.push(last),
            b'}' => {
                parents.pop();
            }
            _ => {
                place = json::end_of_string(bytes, found);
                let is_name = bytes[place..].trim_ascii_start().first() == Some(&b':');
                let name = &text[found + 1..place - 1];
                if is_name && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    converted.push_str(&text[copied..=found]);
                    converted.push_str(&wire_name(parents.last().copied(), name));
                    copied = place - 1;
                }
                if is_name {
                    last = name;
                }
            }
        }
    }
    converted.push_str(&text[copied..]);
    converted
}

fn wire_name<'a>(parent: Option<&str>, name: &'a str) -> Cow<'a, str> {
    let exception = WIRE_NAMES
        .iter()
        .find(|(within, of_api, _)| *of_api == name && (within.is_none() || *within == parent));
    if let Some((_, _, on_wire)) = exception {
        return Cow::Borrowed(on_wire);
    }
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    // Of several capitals the last begins the next word, unless the name ends with them: `IAMUser`, `ASN`.
    let last_begins_word =
        capitals > 1 && name[capitals..].starts_with(|next: char| next.is_ascii_lowercase());
    let (head, rest) = name.split_at(capitals - usize::from(last_begins_word));
    Cow::Owned(head.to_ascii_lowercase() + rest)
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

    #[test]
    fn names_that_differ_on_the_wire_are_those_of_the_wire() {
        assert_eq!(
            camel_case(
                r#"{"ProductCodes":[{"Code":"a","ProductType":"{"}],"Account":{"Uid":"1","Name":"n"},"Name":{}}"#
            ),
            r#"{"productCodes":[{"productCodeId":"a","productCodeType":"{"}],"account":{"uid":"1","account":"n"},"name":{}}"#
        );
        assert_eq!(
            camel_case(r#"{"Ec2Instance":{"IamInstanceProfile":{"Arn":1}},"IamInstanceProfile":{}}"#),
            r#"{"ec2Instance":{"IamInstanceProfile":{"arn":1}},"iamInstanceProfile":{}}"#
        );
    }
}
