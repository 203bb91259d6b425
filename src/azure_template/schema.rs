//! The columns of streams and tables in KQL's words, for whoever binds the queries.

use serde_json::{Value, json};

use super::flows::{self, Flow};
use super::object;
use crate::table::Table;

/// The columns that the platform fills in every table
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/log-standard-columns>).
const PLATFORM: [(&str, &str); 7] = [
    ("TenantId", "string"),
    ("Type", "string"),
    ("SourceSystem", "string"),
    ("_ResourceId", "string"),
    ("_SubscriptionId", "string"),
    ("_BilledSize", "real"),
    ("_IsBillable", "string"),
];

/// Where a rule logs what it drops (<https://learn.microsoft.com/azure/azure-monitor/reference/tables/dcrlogerrors>).
const DCR_LOG_ERRORS: [(&str, &str); 6] = [
    ("TimeGenerated", "datetime"),
    ("ClientRequestId", "string"),
    ("CorrelationId", "string"),
    ("InputStreamId", "string"),
    ("Message", "string"),
    ("OperationName", "string"),
];

/// `{"streams": {stream: {column: type}}, "tables": {table: {column: type}}}`.
#[must_use]
pub fn schema() -> Value {
    let streams = Table::ALL.map(|table| {
        let columns = table.columns().iter().map(|column| (column.name, column.kind.stream_type()));
        (flows::stream(table), columns_of(columns))
    });
    let tables = Flow::ALL.map(|flow| {
        let columns = flow.source().columns().iter();
        let own = columns.map(|column| (column.name, flow.table_type(column.kind)));
        (flow.table().to_owned(), columns_of(own.chain(PLATFORM)))
    });
    let log = ("DCRLogErrors".to_owned(), columns_of(DCR_LOG_ERRORS.into_iter().chain(PLATFORM)));
    json!({"streams": object(streams), "tables": object(tables.into_iter().chain([log]))})
}

fn columns_of(columns: impl Iterator<Item = (&'static str, &'static str)>) -> Value {
    object(columns.map(|(name, kind)| (name.to_owned(), json!(in_kql(kind)))))
}

/// <https://learn.microsoft.com/kusto/query/scalar-data-types/>.
fn in_kql(kind: &'static str) -> &'static str {
    match kind {
        "boolean" => "bool",
        "dateTime" => "datetime",
        other => other,
    }
}
