//! The variables of the template.

use serde_json::{Value, json};

use super::expression::{call, either, parameter, text, variable, whole};
use super::flows::{self, Flow, is_chosen};
use super::{collection_rules, object, workbook};
use crate::table::Table;

/// The clouds: their name in the template, ours, and the audience of a federated credential
/// (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations>).
const CLOUDS: [(&str, &str, &str); 3] = [
    ("AzureCloud", "public", "api://AzureADTokenExchange"),
    ("AzureUSGovernment", "usgovernment", "api://AzureADTokenExchangeUSGov"),
    ("AzureChinaCloud", "china", "api://AzureADTokenExchangeChina"),
];

/// Every variable by its name.
pub(super) fn definitions() -> Value {
    let clouds =
        CLOUDS.map(|(cloud, name, audience)| (cloud.to_owned(), json!({"name": name, "audience": audience})));
    let own = [
        ("none", json!([])),
        ("nothing", json!({})),
        ("clouds", object(clouds)),
        ("cloud", json!(whole("variables('clouds')[environment().name]"))),
        (
            "workspaceId",
            json!(whole(&call(
                "resourceId",
                [text("Microsoft.OperationalInsights/workspaces"), parameter("workspaceName")]
            ))),
        ),
        ("createIdentity", json!(whole(&call("empty", [parameter("principalObjectId")])))),
        ("hasSentinel", json!(whole(&has_sentinel()))),
        ("rule", collection_rules::properties()),
        ("ruleIds", json!(whole(&collection_rules::ids_in_kql()))),
        ("notebook", workbook::notebook()),
        ("lake", json!(whole(&is_lake_wanted()))),
        ("ownKql", json!(whole(&call("concat", Flow::ALL.map(|flow| parameter(&flow.own_kql())))))),
        (
            "actionGroups",
            json!(whole(&either(
                &call("empty", [parameter("actionGroupId")]),
                &variable("none"),
                &call("createArray", [parameter("actionGroupId")])
            ))),
        ),
    ];
    object(own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(flows::variables()))
}

/// Microsoft Sentinel was retired in Azure operated by 21Vianet on 18 August 2026
/// (<https://docs.azure.cn/en-us/sentinel/overview>).
fn has_sentinel() -> String {
    call("not", [call("equals", ["environment().name".to_owned(), text(CLOUDS[2].0)])])
}

/// The lake copies a table that is chosen, and Auxiliary tables are in the public cloud alone
/// (<https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table-auxiliary>).
fn is_lake_wanted() -> String {
    let is_other_plan = call("not", [call("equals", [parameter("lakePlan"), text("Auxiliary")])]);
    let is_public = call("equals", ["environment().name".to_owned(), text(CLOUDS[0].0)]);
    let is_possible = call("or", [is_other_plan, is_public]);
    call("and", [parameter("lake"), is_chosen(Table::AwsCloudTrail), is_possible])
}
