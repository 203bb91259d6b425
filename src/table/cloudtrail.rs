//! `CloudTrail` record → row of `AWSCloudTrail`.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html> →
//! <https://learn.microsoft.com/azure/azure-monitor/reference/tables/awscloudtrail>. What has no column is carried in
//! `AdditionalEventData` under `unmapped`: nothing that AWS adds is lost.

use jiff::Timestamp;

use super::Table;
use super::map::Rule::{Boolean, EventTime, Guid, Json, Kept, Nested, Text, Time};
use super::map::{Mapper, Member, check, check_text};
use crate::json;
use crate::record::RowFacts;

const RECORD: &[Member] = &[
    ("eventVersion", Text("EventVersion")),
    ("userIdentity", Nested(USER_IDENTITY)),
    ("eventTime", EventTime),
    ("eventSource", Text("EventSource")),
    ("eventName", Text("EventName")),
    ("awsRegion", Text("AWSRegion")),
    ("sourceIPAddress", Text("SourceIpAddress")),
    ("userAgent", Text("UserAgent")),
    ("errorCode", Text("ErrorCode")),
    ("errorMessage", Text("ErrorMessage")),
    ("requestParameters", Json("RequestParameters")),
    ("responseElements", Json("ResponseElements")),
    ("additionalEventData", Kept),
    ("requestID", Text("AwsRequestId_")),
    ("eventID", Guid("AwsEventId")),
    ("readOnly", Boolean("ReadOnly")),
    ("resources", Json("Resources")),
    ("eventType", Text("EventTypeName")),
    ("apiVersion", Text("APIVersion")),
    ("managementEvent", Boolean("ManagementEvent")),
    ("recipientAccountId", Text("RecipientAccountId")),
    ("serviceEventDetails", Json("ServiceEventDetails")),
    ("sharedEventID", Guid("SharedEventId")),
    ("vpcEndpointId", Text("VpcEndpointId")),
    ("eventCategory", Text("Category")),
    ("tlsDetails", Nested(TLS_DETAILS)),
];

const USER_IDENTITY: &[Member] = &[
    ("type", Text("UserIdentityType")),
    ("principalId", Text("UserIdentityPrincipalid")),
    ("arn", Text("UserIdentityArn")),
    ("accountId", Text("UserIdentityAccountId")),
    ("accessKeyId", Text("UserIdentityAccessKeyId")),
    ("userName", Text("UserIdentityUserName")),
    ("sessionContext", Nested(SESSION_CONTEXT)),
    ("invokedBy", Text("UserIdentityInvokedBy")),
    ("onBehalfOf", Nested(ON_BEHALF_OF)),
];

const ON_BEHALF_OF: &[Member] =
    &[("userId", Text("UserIdentityUserId")), ("identityStoreArn", Text("UserIdentityStoreArn"))];

const SESSION_CONTEXT: &[Member] = &[
    ("sessionIssuer", Nested(SESSION_ISSUER)),
    ("attributes", Nested(ATTRIBUTES)),
    ("ec2RoleDelivery", Text("EC2RoleDelivery")),
];

const SESSION_ISSUER: &[Member] = &[
    ("type", Text("SessionIssuerType")),
    ("principalId", Text("SessionIssuerPrincipalId")),
    ("arn", Text("SessionIssuerArn")),
    ("accountId", Text("SessionIssuerAccountId")),
    ("userName", Text("SessionIssuerUserName")),
];

const ATTRIBUTES: &[Member] = &[
    ("creationDate", Time("SessionCreationDate")),
    ("mfaAuthenticated", Boolean("SessionMfaAuthenticated")),
];

const TLS_DETAILS: &[Member] = &[
    ("tlsVersion", Text("TlsVersion")),
    ("cipherSuite", Text("CipherSuite")),
    ("clientProvidedHostHeader", Text("ClientProvidedHostHeader")),
];

/// What is left over goes into it.
const ADDITIONAL_EVENT_DATA: &str = "AdditionalEventData";
/// The columns of the first rule of a security group's change: addresses, protocol, first and last port.
const IP_PERMISSION: [&str; 4] = ["CidrIp", "IpProtocol", "SourcePort", "DestinationPort"];

const _: () = {
    check(Table::AwsCloudTrail, RECORD);
    check_text(Table::AwsCloudTrail, ADDITIONAL_EVENT_DATA);
    let mut at = 0;
    while at < IP_PERMISSION.len() {
        check_text(Table::AwsCloudTrail, IP_PERMISSION[at]);
        at += 1;
    }
};

/// Appends the row of one record.
///
/// # Errors
/// If the text is not one JSON object.
pub(super) fn map(text: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, serde_json::Error> {
    let mut mapper = Mapper::new(out);
    mapper.object(RECORD, text)?;
    if memchr::memmem::find(text.as_bytes(), b"ipPermissions").is_some() {
        ip_permission(text, &mut mapper);
    }
    additional_event_data(&mut mapper);
    Ok(mapper.end(now))
}

/// The first rule of a security group's change has columns of its own.
fn ip_permission<'r>(text: &'r str, mapper: &mut Mapper<'r, '_>) {
    let inside = |text: Option<&'r str>, name: &str| json::pick(text?, [name]).ok()?[0];
    let first_item = |text| inside(text, "items").and_then(json::first_element);
    let permission = first_item(inside(inside(Some(text), "requestParameters"), "ipPermissions"));
    let cidr = inside(first_item(inside(permission, "ipRanges")), "cidrIp");
    let [protocol, from, to] = ["ipProtocol", "fromPort", "toPort"].map(|name| inside(permission, name));
    for (column, value) in IP_PERMISSION.into_iter().zip([cidr, protocol, from, to]) {
        if let Some(value) = value.filter(|value| !json::is_empty(value)) {
            mapper.row.text(column, value);
        }
    }
}

/// Writes the record's own data, and what has no column under `unmapped` of it.
fn additional_event_data(mapper: &mut Mapper<'_, '_>) {
    if mapper.unmapped.pop().is_none() {
        if let Some(value) = mapper.kept {
            mapper.row.json_text(ADDITIONAL_EVENT_DATA, value);
        }
        return;
    }
    let mut text = Vec::with_capacity(mapper.unmapped.len() + 64);
    match mapper.kept {
        Some(object) if object.starts_with('{') => {
            json::compact(object, &mut text);
            text.pop();
            if text.len() > 1 {
                text.push(b',');
            }
        }
        Some(value) => {
            text.extend_from_slice(b"{\"value\":");
            json::compact(value, &mut text);
            text.push(b',');
        }
        None => text.push(b'{'),
    }
    text.extend_from_slice(b"\"unmapped\":{");
    text.append(&mut mapper.unmapped);
    text.extend_from_slice(b"}}");
    mapper.row.json_text(ADDITIONAL_EVENT_DATA, &String::from_utf8_lossy(&text));
}
