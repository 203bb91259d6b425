//! The expanded template and the form against Microsoft's published JSON schemas, where they and a validator are there.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sentinel_forwarder::azure_template;
use serde_json::{Map, Value, json};

use crate::deployment::{Told, expand};
use crate::expansions::ways;

/// What the published schemas lack or get wrong: of what, where, how the fault is told, and why it is none.
const GAPS: &[(&str, &str, &str, &str)] = &[
    (
        "Microsoft.Insights/dataCollectionRules",
        "kind",
        "'Direct' is not one of",
        "the kind of rules for the Logs Ingestion API, in data-collection-rule-structure",
    ),
    (
        "Microsoft.Insights/dataCollectionRules",
        "properties/dataFlows/*/streams/*",
        "'Custom-",
        "streams that a rule declares begin so, in data-collection-rule-structure",
    ),
    (
        "Microsoft.OperationalInsights/workspaces/tables",
        "properties/retentionInDays",
        "-1 is less than the minimum of 4",
        "the schema's own description: -1 is the workspace's retention",
    ),
    (
        "Microsoft.Insights/metricAlerts",
        "properties/criteria/allOf",
        "is not of type 'object'",
        "the schema takes objects alone beside what its alternatives say",
    ),
    (
        "Microsoft.Insights/metricAlerts",
        "properties/criteria/odata.type",
        "is not of type 'object'",
        "the schema takes objects alone beside what its alternatives say",
    ),
    (
        "Microsoft.SecurityInsights/dataConnectorDefinitions",
        "",
        "no schema",
        "the type is documented in data-connector-ui-definitions-reference, and has no published schema",
    ),
    (
        "form",
        "parameters/basics/*/type",
        "'Microsoft.Solutions.ArmApiControl' is not one of",
        "documented in microsoft-solutions-armapicontrol, and newer than the schema",
    ),
    (
        "form",
        "parameters/basics/*/constraints/allowedValues",
        "is not of type 'array'",
        "values from an API: documented in microsoft-solutions-armapicontrol",
    ),
    (
        "form",
        "parameters/config/basics/resourceGroup",
        "'allowExisting' was unexpected",
        "documented in create-uidefinition-overview",
    ),
    (
        "form",
        "parameters/steps/*/elements/*",
        "('defaultValue' was unexpected)",
        "documented in microsoft-common-checkbox",
    ),
    (
        "form",
        "parameters/steps/*/elements/*",
        "('multiselect', 'selectAll' were unexpected)",
        "documented in microsoft-common-dropdown",
    ),
    (
        "form",
        "parameters/steps/*/elements/*/defaultValue",
        "['AWSCloudTrail', ",
        "several values: documented in microsoft-common-dropdown",
    ),
];

/// What is wrong, what is said of it, and how it is planted among the resources or in the form.
type Fault = (&'static str, &'static str, fn(&mut Value));

const FAULTS: &[Fault] = &[
    ("a rule of Sentinel's is urgent", "alertRules: properties/severity", |case| {
        one(case, "alertRules")["severity"] = json!("Urgent");
    }),
    ("a member is misspelled", "alertRules: properties: Additional", |case| {
        one(case, "alertRules")["entityMapping"] = json!([]);
    }),
    ("an entity has no such type", "entityMappings/*/entityType", |case| {
        one(case, "alertRules")["entityMappings"][0]["entityType"] = json!("Trail");
    }),
    ("alerts are grouped by anything", "groupingConfiguration/matchingMethod", |case| {
        let incident = &mut one(case, "alertRules")["incidentConfiguration"];
        incident["groupingConfiguration"]["matchingMethod"] = json!("Any");
    }),
    ("a data collection rule has no kind that there is", "dataCollectionRules: kind", |case| {
        whole(case, "dataCollectionRules")["kind"] = json!("Push");
    }),
    ("a data collection rule has no kind", "dataCollectionRules: kind", |case| {
        whole(case, "dataCollectionRules")["kind"] = Value::Null;
    }),
    ("a flow goes to one destination", "dataFlows/*/destinations", |case| {
        one(case, "dataCollectionRules")["dataFlows"][0]["destinations"] = json!("workspace");
    }),
    ("a plan is misspelled", "workspaces/tables: properties/plan", |case| {
        one(case, "tables")["plan"] = json!("Analytic");
    }),
    ("a column has no type that there is", "schema/columns/*/type", |case| {
        one(case, "tables")["schema"]["columns"][0]["type"] = json!("number");
    }),
    ("a trust has no issuer", "federatedIdentityCredentials: properties", |case| {
        one(case, "federatedIdentityCredentials").as_object_mut().unwrap().remove("issuer");
    }),
    ("an alert on a metric has another operator", "criteria/allOf/*/operator", |case| {
        one(case, "metricAlerts")["criteria"]["allOf"][0]["operator"] = json!("More");
    }),
    ("an alert on logs skips validation by a word", "skipQueryValidation", |case| {
        one(case, "scheduledQueryRules")["skipQueryValidation"] = json!("yes");
    }),
    ("a version is not published", "metricAlerts: : no schema", |case| {
        whole(case, "metricAlerts")["apiVersion"] = json!("2018-03-02");
    }),
    ("a box has two kinds of checks", "elements/*/constraints", |case| {
        let element = &mut case["form"]["parameters"]["steps"][0]["elements"][1];
        element["constraints"]["regex"] = json!("^.$");
    }),
    ("a control is unknown", "steps/*/elements/*/type", |case| {
        case["form"]["parameters"]["steps"][2]["elements"][0]["type"] = json!("Microsoft.Common.Slider");
    }),
    ("a step has no label", "form: parameters/steps/*: 'label'", |case| {
        case["form"]["parameters"]["steps"][0].as_object_mut().unwrap().remove("label");
    }),
];

/// The first resource of a type.
fn whole<'a>(case: &'a mut Value, kind: &str) -> &'a mut Value {
    let resources = case["resources"].as_array_mut().unwrap().iter_mut();
    let is_it = |resource: &&mut Value| resource["type"].as_str().unwrap().ends_with(&format!("/{kind}"));
    resources.into_iter().find(is_it).unwrap()
}

fn one<'a>(case: &'a mut Value, kind: &str) -> &'a mut Value {
    &mut whole(case, kind)["properties"]
}

/// The faults of each case, or nothing where it can't be said.
fn judged(cases: &Map<String, Value>) -> Option<Value> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let schemas = root.join("../shared/azure-schemas");
    let tools = ["judges", "local"].map(|name| root.join(".tools").join(name).join("bin/python"));
    let Some(python) = tools.iter().find(|python| python.exists()).filter(|_| schemas.is_dir()) else {
        crate::skipped("no published schemas of Azure, or no validator (`make test` installs it)");
        return None;
    };
    let mut judge = Command::new(python)
        .arg(root.join("local/azure_schemas.py"))
        .arg(schemas)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    judge.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "the validator fails");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn case(way: &Told) -> Value {
    let resources = expand(&azure_template::main_template(), way).unwrap().resources;
    let resources: Vec<Value> = resources.into_values().collect();
    json!({"resources": resources, "form": azure_template::ui_definition()})
}

/// The faults that are no gaps of the schemas, and the gaps that were met.
fn sorted(faults: &Value) -> (Vec<String>, BTreeSet<usize>) {
    let (mut left, mut met) = (Vec::new(), BTreeSet::new());
    for fault in faults.as_array().unwrap() {
        let [of, path, text] = ["of", "path", "text"].map(|name| fault[name].as_str().unwrap());
        let is_it = |gap: &&(&str, &str, &str, &str)| gap.0 == of && gap.1 == path && text.contains(gap.2);
        match GAPS.iter().position(|gap| is_it(&gap)) {
            Some(gap) => _ = met.insert(gap),
            None => left.push(format!("{of}: {path}: {text}")),
        }
    }
    (left, met)
}

#[test]
fn every_way_to_deploy_and_the_form_keep_to_the_published_schemas() {
    let cases = ways().iter().map(|way| (way.name.to_owned(), case(way))).collect();
    let Some(judged) = judged(&cases) else { return };
    let mut met = BTreeSet::new();
    for (way, faults) in judged.as_object().unwrap() {
        let (left, gaps) = sorted(faults);
        assert_eq!(left, Vec::<String>::new(), "{way}");
        met.extend(gaps);
    }
    let unmet: Vec<_> = (0..GAPS.len()).filter(|gap| !met.contains(gap)).map(|gap| GAPS[gap]).collect();
    assert_eq!(unmet, [], "gaps that are none any more");
}

#[test]
fn the_schemas_find_every_planted_fault() {
    let sound = case(&ways()[0]);
    let planted = FAULTS.iter().map(|(what, _, plant)| {
        let mut case = sound.clone();
        plant(&mut case);
        ((*what).to_owned(), case)
    });
    let Some(judged) = judged(&planted.collect()) else { return };
    for (what, said, _) in FAULTS {
        let (left, _) = sorted(&judged[what]);
        assert!(left.iter().any(|fault| fault.contains(said)), "{what}: {left:?}");
    }
}
