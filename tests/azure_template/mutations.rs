//! Faults planted in the template: each must be found as what it is, or the checks are worth nothing.

use sentinel_forwarder::azure_template;
use serde_json::{Value, json};

use crate::checks::faults;
use crate::expansions::ways;

/// The resource of this type whose name has this in it.
fn resource<'a>(template: &'a mut Value, kind: &str, name: &str) -> &'a mut Value {
    let resources = template["resources"].as_array_mut().unwrap().iter_mut();
    let is_it = |resource: &&mut Value| {
        resource["type"].as_str().unwrap().ends_with(kind)
            && resource["name"].as_str().unwrap().contains(name)
    };
    resources.into_iter().find(is_it).unwrap()
}

/// The text at a place, with one part of it replaced.
fn replace(value: &mut Value, from: &str, to: &str) {
    let text = value.as_str().unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    *value = json!(text.replacen(from, to, 1));
}

fn column<'a>(template: &'a mut Value, table: &str, name: &str) -> &'a mut Value {
    let stream = &mut template["variables"][format!("stream{table}")][format!("Custom-{table}")];
    stream["columns"].as_array_mut().unwrap().iter_mut().find(|column| column["name"] == name).unwrap()
}

fn columns(template: &mut Value, table: &str) -> Vec<Value> {
    template["variables"][format!("stream{table}")][format!("Custom-{table}")]["columns"]
        .as_array()
        .unwrap()
        .clone()
}

fn schema<'a>(template: &'a mut Value, table: &str) -> &'a mut Value {
    &mut resource(template, "workspaces/tables", &format!("/{table}'"))["properties"]["schema"]["columns"]
}

fn add_column(schema: &mut Value, name: &str) {
    let more = format!("createArray(createObject('name', '{name}', 'type', 'string'), ");
    replace(schema, "createArray(", &more);
}

/// What is wrong, what is said of it, and how it is planted.
type Fault = (&'static str, &'static str, fn(&mut Value));

const STREAM: &str = "streamAWSCloudTrail";
const FLOW: &str = "flowAWSCloudTrail";

const FAULTS: &[Fault] = &[
    ("a column's type is wrong in the stream", "ReadOnly becomes string", |t| {
        column(t, "AWSCloudTrail", "ReadOnly")["type"] = json!("string");
    }),
    ("a column's type is no type of a stream", "AwsEventId of type guid", |t| {
        column(t, "AWSCloudTrail", "AwsEventId")["type"] = json!("guid");
    }),
    ("a column's type is wrong in the own table", "Rows becomes long", |t| {
        replace(schema(t, "SentinelForwarderHealth_CL"), "'Rows', 'type', 'long'", "'Rows', 'type', 'int'");
    }),
    ("a column's type is no type of a table", "of type number", |t| {
        replace(schema(t, "SentinelForwarderHealth_CL"), "'type', 'long'", "'type', 'number'");
    }),
    ("a column is missing in the own table", "UserAgent becomes string and is None", |t| {
        replace(
            schema(t, "AWSCloudTrailLake_CL"),
            "createObject('name', 'UserAgent', 'type', 'string'), ",
            "",
        );
    }),
    ("a column is misspelled", "Severty becomes int and is None", |t| {
        column(t, "AWSGuardDuty", "Severity")["name"] = json!("Severty");
    }),
    ("there is no time", "has no TimeGenerated", |t| {
        let columns: Vec<Value> = columns(t, "AWSGuardDuty")
            .into_iter()
            .filter(|column| column["name"] != "TimeGenerated")
            .collect();
        t["variables"]["streamAWSGuardDuty"]["Custom-AWSGuardDuty"]["columns"] = json!(columns);
    }),
    ("an id stays text", "SharedEventId becomes string", |t| {
        replace(
            &mut t["variables"][FLOW][0]["transformKql"],
            "SharedEventId = toguid(SharedEventId)",
            "X = 1",
        );
    }),
    ("a transform is too long", "a transform of 1", |t| {
        replace(
            &mut t["variables"][FLOW][0]["transformKql"],
            "source",
            &format!("source | where {}", "x".repeat(500)),
        );
    }),
    ("own KQL may be too long", "transformAWSGuardDuty does not take", |t| {
        t["parameters"]["transformAWSGuardDuty"]["maxLength"] = json!(3);
        t["parameters"]["transformAWSGuardDuty"]["defaultValue"] = json!("where true");
    }),
    ("a rule has an eleventh stream", "a rule of 11 streams", |t| {
        let columns = json!({"columns": columns(t, "AWSCloudTrail")});
        let transform = t["variables"][FLOW][0]["transformKql"].clone();
        for number in 0..7 {
            t["variables"][STREAM][format!("Custom-More{number}")] = columns.clone();
            t["variables"][FLOW].as_array_mut().unwrap().push(json!({
                "streams": [format!("Custom-More{number}")],
                "destinations": ["workspace"],
                "transformKql": transform,
                "outputStream": "Microsoft-AWSCloudTrail",
            }));
        }
    }),
    ("a flow has two streams", "has one stream", |t| {
        t["variables"][FLOW][0]["streams"] = json!(["Custom-AWSCloudTrail", "Custom-AWSGuardDuty"]);
    }),
    ("a stream is not declared", "Custom-AWSCloudTrial is not declared", |t| {
        t["variables"][FLOW][0]["streams"] = json!(["Custom-AWSCloudTrial"]);
    }),
    ("a stream flows nowhere", "Custom-More flows nowhere", |t| {
        t["variables"][STREAM]["Custom-More"] = json!({"columns": []});
    }),
    ("a flow goes to another workspace", "flows to nowhere", |t| {
        t["variables"][FLOW][0]["destinations"] = json!(["elsewhere"]);
    }),
    ("an own table has Microsoft's prefix", "there is no table SentinelForwarderHealth_CL", |t| {
        t["variables"]["flowSentinelForwarderHealth_CL"][0]["outputStream"] =
            json!("Microsoft-SentinelForwarderHealth_CL");
    }),
    ("a table of Microsoft's has the prefix of an own one", "in Custom-AWSCloudTrail", |t| {
        t["variables"][FLOW][0]["outputStream"] = json!("Custom-AWSCloudTrail");
    }),
    ("a column of an own table is reserved", "a column Title, which is reserved", |t| {
        add_column(schema(t, "SentinelForwarderHealth_CL"), "Title");
    }),
    ("a column's name is too long", "a column nnnn", |t| {
        add_column(schema(t, "SentinelForwarderHealth_CL"), &"n".repeat(46));
    }),
    ("a column's name is too short", "a column n of type", |t| {
        add_column(schema(t, "SentinelForwarderHealth_CL"), "n");
    }),
    ("a column of Microsoft's table has not our ending", "EventTime, which is no own one", |t| {
        replace(schema(t, "AWSCloudTrail"), "'EventTime_CF'", "'EventTime'");
    }),
    ("the user's columns are lost", "AWSCloudTrail loses", |t| {
        replace(
            schema(t, "AWSCloudTrail"),
            ", if(contains(parameters('keepColumns'), 'AWSCloudTrail'), parameters('keepColumns').AWSCloudTrail, variables('none'))",
            "",
        );
    }),
    ("the lake has a column of any value", "a dynamic column UserAgent", |t| {
        replace(
            schema(t, "AWSCloudTrailLake_CL"),
            "'UserAgent', 'type', 'string'",
            "'UserAgent', 'type', 'dynamic'",
        );
    }),
    ("the lake is Auxiliary in every cloud", "can't be Auxiliary in AzureUSGovernment", |t| {
        t["variables"]["lake"] =
            json!("[and(parameters('lake'), contains(parameters('tables'), 'AWSCloudTrail'))]");
    }),
    ("a parameter is unknown", "parameters has no region", |t| {
        resource(t, "dataCollectionRules", "")["location"] = json!("[parameters('region')]");
    }),
    ("a parameter of a branch that is not taken is unknown", "parameters has no lakeName", |t| {
        replace(&mut t["outputs"]["LakeTable"]["value"], "''", "parameters('lakeName')");
    }),
    ("a parameter is for nothing", "parameters has more for nothing", |t| {
        t["parameters"]["more"] =
            json!({"type": "string", "defaultValue": "", "metadata": {"description": "More."}});
    }),
    ("a parameter is not described", "shards is not described", |t| {
        t["parameters"]["shards"]["metadata"] = json!({});
    }),
    ("a default is not allowed", "silenceHours does not take 7", |t| {
        t["parameters"]["silenceHours"]["defaultValue"] = json!(7);
    }),
    ("a parameter no longer takes what it took", "shards does not take 8", |t| {
        t["parameters"]["shards"]["maxValue"] = json!(3);
    }),
    ("a variable is unknown", "variables has no clouds", |t| {
        t["variables"].as_object_mut().unwrap().remove("clouds");
    }),
    ("a variable needs itself", "variable cloud needs itself", |t| {
        t["variables"]["cloud"] = json!("[variables('cloud')]");
    }),
    ("a function is unknown", "final does not take", |t| {
        replace(&mut t["outputs"]["RoleName"]["value"], "last(", "final(");
    }),
    ("an expression is broken", "no , at", |t| {
        replace(&mut t["outputs"]["RoleName"]["value"], "))]", ")]");
    }),
    ("an id has too few names", "has not the segments", |t| {
        replace(
            &mut t["variables"]["workspaceId"],
            "Microsoft.OperationalInsights/workspaces",
            "Microsoft.OperationalInsights/workspaces/tables",
        );
    }),
    ("something depends on what is not there", "None_CL, which is not there", |t| {
        resource(t, "dataConnectorDefinitions", "")["dependsOn"] = json!([
            "[resourceId('Microsoft.OperationalInsights/workspaces/tables', 'workspace', 'None_CL')]"
        ]);
    }),
    ("a reference is to what is not there", "sentinel-forwarder-9, which is not there", |t| {
        let value = &mut t["outputs"]["SentinelDcrId"]["value"];
        replace(value, "parameters('name'), 1)", "parameters('name'), 9)");
    }),
    ("an output takes more rules than there are", "sentinel-forwarder-2, which is not there", |t| {
        replace(
            &mut t["outputs"]["SentinelDcrId"]["value"],
            "greaterOrEquals(parameters('shards'), 2)",
            "equals(1, 1)",
        );
    }),
    ("an output names too few rules", "the outputs name other rules", |t| {
        replace(
            &mut t["outputs"]["SentinelDcrId"]["value"],
            "greaterOrEquals(parameters('shards'), 2)",
            "equals(1, 2)",
        );
    }),
    ("two resources have one name", "is there twice", |t| {
        replace(&mut resource(t, "dataCollectionRules", "")["name"], "copyIndex(1)", "1");
    }),
    ("a rule's name is too long", "is too long", |t| {
        t["parameters"]["name"]["maxLength"] = json!(40);
        t["parameters"]["name"]["defaultValue"] = json!("a-name-of-thirty-two-characters-");
    }),
    ("a private link changes the kind of the rule", "has another kind than Direct", |t| {
        resource(t, "dataCollectionRules", "")["kind"] =
            json!("[if(empty(parameters('dataCollectionEndpointId')), 'Direct', null())]");
    }),
    ("a private link is not named", "does not name its endpoint", |t| {
        resource(t, "dataCollectionRules", "")["properties"] = json!("[variables('rule')]");
    }),
    ("a rule names no endpoint as null", "names an endpoint that is null", |t| {
        t["variables"]["rule"]["dataCollectionEndpointId"] = json!("[null()]");
    }),
    ("a rule has no endpoint", "no endpoints in", |t| {
        resource(t, "dataCollectionRules", "")["kind"] = json!("Linux");
    }),
    ("the role is another", "has a wrong role", |t| {
        let role = &mut resource(t, "roleAssignments", "")["properties"]["roleDefinitionId"];
        replace(role, "3913510d", "3913510e");
    }),
    ("the role stands on the first rule alone", "has 0 roles", |t| {
        replace(&mut resource(t, "roleAssignments", "")["scope"], "copyIndex(1)", "1");
    }),
    ("the role is nobody's", "has a wrong role", |t| {
        resource(t, "roleAssignments", "")["properties"]["principalId"] =
            json!("[parameters('principalObjectId')]");
    }),
    ("errors are not logged", "has no log of errors", |t| {
        let resources = t["resources"].as_array_mut().unwrap();
        resources.retain(|resource| resource["type"] != "Microsoft.Insights/diagnosticSettings");
    }),
    ("the audience is that of the public cloud", "the audience is that of another cloud", |t| {
        let trust = &mut resource(t, "federatedIdentityCredentials", "")["properties"];
        trust["audiences"] = json!(["api://AzureADTokenExchange"]);
    }),
    ("an alert watches a rule that is not there", "an alert watches", |t| {
        replace(
            &mut resource(t, "metricAlerts", "refused")["properties"]["scopes"][0],
            "copyIndex(1)",
            "copyIndex(5)",
        );
    }),
    ("a rule of Sentinel's needs its table", "needs its table", |t| {
        resource(t, "alertRules", "dead_letters")["properties"]["query"] =
            json!("SentinelForwarderHealth_CL | where DeadLetters > 0");
    }),
    ("a rule of Sentinel's does not wait for the log of errors", "does not wait for its table", |t| {
        resource(t, "alertRules", "rows_dropped")["dependsOn"].as_array_mut().unwrap().pop();
    }),
    ("Microsoft's tables are set by default", "is set, and may lose columns", |t| {
        t["parameters"]["deployColumns"]["defaultValue"] = json!(true);
    }),
    ("the connector is deployed in China", "needs Sentinel", |t| {
        resource(t, "dataConnectorDefinitions", "")["condition"] = json!(true);
    }),
    ("the alert of silence reads several tables", "reads several tables", |t| {
        let condition = &mut resource(t, "scheduledQueryRules", "")["properties"]["criteria"]["allOf"][0];
        replace(&mut condition["query"], "{0} |", "union {0} |");
    }),
    ("the alert of silence is validated", "is validated before its table is there", |t| {
        resource(t, "scheduledQueryRules", "")["properties"]["skipQueryValidation"] = json!(false);
    }),
    ("the window of a day is 24 hours", "has a window of", |t| {
        let window = &mut resource(t, "scheduledQueryRules", "")["properties"]["windowSize"];
        replace(window, "less(parameters('silenceHours'), 24)", "less(parameters('silenceHours'), 99)");
    }),
    ("an output has another name", "AZURE_CLIENT_ID: is missing", |t| {
        let outputs = t["outputs"].as_object_mut().unwrap();
        let value = outputs.remove("AzureClientId").unwrap();
        outputs.insert("ClientId".to_owned(), value);
    }),
    ("an output is not among the overrides", "SamParameterOverrides says", |t| {
        replace(&mut t["outputs"]["SamParameterOverrides"]["value"], "HealthRows=", "Health=");
    }),
    ("the function does not know the cloud", "none of public, usgovernment, china", |t| {
        t["variables"]["clouds"]["AzureUSGovernment"]["name"] = json!("government");
    }),
    ("an expression is too long", "an expression of 25", |t| {
        let long = format!("[concat('{}', last(split(parameters('awsRoleArn'), '/')))]", " ".repeat(25_000));
        t["outputs"]["RoleName"]["value"] = json!(long);
    }),
];

#[test]
fn every_planted_fault_is_found() {
    let ways = ways();
    let missed: Vec<&str> = FAULTS
        .iter()
        .filter(|(_, said, plant)| {
            let mut template = azure_template::main_template();
            plant(&mut template);
            !faults(&template, &ways).iter().any(|fault| fault.contains(said))
        })
        .map(|(what, ..)| *what)
        .collect();
    assert_eq!(missed, Vec::<&str>::new());
}
