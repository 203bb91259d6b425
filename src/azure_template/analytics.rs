//! The analytics rules, which raise an incident when the forwarder needs someone
//! (<https://learn.microsoft.com/azure/templates/microsoft.securityinsights/alertrules>).

use serde_json::{Value, json};

use super::expression::{call, parameter, text, variable, whole};
use super::flows::is_chosen;
use super::{collection_rules, query, tables};
use crate::table::Table;

/// One scheduled rule. Durations are ISO 8601, as Sentinel takes them.
struct Rule {
    name: &'static str,
    title: &'static str,
    /// What is different from alert to alert, with columns of the result in braces.
    alert: &'static str,
    description: &'static str,
    severity: &'static str,
    /// What the query reads beside Azure's own tables: without it the rule is refused.
    table: Table,
    query: &'static str,
    frequency: &'static str,
    period: &'static str,
    tactics: &'static [&'static str],
    techniques: &'static [&'static str],
    /// Columns of the result that become details of the alert. Alerts that are alike in the first of them, so many as
    /// `same`, share an incident.
    details: &'static [&'static str],
    same: usize,
    entity: Entity,
}

/// What an alert is about, in Sentinel's terms: a type, and columns of the result by identifier
/// (<https://learn.microsoft.com/azure/sentinel/entities-reference>).
struct Entity {
    kind: &'static str,
    columns: &'static [(&'static str, &'static str)],
}

const FUNCTION: Entity = Entity {
    kind: "CloudApplication",
    columns: &[("Name", "FunctionName"), ("InstanceName", "AwsAccountId")],
};
const TRAIL: Entity =
    Entity { kind: "CloudApplication", columns: &[("Name", "Trail"), ("InstanceName", "AwsAccountId")] };
const DATA_COLLECTION_RULE: Entity = Entity { kind: "AzureResource", columns: &[("ResourceId", "RuleId")] };

const OF_A_FUNCTION: &[&str] = &["FunctionName", "AwsAccountId", "AwsRegion"];

const RULES: [Rule; 6] = [
    Rule {
        name: "forwarder_silent",
        title: "Sentinel forwarder: silent",
        alert: "Sentinel forwarder {{FunctionName}} of account {{AwsAccountId}} is silent",
        description: "The forwarder ran within the last 3 days and has sent no health row for hours: no log arrives in \
            its account, or it can't run, or it can't reach Sentinel. Look at the alarms of its stack, at the age of \
            the oldest message in the work queue, and at the function's log. Check that the trail still logs (`aws \
            cloudtrail get-trail-status`): attackers stop trails to hide activity. Nothing is lost while messages \
            wait in the queue. For an account that is quiet for hours, deploy the template with a \
            greater forwarderSilentHours.",
        severity: "High",
        table: Table::Health,
        query: include_str!("queries/rules/forwarder_silent.kql"),
        frequency: "PT1H",
        period: "P3D",
        tactics: &["DefenseEvasion"],
        techniques: &["T1562"],
        details: OF_A_FUNCTION,
        same: 3,
        entity: FUNCTION,
    },
    Rule {
        name: "dead_letters",
        title: "Sentinel forwarder: dead letters",
        alert: "Sentinel forwarder {{FunctionName}} wrote dead letters: {{Reason}}",
        description: "Records could not be delivered, and are in the dead letter queue with a reason. They are not in \
            Sentinel until they are replayed. Look at the reason (`sentinelctl dlq list`), fix the cause, and replay \
            (`sentinelctl dlq replay`), as the forwarder's README says under \"Dead letters\".",
        severity: "Medium",
        table: Table::Health,
        query: include_str!("queries/rules/dead_letters.kql"),
        frequency: "PT1H",
        period: "P1D",
        tactics: &[],
        techniques: &[],
        details: &["FunctionName", "AwsAccountId", "AwsRegion", "Reason", "Letters"],
        same: 4,
        entity: FUNCTION,
    },
    Rule {
        name: "files_missing",
        title: "Sentinel forwarder: log files are missing",
        alert: "CloudTrail files are missing for forwarder {{FunctionName}}",
        description: "A digest of CloudTrail names log files that are not in the bucket, or that were never \
            delivered. Removed or changed files may be an attempt to hide activity. Check with \
            `sentinelctl verify` or `aws cloudtrail validate-logs`, and in the access log of the bucket. Files that \
            are still in the bucket can be forwarded again with `sentinelctl backfill`.",
        severity: "High",
        table: Table::Health,
        query: include_str!("queries/rules/files_missing.kql"),
        frequency: "PT1H",
        period: "P1D",
        tactics: &["DefenseEvasion"],
        techniques: &["T1562"],
        details: &["FunctionName", "AwsAccountId", "AwsRegion", "Files"],
        same: 3,
        entity: FUNCTION,
    },
    Rule {
        name: "digests_overdue",
        title: "Sentinel forwarder: a digest is overdue",
        alert: "Digests of trail {{Trail}} are overdue for account {{AwsAccountId}}, {{AwsRegion}}",
        description: "CloudTrail writes a digest every hour for each account and region, also for an hour without log \
            files, and the next one is overdue: the trail or its log file validation was turned off or deleted, or \
            the bucket refuses CloudTrail. Attackers stop trails to hide activity: look for StopLogging, DeleteTrail, \
            UpdateTrail and PutBucketPolicy, and at the trail's status (`aws cloudtrail get-trail-status`).",
        severity: "High",
        table: Table::Completeness,
        query: include_str!("queries/rules/digests_overdue.kql"),
        frequency: "PT1H",
        period: "P1D",
        tactics: &["DefenseEvasion"],
        techniques: &["T1562"],
        details: &["AwsAccountId", "AwsRegion", "Trail", "Hours", "From", "Until"],
        same: 3,
        entity: TRAIL,
    },
    Rule {
        name: "action_needed",
        title: "Sentinel forwarder: an operator is needed",
        alert: "Sentinel forwarder {{FunctionName}} needs an operator",
        description: "The forwarder is refused: by S3 or KMS (the bucket's or the key's policy), by Entra (the trust), \
            or by the data collection rule (the role, the rule, or a stream). What is refused is retried and becomes \
            a dead letter after an hour or so; fixed before that, nothing else is needed. The function's log names \
            the refusal. A role assignment may take 30 minutes to take effect. While Entra or the rule refuses, it \
            refuses health rows too: this alert then fires afterwards, with the counts of that time. Until then the \
            stack's ActionNeededAlarm in AWS, the Azure Monitor alert on refused uploads and the rule for silent \
            forwarders fire.",
        severity: "Medium",
        table: Table::Health,
        query: include_str!("queries/rules/action_needed.kql"),
        frequency: "PT1H",
        period: "P1D",
        tactics: &[],
        techniques: &[],
        details: &["FunctionName", "AwsAccountId", "AwsRegion", "Failures"],
        same: 3,
        entity: FUNCTION,
    },
    Rule {
        name: "rows_dropped",
        title: "Sentinel forwarder: the rule dropped rows",
        alert: "Data collection rule {{Rule}} dropped rows of {{InputStreamId}}",
        description: "The data collection rule accepted rows and then could not store them. They are not in Sentinel, \
            and the forwarder is not informed. The message says why: usually the rule's columns or its transform do \
            not match the table. Deploy the template again. The ledger counts these files as delivered: forward them again \
            with `sentinelctl backfill --via direct`, without LEDGER_TABLE in its environment. Rows that were stored \
            are then stored twice.",
        severity: "Medium",
        table: Table::Health,
        query: include_str!("queries/rules/rows_dropped.kql"),
        frequency: "PT1H",
        period: "P1D",
        tactics: &[],
        techniques: &[],
        details: &["Rule", "InputStreamId", "OperationName", "Errors", "Message"],
        same: 2,
        entity: DATA_COLLECTION_RULE,
    },
];

/// The rules as resources of the workspace.
pub(super) fn resources() -> Vec<Value> {
    RULES.iter().map(resource).collect()
}

fn resource(rule: &Rule) -> Value {
    let details: Value = rule.details.iter().map(|&column| (column.to_owned(), json!(column))).collect();
    let fields: Vec<Value> = rule
        .entity
        .columns
        .iter()
        .map(|(identifier, column)| json!({"identifier": identifier, "columnName": column}))
        .collect();
    let settings = [
        ("SilentHours", call("string", [parameter("forwarderSilentHours")])),
        ("Rules", variable("ruleIds")),
    ];
    let conditions = [parameter("deployAnalyticsRules"), variable("hasSentinel"), is_chosen(rule.table)];
    json!({
        "condition": whole(&call("and", conditions)),
        "dependsOn": [tables::id_of(rule.table), collection_rules::ERROR_LOGS],
        "type": "Microsoft.SecurityInsights/alertRules",
        "apiVersion": "2024-03-01",
        "name": whole(&call("guid", [variable("workspaceId"), text("sentinel-forwarder"), text(rule.name)])),
        "scope": whole(&variable("workspaceId")),
        "kind": "Scheduled",
        "properties": {
            "displayName": rule.title,
            "description": rule.description,
            "severity": rule.severity,
            "enabled": true,
            "query": query::with_settings(rule.query, &settings),
            "queryFrequency": rule.frequency,
            "queryPeriod": rule.period,
            "triggerOperator": "GreaterThan",
            "triggerThreshold": 0,
            // It would mute the rule for every function.
            "suppressionEnabled": false,
            "suppressionDuration": rule.frequency,
            "tactics": rule.tactics,
            "techniques": rule.techniques,
            "eventGroupingSettings": {"aggregationKind": "AlertPerResult"},
            "alertDetailsOverride": {"alertDisplayNameFormat": rule.alert},
            "customDetails": details,
            "entityMappings": [{"entityType": rule.entity.kind, "fieldMappings": fields}],
            "incidentConfiguration": {
                "createIncident": true,
                "groupingConfiguration": {
                    "enabled": true,
                    "reopenClosedIncident": false,
                    "lookbackDuration": "P1D",
                    "matchingMethod": "Selected",
                    "groupByCustomDetails": &rule.details[..rule.same],
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://learn.microsoft.com/azure/sentinel/surface-custom-details-in-alerts>
    #[test]
    fn details_keep_within_the_limits_of_sentinel() {
        for rule in &RULES {
            assert!(rule.details.len() <= 20, "{} has too many details", rule.name);
            assert!(
                rule.details.iter().all(|name| name.len() <= 20),
                "{} has a detail with a long name",
                rule.name
            );
        }
    }

    /// What is seen once is told once, and nothing is missed between two runs.
    #[test]
    fn a_rule_runs_as_often_as_its_query_looks_back() {
        for rule in &RULES {
            let looks_back = rule.query.contains("ingestion_time() > ago(1h)");
            assert_eq!(looks_back, rule.name != "forwarder_silent", "{}", rule.name);
            assert_eq!(rule.frequency, "PT1H", "{}", rule.name);
        }
    }

    /// Sentinel refuses a rule on a table that is not there, or not yet; the time of ingestion is lost in a union.
    #[test]
    fn every_query_does_without_its_table() {
        for rule in &RULES {
            let (_, query) = rule.query.split_once("union isfuzzy=true\n").expect("a fuzzy union");
            assert!(query.trim_start().starts_with("(datatable("), "{}", rule.name);
            assert!(!query.contains("),\n| where ingestion_time()"), "{}", rule.name);
        }
    }
}
