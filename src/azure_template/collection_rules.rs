//! The data collection rules, who may write to them, and where they log what they drop
//! (<https://learn.microsoft.com/azure/azure-monitor/data-collection/data-collection-rule-structure>).

use serde_json::{Value, json};

use super::expression::{call, either, parameter, text, variable, whole};
use super::{flows, identity, tables};

pub(super) const TYPE: &str = "Microsoft.Insights/dataCollectionRules";
const API_VERSION: &str = "2023-03-11";
/// The most rules that share the load; the outputs name each.
pub(super) const MOST_SHARDS: u32 = 8;
/// The most characters of a name of a rule of kind `Direct`.
const MOST_NAME_CHARACTERS: usize = 30;
/// The most of them that are left to the user: the rule's number follows.
pub(super) const MOST_PREFIX_CHARACTERS: usize = MOST_NAME_CHARACTERS - "-8".len();
/// Monitoring Metrics Publisher (<https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/monitor>).
const PUBLISHER_ROLE: &str = "3913510d-42f4-4e42-8a64-420c390055eb";

/// The name of a rule; the number is an expression.
pub(super) fn name(number: &str) -> String {
    call("format", [&text("{0}-{1}"), &parameter("name"), number])
}

/// The id of a rule; the number is an expression.
pub(super) fn id(number: &str) -> String {
    call("resourceId", [text(TYPE), name(number)])
}

/// The ids that this deployment's rules can have, as a list in KQL.
pub(super) fn ids_in_kql() -> String {
    let ids = (1..=MOST_SHARDS).map(|number| id(&number.to_string()));
    let list = call("join", [call("createArray", ids), text("\", \"")]);
    call("concat", [text("dynamic([\""), list, text("\"])")])
}

/// The logs of errors, for what must wait for all of them.
pub(super) const ERROR_LOGS: &str = "errorLogs";
/// The number of the rule that a copy is for.
pub(super) const THIS_ONE: &str = "copyIndex(1)";

/// As many of a resource as there are rules.
pub(super) fn copy(name: &str) -> Value {
    json!({"name": name, "count": whole(&parameter("shards"))})
}

/// A rule's immutable id.
pub(super) fn immutable_id(number: &str) -> String {
    format!("{}.immutableId", call("reference", [id(number), text(API_VERSION)]))
}

/// A rule's endpoint.
pub(super) fn endpoint(number: &str) -> String {
    format!("{}.endpoints.logsIngestion", call("reference", [id(number), text(API_VERSION)]))
}

/// The parameter, and a rule's property, that names the endpoint of the private link.
const PRIVATE_ENDPOINT: &str = "dataCollectionEndpointId";

/// The endpoint of the private link.
pub(super) fn private_endpoint() -> String {
    let endpoint = call("reference", [parameter(PRIVATE_ENDPOINT), text(API_VERSION)]);
    format!("{endpoint}.logsIngestion.endpoint")
}

/// The expression that tells whether rows come through a private link.
pub(super) fn is_public() -> String {
    call("empty", [parameter(PRIVATE_ENDPOINT)])
}

/// The rules, and for each the role and the log of errors.
pub(super) fn resources() -> [Value; 3] {
    [rule(), role(), error_log()]
}

fn rule() -> Value {
    let endpoint = call("createObject", [text(PRIVATE_ENDPOINT), parameter(PRIVATE_ENDPOINT)]);
    let private_link = either(&is_public(), &variable("nothing"), &endpoint);
    json!({
        "type": TYPE,
        "apiVersion": API_VERSION,
        "name": whole(&name(THIS_ONE)),
        "location": whole(&parameter("location")),
        // No other kind takes the Logs Ingestion API, through a private link neither.
        "kind": "Direct",
        "copy": copy("rules"),
        "dependsOn": tables::ids(),
        "properties": whole(&call("union", [variable("rule"), private_link])),
    })
}

/// The properties that every rule has, as a variable of the template.
pub(super) fn properties() -> Value {
    json!({
        "description": "Takes what sentinel-forwarder sends",
        "streamDeclarations": flows::declarations(),
        "destinations": {
            "logAnalytics": [
                {"name": flows::DESTINATION, "workspaceResourceId": whole(&variable("workspaceId"))},
            ],
        },
        "dataFlows": flows::flows(),
    })
}

fn role() -> Value {
    let whose = either(&variable("createIdentity"), &identity::id(), &parameter("principalObjectId"));
    let definition = [text("Microsoft.Authorization/roleDefinitions"), text(PUBLISHER_ROLE)];
    json!({
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": "2022-04-01",
        "name": whole(&call("guid", [id(THIS_ONE), whose, text(PUBLISHER_ROLE)])),
        "scope": whole(&id(THIS_ONE)),
        "copy": copy("roles"),
        "dependsOn": [whole(&id(THIS_ONE)), whole(&identity::id())],
        "properties": {
            "roleDefinitionId": whole(&call("subscriptionResourceId", definition)),
            "principalId": whole(&identity::principal_id()),
            "principalType": "ServicePrincipal",
        },
    })
}

fn error_log() -> Value {
    json!({
        "type": "Microsoft.Insights/diagnosticSettings",
        "apiVersion": "2021-05-01-preview",
        "name": "log-errors",
        "scope": whole(&id(THIS_ONE)),
        "copy": copy(ERROR_LOGS),
        "dependsOn": [whole(&id(THIS_ONE))],
        "properties": {
            "workspaceId": whole(&variable("workspaceId")),
            "logs": [{"category": "LogErrors", "enabled": true}],
        },
    })
}
