//! The workbook, Sentinel's view of the forwarder
//! (<https://learn.microsoft.com/azure/templates/microsoft.insights/workbooks>).

use serde_json::{Value, json};

use super::expression::{either, text, variable, whole};
use super::query;

const TIME_RANGE: &str = "TimeRange";
const PRICE: &str = "DollarsPerGB";
/// The list price of a GB in an Analytics table, East US, pay as you go
/// (<https://azure.microsoft.com/pricing/details/microsoft-sentinel/>); `cost.kql` begins with it.
const LIST_PRICE: &str = "4.3";

const SECOND_MS: u64 = 1_000;
const HOUR_MS: u64 = 3_600 * SECOND_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

const ABOUT: &str = "## Sentinel forwarder

Arrival of the CloudTrail records and GuardDuty findings that the forwarder sends, and the health of the forwarder. \
With `HealthRows` each of its runs writes one row to `SentinelForwarderHealth_CL`.";

/// One query of the workbook, and how its result is shown.
struct Part {
    name: &'static str,
    title: &'static str,
    query: &'static str,
    shown_as: &'static str,
    nothing: &'static str,
}

const PARTS: [Part; 11] = [
    Part {
        name: "health",
        title: "Health of the forwarder: runs, responses of Sentinel, version",
        query: include_str!("queries/workbook/health.kql"),
        shown_as: "table",
        nothing: "No run in this time range. Is the forwarder deployed with `HealthRows`?",
    },
    Part {
        name: "troubles_by_hour",
        title: "Throttled and failed uploads, opened circuits, continuations",
        query: include_str!("queries/workbook/troubles_by_hour.kql"),
        shown_as: "timechart",
        nothing: "No run in this time range.",
    },
    Part {
        name: "arrivals",
        title: "Rows by table, account and region",
        query: include_str!("queries/workbook/arrivals.kql"),
        shown_as: "table",
        nothing: "No row arrived in this time range.",
    },
    Part {
        name: "arrivals_by_hour",
        title: "Rows by hour",
        query: include_str!("queries/workbook/arrivals_by_hour.kql"),
        shown_as: "timechart",
        nothing: "No row arrived in this time range.",
    },
    Part {
        name: "lag",
        title: "Seconds from the event until it can be queried (a backfill counts with its age)",
        query: include_str!("queries/workbook/lag.kql"),
        shown_as: "table",
        nothing: "No row arrived in this time range.",
    },
    Part {
        name: "delivery_lag",
        title: "Seconds from the event until Sentinel accepted it, measured by the forwarder",
        query: include_str!("queries/workbook/delivery_lag.kql"),
        shown_as: "timechart",
        nothing: "Nothing was delivered in this time range.",
    },
    Part {
        name: "dead_letters",
        title: "Dead letters by reason",
        query: include_str!("queries/workbook/dead_letters.kql"),
        shown_as: "table",
        nothing: "No dead letter in this time range.",
    },
    Part {
        name: "files_missing",
        title: "Files that a digest lists and that are missing",
        query: include_str!("queries/workbook/files_missing.kql"),
        shown_as: "table",
        nothing: "No file was missing in this time range.",
    },
    Part {
        name: "completeness",
        title: "Rows expected in AWSCloudTrail for each complete day, and rows found (choose 3 days or more)",
        query: include_str!("queries/workbook/completeness.kql"),
        shown_as: "table",
        nothing: "No complete day in this time range. Does the forwarder send `CompletenessRows`?",
    },
    Part {
        name: "rows_dropped",
        title: "Errors of the data collection rule: rows dropped after they were accepted",
        query: include_str!("queries/workbook/rows_dropped.kql"),
        shown_as: "table",
        nothing: "The rule dropped nothing in this time range.",
    },
    Part {
        name: "cost",
        title: "Cost by event source: billed size at the price above",
        query: include_str!("queries/workbook/cost.kql"),
        shown_as: "table",
        nothing: "No row arrived in this time range.",
    },
];

/// The resource, linked to the workspace.
pub(super) fn resource() -> Value {
    json!({
        "type": "Microsoft.Insights/workbooks",
        "apiVersion": "2023-06-01",
        "name": "[guid(variables('workspaceId'), 'sentinel-forwarder')]",
        "location": "[parameters('location')]",
        "kind": "shared",
        "properties": {
            "displayName": "Sentinel forwarder",
            "category": whole(&either(&variable("hasSentinel"), &text("sentinel"), &text("workbook"))),
            "sourceId": "[variables('workspaceId')]",
            "version": "1.0",
            "serializedData": "[string(variables('notebook'))]",
        },
    })
}

/// The workbook itself, as a variable of the template.
pub(super) fn notebook() -> Value {
    let about = json!({"type": 1, "name": "about", "content": {"json": ABOUT}});
    let items: Vec<Value> = [about, parameters()].into_iter().chain(PARTS.iter().map(item)).collect();
    json!({
        "version": "Notebook/1.0",
        "items": items,
        "$schema": "https://github.com/Microsoft/Application-Insights-Workbooks/blob/master/schema/workbook.json",
    })
}

fn parameters() -> Value {
    let ranges: Vec<Value> = [HOUR_MS, 4 * HOUR_MS, DAY_MS, 2 * DAY_MS, 7 * DAY_MS, 14 * DAY_MS, 30 * DAY_MS]
        .map(|duration_ms| json!({"durationMs": duration_ms}))
        .into();
    json!({
        "type": 9,
        "name": "parameters",
        "content": {
            "version": "KqlParameterItem/1.0",
            "style": "pills",
            "queryType": 0,
            "resourceType": "microsoft.operationalinsights/workspaces",
            "parameters": [
                {
                    "id": "6f0a5a5e-5d1c-4c3e-9a0e-3c8f5b1d2a01",
                    "version": "KqlParameterItem/1.0",
                    "name": TIME_RANGE,
                    "label": "Time range",
                    "type": 4,
                    "isRequired": true,
                    "typeSettings": {"selectableValues": ranges, "allowCustom": true},
                    "value": {"durationMs": DAY_MS},
                },
                {
                    "id": "6f0a5a5e-5d1c-4c3e-9a0e-3c8f5b1d2a02",
                    "version": "KqlParameterItem/1.0",
                    "name": PRICE,
                    "label": "Dollars per GB",
                    "type": 1,
                    "isRequired": true,
                    "value": LIST_PRICE,
                },
            ],
        },
    })
}

fn item(part: &Part) -> Value {
    json!({
        "type": 3,
        "name": part.name,
        "content": {
            "version": "KqlItem/1.0",
            "title": part.title,
            "query": query::with_settings(&with_price(part.query), &[("Rules", variable("ruleIds"))]),
            "size": 0,
            "timeContextFromParameter": TIME_RANGE,
            "queryType": 0,
            "resourceType": "microsoft.operationalinsights/workspaces",
            "visualization": part.shown_as,
            "noDataMessage": part.nothing,
        },
    })
}

/// The query with the price that the reader of the workbook enters.
fn with_price(query: &str) -> String {
    query.replacen(&format!("let {PRICE} = {LIST_PRICE};"), &format!("let {PRICE} = {{{PRICE}}};"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cost_depends_on_the_price() {
        let priced: Vec<&str> =
            PARTS.iter().filter(|part| with_price(part.query) != part.query).map(|part| part.name).collect();
        assert_eq!(priced, ["cost"]);
    }

    /// A workbook puts the values of its parameters where their names stand in braces.
    #[test]
    fn no_query_has_braces_of_its_own() {
        for part in &PARTS {
            assert!(!part.query.contains(['{', '}']), "{} has braces", part.name);
        }
    }

    #[test]
    fn every_part_follows_the_time_range() {
        let notebook = notebook();
        let queries: Vec<&Value> =
            notebook["items"].as_array().expect("items").iter().filter(|item| item["type"] == 3).collect();
        assert_eq!(queries.len(), PARTS.len());
        for query in queries {
            assert_eq!(query["content"]["timeContextFromParameter"], TIME_RANGE);
        }
    }
}
