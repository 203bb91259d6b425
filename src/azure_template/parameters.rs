//! The parameters of the template, and what the portal's form says of each.

use serde_json::{Value, json};

use super::collection_rules::{MOST_PREFIX_CHARACTERS, MOST_SHARDS};
use super::flows::{Flow, MOST_OWN_KQL_CHARACTERS};
use super::object;
use crate::table::Table;

/// One parameter.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) description: String,
    pub(super) kind: Kind,
    pub(super) page: Page,
}

/// What it takes.
pub(super) enum Kind {
    /// A workspace of the resource group.
    Workspace,
    /// The region, that of the resource group unless told.
    Location,
    /// Text of a form that the portal checks; it may be empty only where the form says so.
    Text { default: &'static str, most_characters: usize, form: &'static str },
    /// One of these, the first unless told.
    Choice(&'static [&'static str]),
    /// Any of the tables, all unless told.
    Tables,
    /// True or false.
    Flag(bool),
    /// True or false, true in the public cloud alone unless told.
    PublicFlag,
    /// A whole number; -1 as well, where that is the default.
    Whole { default: i32, least: i32, most: i32 },
    /// One of these whole numbers.
    WholeChoice { default: i32, of: &'static [i32] },
    /// Columns by table, which the portal does not ask for.
    Columns,
}

/// The page of the portal's form that asks for it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Basics,
    Data,
    /// Of the identity, where one is made.
    NewIdentity,
    /// Of the identity, where one is there.
    ExistingIdentity,
    Watching,
    /// None: a form can't ask for it, or should not.
    None,
}

const GUID: &str = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$";
const RESOURCE_ID: &str = "^(/subscriptions/[^/]+/resourceGroups/[^/]+/providers/.+)?$";
const ISSUER: &str = "^https://[^ ]+$";
const ROLE_ARN: &str = "^arn:aws[a-z-]*:iam::[0-9]{12}:role/[^ ]+$";
const REGION: &str = "^[a-z0-9]*$";
const ANY: &str = "^[^\\r\\n]*$";
const NAME: &str = "^[A-Za-z][A-Za-z0-9-]+[A-Za-z0-9]$";
/// The forms that take the empty text.
pub(super) const MAY_BE_EMPTY: [&str; 3] = [RESOURCE_ID, REGION, ANY];
/// The most characters of an id or an ARN.
const MOST_ID_CHARACTERS: usize = 2048;

/// All parameters, in the order in which the form asks for them.
pub(super) fn all() -> Vec<Parameter> {
    let own_kql = Flow::ALL.map(|flow| {
        let parameter = of(
            "",
            "",
            "",
            Kind::Text { default: "", most_characters: MOST_OWN_KQL_CHARACTERS, form: ANY },
            Page::Data,
        );
        Parameter {
            name: flow.own_kql(),
            label: format!("KQL for {}", flow.table()),
            description: format!(
                "KQL at the end of the transform to {}, without a leading | (where EventName != 'Decrypt').",
                flow.table()
            ),
            ..parameter
        }
    });
    [basics(), data()].into_iter().flatten().chain(own_kql).chain(identity()).chain(watching()).collect()
}

fn of(name: &str, label: &str, description: &str, kind: Kind, page: Page) -> Parameter {
    Parameter {
        name: name.to_owned(),
        label: label.to_owned(),
        description: description.to_owned(),
        kind,
        page,
    }
}

const fn id(form: &'static str) -> Kind {
    Kind::Text { default: "", most_characters: MOST_ID_CHARACTERS, form }
}

fn basics() -> Vec<Parameter> {
    vec![
        of(
            "workspaceName",
            "Workspace",
            "The Log Analytics workspace with Microsoft Sentinel, in this resource group.",
            Kind::Workspace,
            Page::Basics,
        ),
        of("location", "Region", "The region of the workspace.", Kind::Location, Page::Basics),
        of(
            "name",
            "Name",
            "What the names of the rules, the identity and the alerts begin with.",
            Kind::Text { default: "sentinel-forwarder", most_characters: MOST_PREFIX_CHARACTERS, form: NAME },
            Page::Basics,
        ),
    ]
}

fn data() -> Vec<Parameter> {
    vec![
        of("tables", "Tables", "The tables that rows flow into.", Kind::Tables, Page::Data),
        of(
            "shards",
            "Rules",
            "How many equal data collection rules share the load; each takes 2 GB and 12,000 requests a minute.",
            Kind::Whole { default: 1, least: 1, most: i32::try_from(MOST_SHARDS).unwrap_or(i32::MAX) },
            Page::Data,
        ),
        of(
            "deployColumns",
            "Add EventTime_CF",
            "Whether the deployment adds the column EventTime_CF to Microsoft's tables. It replaces all columns of \
                your own (_CF) that a table has: name those to keep in keepColumns. To add the column without removing \
                any, run az monitor log-analytics workspace table update --columns EventTime_CF=datetime instead.",
            Kind::Flag(false),
            Page::None,
        ),
        of(
            "keepColumns",
            "Columns to keep",
            "Columns of your own that the tables have already, by table: \
                {\"AWSCloudTrail\": [{\"name\": \"Team_CF\", \"type\": \"string\"}]}. What is not named is removed from \
                a table that the deployment sets.",
            Kind::Columns,
            Page::None,
        ),
        of(
            "healthRetentionDays",
            "Days to keep the forwarder's own rows",
            "Days that SentinelForwarderHealth_CL and SentinelForwarderCompleteness_CL keep their rows, 4 to 730; -1 \
                for as long as the workspace does.",
            Kind::Whole { default: -1, least: 4, most: 730 },
            Page::Data,
        ),
        of(
            "lake",
            "Copy CloudTrail for the data lake",
            "Whether CloudTrail is copied into AWSCloudTrailLake_CL as well. The copy is charged as a second ingestion. \
                Where the tenant has the Microsoft Sentinel data lake, leave it off: the lake mirrors AWSCloudTrail \
                at no extra charge for the same retention.",
            Kind::Flag(false),
            Page::Data,
        ),
        of(
            "lakePlan",
            "Plan of the copy",
            "The plan of AWSCloudTrailLake_CL. Auxiliary is for new tables in the public cloud alone: elsewhere no \
                copy is made.",
            Kind::Choice(&["Auxiliary", "Basic", "Analytics"]),
            Page::Data,
        ),
        of(
            "lakeRetentionDays",
            "Days to keep the copy",
            "Days that AWSCloudTrailLake_CL keeps its rows in all, up to 12 years.",
            Kind::Whole { default: 365, least: 30, most: 4383 },
            Page::Data,
        ),
        of(
            "dataCollectionEndpointId",
            "Data collection endpoint",
            "Resource id of a data collection endpoint that is in a private link scope, which the outputs then name. \
                Empty without a private link.",
            id(RESOURCE_ID),
            Page::Data,
        ),
    ]
}

fn identity() -> Vec<Parameter> {
    vec![
        of(
            "awsIssuer",
            "Issuer in AWS",
            "The AWS account's token issuer: aws iam get-outbound-web-identity-federation-info. Not for a principal \
                that is there already.",
            id(ISSUER),
            Page::NewIdentity,
        ),
        of(
            "awsRoleArn",
            "ARN of the role",
            "ARN of the function's IAM role, which the identity trusts (arn:aws:iam::111122223333:role/name).",
            id(ROLE_ARN),
            Page::NewIdentity,
        ),
        of(
            "identityLocation",
            "Region of the identity",
            "Region of the managed identity, where that of the workspace takes no federated credential. Empty for \
                that of the workspace.",
            Kind::Text { default: "", most_characters: 64, form: REGION },
            Page::NewIdentity,
        ),
        of(
            "principalObjectId",
            "Object id of a principal that is there",
            "Object id of an existing service principal. Empty to make a managed identity that trusts the role.",
            Kind::Text { default: "", most_characters: 36, form: GUID },
            Page::ExistingIdentity,
        ),
        of(
            "clientId",
            "Its client id",
            "Client id of the existing service principal, for the outputs.",
            Kind::Text { default: "", most_characters: 36, form: GUID },
            Page::ExistingIdentity,
        ),
    ]
}

fn watching() -> Vec<Parameter> {
    vec![
        of(
            "deployConnector",
            "Connector in the gallery",
            "Whether Sentinel's gallery of connectors shows the forwarder. By default in the public cloud alone, since \
                the US government cloud has no such connectors; never in China, where Sentinel was retired.",
            Kind::PublicFlag,
            Page::None,
        ),
        of(
            "deployAnalyticsRules",
            "Analytics rules",
            "Whether Sentinel raises incidents when the forwarder needs someone. They read the health rows. A \
                deployment sets them anew: false leaves rules that were edited in Sentinel as they are.",
            Kind::Flag(true),
            Page::Watching,
        ),
        of(
            "forwarderSilentHours",
            "Hours without health that raise an incident",
            "After how many hours without a health row of a function the analytics rule of silent forwarders fires.",
            Kind::Whole { default: 3, least: 1, most: 48 },
            Page::Watching,
        ),
        of(
            "deployAlerts",
            "Alerts of Azure Monitor",
            "Whether Azure Monitor alerts when a rule drops rows, fails or refuses, and when no row arrives.",
            Kind::Flag(true),
            Page::Watching,
        ),
        of(
            "silenceHours",
            "Hours without a row that alert",
            "After how many hours without a row the alert of silence fires.",
            Kind::WholeChoice { default: 6, of: &[1, 2, 3, 4, 5, 6, 24, 48] },
            Page::Watching,
        ),
        of(
            "throttledUploads",
            "Throttled uploads that alert",
            "More uploads than these throttled (429) in 15 minutes fire the alert of throttling.",
            Kind::Whole { default: 10, least: 0, most: 9999 },
            Page::Watching,
        ),
        of(
            "actionGroupId",
            "Action group",
            "Resource id of the action group that the alerts of Azure Monitor tell. Empty to tell none.",
            id(RESOURCE_ID),
            Page::Watching,
        ),
    ]
}

/// The parameters as the template declares them.
pub(super) fn definitions() -> Value {
    object(all().into_iter().map(|parameter| {
        let mut definition = parameter.kind.definition();
        definition["metadata"] = json!({"description": parameter.description});
        (parameter.name, definition)
    }))
}

impl Kind {
    fn definition(&self) -> Value {
        match self {
            Self::Workspace => json!({"type": "string", "minLength": 4, "maxLength": 63}),
            Self::Location => json!({"type": "string", "defaultValue": "[resourceGroup().location]"}),
            Self::Text { default, most_characters, .. } => {
                json!({"type": "string", "defaultValue": default, "maxLength": most_characters})
            }
            Self::Choice(of) => json!({"type": "string", "defaultValue": of[0], "allowedValues": of}),
            Self::Tables => {
                let names = Table::ALL.map(Table::name);
                json!({"type": "array", "defaultValue": names, "allowedValues": names, "minLength": 1})
            }
            Self::Flag(default) => json!({"type": "bool", "defaultValue": default}),
            Self::PublicFlag => {
                json!({"type": "bool", "defaultValue": "[equals(environment().name, 'AzureCloud')]"})
            }
            Self::Whole { default, least, most } => {
                let least = least.min(default);
                json!({"type": "int", "defaultValue": default, "minValue": least, "maxValue": most})
            }
            Self::WholeChoice { default, of } => {
                json!({"type": "int", "defaultValue": default, "allowedValues": of})
            }
            Self::Columns => json!({"type": "object", "defaultValue": {}}),
        }
    }
}
