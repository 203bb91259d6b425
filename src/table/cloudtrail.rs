//! `CloudTrail` record → row of `AWSCloudTrail`.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html> →
//! <https://learn.microsoft.com/azure/azure-monitor/reference/tables/awscloudtrail>. What has no column is carried in
//! `AdditionalEventData` under `unmapped`: nothing that AWS adds is lost.

use std::sync::LazyLock;

use jiff::Timestamp;
use memchr::memmem::Finder;

use super::map::Rule::{Boolean, EventTime, Guid, Json, Kept, Nested, Searched, Text, Time};
use super::map::{Mapper, Member, check, check_text};
use super::plain::{self, Head, Pass, PlainRow, Plan};
use super::{MapError, Table};
use crate::json::{self, Cursor};
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
    ("requestParameters", Searched("RequestParameters")),
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

/// What those are searched by: the name, or an escape that a name of ASCII may be written with.
static IP_PERMISSIONS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"ipPermissions"), Finder::new(b"\\u00")]);

const _: () = {
    check(Table::AwsCloudTrail, RECORD);
    check_text(Table::AwsCloudTrail, ADDITIONAL_EVENT_DATA);
    plain::check(RECORD);
    plain::check_name(ADDITIONAL_EVENT_DATA);
    let mut at = 0;
    while at < IP_PERMISSION.len() {
        check_text(Table::AwsCloudTrail, IP_PERMISSION[at]);
        plain::check_name(IP_PERMISSION[at]);
        at += 1;
    }
};

/// Appends the row of one record.
///
/// # Errors
/// If the text can't become a row.
pub(super) fn map(text: &str, now: Timestamp, out: &mut Vec<u8>) -> Result<RowFacts, MapError> {
    let mut mapper = Mapper::new(out);
    mapper.object(RECORD, text)?;
    if let Some(parameters) = mapper.searched {
        for (column, value) in IP_PERMISSION.into_iter().zip(ip_permission(parameters.as_bytes())) {
            if let Some(value) = value.filter(|value| !json::is_empty(value)) {
                mapper.row.text(column, value);
            }
        }
    }
    if let Some(data) = mapper.kept_with_unmapped()? {
        mapper.row.json_text(ADDITIONAL_EVENT_DATA, &data);
    }
    Ok(mapper.end(now))
}

/// Room for what has no column, of one plain record.
const UNMAPPED_BYTES: usize = 16 * 1024;

/// Maps plain records.
pub struct PlainMapper {
    unmapped: Box<[u8]>,
}

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan::new(RECORD));
static KEPT: LazyLock<Head> = LazyLock::new(|| Head::new(ADDITIONAL_EVENT_DATA));
static IP: LazyLock<[Head; 4]> = LazyLock::new(|| IP_PERMISSION.map(Head::new));

impl Default for PlainMapper {
    fn default() -> Self {
        Self { unmapped: vec![0; UNMAPPED_BYTES].into() }
    }
}

impl PlainMapper {
    /// Writes the row of the record that the text begins with to the beginning of `out`; none if the record is not
    /// plain. What stands behind the row is written over.
    pub fn map(&mut self, text: &[u8], now: Timestamp, out: &mut [u8]) -> Option<PlainRow> {
        let mut pass = Pass::new(text, out, &mut self.unmapped);
        let Cursor { at, mut to } = pass.object(&PLAN, Cursor { at: 0, to: 0 })?;
        if let Some(parameters) = pass.searched.clone() {
            for (head, value) in IP.iter().zip(ip_permission(&text[parameters])) {
                if let Some(value) = value {
                    let at = value.as_ptr().addr() - text.as_ptr().addr();
                    to = pass.text(head, Cursor { at, to })?.to;
                }
            }
        }
        if to == 0 && pass.kept.is_none() {
            return None;
        }
        to = pass.put_kept(&KEPT, to)?;
        pass.end(now, Cursor { at, to })
    }
}

fn inside<'a>(text: Option<&'a str>, name: &str) -> Option<&'a str> {
    json::pick(text?, [name]).ok()?[0]
}

/// What the first rule of a security group's change says.
fn ip_permission(parameters: &[u8]) -> [Option<&str>; 4] {
    let is_found = IP_PERMISSIONS.iter().any(|finder| finder.find(parameters).is_some());
    let parameters = is_found.then(|| std::str::from_utf8(parameters).ok()).flatten();
    let first_item = |text| inside(text, "items").and_then(json::first_element);
    let permission = first_item(inside(parameters, "ipPermissions"));
    let names = ["ipRanges", "ipProtocol", "fromPort", "toPort"];
    let [ranges, protocol, from, to] =
        permission.and_then(|permission| json::pick(permission, names).ok()).unwrap_or_default();
    [inside(first_item(ranges), "cidrIp"), protocol, from, to]
}
