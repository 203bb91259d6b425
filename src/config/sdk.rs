//! What the environment says to AWS's SDK.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>: the settings that a function is given.
//! Files of profiles, and all that is looked for on an instance, are for operators.

use std::collections::BTreeMap;

/// The SDK's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sdk {
    variables: BTreeMap<String, String>,
}

impl Sdk {
    /// Reads the process's environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::parse(super::environment())
    }

    /// Reads variables.
    #[must_use]
    pub fn parse(mut variables: BTreeMap<String, String>) -> Self {
        variables.retain(|name, value| name.starts_with("AWS_") && !value.is_empty());
        Self { variables }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.get("AWS_REGION").or_else(|| self.get("AWS_DEFAULT_REGION"))
    }

    /// The address of all services, instead of AWS's own.
    #[must_use]
    pub fn endpoint_url(&self) -> Option<&str> {
        self.get("AWS_ENDPOINT_URL").filter(|_| !self.is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
    }

    /// A setting of one service, whose name the SDK makes of the service's and the setting's:
    /// `AWS_ENDPOINT_URL` of `S3` is `AWS_ENDPOINT_URL_S3`.
    #[must_use]
    pub fn of_service(&self, service: &str, setting: &str) -> Option<&str> {
        let service = service.to_ascii_uppercase().replace([' ', '-'], "_");
        self.get(&format!("{setting}_{service}"))
            .filter(|_| !self.is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
    }

    /// Whether endpoints validated by FIPS 140 are asked.
    #[must_use]
    pub fn uses_fips(&self) -> bool {
        self.is_on("AWS_USE_FIPS_ENDPOINT")
    }

    /// Whether endpoints of both versions of IP are asked.
    #[must_use]
    pub fn uses_dual_stack(&self) -> bool {
        self.is_on("AWS_USE_DUALSTACK_ENDPOINT")
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sdk(variables: &[(&str, &str)]) -> Sdk {
        Sdk::parse(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_services_own_endpoint_is_told_by_its_name() {
        let sdk = sdk(&[
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets"),
            ("AWS_ENDPOINT_URL_S3", ""),
        ]);
        assert_eq!(sdk.endpoint_url(), Some("http://all"));
        assert_eq!(sdk.of_service("Secrets Manager", "AWS_ENDPOINT_URL"), Some("http://secrets"));
        assert_eq!(sdk.of_service("S3", "AWS_ENDPOINT_URL"), None);
    }

    #[test]
    fn endpoints_may_be_ignored() {
        let sdk = sdk(&[
            ("AWS_ENDPOINT_URL", "http://all"),
            ("AWS_ENDPOINT_URL_SQS", "http://sqs"),
            ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True"),
        ]);
        assert_eq!((sdk.endpoint_url(), sdk.of_service("SQS", "AWS_ENDPOINT_URL")), (None, None));
    }

    #[test]
    fn the_region_has_two_names() {
        assert_eq!(sdk(&[("AWS_DEFAULT_REGION", "eu-west-1")]).region(), Some("eu-west-1"));
        let both = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "us-east-1")];
        assert_eq!(sdk(&both).region(), Some("us-east-1"));
        assert!(sdk(&[("AWS_USE_FIPS_ENDPOINT", "true")]).uses_fips());
        assert!(!sdk(&[]).uses_dual_stack());
    }
}
