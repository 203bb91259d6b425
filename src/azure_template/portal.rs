//! The form that the portal shows for the template
//! (<https://learn.microsoft.com/azure/azure-resource-manager/managed-applications/create-uidefinition-overview>).

use serde_json::{Value, json};

use super::object;
use super::parameters::{self, Kind, MAY_BE_EMPTY, Page, Parameter};
use crate::table::Table;

/// The choice between an identity to make and one that is there: each has a section of its own.
const CHOICE: &str = "steps('identity').principal";
const NEW: &str = "newIdentity";
const EXISTING: &str = "existingPrincipal";
/// What lists the workspaces of the resource group.
const WORKSPACES: &str = "workspaces";

/// The form.
#[must_use]
pub fn definition() -> Value {
    let all = parameters::all();
    let elements = |page: Page| -> Vec<Value> {
        all.iter().filter(|parameter| parameter.page == page).filter_map(element).collect()
    };
    let section = |name: &str, label: &str, page: Page| {
        json!({
            "name": name,
            "type": "Microsoft.Common.Section",
            "label": label,
            "elements": elements(page),
            "visible": format!("[equals({CHOICE}, '{name}')]"),
        })
    };
    let choice = json!({
        "name": "principal",
        "type": "Microsoft.Common.OptionsGroup",
        "label": "Who may write",
        "defaultValue": "A new managed identity",
        "toolTip": "A managed identity that trusts the function's IAM role, without a secret, or a service principal.",
        "constraints": {
            "allowedValues": [
                {"label": "A new managed identity", "value": NEW},
                {"label": "An existing service principal", "value": EXISTING},
            ],
            "required": true,
        },
    });
    let identity = json!([
        choice,
        section(NEW, "A new managed identity", Page::NewIdentity),
        section(EXISTING, "An existing service principal", Page::ExistingIdentity),
    ]);
    let basics: Vec<Value> = [workspaces()].into_iter().chain(elements(Page::Basics)).collect();
    let outputs =
        all.iter().filter_map(|parameter| Some((parameter.name.clone(), json!(output(parameter)?))));
    json!({
        "$schema": "https://schema.management.azure.com/schemas/0.1.2-preview/CreateUIDefinition.MultiVm.json#",
        "handler": "Microsoft.Azure.CreateUIDef",
        "version": "0.1.2-preview",
        "parameters": {
            "config": {
                "basics": {
                    // The workspace is in an existing group, and its region is the one that counts.
                    "resourceGroup": {"allowExisting": true},
                    "location": {"visible": false},
                },
            },
            "basics": basics,
            "steps": [
                {"name": "data", "label": "Data", "elements": elements(Page::Data)},
                {"name": "identity", "label": "Identity", "elements": identity},
                {"name": "watching", "label": "Monitoring", "elements": elements(Page::Watching)},
            ],
            "outputs": object(outputs),
        },
    })
}

/// The workspaces of the resource group: a rule can be deployed beside no other.
fn workspaces() -> Value {
    json!({
        "name": WORKSPACES,
        "type": "Microsoft.Solutions.ArmApiControl",
        // Nothing is chosen while the form opens.
        "condition": "[greater(length(resourceGroup().name), 0)]",
        "request": {
            "method": "GET",
            "path": "[concat(subscription().id, '/resourceGroups/', resourceGroup().name, \
                '/providers/Microsoft.OperationalInsights/workspaces?api-version=2025-07-01')]",
        },
    })
}

/// The control that asks for a parameter; the region is that of the workspace.
fn element(parameter: &Parameter) -> Option<Value> {
    let mut element = match &parameter.kind {
        Kind::Location | Kind::Columns | Kind::PublicFlag => return None,
        Kind::Workspace => json!({
            "type": "Microsoft.Common.DropDown",
            "constraints": {
                "allowedValues": format!(
                    "[map(basics('{WORKSPACES}').value, (item) => parse(concat('{{\"label\":\"', item.name, \
                        '\",\"value\":\"', item.name, '\"}}')))]"
                ),
                "required": true,
            },
        }),
        Kind::Text { default, form, .. } => json!({
            "type": "Microsoft.Common.TextBox",
            "defaultValue": default,
            "constraints": {
                "required": !MAY_BE_EMPTY.contains(form),
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
        Kind::Whole { default, least, most } => {
            let place = place(parameter);
            let mut is_valid =
                format!("and(greaterOrEquals(int({place}), {least}), lessOrEquals(int({place}), {most}))");
            let mut message = format!("A whole number from {least} to {most}.");
            if default < least {
                is_valid = format!("or(equals({place}, '{default}'), {is_valid})");
                message = format!("A whole number from {least} to {most}, or {default}.");
            }
            json!({
                "type": "Microsoft.Common.TextBox",
                "defaultValue": default.to_string(),
                "constraints": {
                    "required": true,
                    "validations": [
                        {"regex": "^-?[0-9]{1,4}$", "message": message},
                        {"isValid": format!("[{is_valid}]"), "message": message},
                    ],
                },
            })
        }
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
    let of = match parameter.page {
        Page::Basics | Page::None => return format!("basics('{}')", parameter.name),
        Page::Data => "steps('data')".to_owned(),
        Page::NewIdentity => format!("steps('identity').{NEW}"),
        Page::ExistingIdentity => format!("steps('identity').{EXISTING}"),
        Page::Watching => "steps('watching')".to_owned(),
    };
    format!("{of}.{}", parameter.name)
}

/// What the form hands to the template.
fn output(parameter: &Parameter) -> Option<String> {
    let place = place(parameter);
    Some(match (parameter.page, &parameter.kind) {
        (Page::None, _) => return None,
        (_, Kind::Location) => {
            format!(
                "[first(filter(basics('{WORKSPACES}').value, (item) => equals(item.name, basics('workspaceName')))).location]"
            )
        }
        (_, Kind::Whole { .. }) => format!("[int({place})]"),
        // A section that is not shown may keep what was entered.
        (Page::NewIdentity, _) => format!("[if(equals({CHOICE}, '{NEW}'), {place}, '')]"),
        (Page::ExistingIdentity, _) => format!("[if(equals({CHOICE}, '{EXISTING}'), {place}, '')]"),
        _ => format!("[{place}]"),
    })
}
