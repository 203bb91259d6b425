//! The connector in Sentinel's gallery, which shows as connected while rows arrive
//! (<https://learn.microsoft.com/azure/sentinel/data-connector-ui-definitions-reference>).

use serde_json::{Value, json};

use super::expression::{call, either, parameter, text, variable, whole};
use super::flows::is_chosen;
use super::tables;
use crate::table::Table;

const ID: &str = "SentinelForwarder";

const DESCRIPTION: &str = "CloudTrail files and GuardDuty findings, pushed into Microsoft Sentinel's own tables by \
    sentinel-forwarder, an AWS Lambda function in your account. It proves who it is with its IAM role; there is no \
    secret.";

const FIRST_STEP: &str = "Copy the output `SamParameterOverrides` of this template's deployment: \
    `az deployment group show --resource-group … --name sentinel-forwarder --query \
    properties.outputs.SamParameterOverrides.value --output tsv`.";

const SECOND_STEP: &str = "In the forwarder's source, run `make deploy` and answer with these values, or give them to \
    `sam deploy --parameter-overrides`. The role's name must be the one that the identity here trusts. The first rows \
    arrive within minutes; a new role assignment may take 30.";

/// The connector's definition.
pub(super) fn resource() -> Value {
    let graphs: Vec<Value> = Table::ALL
        .map(|table| json!({"metricName": "Rows", "legend": table.name(), "baseQuery": table.name()}))
        .into();
    let data_types: Vec<Value> = Table::ALL
        .map(|table| json!({"name": table.name(), "lastDataReceivedQuery": last_received(table)}))
        .into();
    let samples: Vec<Value> =
        SAMPLES.map(|(description, query)| json!({"description": description, "query": query})).into();
    json!({
        "condition": whole(&call("and", [parameter("deployConnector"), variable("hasSentinel")])),
        "type": "Microsoft.SecurityInsights/dataConnectorDefinitions",
        "apiVersion": "2022-09-01-preview",
        "name": ID,
        "scope": whole(&variable("workspaceId")),
        "location": whole(&parameter("location")),
        "kind": "Customizable",
        "dependsOn": tables::ids(),
        "properties": {
            "connectorUiConfig": {
                "id": ID,
                "title": "AWS CloudTrail and GuardDuty (sentinel-forwarder)",
                "publisher": "sentinel-forwarder",
                "descriptionMarkdown": DESCRIPTION,
                "graphQueriesTableName": Table::AwsCloudTrail.name(),
                "graphQueries": graphs,
                "sampleQueries": samples,
                "dataTypes": data_types,
                "connectivityCriteria": [{"type": "IsConnectedQuery", "value": [whole(&is_connected())]}],
                "availability": {"status": 1, "isPreview": false},
                "permissions": {
                    "resourceProvider": [{
                        "provider": "Microsoft.OperationalInsights/workspaces",
                        "providerDisplayName": "Workspace",
                        "permissionsDisplayText": "read and write permissions",
                        "scope": "Workspace",
                        "requiredPermissions": {"read": true, "write": true, "delete": false},
                    }],
                    "customs": [{
                        "name": "AWS",
                        "description": "Permission to deploy a stack, and outbound identity federation enabled in \
                            the account.",
                    }],
                },
                "instructionSteps": [
                    {"title": "Take the values of this deployment", "description": FIRST_STEP},
                    {"title": "Deploy the function", "description": SECOND_STEP},
                ],
            },
        },
    })
}

const SAMPLES: [(&str, &str); 3] = [
    (
        "Failed console logins",
        "AWSCloudTrail\n| where EventName == \"ConsoleLogin\" and isnotempty(ErrorMessage)\n\
            | project TimeGenerated, UserIdentityUserName, SourceIpAddress, ErrorMessage",
    ),
    (
        "Findings of high severity",
        "AWSGuardDuty\n| where Severity >= 7\n| project TimeGenerated, AccountId, Region, ActivityType, Title",
    ),
    (
        "Runs of the forwarder that left dead letters",
        "SentinelForwarderHealth_CL\n| where DeadLetters > 0\n\
            | project TimeGenerated, FunctionName, AwsAccountId, DeadLetters, Reasons",
    ),
];

fn last_received(table: Table) -> String {
    format!("{}\n| summarize Time = max(TimeGenerated)\n| where isnotempty(Time)", table.name())
}

/// The expression of the query that tells whether rows came within a week. Other connectors fill Microsoft's tables as
/// well: where health rows are sent, they alone tell.
fn is_connected() -> String {
    let query = |tables: &str| {
        text(&format!(
            "union isfuzzy=true {tables}\n| summarize LastReceived = max(TimeGenerated)\n\
                | project IsConnected = LastReceived > ago(7d)",
        ))
    };
    let health = Table::Health;
    let others = Table::ALL.into_iter().filter(|table| !table.is_ours()).map(Table::name);
    either(&is_chosen(health), &query(health.name()), &query(&others.collect::<Vec<_>>().join(", ")))
}
