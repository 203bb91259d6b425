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
fn the_form_answers_every_parameter_but_the_columns_to_keep() {
    let (template, form) = (azure_template::main_template(), azure_template::ui_definition());
    let mut parameters = names(&template["parameters"]);
    assert!(parameters.remove("keepColumns"));
    assert_eq!(names(&form["parameters"]["outputs"]), parameters);
}

#[test]
fn the_form_asks_for_what_it_hands_on_once() {
    let form = azure_template::ui_definition();
    let mut asked = Vec::new();
    for element in form["parameters"]["basics"].as_array().unwrap() {
        asked.push(format!("basics('{}')", element["name"].as_str().unwrap()));
    }
    for step in form["parameters"]["steps"].as_array().unwrap() {
        for element in step["elements"].as_array().unwrap() {
            let [step, name] = [&step["name"], &element["name"]].map(|name| name.as_str().unwrap());
            asked.push(format!("steps('{step}').{name}"));
        }
    }
    let outputs = form["parameters"]["outputs"].as_object().unwrap();
    for place in &asked {
        let hands_on = |value: &Value| {
            let value = value.as_str().unwrap();
            [format!("[{place}]"), format!("[int({place})]"), format!("[{place}.name]")]
                .iter()
                .any(|form| form == value)
        };
        assert_eq!(outputs.values().filter(|value| hands_on(value)).count(), 1, "{place}");
    }
    assert_eq!(outputs.len(), asked.len() + 1, "only the region has a control of its own");
}

#[test]
fn the_form_begins_with_the_defaults_of_the_template() {
    let (template, form) = (azure_template::main_template(), azure_template::ui_definition());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let steps = form["parameters"]["steps"].as_array().unwrap();
    let elements = steps.iter().map(|step| &step["elements"]).chain([&form["parameters"]["basics"]]);
    for element in elements.flat_map(|elements| elements.as_array().unwrap()) {
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
