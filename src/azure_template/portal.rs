//! The form that the portal shows for the template
//! (<https://learn.microsoft.com/azure/azure-resource-manager/managed-applications/create-uidefinition-overview>).

use serde_json::{Value, json};

use super::object;
use super::parameters::{self, Kind, Page, Parameter};
use crate::table::Table;

const PAGES: [(Page, &str, &str); 3] = [
    (Page::Data, "data", "Data"),
    (Page::Identity, "identity", "Identity"),
    (Page::Watching, "watching", "Watching over it"),
];

/// The form.
#[must_use]
pub fn definition() -> Value {
    let all = parameters::all();
    let elements = |page: Page| -> Vec<Value> {
        all.iter().filter(|parameter| parameter.page == page).filter_map(element).collect()
    };
    let steps: Vec<Value> = PAGES
        .iter()
        .map(|(page, name, label)| json!({"name": name, "label": label, "elements": elements(*page)}))
        .collect();
    let outputs =
        all.iter().filter_map(|parameter| Some((parameter.name.clone(), json!(output(parameter)?))));
    json!({
        "$schema": "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#",
        "handler": "Microsoft.Azure.CreateUIDef",
        "version": "0.1.2-preview",
        "parameters": {"basics": elements(Page::Basics), "steps": steps, "outputs": object(outputs)},
    })
}

/// The control that asks for a parameter; the region has one of its own, and columns are too much for a form.
fn element(parameter: &Parameter) -> Option<Value> {
    let mut element = match &parameter.kind {
        Kind::Location | Kind::Columns => return None,
        Kind::Workspace => json!({
            "type": "Microsoft.Solutions.ResourceSelector",
            "resourceType": "Microsoft.OperationalInsights/workspaces",
            "options": {"filter": {"subscription": "onBasics", "location": "onBasics"}},
        }),
        Kind::Text { default, form, .. } => json!({
            "type": "Microsoft.Common.TextBox",
            "defaultValue": default,
            "constraints": {
                "required": false,
                "regex": form,
                "validationMessage": parameter.description,
            },
        }),
        Kind::Choice(of) => drop_down(of[0], of.iter().map(|value| (json!(value), (*value).to_owned()))),
        Kind::WholeChoice { default, of } => {
            drop_down(&default.to_string(), of.iter().map(|value| (json!(value), value.to_string())))
        }
        Kind::Tables => {
            let names = Table::ALL.map(Table::name);
            let mut element = drop_down("", names.map(|name| (json!(name), name.to_owned())));
            element["defaultValue"] = json!(names);
            element["multiselect"] = json!(true);
            element["selectAll"] = json!(true);
            element
        }
        Kind::Flag(default) => json!({"type": "Microsoft.Common.CheckBox", "defaultValue": default}),
        Kind::Whole { default, least, most } => json!({
            "type": "Microsoft.Common.TextBox",
            "defaultValue": default.to_string(),
            "constraints": {
                "required": true,
                "validations": [{
                    "isValid": format!(
                        "[and(greaterOrEquals(int({0}), {least}), lessOrEquals(int({0}), {most}))]",
                        place(parameter)
                    ),
                    "message": format!("A whole number from {least} to {most}."),
                }],
                "regex": "^-?[0-9]{1,4}$",
                "validationMessage": "A whole number.",
            },
        }),
    };
    element["name"] = json!(parameter.name);
    element["label"] = json!(parameter.label);
    element["toolTip"] = json!(parameter.description);
    Some(element)
}

fn drop_down(default: &str, of: impl IntoIterator<Item = (Value, String)>) -> Value {
    let values: Vec<Value> =
        of.into_iter().map(|(value, label)| json!({"label": label, "value": value})).collect();
    json!({
        "type": "Microsoft.Common.DropDown",
        "defaultValue": default,
        "constraints": {"allowedValues": values, "required": true},
    })
}

/// Where the form keeps the answer.
fn place(parameter: &Parameter) -> String {
    PAGES.iter().find(|(page, ..)| *page == parameter.page).map_or_else(
        || format!("basics('{}')", parameter.name),
        |(_, step, _)| format!("steps('{step}').{}", parameter.name),
    )
}

/// What the form hands to the template.
fn output(parameter: &Parameter) -> Option<String> {
    let place = place(parameter);
    match parameter.kind {
        Kind::Columns => None,
        Kind::Location => Some("[location()]".to_owned()),
        Kind::Workspace => Some(format!("[{place}.name]")),
        Kind::Whole { .. } => Some(format!("[int({place})]")),
        _ => Some(format!("[{place}]")),
    }
}
