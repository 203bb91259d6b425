//! The columns of each Sentinel table that the Logs Ingestion API lets us fill: the one place that names them.
//!
//! From <https://learn.microsoft.com/azure/azure-monitor/reference/tables/awscloudtrail> and its siblings.
//! Columns that the platform fills (`TenantId`, `Type`, `SourceSystem`, `_…`) are left out.

/// A table of the workspace that this project writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// `CloudTrail` records.
    AwsCloudTrail,
    /// `GuardDuty` findings.
    AwsGuardDuty,
    /// What the forwarder's own runs did.
    Health,
    /// What the check of each digest came to.
    Completeness,
}

impl Table {
    /// Every table, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::AwsCloudTrail, Self::AwsGuardDuty, Self::Health, Self::Completeness];

    /// The table's name in the workspace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsCloudTrail => "AWSCloudTrail",
            Self::AwsGuardDuty => "AWSGuardDuty",
            Self::Health => "SentinelForwarderHealth_CL",
            Self::Completeness => "SentinelForwarderCompleteness_CL",
        }
    }

    /// The table of that name, if we write to it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Whether the table is the forwarder's own, about itself, and not one of Microsoft's.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Health | Self::Completeness)
    }

    /// The columns that may be sent.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::AwsCloudTrail => AWS_CLOUD_TRAIL,
            Self::AwsGuardDuty => AWS_GUARD_DUTY,
            Self::Health => HEALTH,
            Self::Completeness => COMPLETENESS,
        }
    }

    /// The column of that name.
    #[must_use]
    pub fn column(self, name: &str) -> Option<&'static Column> {
        self.columns().iter().find(|column| column.name == name)
    }

    /// What the column of that name holds; `column` for constants.
    pub(super) const fn kind_of(self, name: &str) -> Option<ColumnKind> {
        let columns = self.columns();
        let mut at = 0;
        while at < columns.len() {
            if is_same(columns[at].name, name) {
                return Some(columns[at].kind);
            }
            at += 1;
        }
        None
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, to the letter.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

/// What a column holds, in the words of a data collection rule; `Guid` is sent as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    String,
    /// Text in the stream, a guid in the table: any other text would become null there.
    Guid,
    /// A 32-bit whole number.
    Int,
    /// A 64-bit whole number.
    Long,
    /// True or false.
    Boolean,
    /// Any JSON value.
    Dynamic,
    /// A time, RFC 3339.
    Datetime,
}

impl ColumnKind {
    /// Its type in a rule's stream, where there is no guid
    /// (<https://learn.microsoft.com/azure/azure-monitor/essentials/data-collection-rule-structure#streamdeclarations>).
    #[must_use]
    pub const fn stream_type(self) -> &'static str {
        match self {
            Self::String | Self::Guid => "string",
            Self::Int => "int",
            Self::Long => "long",
            Self::Boolean => "boolean",
            Self::Dynamic => "dynamic",
            Self::Datetime => "datetime",
        }
    }

    /// Its type in a table, in the words of the tables API
    /// (<https://learn.microsoft.com/rest/api/loganalytics/tables/create-or-update#columntypeenum>).
    #[must_use]
    pub const fn table_type(self) -> &'static str {
        match self {
            Self::Guid => "guid",
            Self::Datetime => "dateTime",
            _ => self.stream_type(),
        }
    }
}

/// Whether two names are the same; `==` is not for constants.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

use ColumnKind::{Boolean, Datetime, Dynamic, Guid, Int, Long, String};

/// When the event happened: every table has it.
pub const TIME_GENERATED: &str = "TimeGenerated";
/// Our own column on Microsoft's tables: the true time where the service replaces `TimeGenerated`.
pub const EVENT_TIME: &str = "EventTime_CF";

const AWS_CLOUD_TRAIL: &[Column] = &[
    column("APIVersion", String),
    column("AWSRegion", String),
    column("AdditionalEventData", String),
    column("AwsEventId", Guid),
    column("AwsRequestId", Guid),
    column("AwsRequestId_", String),
    column("Category", String),
    column("CidrIp", String),
    column("CipherSuite", String),
    column("ClientProvidedHostHeader", String),
    column("DestinationPort", String),
    column("EC2RoleDelivery", String),
    column("ErrorCode", String),
    column("ErrorMessage", String),
    column("EventName", String),
    column("EventSource", String),
    column("EventTypeName", String),
    column("EventVersion", String),
    column("IpProtocol", String),
    column("ManagementEvent", Boolean),
    column("OperationName", String),
    column("ReadOnly", Boolean),
    column("RecipientAccountId", String),
    column("RequestParameters", String),
    column("Resources", String),
    column("ResponseElements", String),
    column("ServiceEventDetails", String),
    column("SessionCreationDate", Datetime),
    column("SessionIssuerAccountId", String),
    column("SessionIssuerArn", String),
    column("SessionIssuerPrincipalId", String),
    column("SessionIssuerType", String),
    column("SessionIssuerUserName", String),
    column("SessionMfaAuthenticated", Boolean),
    column("SharedEventId", Guid),
    column("SourceIpAddress", String),
    column("SourcePort", String),
    column(TIME_GENERATED, Datetime),
    column("TlsVersion", String),
    column("UserAgent", String),
    column("UserIdentityAccessKeyId", String),
    column("UserIdentityAccountId", String),
    column("UserIdentityArn", String),
    column("UserIdentityInvokedBy", String),
    column("UserIdentityPrincipalid", String),
    column("UserIdentityStoreArn", String),
    column("UserIdentityType", String),
    column("UserIdentityUserId", String),
    column("UserIdentityUserName", String),
    column("VpcEndpointId", String),
    column(EVENT_TIME, Datetime),
];

const AWS_GUARD_DUTY: &[Column] = &[
    column("AccountId", String),
    column("ActivityType", String),
    column("Arn", String),
    column("Description", String),
    column("Id", String),
    column("Partition", String),
    column("Region", String),
    column("ResourceDetails", Dynamic),
    column("SchemaVersion", String),
    column("ServiceDetails", Dynamic),
    column("Severity", Int),
    column("TimeCreated", Datetime),
    column(TIME_GENERATED, Datetime),
    column("Title", String),
    column(EVENT_TIME, Datetime),
];

const HEALTH: &[Column] = &[
    column(TIME_GENERATED, Datetime),
    column("FunctionName", String),
    column("FunctionVersion", String),
    column("AwsAccountId", String),
    column("AwsRegion", String),
    column("AwsRequestId", String),
    column("DurationMilliseconds", Long),
    column("Objects", Long),
    column("Records", Long),
    column("Rows", Long),
    column("RowsFiltered", Long),
    column("RowsTruncated", Long),
    column("DeadLetters", Long),
    column("Duplicates", Long),
    column("Ignored", Long),
    column("Continuations", Long),
    column("ActionNeeded", Long),
    column("BytesRead", Long),
    column("BytesUploaded", Long),
    column("Uploads", Long),
    column("UploadThrottled", Long),
    column("UploadFailed", Long),
    column("CircuitOpen", Long),
    column("FilesMissing", Long),
    column("UnsentRuns", Long),
    column("DeliveryLagSeconds", Long),
    column("Tables", Dynamic),
    column("Reasons", Dynamic),
];

const COMPLETENESS: &[Column] = &[
    column(TIME_GENERATED, Datetime),
    column("Hour", Datetime),
    column("AwsAccountId", String),
    column("AwsRegion", String),
    column("OrganizationId", String),
    column("Trail", String),
    column("HomeRegion", String),
    column("DigestBucket", String),
    column("DigestKey", String),
    column("DigestStart", Datetime),
    column("DigestEnd", Datetime),
    column("IsGenuine", Boolean),
    column("FilesListed", Long),
    column("FilesDelivered", Long),
    column("FilesLate", Long),
    column("FilesMissing", Long),
    column("FilesGone", Long),
    column("FilesAltered", Long),
    column("FilesInLetters", Long),
    column("Records", Long),
    column("Rows", Long),
    column("RowsFiltered", Long),
    column("DeadLetters", Long),
    column("Findings", Dynamic),
];
