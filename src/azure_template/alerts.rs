//! The alerts of Azure Monitor: what a rule drops or refuses, and silence
//! (<https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/microsoft-insights-datacollectionrules-metrics>).

use serde_json::{Value, json};

use super::collection_rules::{self, THIS_ONE};
use super::expression::{call, either, parameter, text, variable, whole};
use super::flows::is_chosen;
use super::tables;
use crate::table::Table;

/// An alert on a metric of each rule.
struct MetricAlert {
    name: &'static str,
    description: &'static str,
    severity: u8,
    metric: &'static str,
    aggregation: &'static str,
    /// The response code that is counted; all if none is named.
    response_code: Option<&'static str>,
    /// The parameter with the count that does not alert yet; none is none.
    threshold: Option<&'static str>,
    /// Whether the user's own KQL may cause it on purpose.
    is_caused_by_filters: bool,
}

const METRIC_ALERTS: [MetricAlert; 4] = [
    MetricAlert {
        name: "rows-dropped",
        description: "The data collection rule dropped rows. See DCRLogErrors for the reason.",
        severity: 1,
        metric: "RowsDropped_Count",
        aggregation: "Total",
        response_code: None,
        threshold: None,
        is_caused_by_filters: true,
    },
    MetricAlert {
        name: "transformation-errors",
        description: "A transform of the data collection rule failed. See DCRLogErrors for the reason.",
        severity: 1,
        metric: "TransformationErrors_Count",
        aggregation: "Count",
        response_code: None,
        threshold: None,
        is_caused_by_filters: false,
    },
    MetricAlert {
        name: "refused",
        description: "The data collection rule refused uploads (403): check its role assignments.",
        severity: 1,
        metric: "ApiCallReceived_Count",
        aggregation: "Count",
        response_code: Some("403"),
        threshold: None,
        is_caused_by_filters: false,
    },
    MetricAlert {
        name: "throttled",
        description: "The data collection rule throttles uploads (429). No row is lost; deploy with more shards if \
            it continues.",
        severity: 3,
        metric: "ApiCallReceived_Count",
        aggregation: "Count",
        response_code: Some("429"),
        threshold: Some("throttledUploads"),
        is_caused_by_filters: false,
    },
];

/// Every alert.
pub(super) fn resources() -> Vec<Value> {
    METRIC_ALERTS.iter().map(metric_alert).chain([silence()]).collect()
}

fn metric_alert(alert: &MetricAlert) -> Value {
    let is_wanted = parameter("deployAlerts");
    let condition = if alert.is_caused_by_filters {
        call("and", [is_wanted, call("empty", [variable("ownKql")])])
    } else {
        is_wanted
    };
    let dimensions: Vec<Value> = alert
        .response_code
        .map(|code| json!({"name": "ResponseCode", "operator": "Include", "values": [code]}))
        .into_iter()
        .collect();
    json!({
        "condition": whole(&condition),
        "type": "Microsoft.Insights/metricAlerts",
        "apiVersion": "2018-03-01",
        "name": whole(&call("format", [text(&format!("{{0}}-{}", alert.name)), collection_rules::name(THIS_ONE)])),
        "location": "global",
        "copy": collection_rules::copy(alert.name),
        "dependsOn": [whole(&collection_rules::id(THIS_ONE))],
        "properties": {
            "description": alert.description,
            "severity": alert.severity,
            "enabled": true,
            "scopes": [whole(&collection_rules::id(THIS_ONE))],
            "evaluationFrequency": "PT5M",
            "windowSize": "PT15M",
            "criteria": {
                "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                "allOf": [{
                    "name": alert.name,
                    "criterionType": "StaticThresholdCriterion",
                    "metricNamespace": collection_rules::TYPE,
                    "metricName": alert.metric,
                    "dimensions": dimensions,
                    "operator": "GreaterThan",
                    "threshold": alert.threshold.map_or(json!(0), |name| json!(whole(&parameter(name)))),
                    "timeAggregation": alert.aggregation,
                    // A new rule has no metrics yet.
                    "skipMetricValidation": true,
                }],
            },
            "autoMitigate": true,
            "actions": metric_actions(),
        },
    })
}

/// An alert on a metric names its action groups as objects.
fn metric_actions() -> String {
    let group = call("createObject", [text("actionGroupId"), parameter("actionGroupId")]);
    let groups = call("createArray", [group]);
    whole(&either(&call("empty", [parameter("actionGroupId")]), &variable("none"), &groups))
}

/// Nothing has arrived for hours: the forwarder, its trail or its way here is down. A trail is never silent for long;
/// findings and health rows would hide that it is.
///
/// Log search alerts support no `union`
/// (<https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-log-query#log-query-constraints>).
fn silence() -> Value {
    let [cloud_trail, health] = [Table::AwsCloudTrail, Table::Health];
    let first = call("first", [parameter("tables")]);
    let without_trail = either(&is_chosen(health), &text(health.name()), &first);
    let table = either(&is_chosen(cloud_trail), &text(cloud_trail.name()), &without_trail);
    // By arrival: a row that comes late is a row that comes.
    let form = "{0} | where ingestion_time() > ago({1}h) | summarize Rows = count()";
    let query = call("format", [text(form), table, parameter("silenceHours")]);
    let hours = parameter("silenceHours");
    // A window of a day or more is a number of days.
    let days = call("format", [text("P{0}D"), call("div", [hours.clone(), "24".to_owned()])]);
    let window = either(
        &call("less", [hours.clone(), "24".to_owned()]),
        &call("format", [text("PT{0}H"), hours]),
        &days,
    );
    json!({
        "condition": whole(&parameter("deployAlerts")),
        "type": "Microsoft.Insights/scheduledQueryRules",
        "apiVersion": "2021-08-01",
        "name": whole(&call("format", [text("{0}-silence"), parameter("name")])),
        "location": whole(&parameter("location")),
        "kind": "LogAlert",
        "dependsOn": tables::ids(),
        "properties": {
            "displayName": whole(&call("format", [text("{0}: no rows arrive"), parameter("name")])),
            "description": "No row of the forwarder has arrived: check the alarms of its stack in AWS.",
            "severity": 1,
            "enabled": true,
            "scopes": [whole(&variable("workspaceId"))],
            "evaluationFrequency": "PT1H",
            "windowSize": whole(&window),
            // The table may be made in the same deployment, seconds before.
            "skipQueryValidation": true,
            // The longest that there is: an event may be older than its arrival.
            "overrideQueryTimeRange": "P2D",
            "criteria": {
                "allOf": [{
                    "query": whole(&query),
                    "timeAggregation": "Total",
                    "metricMeasureColumn": "Rows",
                    "operator": "LessThan",
                    "threshold": 1,
                    "failingPeriods": {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1},
                }],
            },
            "autoMitigate": true,
            "actions": {"actionGroups": whole(&variable("actionGroups"))},
        },
    })
}
