//! What stands in `deploy/azure` is what this version makes, and tells of every parameter.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use sentinel_forwarder::azure_template;
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn names(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_files_are_not_stale() {
    for (name, text) in azure_template::files() {
        let there = fs::read_to_string(root().join("deploy/azure").join(name)).unwrap_or_default();
        assert!(there == text, "{name} is stale: run `cargo run --bin sentinelctl azure-template`");
    }
}

#[test]
fn the_form_answers_every_parameter_but_those_that_it_should_not() {
    let (template, form) = (azure_template::main_template(), azure_template::ui_definition());
    let mut parameters = names(&template["parameters"]);
    // A form can't ask for columns by table, nor know the cloud.
    for name in ["deployColumns", "keepColumns", "deployConnector"] {
        assert!(parameters.remove(name), "{name}");
    }
    assert_eq!(names(&form["parameters"]["outputs"]), parameters);
}

/// The controls that ask for a parameter, by where the form keeps the answer.
fn asked(form: &Value) -> Vec<(String, &Value)> {
    fn collect<'a>(of: &str, elements: &'a Value, asked: &mut Vec<(String, &'a Value)>) {
        for element in elements.as_array().unwrap() {
            let [kind, name] = ["type", "name"].map(|member| element[member].as_str().unwrap());
            match kind {
                "Microsoft.Common.Section" => collect(&format!("{of}.{name}"), &element["elements"], asked),
                // The choice between two sections.
                "Microsoft.Common.OptionsGroup" | "Microsoft.Solutions.ArmApiControl" => {}
                _ if of == "basics" => asked.push((format!("basics('{name}')"), element)),
                _ => asked.push((format!("{of}.{name}"), element)),
            }
        }
    }
    let mut asked = Vec::new();
    collect("basics", &form["parameters"]["basics"], &mut asked);
    for step in form["parameters"]["steps"].as_array().unwrap() {
        collect(&format!("steps('{}')", step["name"].as_str().unwrap()), &step["elements"], &mut asked);
    }
    asked
}

/// Without an issuer and a role, or without a principal, a deployment has an identity that nobody can use.
#[test]
fn the_form_requires_what_an_identity_needs() {
    let form = azure_template::ui_definition();
    let asked = asked(&form);
    for name in ["awsIssuer", "awsRoleArn", "principalObjectId", "clientId"] {
        let (_, element) = asked.iter().find(|(_, element)| element["name"] == name).unwrap();
        assert_eq!(element["constraints"]["required"], true, "{name}");
        assert!(!element["constraints"]["regex"].as_str().unwrap().ends_with(")?$"), "{name} may be empty");
    }
}

#[test]
fn the_form_takes_no_retention_that_azure_refuses() {
    let form = azure_template::ui_definition();
    let asked = asked(&form);
    let (_, element) = asked.iter().find(|(_, element)| element["name"] == "healthRetentionDays").unwrap();
    let days = "int(steps('data').healthRetentionDays)";
    let is_valid = format!(
        "[or(equals(steps('data').healthRetentionDays, '-1'), and(greaterOrEquals({days}, 4), \
            lessOrEquals({days}, 730)))]"
    );
    assert_eq!(element["constraints"]["validations"][1]["isValid"], is_valid);
}

#[test]
fn the_form_asks_for_what_it_hands_on_once() {
    let form = azure_template::ui_definition();
    let outputs = form["parameters"]["outputs"].as_object().unwrap();
    let asked = asked(&form);
    for (place, element) in &asked {
        let chosen = |kind: &str| format!("[if(equals(steps('identity').principal, '{kind}'), {place}, '')]");
        let forms = [
            format!("[{place}]"),
            format!("[int({place})]"),
            chosen("newIdentity"),
            chosen("existingPrincipal"),
        ];
        let hands_on = |value: &&Value| forms.iter().any(|form| form == value.as_str().unwrap());
        assert_eq!(outputs.values().filter(hands_on).count(), 1, "{place}: {element}");
    }
    assert_eq!(outputs.len(), asked.len() + 1, "only the region is that of the workspace");
}

#[test]
fn the_form_begins_with_the_defaults_of_the_template() {
    let (template, form) = (azure_template::main_template(), azure_template::ui_definition());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (_, element) in asked(&form) {
        let name = element["name"].as_str().unwrap();
        if let Some(default) = template["parameters"][name].get("defaultValue") {
            assert_eq!(text(&element["defaultValue"]), text(default), "{name}");
        }
    }
}

#[test]
fn the_readme_tells_of_every_parameter_and_output() {
    let template = azure_template::main_template();
    let readme = fs::read_to_string(root().join("deploy/azure/README.md")).unwrap();
    let told: BTreeSet<&str> = readme
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    let outputs = names(&template["outputs"]);
    let there: BTreeSet<&str> = names(&template["parameters"]).union(&outputs).copied().collect();
    assert_eq!(told, there);
}

#[test]
fn the_stack_has_a_parameter_for_every_pair_of_the_outputs() {
    let stack = fs::read_to_string(root().join("template.yaml")).unwrap();
    let (_, parameters) = stack.split_once("\nParameters:\n").unwrap();
    for output in names(&azure_template::main_template()["outputs"]) {
        let is_there = parameters.contains(&format!("\n  {output}:\n    Type: "));
        assert_eq!(is_there, !["SamParameterOverrides", "LakeTable"].contains(&output), "{output}");
    }
}

#[test]
fn the_columns_are_told_in_kqls_words() {
    let schema = azure_template::schema();
    assert_eq!(schema["streams"]["Custom-AWSCloudTrail"]["AwsEventId"], "string");
    assert_eq!(schema["tables"]["AWSCloudTrail"]["AwsEventId"], "guid");
    assert_eq!(schema["tables"]["AWSCloudTrailLake_CL"]["AwsEventId"], "string");
    assert_eq!(schema["tables"]["AWSCloudTrail"]["EventTime_CF"], "datetime");
    assert_eq!(schema["tables"]["AWSCloudTrail"]["ReadOnly"], "bool");
    assert_eq!(schema["tables"]["SentinelForwarderHealth_CL"]["_BilledSize"], "real");
    assert_eq!(schema["tables"]["DCRLogErrors"]["InputStreamId"], "string");
}
