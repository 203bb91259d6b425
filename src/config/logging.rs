//! What is logged, and in which form.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-advanced.html>.

use std::collections::BTreeMap;

/// The settings of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// The least level, or one for each target: `info`, `warn,sentinel_forwarder=debug`.
    pub filter: String,
    /// Lines of JSON instead of text.
    pub is_json: bool,
}

impl Logging {
    /// Reads the process's environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::parse(&super::environment())
    }

    /// Reads variables; Lambda's come first.
    #[must_use]
    pub fn parse(variables: &BTreeMap<String, String>) -> Self {
        let given = |name: &&str| variables.get(*name).filter(|value| !value.is_empty());
        let filter = ["AWS_LAMBDA_LOG_LEVEL", "RUST_LOG"].iter().find_map(given);
        let format = given(&"AWS_LAMBDA_LOG_FORMAT");
        Self {
            filter: filter.map_or("info", String::as_str).to_owned(),
            is_json: format.is_some_and(|format| format.eq_ignore_ascii_case("json")),
        }
    }
}
