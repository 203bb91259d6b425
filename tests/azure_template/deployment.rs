//! Expands the template for one set of parameters: which resources there will be, and what they say.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::expression::{self, Context, SUBSCRIPTION, evaluate};

const GROUP: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/group";

/// What a deployment is told.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) name: &'static str,
    pub(crate) cloud: &'static str,
    pub(crate) parameters: Value,
}

/// What there will be.
pub(crate) struct Deployed {
    /// By id.
    pub(crate) resources: BTreeMap<String, Value>,
    pub(crate) outputs: BTreeMap<String, Value>,
}

struct Expansion<'a> {
    template: &'a Value,
    told: &'a Told,
    copy_index: Option<i64>,
    /// What is deployed, as far as it is known, and what is declared but left out.
    deployed: &'a BTreeMap<String, Value>,
    /// The variables that are being evaluated.
    open: RefCell<Vec<String>>,
}

impl Context for Expansion<'_> {
    fn parameter(&self, name: &str) -> Result<Value, String> {
        let declared = self.template["parameters"].get(name).ok_or_else(|| format!("no parameter {name}"))?;
        match (self.told.parameters.get(name), declared.get("defaultValue")) {
            (Some(value), _) => Ok(value.clone()),
            (None, Some(default)) => self.value(default),
            (None, None) => Err(format!("parameter {name} is not told")),
        }
    }

    fn variable(&self, name: &str) -> Result<Value, String> {
        let value = self.template["variables"].get(name).ok_or_else(|| format!("no variable {name}"))?;
        if self.open.borrow().iter().any(|open| open == name) {
            return Err(format!("variable {name} needs itself"));
        }
        self.open.borrow_mut().push(name.to_owned());
        let value = self.value(value);
        self.open.borrow_mut().pop();
        value
    }

    fn cloud(&self) -> &str {
        self.told.cloud
    }

    fn resource_id(&self, kind: &str, names: &[&str]) -> Result<String, String> {
        id(GROUP, kind, &names.join("/"))
    }

    fn reference(&self, id: &str) -> Result<Value, String> {
        if id.contains("/dataCollectionEndpoints/") {
            return Ok(
                json!({"logsIngestion": {"endpoint": "https://link.westeurope-1.ingest.monitor.azure.com"}}),
            );
        }
        let resource =
            self.deployed.get(id).ok_or_else(|| format!("reference to {id}, which is not there"))?;
        let number = self.deployed.keys().position(|other| other == id).unwrap_or_default();
        match resource["type"].as_str() {
            Some("Microsoft.Insights/dataCollectionRules") => {
                let mut properties = json!({"immutableId": format!("dcr-{number:032x}")});
                if resource["kind"] == "Direct" {
                    let endpoint = format!("https://rule{number}.westeurope-1.ingest.monitor.azure.com");
                    properties["endpoints"] = json!({"logsIngestion": endpoint});
                }
                Ok(properties)
            }
            Some("Microsoft.ManagedIdentity/userAssignedIdentities") => Ok(json!({
                "principalId": "00000000-0000-4000-8000-000000000003",
                "clientId": "00000000-0000-4000-8000-000000000004",
            })),
            kind => Err(format!("nothing is known of a reference to {kind:?}")),
        }
    }

    fn copy_index(&self) -> Result<i64, String> {
        self.copy_index.ok_or_else(|| "copyIndex outside of a copy".to_owned())
    }
}

impl Expansion<'_> {
    fn value(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => match expression::parse(text) {
                Some(expression) => evaluate(&expression?, self)?,
                None => json!(text.strip_prefix('[').filter(|rest| rest.starts_with('[')).unwrap_or(text)),
            },
            Value::Array(array) => {
                Value::Array(array.iter().map(|value| self.value(value)).collect::<Result<_, _>>()?)
            }
            Value::Object(object) => Value::Object(
                object.iter().map(|(name, value)| Ok((name.clone(), self.value(value)?))).collect::<Result<
                    Map<_, _>,
                    String,
                >>(
                )?,
            ),
            other => other.clone(),
        })
    }

    fn text(&self, value: &Value) -> Result<String, String> {
        let value = self.value(value)?;
        value.as_str().map(str::to_owned).ok_or_else(|| format!("{value} is no text"))
    }
}

/// The id of a resource: types and names by turns.
fn id(scope: &str, kind: &str, name: &str) -> Result<String, String> {
    let mut kinds = kind.split('/');
    let mut id = format!("{scope}/providers/{}", kinds.next().unwrap_or_default());
    let (kinds, names): (Vec<_>, Vec<_>) = (kinds.collect(), name.split('/').collect());
    if kinds.len() != names.len() || names.iter().any(|name| name.is_empty()) {
        return Err(format!("{kind} has not the segments of {name}"));
    }
    for (kind, name) in kinds.iter().zip(names) {
        id = format!("{id}/{kind}/{name}");
    }
    Ok(id)
}

/// Expands the template; the first thing that can't be is the error.
pub(crate) fn expand(template: &Value, told: &Told) -> Result<Deployed, String> {
    check_told(template, told)?;
    let nothing = BTreeMap::new();
    let with =
        |copy_index, deployed| Expansion { template, told, copy_index, deployed, open: RefCell::default() };
    let mut wanted: BTreeMap<String, (&Value, Option<i64>)> = BTreeMap::new();
    let mut shells = BTreeMap::new();
    let mut left_out = Vec::new();
    for resource in template["resources"].as_array().into_iter().flatten() {
        let outside = with(None, &nothing);
        let count = match resource.get("copy") {
            None => None,
            Some(copy) => Some(outside.value(&copy["count"])?.as_i64().ok_or("a count that is no number")?),
        };
        for index in count.map_or_else(|| vec![None], |count| (0..count).map(Some).collect()) {
            let here = with(index, &nothing);
            let scope = resource.get("scope").map_or(Ok(GROUP.to_owned()), |scope| here.text(scope))?;
            let kind = resource["type"].as_str().ok_or("a resource without a type")?;
            let id = id(&scope, kind, &here.text(&resource["name"])?)?;
            let condition = resource.get("condition").map_or(Ok(json!(true)), |value| here.value(value))?;
            match condition.as_bool() {
                Some(false) => left_out.push(id),
                None => return Err(format!("{condition} is no condition")),
                Some(true) => {
                    let kind = here.value(&resource["kind"])?;
                    shells.insert(id.clone(), json!({"type": resource["type"], "kind": kind}));
                    if wanted.insert(id.clone(), (resource, index)).is_some() {
                        return Err(format!("{id} is there twice"));
                    }
                }
            }
        }
    }
    let declared = template["resources"].as_array().into_iter().flatten();
    let copies: Vec<&str> = declared.filter_map(|resource| resource["copy"]["name"].as_str()).collect();
    let mut resources = BTreeMap::new();
    for (id, (resource, index)) in &wanted {
        let value = with(*index, &shells).value(resource).map_err(|error| format!("{id}: {error}"))?;
        for needed in value["dependsOn"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !wanted.contains_key(needed)
                && !left_out.iter().any(|id| id == needed)
                && !copies.contains(&needed)
            {
                return Err(format!("{id} depends on {needed}, which is not there"));
            }
        }
        if let Some(scope) = value["scope"].as_str()
            && !wanted.contains_key(scope)
            && !scope.contains("/Microsoft.OperationalInsights/workspaces/")
        {
            return Err(format!("{id} stands on {scope}, which is not there"));
        }
        resources.insert(id.clone(), value);
    }
    let outside = with(None, &shells);
    let mut outputs = BTreeMap::new();
    for (name, output) in template["outputs"].as_object().into_iter().flatten() {
        let value = outside.value(&output["value"]).map_err(|error| format!("output {name}: {error}"))?;
        outputs.insert(name.clone(), value);
    }
    Ok(Deployed { resources, outputs })
}

/// What is told must be declared and allowed.
fn check_told(template: &Value, told: &Told) -> Result<(), String> {
    for (name, value) in told.parameters.as_object().into_iter().flatten() {
        let declared =
            template["parameters"].get(name).ok_or_else(|| format!("no parameter {name} to tell"))?;
        check_allowed(name, declared, value)?;
    }
    Ok(())
}

/// Whether a value is of the parameter's type and within its bounds.
pub(crate) fn check_allowed(name: &str, declared: &Value, value: &Value) -> Result<(), String> {
    let (is_typed, size) = match (declared["type"].as_str(), value) {
        (Some("string"), Value::String(text)) => (true, i64::try_from(text.len()).ok()),
        (Some("int"), Value::Number(number)) => (true, number.as_i64()),
        (Some("array"), Value::Array(array)) => (true, i64::try_from(array.len()).ok()),
        (Some("bool"), Value::Bool(_)) | (Some("object"), Value::Object(_)) => (true, None),
        _ => (false, None),
    };
    let size = size.unwrap_or_default();
    let bound = |names: [&str; 2]| names.iter().find_map(|name| declared[*name].as_i64());
    let is_in = bound(["minValue", "minLength"]).is_none_or(|least| least <= size)
        && bound(["maxValue", "maxLength"]).is_none_or(|most| size <= most);
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let is_listed = declared["allowedValues"]
        .as_array()
        .is_none_or(|allowed| items.iter().all(|item| allowed.contains(item)));
    if is_typed && is_in && is_listed { Ok(()) } else { Err(format!("{name} does not take {value}")) }
}

/// The id of the subscription's group, for those who look for something in it.
pub(crate) fn rule_ids(deployed: &Deployed) -> Vec<&String> {
    let is_rule = |value: &Value| value["type"] == "Microsoft.Insights/dataCollectionRules";
    deployed.resources.iter().filter(|(_, value)| is_rule(value)).map(|(id, _)| id).collect()
}

/// An id outside of the deployment.
pub(crate) fn outside(rest: &str) -> String {
    format!("{SUBSCRIPTION}/resourceGroups/other/providers/{rest}")
}
