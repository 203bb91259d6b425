//! What flows where: each stream of a rule, its columns, the transform on the way, and the table at the end.

use serde_json::{Value, json};

use super::expression::{call, either, parameter, text, variable, whole};
use crate::table::{Column, ColumnKind, TIME_GENERATED, Table};

/// The most streams, and the most flows, of one rule
/// (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#data-collection-rules>).
pub(super) const MOST_FLOWS: usize = 10;
/// The most characters of a transform (the same page).
const MOST_TRANSFORM_CHARACTERS: usize = 15_360;
/// The most of them that are left to the user's own KQL.
pub(super) const MOST_OWN_KQL_CHARACTERS: usize = MOST_TRANSFORM_CHARACTERS - 360;

/// The destination that every flow goes to.
pub(super) const DESTINATION: &str = "workspace";
/// The copy of `AWSCloudTrail` for the data lake.
pub(super) const LAKE_TABLE: &str = "AWSCloudTrailLake_CL";

/// One flow of a rule.
#[derive(Clone, Copy)]
pub(super) enum Flow {
    /// A table's own.
    Of(Table),
    /// The copy for the data lake.
    Lake,
}

impl Flow {
    /// Every flow. The function sends any table to any of its rules, so one rule must hold them all.
    pub(super) const ALL: [Self; Table::ALL.len() + 1] = {
        let mut all = [Self::Lake; Table::ALL.len() + 1];
        let mut at = 0;
        while at < Table::ALL.len() {
            all[at] = Self::Of(Table::ALL[at]);
            at += 1;
        }
        all
    };

    /// The table whose rows flow.
    pub(super) const fn source(self) -> Table {
        match self {
            Self::Of(table) => table,
            Self::Lake => Table::AwsCloudTrail,
        }
    }

    /// The name of the table at the end.
    pub(super) const fn table(self) -> &'static str {
        match self {
            Self::Of(table) => table.name(),
            Self::Lake => LAKE_TABLE,
        }
    }

    /// What the rule calls the table at the end.
    pub(super) fn output_stream(self) -> String {
        let table = self.table();
        if table.ends_with("_CL") { format!("Custom-{table}") } else { format!("Microsoft-{table}") }
    }

    /// The type of a column in the table at the end. The lake takes ids as the text that they are sent as.
    pub(super) const fn table_type(self, kind: ColumnKind) -> &'static str {
        match (self, kind) {
            (Self::Lake, ColumnKind::Guid) => ColumnKind::String.table_type(),
            _ => kind.table_type(),
        }
    }

    /// The parameter with the user's own KQL.
    pub(super) fn own_kql(self) -> String {
        format!("transform{}", self.table())
    }

    /// The variable that holds the flow.
    fn variable(self) -> String {
        format!("flow{}", self.table())
    }

    /// The expression that tells whether it is wanted.
    pub(super) fn is_wanted(self) -> String {
        match self {
            Self::Of(table) => is_chosen(table),
            Self::Lake => variable("lake"),
        }
    }

    /// Our part of the transform.
    fn transform(self) -> String {
        let changes: Vec<String> = match self {
            Self::Of(table) => {
                guids(table.columns()).map(|name| format!("{name} = toguid({name})")).collect()
            }
            // An Auxiliary table takes six decimals of a second
            // (<https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table-auxiliary>).
            Self::Lake => vec![format!("{TIME_GENERATED} = bin({TIME_GENERATED}, 1microsecond)")],
        };
        if changes.is_empty() {
            "source".to_owned()
        } else {
            format!("source | extend {}", changes.join(", "))
        }
    }

    /// The flow as it stands in a rule.
    fn definition(self) -> Value {
        let own = parameter(&self.own_kql());
        let appended = either(&call("empty", [&own]), "''", &call("concat", [&text(" | "), &own]));
        json!({
            "streams": [stream(self.source())],
            "destinations": [DESTINATION],
            "transformKql": whole(&call("concat", [text(&self.transform()), appended])),
            "outputStream": self.output_stream(),
        })
    }
}

const _: () = assert!(Flow::ALL.len() <= MOST_FLOWS, "one rule holds no more streams and flows");

fn guids(columns: &[Column]) -> impl Iterator<Item = &'static str> {
    columns.iter().filter(|column| column.kind == ColumnKind::Guid).map(|column| column.name)
}

/// The expression that tells whether a table is wanted.
pub(super) fn is_chosen(table: Table) -> String {
    call("contains", [parameter("tables"), text(table.name())])
}

/// The stream that the function sends a table's rows to.
pub(super) fn stream(table: Table) -> String {
    format!("Custom-{}", table.name())
}

fn stream_variable(table: Table) -> String {
    format!("stream{}", table.name())
}

/// The streams and flows, as variables of the template.
pub(super) fn variables() -> impl Iterator<Item = (String, Value)> {
    let streams = Table::ALL.into_iter().map(|table| {
        let columns: Vec<Value> = table
            .columns()
            .iter()
            .map(|column| json!({"name": column.name, "type": column.kind.stream_type()}))
            .collect();
        (stream_variable(table), json!({stream(table): {"columns": columns}}))
    });
    let flows = Flow::ALL.into_iter().map(|flow| (flow.variable(), json!([flow.definition()])));
    streams.chain(flows)
}

/// The declarations of the streams that are wanted.
pub(super) fn declarations() -> String {
    let streams = Table::ALL
        .map(|table| either(&is_chosen(table), &variable(&stream_variable(table)), &variable("nothing")));
    whole(&call("union", streams))
}

/// The flows that are wanted.
pub(super) fn flows() -> String {
    let flows =
        Flow::ALL.map(|flow| either(&flow.is_wanted(), &variable(&flow.variable()), &variable("none")));
    whole(&call("concat", flows))
}
