//! Checks a deployment end to end as an operator, by the environment of the function, and says what to do next.
//!
//! `finding` is what a check says; `identity`, `claims`, `validity`, `aadsts`, `clock`, `uploads`, `resources`, `deployment`
//! judge, and do no I/O; `probe` makes the row that is posted on demand; `azure` and `account` ask. A check that fails
//! never stops the others, but what depends on it is skipped. Nothing is changed, unless a probe is wanted.

mod aadsts;
mod account;
mod azure;
mod claims;
mod clock;
mod deployment;
mod finding;
mod identity;
mod probe;
mod resources;
mod uploads;
mod validity;

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::timeout;

pub use finding::{Check, Finding, Status, has_failed, json, summary};
pub use probe::PROBE;

use crate::aws::{AwsError, Inspection};
use crate::config::{Api, Config, Credential, Problems};
use crate::http_client::HttpClient;

/// How long one question may take, its retries included: nobody waits long for a doctor.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Post a row to each stream.
    pub probe: bool,
    /// The ARN of the function's role, where the doctor runs as somebody else.
    pub role_arn: Option<String>,
}

/// Makes every check; each finding is told as it is made, and all come back in the end.
pub async fn examine(
    config: Result<Config, Problems>,
    (aws, client): (SdkConfig, HttpClient),
    options: &Options,
    tell: impl FnMut(&Finding),
) -> Vec<Finding> {
    let mut visit = Visit { client, aws, options, has_identity: false, findings: Vec::new(), tell };
    visit.note(configuration(&config));
    let inspection = Inspection::new(visit.client.clone(), visit.aws.clone());
    let caller = timeout(PATIENCE, inspection.caller()).await.unwrap_or_else(|_| Err(silence()));
    visit.has_identity = caller.is_ok();
    visit.note(identity::aws(&caller, options.role_arn.as_deref()));
    match config {
        Ok(config) => {
            match &config.api {
                Api::LogsIngestion(settings) => {
                    visit.logs_ingestion(settings, config.compression_level).await;
                }
                Api::DataCollector(settings) => visit.data_collector(settings).await,
            }
            visit.resources(&inspection, &config).await;
        }
        Err(_) => {
            for check in [
                Check::Proof,
                Check::Tenant,
                Check::Endpoint,
                Check::Clock,
                Check::Token,
                Check::Stream,
                Check::WorkQueue,
                Check::DeadLetterQueue,
                Check::Ledger,
                Check::Bucket,
                Check::Mapping,
                Check::Function,
                Check::Rule,
                Check::Schedule,
                Check::Alarms,
            ] {
                visit.note(depends_on(check, "the configuration"));
            }
        }
    }
    visit.findings
}

fn configuration(config: &Result<Config, Problems>) -> Finding {
    let check = Check::Configuration;
    match config {
        Err(Problems(problems)) => {
            let what = match problems.len() {
                1 => "1 problem".to_owned(),
                count => format!("{count} problems"),
            };
            let next = "Set the variables right (README, Configuration). Those of a deployed function are \
                        shown by `aws lambda get-function-configuration --function-name NAME --query \
                        Environment.Variables`.";
            Finding::failed(check, what, next).details(problems.clone())
        }
        Ok(Config { api: Api::LogsIngestion(settings), .. }) => {
            let credential = match settings.credential {
                Credential::Federated => "federated",
                Credential::Secret(_) => "secret",
                Credential::Certificate(_) => "certificate",
            };
            let rules = match settings.rules.len() {
                1 => "1 rule".to_owned(),
                count => format!("{count} rules"),
            };
            Finding::ok(check, format!("Logs Ingestion API, {rules}, credential {credential}"))
        }
        Ok(Config { api: Api::DataCollector(_), .. }) => Finding::warning(
            check,
            "the legacy HTTP Data Collector API, which Microsoft no longer supports",
            "Move to the Logs Ingestion API: SENTINEL_API=logs-ingestion (README, Deploy).",
        ),
    }
}

fn depends_on(check: Check, other: &str) -> Finding {
    Finding::skipped(check, format!("it depends on {other}"), format!("Mend the check of {other} first."))
}

fn silence() -> AwsError {
    AwsError::Unavailable { code: format!("no answer within {} s", PATIENCE.as_secs()) }
}

struct Visit<'a, F> {
    client: HttpClient,
    aws: SdkConfig,
    options: &'a Options,
    /// Whether AWS knows us.
    has_identity: bool,
    findings: Vec<Finding>,
    tell: F,
}

impl<F: FnMut(&Finding)> Visit<'_, F> {
    fn note(&mut self, finding: Finding) {
        (self.tell)(&finding);
        self.findings.push(finding);
    }
}
