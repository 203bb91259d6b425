//! The Azure side as a template: rules, tables, identity, alerts and what Sentinel shows, made from the columns.
//!
//! <https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax>. It is deployed to the resource group
//! of the workspace. Nothing here talks to Azure.

mod alerts;
mod analytics;
mod collection_rules;
mod connector;
mod expression;
mod flows;
mod identity;
mod outputs;
mod parameters;
mod portal;
mod query;
mod schema;
mod tables;
mod variables;
mod workbook;

use serde_json::{Map, Value, json};

pub use portal::definition as ui_definition;
pub use schema::schema;

/// The files that stand in `deploy/azure`, by name.
#[must_use]
pub fn files() -> [(&'static str, String); 2] {
    [("mainTemplate.json", main_template()), ("createUiDefinition.json", ui_definition())]
        .map(|(name, value)| (name, format!("{value:#}\n")))
}

/// The template.
#[must_use]
pub fn main_template() -> Value {
    let resources: Vec<Value> = tables::resources()
        .into_iter()
        .chain(identity::resources())
        .chain(collection_rules::resources())
        .chain(alerts::resources())
        .chain([connector::resource(), workbook::resource()])
        .chain(analytics::resources())
        .collect();
    json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": format!("{}.0", env!("CARGO_PKG_VERSION")),
        "parameters": parameters::definitions(),
        "variables": variables::definitions(),
        "resources": resources,
        "outputs": outputs::definitions(),
    })
}

/// Gathers named members into an object.
fn object(members: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(members.into_iter().collect::<Map<_, _>>())
}
