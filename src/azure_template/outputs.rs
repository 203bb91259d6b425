//! The outputs, named as the parameters of `template.yaml` that they are for.

use serde_json::{Value, json};

use super::collection_rules::{self, MOST_SHARDS};
use super::expression::{call, either, parameter, text, variable, whole};
use super::flows::{LAKE_TABLE, is_chosen};
use super::{identity, object};
use crate::table::Table;

/// Only who names the role has it.
const ROLE_NAME: &str = "RoleName";

/// Every output by its name, and all of them as `sam deploy --parameter-overrides` takes them.
pub(super) fn definitions() -> Value {
    let values = sam_parameters();
    let pairs = values.each_ref().map(|(name, value)| {
        let pair = call("concat", [&text(&format!("{name}=")), value, &text(" ")]);
        // The command line takes no pair without a value.
        if *name == ROLE_NAME { either(&call("empty", [value]), "''", &pair) } else { pair }
    });
    let overrides = call("trim", [call("concat", pairs)]);
    let lake = either(&variable("lake"), &text(LAKE_TABLE), "''");
    let all = values.into_iter().chain([("SamParameterOverrides", overrides), ("LakeTable", lake)]);
    object(all.map(|(name, value)| (name.to_owned(), json!({"type": "string", "value": whole(&value)}))))
}

fn sam_parameters() -> [(&'static str, String); 9] {
    let private = either(
        &collection_rules::is_public(),
        &of_each_rule(collection_rules::endpoint),
        &collection_rules::private_endpoint(),
    );
    [
        ("SentinelEndpoint", private),
        ("SentinelDcrId", of_each_rule(collection_rules::immutable_id)),
        ("GuardDutyFindings", either(&is_chosen(Table::AwsGuardDuty), "'ENABLED'", "'DISABLED'")),
        ("HealthRows", either(&is_chosen(Table::Health), "'true'", "'false'")),
        ("CompletenessRows", either(&is_chosen(Table::Completeness), "'true'", "'false'")),
        ("AzureCloud", format!("{}.name", variable("cloud"))),
        ("AzureTenantId", "subscription().tenantId".to_owned()),
        ("AzureClientId", identity::client_id()),
        (ROLE_NAME, call("last", [call("split", [parameter("awsRoleArn"), text("/")])])),
    ]
}

/// A value of each rule, separated by commas. A reference can't be made in a loop, so each stands here.
fn of_each_rule(value: fn(&str) -> String) -> String {
    let values = (1..=MOST_SHARDS).map(|number| {
        let value = value(&number.to_string());
        if number == 1 {
            return value;
        }
        let is_there = call("greaterOrEquals", [parameter("shards"), number.to_string()]);
        either(&is_there, &call("concat", [text(","), value]), "''")
    });
    call("concat", values)
}
