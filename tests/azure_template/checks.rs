//! What Azure would refuse, or take and then do wrong, in a template and in what it expands to.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_forwarder::config::Config;
use sentinel_forwarder::table::{ColumnKind, Table};
use serde_json::Value;

use crate::deployment::{Deployed, Told, check_allowed, expand, rule_ids};
use crate::expression::{self, Expression};

/// <https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#data-collection-rules>.
const MOST_STREAMS: usize = 10;
const MOST_FLOWS: usize = 10;
const MOST_TRANSFORM_CHARACTERS: usize = 15_360;
/// <https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices#template-limits>.
const MOST_EXPRESSION_CHARACTERS: usize = 24_576;
const MOST_PARAMETERS: usize = 256;
const MOST_OUTPUTS: usize = 64;
const MOST_TEMPLATE_BYTES: usize = 4 * 1024 * 1024;
/// The name of a rule of kind `Direct`.
const MOST_NAME_CHARACTERS: usize = 30;
/// <https://learn.microsoft.com/azure/azure-monitor/logs/create-custom-table>.
const RESERVED: [&str; 5] = ["id", "Title", "Type", "TenantId", "UniqueId"];
const STREAM_TYPES: [&str; 7] = ["string", "int", "long", "real", "boolean", "dynamic", "datetime"];
const TABLE_TYPES: [&str; 8] = ["string", "int", "long", "real", "boolean", "dynamic", "dateTime", "guid"];
const PUBLISHER_ROLE: &str = "3913510d-42f4-4e42-8a64-420c390055eb";

/// <https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule>.
const WINDOWS: [&str; 14] = [
    "PT1M", "PT5M", "PT10M", "PT15M", "PT30M", "PT45M", "PT1H", "PT2H", "PT3H", "PT4H", "PT5H", "PT6H",
    "P1D", "P2D",
];

const AUDIENCES: [(&str, &str, &str); 3] = [
    ("AzureCloud", "public", "api://AzureADTokenExchange"),
    ("AzureUSGovernment", "usgovernment", "api://AzureADTokenExchangeUSGov"),
    ("AzureChinaCloud", "china", "api://AzureADTokenExchangeChina"),
];

/// The outputs, and the variables of the function that the stack makes of them.
const STACK: [(&str, &str); 7] = [
    ("SentinelEndpoint", "SENTINEL_ENDPOINT"),
    ("SentinelDcrId", "SENTINEL_DCR_ID"),
    ("HealthRows", "SENTINEL_HEALTH_ROWS"),
    ("CompletenessRows", "SENTINEL_COMPLETENESS_ROWS"),
    ("AzureCloud", "AZURE_CLOUD"),
    ("AzureTenantId", "AZURE_TENANT_ID"),
    ("AzureClientId", "AZURE_CLIENT_ID"),
];

/// All that is wrong with a template, for each of these sets of parameters.
pub(crate) fn faults(template: &Value, sets: &[Told]) -> Vec<String> {
    let mut faults = Vec::new();
    check_text(template, &mut faults);
    for told in sets {
        match expand(template, told) {
            Err(error) => faults.push(format!("{}: {error}", told.name)),
            Ok(deployed) => {
                let mut found = Vec::new();
                check_deployed(&deployed, told, &mut found);
                faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", told.name)));
            }
        }
    }
    faults
}

fn members<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    value[name].as_array().into_iter().flatten().collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What can be seen without parameters: names that are not declared, or for nothing, and sizes.
fn check_text(template: &Value, faults: &mut Vec<String>) {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    each_text(template, &mut |value| match expression::parse(value) {
        None => {}
        Some(Err(error)) => faults.push(error),
        Some(Ok(expression)) => {
            if value.len() > MOST_EXPRESSION_CHARACTERS {
                faults.push(format!("an expression of {} characters", value.len()));
            }
            expression.calls(&mut |name, arguments| match (name, arguments) {
                ("parameters" | "variables", [Expression::Text(of)]) => {
                    let kind = if name == "parameters" { "parameters" } else { "variables" };
                    used.entry(kind).or_default().insert(of.clone());
                }
                ("parameters" | "variables", _) => faults.push(format!("{name} of no text")),
                _ => {}
            });
        }
    });
    for kind in ["parameters", "variables"] {
        let used = used.remove(kind).unwrap_or_default();
        let declared: BTreeSet<String> =
            template[kind].as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        faults.extend(used.difference(&declared).map(|name| format!("{kind} has no {name}")));
        faults.extend(declared.difference(&used).map(|name| format!("{kind} has {name} for nothing")));
    }
    for (name, declared) in template["parameters"].as_object().into_iter().flatten() {
        if let Some(default) = declared.get("defaultValue")
            && expression::parse(text(default)).is_none()
            && let Err(fault) = check_allowed(name, declared, default)
        {
            faults.push(fault);
        }
        if text(&declared["metadata"]["description"]).is_empty() {
            faults.push(format!("{name} is not described"));
        }
    }
    let count = |kind: &str| template[kind].as_object().map_or(0, serde_json::Map::len);
    if count("parameters") > MOST_PARAMETERS
        || count("outputs") > MOST_OUTPUTS
        || template.to_string().len() > MOST_TEMPLATE_BYTES
    {
        faults.push("the template is too large".to_owned());
    }
}

fn each_text(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(array) => array.iter().for_each(|value| each_text(value, each)),
        Value::Object(object) => object.values().for_each(|value| each_text(value, each)),
        _ => {}
    }
}

fn check_deployed(deployed: &Deployed, told: &Told, faults: &mut Vec<String>) {
    let tables = tables(deployed);
    for id in rule_ids(deployed) {
        let rule = &deployed.resources[id];
        check_rule(rule, &tables, faults);
        check_role(deployed, id, faults);
        let logs = deployed.resources.values().filter(|resource| {
            text(&resource["type"]) == "Microsoft.Insights/diagnosticSettings" && resource["scope"] == **id
        });
        if logs.count() != 1 {
            faults.push(format!("{id} has no log of errors"));
        }
        if rule["kind"] == "Direct" && id.rsplit('/').next().unwrap_or_default().len() > MOST_NAME_CHARACTERS
        {
            faults.push(format!("the name of {id} is too long"));
        }
        if rule["kind"] != "Direct" {
            faults.push(format!("{id} has another kind than Direct"));
        }
        let named = rule["properties"].get("dataCollectionEndpointId");
        if named != told.parameters.get("dataCollectionEndpointId") {
            let null = named.is_some_and(Value::is_null);
            let what = if null { "names an endpoint that is null" } else { "does not name its endpoint" };
            faults.push(format!("{id} {what}"));
        }
    }
    for (name, table) in &tables {
        check_table(name, table, told, faults);
    }
    for resource in deployed.resources.values() {
        check_alert(deployed, resource, faults);
        check_first_deployment(resource, told, faults);
        if text(&resource["type"]).ends_with("/federatedIdentityCredentials") {
            let right = AUDIENCES.iter().find(|(cloud, ..)| *cloud == told.cloud);
            if members(&resource["properties"], "audiences").first().map(|value| text(value))
                != right.map(|(.., audience)| *audience)
            {
                faults.push("the audience is that of another cloud".to_owned());
            }
        }
    }
    check_outputs(deployed, told, faults);
}

/// The tables that the deployment makes or changes.
fn tables(deployed: &Deployed) -> BTreeMap<String, &Value> {
    let is_table = |value: &&Value| value["type"] == "Microsoft.OperationalInsights/workspaces/tables";
    let tables = deployed.resources.values().filter(is_table);
    tables.map(|table| (text(&table["properties"]["schema"]["name"]).to_owned(), table)).collect()
}

fn check_rule(rule: &Value, tables: &BTreeMap<String, &Value>, faults: &mut Vec<String>) {
    let properties = &rule["properties"];
    let none = serde_json::Map::new();
    let streams = properties["streamDeclarations"].as_object().unwrap_or(&none);
    let flows = members(properties, "dataFlows");
    if streams.len() > MOST_STREAMS || flows.len() > MOST_FLOWS || flows.is_empty() {
        faults.push(format!("a rule of {} streams and {} flows", streams.len(), flows.len()));
    }
    let destinations: Vec<&Value> =
        members(&properties["destinations"], "logAnalytics").into_iter().map(|to| &to["name"]).collect();
    let mut read = BTreeSet::new();
    for flow in flows {
        let transform = text(&flow["transformKql"]);
        if transform.chars().count() > MOST_TRANSFORM_CHARACTERS {
            faults.push(format!("a transform of {} characters", transform.chars().count()));
        }
        let [stream] = members(flow, "streams")[..] else {
            faults.push("a flow with a transform has one stream".to_owned());
            continue;
        };
        let stream = text(stream);
        read.insert(stream);
        if !members(flow, "destinations").iter().all(|to| destinations.contains(to)) {
            faults.push(format!("{stream} flows to nowhere"));
        }
        let Some(declared) = streams.get(stream) else {
            faults.push(format!("{stream} is not declared"));
            continue;
        };
        check_columns(stream, declared, flow, tables, faults);
    }
    for stream in streams.keys() {
        if !read.contains(stream.as_str()) || !stream.starts_with("Custom-") {
            faults.push(format!("{stream} flows nowhere, or is no name of a stream"));
        }
    }
}

/// Each column of a stream must be in the table at the end, with its type once the transform is done.
fn check_columns(
    stream: &str,
    declared: &Value,
    flow: &Value,
    tables: &BTreeMap<String, &Value>,
    faults: &mut Vec<String>,
) {
    let output = text(&flow["outputStream"]);
    let Some((kind, name)) = output.split_once('-') else {
        faults.push(format!("{output} is no output stream"));
        return;
    };
    let of_table = match kind {
        "Microsoft" if !name.ends_with("_CL") => microsoft_columns(name),
        "Microsoft" => None,
        _ => tables.get(name).map(|table| {
            let columns = members(&table["properties"]["schema"], "columns");
            columns
                .into_iter()
                .map(|column| (text(&column["name"]).to_owned(), text(&column["type"]).to_owned()))
                .collect()
        }),
    };
    let Some(of_table) = of_table else {
        faults.push(format!("there is no table {name}"));
        return;
    };
    let own: BTreeMap<String, String> = of_table;
    for column in members(declared, "columns") {
        let (name, kind) = (text(&column["name"]), text(&column["type"]));
        if !STREAM_TYPES.contains(&kind) || !is_column_name(name) {
            faults.push(format!("{stream} has a column {name} of type {kind}"));
        }
        let becomes = if text(&flow["transformKql"]).contains(&format!("{name} = toguid({name})")) {
            "guid"
        } else {
            kind
        };
        if own.get(name).map(|kind| kind.to_lowercase()).as_deref() != Some(becomes) {
            faults.push(format!("{name} becomes {becomes} and is {:?} in {output}", own.get(name)));
        }
    }
    if !members(declared, "columns").iter().any(|column| column["name"] == "TimeGenerated") {
        faults.push(format!("{stream} has no TimeGenerated"));
    }
}

/// The columns of a table of Microsoft's, with ours.
fn microsoft_columns(table: &str) -> Option<BTreeMap<String, String>> {
    let columns = Table::named(table)?.columns().iter();
    let kind = |kind| match kind {
        ColumnKind::Guid => "guid",
        ColumnKind::Datetime => "datetime",
        ColumnKind::String => "string",
        ColumnKind::Int => "int",
        ColumnKind::Long => "long",
        ColumnKind::Boolean => "boolean",
        ColumnKind::Dynamic => "dynamic",
    };
    Some(columns.map(|column| (column.name.to_owned(), kind(column.kind).to_owned())).collect())
}

fn is_column_name(name: &str) -> bool {
    (2..=45).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_table(name: &str, table: &Value, told: &Told, faults: &mut Vec<String>) {
    let properties = &table["properties"];
    let columns = members(&properties["schema"], "columns");
    let is_own = name.ends_with("_CL");
    let mut seen = BTreeSet::new();
    for column in &columns {
        let (column, kind) = (text(&column["name"]), text(&column["type"]));
        if !TABLE_TYPES.contains(&kind) || !is_column_name(column) || !seen.insert(column) {
            faults.push(format!("{name} has a column {column} of type {kind}, or has it twice"));
        }
        if is_own && RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(column)) {
            faults.push(format!("{name} has a column {column}, which is reserved"));
        }
        if !is_own && !column.ends_with("_CF") {
            faults.push(format!("{name} has a column {column}, which is no own one"));
        }
        if properties["plan"] == "Auxiliary" && kind == "dynamic" {
            faults.push(format!("{name} has a dynamic column {column} in an Auxiliary table"));
        }
    }
    for kept in members(&told.parameters["keepColumns"], name) {
        if !columns.contains(&kept) {
            faults.push(format!("{name} loses {kept}"));
        }
    }
    if is_own && !seen.contains("TimeGenerated") {
        faults.push(format!("{name} has no TimeGenerated"));
    }
    if !is_own && !seen.contains("EventTime_CF") {
        faults.push(format!("{name} has no EventTime_CF"));
    }
    if properties["plan"] == "Auxiliary"
        && (told.cloud != "AzureCloud" || properties.get("retentionInDays").is_some())
    {
        faults.push(format!("{name} can't be Auxiliary in {}, or not with this retention", told.cloud));
    }
}

/// The principal must be able to write to the rule, by that role and no other.
fn check_role(deployed: &Deployed, rule: &str, faults: &mut Vec<String>) {
    let is_role = |value: &&Value| {
        text(&value["type"]) == "Microsoft.Authorization/roleAssignments" && value["scope"] == rule
    };
    let roles: Vec<&Value> = deployed.resources.values().filter(is_role).collect();
    let [assignment] = roles[..] else {
        faults.push(format!("{rule} has {} roles", roles.len()));
        return;
    };
    let properties = &assignment["properties"];
    if !text(&properties["roleDefinitionId"]).ends_with(PUBLISHER_ROLE)
        || properties["principalType"] != "ServicePrincipal"
        || text(&properties["principalId"]).len() != 36
    {
        faults.push(format!("{rule} has a wrong role: {properties}"));
    }
}

/// What is refused, or does harm, where nothing of it stands yet.
fn check_first_deployment(resource: &Value, told: &Told, faults: &mut Vec<String>) {
    let (name, properties) = (text(&resource["name"]), &resource["properties"]);
    match text(&resource["type"]) {
        "Microsoft.OperationalInsights/workspaces/tables"
            if !name.ends_with("_CL") && told.parameters["deployColumns"] != true =>
        {
            faults.push(format!("{name} is set, and may lose columns"));
        }
        "Microsoft.SecurityInsights/alertRules" => {
            let query = text(&properties["query"]);
            let (_, union) = query.split_once("union isfuzzy=true").unwrap_or_default();
            if !union.trim_start().starts_with("(datatable(") {
                faults.push(format!("{} needs its table", properties["displayName"]));
            }
            let waits = members(resource, "dependsOn");
            if !waits.iter().any(|id| text(id).ends_with("_CL"))
                || query.contains("DCRLogErrors") && !waits.contains(&&Value::from("errorLogs"))
            {
                faults.push(format!("{} does not wait for its table", properties["displayName"]));
            }
        }
        "Microsoft.Insights/scheduledQueryRules" => {
            let queries =
                members(&properties["criteria"], "allOf").into_iter().map(|each| text(&each["query"]));
            if queries.into_iter().any(|query| query.contains("union") || query.contains("search")) {
                faults.push(format!("{name} reads several tables"));
            }
            if properties["skipQueryValidation"] != true {
                faults.push(format!("{name} is validated before its table is there"));
            }
            if !WINDOWS.contains(&text(&properties["windowSize"])) {
                faults.push(format!("{name} has a window of {}", properties["windowSize"]));
            }
        }
        kind if kind.starts_with("Microsoft.SecurityInsights/") && told.cloud == "AzureChinaCloud" => {
            faults.push(format!("{name} needs Sentinel"));
        }
        _ => {}
    }
}

fn check_alert(deployed: &Deployed, resource: &Value, faults: &mut Vec<String>) {
    let is_metric = text(&resource["type"]) == "Microsoft.Insights/metricAlerts";
    let scopes = members(&resource["properties"], "scopes");
    if is_metric && !scopes.iter().all(|scope| deployed.resources.contains_key(text(scope))) {
        faults.push(format!("an alert watches {scopes:?}, which is not there"));
    }
}

/// The outputs must be what the stack's parameters and the function take.
fn check_outputs(deployed: &Deployed, told: &Told, faults: &mut Vec<String>) {
    let output = |name: &str| deployed.outputs.get(name).map(text).unwrap_or_default().to_owned();
    let environment = STACK.map(|(name, variable)| (variable.to_owned(), output(name)));
    if let Err(problems) = Config::parse(environment.into()) {
        faults.push(format!("the function does not take the outputs: {problems}"));
    }
    if output("SentinelDcrId").split(',').count() != rule_ids(deployed).len() {
        faults.push("the outputs name other rules".to_owned());
    }
    if AUDIENCES.iter().find(|(cloud, ..)| *cloud == told.cloud).map(|(_, name, _)| *name)
        != Some(&output("AzureCloud"))
    {
        faults.push("the outputs name another cloud".to_owned());
    }
    let pairs: BTreeMap<String, String> = output("SamParameterOverrides")
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut expected: BTreeMap<String, String> = STACK
        .map(|(output, _)| output)
        .into_iter()
        .chain(["GuardDutyFindings", "RoleName"])
        .map(|name| (name.to_owned(), output(name)))
        .collect();
    let has_findings = rule_ids(deployed).into_iter().all(|id| {
        !deployed.resources[id]["properties"]["streamDeclarations"]["Custom-AWSGuardDuty"].is_null()
    });
    if (output("GuardDutyFindings") == "ENABLED") != has_findings {
        faults.push("the outputs send findings to no stream, or none to theirs".to_owned());
    }
    if expected["RoleName"].is_empty() {
        expected.remove("RoleName");
    }
    if pairs != expected {
        faults.push(format!("SamParameterOverrides says {pairs:?}"));
    }
}
