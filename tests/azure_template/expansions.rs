//! The template, expanded for the ways in which it is deployed.

use sentinel_forwarder::azure_template;
use serde_json::{Value, json};

use crate::checks::faults;
use crate::deployment::{Deployed, Told, expand, outside, rule_ids};

/// What every deployment is told.
fn told(name: &'static str, cloud: &'static str, more: &Value) -> Told {
    let mut parameters = json!({
        "workspaceName": "workspace",
        "awsIssuer": "https://issuer.tokens.sts.global.api.aws",
        "awsRoleArn": "arn:aws:iam::111122223333:role/path/sentinel-forwarder",
    });
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Told { name, cloud, parameters }
}

/// The ways in which it is deployed.
pub(crate) fn ways() -> Vec<Told> {
    let everything = json!({
        "deployColumns": true,
        "lake": true,
        "shards": 8,
        "name": "n".repeat(28),
        "transformAWSCloudTrail": format!("where EventName != '{}'", "x".repeat(14_979)),
        "keepColumns": {
            "AWSCloudTrail": [{"name": "Team_CF", "type": "string"}],
            "SentinelForwarderHealth_CL": [{"name": "Team", "type": "string"}],
            "AWSCloudTrailLake_CL": [{"name": "Team", "type": "string"}],
        },
        "actionGroupId": outside("Microsoft.Insights/actionGroups/soc"),
    });
    let principal = json!({
        "awsIssuer": "",
        "awsRoleArn": "",
        "principalObjectId": "00000000-0000-4000-8000-000000000005",
        "clientId": "00000000-0000-4000-8000-000000000006",
    });
    let endpoint = outside("Microsoft.Insights/dataCollectionEndpoints/link");
    let bare = json!({
        "deployAlerts": false,
        "deployAnalyticsRules": false,
        "deployConnector": false,
        "tables": ["AWSGuardDuty"],
    });
    vec![
        told("default", "AzureCloud", &json!({})),
        told("everything", "AzureCloud", &everything),
        told("existing principal", "AzureCloud", &principal),
        told("government", "AzureUSGovernment", &json!({"lake": true})),
        told("china", "AzureChinaCloud", &json!({"lake": true, "lakePlan": "Basic"})),
        told("private link", "AzureCloud", &json!({"dataCollectionEndpointId": endpoint, "shards": 2})),
        told(
            "four rules",
            "AzureCloud",
            &json!({"shards": 4, "silenceHours": 24, "identityLocation": "northeurope"}),
        ),
        told("bare", "AzureCloud", &bare),
        told("trail alone", "AzureCloud", &json!({"tables": ["AWSCloudTrail"], "silenceHours": 48})),
    ]
}

const ANALYTICS_RULE: &str = "Microsoft.SecurityInsights/alertRules";

fn deployed(name: &str) -> Deployed {
    let told = ways().into_iter().find(|told| told.name == name).unwrap();
    expand(&azure_template::main_template(), &told).unwrap()
}

fn of_type<'a>(deployed: &'a Deployed, kind: &str) -> Vec<&'a Value> {
    deployed.resources.values().filter(|resource| resource["type"] == kind).collect()
}

#[test]
fn nothing_is_wrong_in_any_way() {
    assert_eq!(faults(&azure_template::main_template(), &ways()), Vec::<String>::new());
}

#[test]
fn several_rules_are_equal_but_for_their_names() {
    let deployed = deployed("four rules");
    let mut rules: Vec<Value> =
        of_type(&deployed, "Microsoft.Insights/dataCollectionRules").into_iter().cloned().collect();
    assert_eq!(rules.len(), 4);
    for rule in &mut rules {
        rule["name"] = Value::Null;
    }
    rules.dedup();
    assert_eq!(rules.len(), 1);
    assert_eq!(deployed.outputs["SentinelEndpoint"].as_str().unwrap().split(',').count(), 4);
}

#[test]
fn the_lake_is_not_auxiliary_where_there_is_no_such_plan() {
    let plan = |name| {
        let deployed = deployed(name);
        let tables = of_type(&deployed, "Microsoft.OperationalInsights/workspaces/tables");
        let lake =
            tables.into_iter().find(|table| table["properties"]["schema"]["name"] == "AWSCloudTrailLake_CL");
        lake.map(|table| table["properties"]["plan"].clone())
    };
    assert_eq!(plan("default"), None);
    assert_eq!(plan("everything"), Some(json!("Auxiliary")));
    assert_eq!(plan("government"), None);
    assert_eq!(plan("china"), Some(json!("Basic")));
}

#[test]
fn a_principal_that_is_there_needs_no_identity() {
    let kind = "Microsoft.ManagedIdentity/userAssignedIdentities";
    let deployed = deployed("existing principal");
    assert!(of_type(&deployed, kind).is_empty());
    assert!(of_type(&deployed, &format!("{kind}/federatedIdentityCredentials")).is_empty());
    assert_eq!(deployed.outputs["AzureClientId"], "00000000-0000-4000-8000-000000000006");
    let roles = of_type(&deployed, "Microsoft.Authorization/roleAssignments");
    assert_eq!(roles[0]["properties"]["principalId"], "00000000-0000-4000-8000-000000000005");
}

#[test]
fn a_private_link_has_one_endpoint_for_all_rules() {
    let deployed = deployed("private link");
    assert_eq!(rule_ids(&deployed).len(), 2);
    assert_eq!(deployed.outputs["SentinelEndpoint"], "https://link.westeurope-1.ingest.monitor.azure.com");
}

#[test]
fn what_is_not_wanted_is_left_out() {
    let deployed = deployed("bare");
    let mut kinds: Vec<_> =
        deployed.resources.values().map(|resource| resource["type"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "Microsoft.Authorization/roleAssignments",
            "Microsoft.Insights/dataCollectionRules",
            "Microsoft.Insights/diagnosticSettings",
            "Microsoft.Insights/workbooks",
            "Microsoft.ManagedIdentity/userAssignedIdentities",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        ]
    );
    assert_eq!(deployed.outputs["HealthRows"], "false");
}

#[test]
fn own_kql_stands_at_the_end_and_silences_the_alert_of_dropped_rows() {
    let deployed = deployed("everything");
    let rules = of_type(&deployed, "Microsoft.Insights/dataCollectionRules");
    let transform = rules[0]["properties"]["dataFlows"][0]["transformKql"].as_str().unwrap();
    assert!(transform.contains(" | where EventName != 'xxx") && transform.ends_with('\''));
    let is_of_drops = |resource: &Value| resource["name"].as_str().unwrap().ends_with("-rows-dropped");
    assert!(!deployed.resources.values().any(is_of_drops));
    assert!(self::deployed("default").resources.values().any(is_of_drops));
}

#[test]
fn rules_of_sentinel_come_only_with_the_table_that_they_read() {
    assert_eq!(of_type(&deployed("default"), ANALYTICS_RULE).len(), 6);
    assert!(of_type(&deployed("trail alone"), ANALYTICS_RULE).is_empty());
}

#[test]
fn a_table_of_microsofts_is_left_alone_unless_asked_for() {
    let set = |name| {
        let deployed = deployed(name);
        let tables = of_type(&deployed, "Microsoft.OperationalInsights/workspaces/tables");
        tables.into_iter().filter(|table| !table["name"].as_str().unwrap().ends_with("_CL")).count()
    };
    assert_eq!(set("default"), 0);
    assert_eq!(set("everything"), 2);
}

#[test]
fn sentinels_content_is_deployed_only_where_sentinel_takes_it() {
    let content = |name| {
        let deployed = deployed(name);
        [ANALYTICS_RULE, "Microsoft.SecurityInsights/dataConnectorDefinitions"]
            .map(|kind| of_type(&deployed, kind).len())
    };
    assert_eq!(content("default"), [6, 1]);
    assert_eq!(content("government"), [6, 0]);
    assert_eq!(content("china"), [0, 0]);
}

#[test]
fn thresholds_are_those_of_the_deployment() {
    let template = azure_template::main_template();
    let more = json!({"forwarderSilentHours": 12, "throttledUploads": 50, "silenceHours": 48});
    let deployed = expand(&template, &told("thresholds", "AzureCloud", &more)).unwrap();
    let texts: String = deployed.resources.values().map(Value::to_string).collect();
    assert!(texts.contains("let SilentHours = 12;") && texts.contains(r#""threshold":50"#));
    assert!(texts.contains(r#""windowSize":"P2D""#) && texts.contains("ago(48h)"));
}

#[test]
fn what_a_rule_dropped_is_sought_by_the_rules_of_this_deployment() {
    let deployed = deployed("four rules");
    let ids = rule_ids(&deployed);
    let dropped = |value: &&Value| value.to_string().contains("DCRLogErrors | where");
    let rules: Vec<&Value> = of_type(&deployed, ANALYTICS_RULE).into_iter().filter(dropped).collect();
    let notebook = of_type(&deployed, "Microsoft.Insights/workbooks")[0];
    for text in [&rules[0]["properties"]["query"], &notebook["properties"]["serializedData"]] {
        let text = text.as_str().unwrap();
        assert!(ids.len() == 4 && ids.iter().all(|id| text.contains(id.as_str())), "{text}");
    }
}

#[test]
fn the_identity_may_be_in_another_region_than_the_workspace() {
    let region = |name| {
        let deployed = deployed(name);
        of_type(&deployed, "Microsoft.ManagedIdentity/userAssignedIdentities")[0]["location"].clone()
    };
    assert_eq!([region("default"), region("four rules")], ["westeurope", "northeurope"]);
}
