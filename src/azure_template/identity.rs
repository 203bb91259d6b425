//! Who may write: a managed identity that trusts the function's role, or a service principal that is there
//! (<https://learn.microsoft.com/azure/templates/microsoft.managedidentity/userassignedidentities/federatedidentitycredentials>).

use serde_json::{Value, json};

use super::expression::{call, either, parameter, text, variable, whole};

const TYPE: &str = "Microsoft.ManagedIdentity/userAssignedIdentities";
const API_VERSION: &str = "2023-01-31";

/// The identity's id.
pub(super) fn id() -> String {
    call("resourceId", [text(TYPE), parameter("name")])
}

/// The object id of who may write.
pub(super) fn principal_id() -> String {
    either(&variable("createIdentity"), &created("principalId"), &parameter("principalObjectId"))
}

/// The client id of who may write.
pub(super) fn client_id() -> String {
    either(&variable("createIdentity"), &created("clientId"), &parameter("clientId"))
}

fn created(property: &str) -> String {
    format!("{}.{property}", call("reference", [id(), text(API_VERSION)]))
}

/// The identity and its trust, unless there is a principal already.
pub(super) fn resources() -> [Value; 2] {
    let identity = json!({
        "condition": whole(&variable("createIdentity")),
        "type": TYPE,
        "apiVersion": API_VERSION,
        "name": whole(&parameter("name")),
        // Some regions take no federated credential.
        "location": whole(&either(
            &call("empty", [parameter("identityLocation")]),
            &parameter("location"),
            &parameter("identityLocation"),
        )),
    });
    let trust = json!({
        "condition": whole(&variable("createIdentity")),
        "type": format!("{TYPE}/federatedIdentityCredentials"),
        "apiVersion": API_VERSION,
        "name": whole(&call("concat", [parameter("name"), text("/aws")])),
        "dependsOn": [whole(&id())],
        "properties": {
            "issuer": whole(&parameter("awsIssuer")),
            "subject": whole(&parameter("awsRoleArn")),
            "audiences": [whole(&format!("{}.audience", variable("cloud")))],
        },
    });
    [identity, trust]
}
