//! What the workspace's tables need: our column on Microsoft's tables, and our own tables
//! (<https://learn.microsoft.com/azure/templates/microsoft.operationalinsights/workspaces/tables>).

use serde_json::{Value, json};

use super::expression::{call, either, parameter, text, variable, whole};
use super::flows::Flow;
use crate::table::{Column, Table};

const TYPE: &str = "Microsoft.OperationalInsights/workspaces/tables";
const API_VERSION: &str = "2025-07-01";
/// What the columns that a user adds to Microsoft's tables end in.
const CUSTOM_COLUMN: &str = "_CF";

/// A table, for what reads it.
pub(super) fn id_of(table: Table) -> String {
    whole(&id(table.name()))
}

/// Every table, for a rule that must wait for them.
pub(super) fn ids() -> Vec<String> {
    Flow::ALL.map(|flow| whole(&id(flow.table()))).into()
}

fn id(table: &str) -> String {
    call("resourceId", [text(TYPE), parameter("workspaceName"), text(table)])
}

/// The tables as resources. Each waits for the one before: a workspace refuses two changes at once.
pub(super) fn resources() -> Vec<Value> {
    let mut before: Option<&str> = None;
    Flow::ALL
        .into_iter()
        .map(|flow| {
            let mut resource = resource(flow);
            if let Some(table) = before.replace(flow.table()) {
                resource["dependsOn"] = json!([whole(&id(table))]);
            }
            resource
        })
        .collect()
}

fn resource(flow: Flow) -> Value {
    let table = flow.table();
    let own = flow.source().columns().iter().filter(|column| is_ours(flow, column));
    let columns = with_kept(table, own.map(|column| (column.name, flow.table_type(column.kind))));
    json!({
        "condition": whole(&condition(flow)),
        "type": TYPE,
        "apiVersion": API_VERSION,
        "name": whole(&call("concat", [parameter("workspaceName"), text(&format!("/{table}"))])),
        "properties": properties(flow, &json!({"name": table, "columns": columns})),
    })
}

/// A table of Microsoft's has its own columns already.
fn is_ours(flow: Flow, column: &Column) -> bool {
    flow.table().ends_with("_CL") || column.name.ends_with(CUSTOM_COLUMN)
}

fn condition(flow: Flow) -> String {
    match flow {
        Flow::Of(table) if !table.is_ours() => call("and", [parameter("deployColumns"), flow.is_wanted()]),
        Flow::Of(_) | Flow::Lake => flow.is_wanted(),
    }
}

/// The columns and those that the user keeps: what is not named here is taken from the table.
fn with_kept(table: &str, own: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let own =
        own.map(|(name, kind)| call("createObject", [text("name"), text(name), text("type"), text(kind)]));
    let kept = parameter("keepColumns");
    let is_kept = call("contains", [kept.clone(), text(table)]);
    let kept = either(&is_kept, &format!("{kept}.{table}"), &variable("none"));
    whole(&call("concat", [call("createArray", own), kept]))
}

fn properties(flow: Flow, schema: &Value) -> Value {
    match flow {
        Flow::Of(table) if table.is_ours() => json!({
            "plan": "Analytics",
            "retentionInDays": whole(&parameter("healthRetentionDays")),
            "schema": schema,
        }),
        Flow::Lake => json!({
            "plan": whole(&parameter("lakePlan")),
            "totalRetentionInDays": whole(&parameter("lakeRetentionDays")),
            "schema": schema,
        }),
        Flow::Of(_) => json!({"schema": schema}),
    }
}
