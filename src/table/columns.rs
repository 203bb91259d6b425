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
}

impl Table {
    /// Every table, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::AwsCloudTrail, Self::AwsGuardDuty, Self::Health];

    /// The table's name in the workspace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AwsCloudTrail => "AWSCloudTrail",
            Self::AwsGuardDuty => "AWSGuardDuty",
            Self::Health => "SentinelForwarderHealth_CL",
        }
    }

    /// The table of that name, if we write to it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The columns that may be sent.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::AwsCloudTrail => AWS_CLOUD_TRAIL,
            Self::AwsGuardDuty => AWS_GUARD_DUTY,
            Self::Health => HEALTH,
        }
    }

    /// The column of that name.
    #[must_use]
    pub fn column(self, name: &str) -> Option<&'static Column> {
        self.columns().iter().find(|column| column.name == name)
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

const fn column(name: &'static str, kind: ColumnKind) -> Column {
    Column { name, kind }
}

use ColumnKind::{Boolean, Datetime, Dynamic, Guid, Int, Long, String};

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
    column("TimeGenerated", Datetime),
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
    column("TimeGenerated", Datetime),
    column("Title", String),
    column(EVENT_TIME, Datetime),
];

const HEALTH: &[Column] = &[
    column("TimeGenerated", Datetime),
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
    column("DeliveryLagSeconds", Long),
    column("Tables", Dynamic),
    column("Reasons", Dynamic),
];
