//! Environment → settings: every problem is found before any is told, and a typo is never a default.

mod logging;
mod sdk;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use secrecy::SecretString;
use url::{Host, Url};

pub use logging::Logging;
pub use sdk::Sdk;

use crate::batch::MAX_REQUEST_BYTES;
use crate::table::Table;

/// The cloud that Sentinel runs in: its hosts and names (<https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Azure.
    Public,
    /// Azure for the US government.
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    /// Entra's host.
    #[must_use]
    pub const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// The scope of a token for the Logs Ingestion API.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Public => "https://monitor.azure.com/.default",
            Self::UsGovernment => "https://monitor.azure.us/.default",
            Self::China => "https://monitor.azure.cn/.default",
        }
    }

    /// The audience of a federated token.
    #[must_use]
    pub const fn audience(self) -> &'static str {
        match self {
            Self::Public => "api://AzureADTokenExchange",
            Self::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Self::China => "api://AzureADTokenExchangeChina",
        }
    }
}

/// A secret: given, or where it is kept.
#[derive(Clone, Debug)]
pub enum Secret {
    /// The ARN of a Secrets Manager secret or an SSM parameter.
    Arn(String),
    /// The secret itself, for local work.
    Given(SecretString),
}

/// How we prove to Entra who we are.
#[derive(Clone, Debug)]
pub enum Credential {
    /// By a token of AWS; no secret exists.
    Federated,
    /// By a client secret.
    Secret(Secret),
    /// By a certificate: a secret with its PEM and its private key's.
    Certificate(Secret),
}

/// One data collection rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCollectionRule {
    /// The logs-ingestion endpoint, without a slash at its end.
    pub endpoint: String,
    /// The immutable id.
    pub dcr_immutable_id: String,
}

/// The Logs Ingestion API and the identity for it.
#[derive(Clone, Debug)]
pub struct LogsIngestion {
    /// One or several rules; uploads go to them in turn.
    pub rules: Vec<DataCollectionRule>,
    /// Stream names, by table; those alone that rows are sent to.
    pub streams: BTreeMap<Table, String>,
    /// The cloud.
    pub cloud: Cloud,
    /// Entra's host, without a slash at its end.
    pub authority: String,
    /// The tenant.
    pub tenant_id: String,
    /// The application or managed identity.
    pub client_id: String,
    /// The proof.
    pub credential: Credential,
}

/// The legacy API.
#[derive(Clone, Debug)]
pub struct DataCollector {
    /// The workspace.
    pub workspace_id: String,
    /// Its endpoint, without a slash at its end.
    pub endpoint: String,
    /// The workspace's key.
    pub shared_key: Secret,
}

/// Where rows go.
#[derive(Clone, Debug)]
pub enum Api {
    /// The Logs Ingestion API.
    LogsIngestion(LogsIngestion),
    /// The HTTP Data Collector API.
    DataCollector(DataCollector),
}

/// All settings of the function.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where rows go.
    pub api: Api,
    /// The most bytes of one uncompressed body.
    pub max_request_bytes: usize,
    /// Uploads in flight.
    pub max_concurrency: usize,
    /// Gzip level, 1 to 12.
    pub compression_level: u8,
    /// The buckets that may be read; all that IAM allows if none.
    pub allowed_buckets: Option<Vec<String>>,
    /// For retries of what no queue brings again.
    pub work_queue_url: Option<String>,
    /// For what can't be delivered.
    pub dead_letter_queue_url: Option<String>,
    /// The table of deliveries; none, and what is announced twice is delivered twice.
    pub ledger_table: Option<String>,
    /// Whether each run of the function sends a row that says what it did.
    pub health_rows: bool,
    /// Whether each checked digest makes a row.
    pub completeness_rows: bool,
}

/// Everything that is wrong with the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the configuration has {} problem(s): {}", self.0.len(), self.0.join("; "))
    }
}

impl std::error::Error for Problems {}

/// All variables that begin with `SENTINEL_`.
const SENTINEL_VARIABLES: [&str; 9] = [
    "SENTINEL_API",
    "SENTINEL_COMPLETENESS_ROWS",
    "SENTINEL_COMPRESSION_LEVEL",
    "SENTINEL_DCR_ID",
    "SENTINEL_ENDPOINT",
    "SENTINEL_HEALTH_ROWS",
    "SENTINEL_MAX_CONCURRENCY",
    "SENTINEL_MAX_REQUEST_BYTES",
    "SENTINEL_STREAMS",
];

/// By this variable Lambda is told from other places.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// With every problem that there is.
    pub fn from_env() -> Result<Self, Problems> {
        Self::parse(environment())
    }

    /// Reads the process's environment as the function would in Lambda, where the queues are required.
    ///
    /// # Errors
    /// With every problem that there is.
    pub fn from_env_as_in_lambda() -> Result<Self, Problems> {
        let mut variables = environment();
        variables.entry(FUNCTION_NAME.to_owned()).or_insert_with(|| "any".to_owned());
        Self::parse(variables)
    }

    /// Reads variables.
    ///
    /// # Errors
    /// With every problem that there is.
    pub fn parse(variables: BTreeMap<String, String>) -> Result<Self, Problems> {
        let mut reader = Reader { variables, problems: Vec::new() };
        let config = reader.config();
        if reader.problems.is_empty() { Ok(config) } else { Err(Problems(reader.problems)) }
    }
}

/// The process's variables. What is no Unicode is replaced by a character that no setting takes.
fn environment() -> BTreeMap<String, String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

struct Reader {
    variables: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Reader {
    fn config(&mut self) -> Config {
        let unknown: Vec<_> = self
            .variables
            .keys()
            .filter(|name| name.starts_with("SENTINEL_") && !SENTINEL_VARIABLES.contains(&name.as_str()))
            .cloned()
            .collect();
        for name in unknown {
            self.problem(
                &name,
                &format!("is no setting; the settings are {}", SENTINEL_VARIABLES.join(", ")),
            );
        }
        if self.optional("RULES_URI").is_some() {
            self.problem(
                "RULES_URI",
                "rules are not supported by this version: unset it, and everything is forwarded",
            );
        }
        let mut api = match self.choice("SENTINEL_API", &["logs-ingestion", "data-collector"]) {
            "data-collector" => Api::DataCollector(self.data_collector()),
            _ => Api::LogsIngestion(self.logs_ingestion()),
        };
        let [health_rows, completeness_rows] =
            [("SENTINEL_HEALTH_ROWS", Table::Health), ("SENTINEL_COMPLETENESS_ROWS", Table::Completeness)]
                .map(|(name, table)| self.own_rows(name, table, &mut api));
        let in_lambda = self.optional(FUNCTION_NAME).is_some();
        Config {
            api,
            max_request_bytes: self.number("SENTINEL_MAX_REQUEST_BYTES", 1_000_000, 1_000, MAX_REQUEST_BYTES),
            max_concurrency: self.number("SENTINEL_MAX_CONCURRENCY", 8, 1, 64),
            compression_level: u8::try_from(self.number("SENTINEL_COMPRESSION_LEVEL", 6, 1, 12)).unwrap_or(6),
            allowed_buckets: self.optional("ALLOWED_BUCKETS").map(|text| list(&text)),
            work_queue_url: self.queue("WORK_QUEUE_URL", in_lambda),
            dead_letter_queue_url: self.queue("DEAD_LETTER_QUEUE_URL", in_lambda),
            ledger_table: self.optional("LEDGER_TABLE"),
            health_rows,
            completeness_rows,
        }
    }

    /// Whether rows go to a table of our own, which a rule need not have a stream for otherwise.
    fn own_rows(&mut self, name: &str, table: Table, api: &mut Api) -> bool {
        let are_sent = self.choice(name, &["false", "true"]) == "true";
        match api {
            Api::LogsIngestion(settings) if !are_sent => {
                settings.streams.remove(&table);
            }
            Api::DataCollector(_) if are_sent => {
                self.problem(name, "the legacy API has no table for them: unset it");
            }
            _ => {}
        }
        are_sent
    }

    fn logs_ingestion(&mut self) -> LogsIngestion {
        let cloud = match self.choice("AZURE_CLOUD", &["public", "usgovernment", "china"]) {
            "usgovernment" => Cloud::UsGovernment,
            "china" => Cloud::China,
            _ => Cloud::Public,
        };
        let authority = self
            .optional("AZURE_AUTHORITY_HOST")
            .map_or_else(|| cloud.authority().to_owned(), |text| self.address("AZURE_AUTHORITY_HOST", &text));
        LogsIngestion {
            rules: self.rules(),
            streams: self.streams(),
            cloud,
            authority,
            tenant_id: self.required("AZURE_TENANT_ID", "the Entra tenant"),
            client_id: self.required("AZURE_CLIENT_ID", "the application or managed identity in that tenant"),
            credential: self.credential(),
        }
    }

    fn credential(&mut self) -> Credential {
        match self.choice("AZURE_CREDENTIAL", &["federated", "secret", "certificate"]) {
            "secret" => Credential::Secret(self.secret("AZURE_CLIENT_SECRET_ARN", "AZURE_CLIENT_SECRET")),
            "certificate" => Credential::Certificate(self.certificate()),
            _ => Credential::Federated,
        }
    }

    fn certificate(&mut self) -> Secret {
        const NAME: &str = "AZURE_CLIENT_CERTIFICATE_ARN";
        let arn = self.required(NAME, "the ARN of the secret with the certificate and its private key (PEM)");
        if !arn.is_empty() && !arn.contains(":secretsmanager:") {
            self.problem(NAME, "is no ARN of a Secrets Manager secret");
        }
        Secret::Arn(arn)
    }

    fn data_collector(&mut self) -> DataCollector {
        let workspace_id = self.required("LOG_ANALYTICS_WORKSPACE_ID", "the workspace's id");
        let endpoint = self.optional("LOG_ANALYTICS_ENDPOINT").map_or_else(
            || format!("https://{workspace_id}.ods.opinsights.azure.com"),
            |text| self.address("LOG_ANALYTICS_ENDPOINT", &text),
        );
        let shared_key = self.secret("LOG_ANALYTICS_SHARED_KEY_ARN", "LOG_ANALYTICS_SHARED_KEY");
        DataCollector { workspace_id, endpoint, shared_key }
    }

    fn rules(&mut self) -> Vec<DataCollectionRule> {
        let ids =
            list(&self.required("SENTINEL_DCR_ID", "the rule's immutable id, \"dcr-\" and 32 hex digits"));
        for id in &ids {
            let digits = id.strip_prefix("dcr-").unwrap_or_default();
            if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                self.problem("SENTINEL_DCR_ID", &format!("\"{id}\" is not \"dcr-\" and 32 hex digits"));
            }
        }
        let endpoints = list(&self.required("SENTINEL_ENDPOINT", "the logs-ingestion endpoint of the rule"));
        let endpoints: Vec<_> =
            endpoints.iter().map(|text| self.address("SENTINEL_ENDPOINT", text)).collect();
        if endpoints.len() > 1 && endpoints.len() != ids.len() {
            self.problem("SENTINEL_ENDPOINT", "names neither one endpoint for all rules nor one for each");
        }
        ids.into_iter()
            .zip(endpoints.iter().cycle())
            .map(|(dcr_immutable_id, endpoint)| DataCollectionRule {
                endpoint: endpoint.clone(),
                dcr_immutable_id,
            })
            .collect()
    }

    fn streams(&mut self) -> BTreeMap<Table, String> {
        let mut streams: BTreeMap<_, _> =
            Table::ALL.into_iter().map(|table| (table, format!("Custom-{}", table.name()))).collect();
        for part in list(&self.optional("SENTINEL_STREAMS").unwrap_or_default()) {
            match part.split_once('=').map(|(name, stream)| (Table::named(name.trim()), stream.trim())) {
                Some((Some(table), stream)) if stream.starts_with("Custom-") => {
                    streams.insert(table, stream.to_owned());
                }
                _ => {
                    let names = Table::ALL.map(Table::name).join(" or ");
                    self.problem(
                        "SENTINEL_STREAMS",
                        &format!("\"{part}\" is not Table=Custom-… with {names}"),
                    );
                }
            }
        }
        streams
    }

    fn secret(&mut self, arn_name: &str, given_name: &str) -> Secret {
        if let Some(arn) = self.optional(arn_name) {
            if !arn.contains(":secretsmanager:") && !arn.contains(":ssm:") {
                self.problem(arn_name, "is no ARN of a Secrets Manager secret or an SSM parameter");
            }
            return Secret::Arn(arn);
        }
        let given = self.optional(given_name).unwrap_or_default();
        if given.is_empty() {
            self.problem(
                arn_name,
                &format!("is missing: the ARN of the secret (locally {given_name} will do)"),
            );
        }
        Secret::Given(given.into())
    }

    fn queue(&mut self, name: &str, is_required: bool) -> Option<String> {
        let url = if is_required {
            Some(self.required(name, "the URL of an SQS queue")).filter(|url| !url.is_empty())
        } else {
            self.optional(name)
        };
        if url.as_deref().is_some_and(|url| !url.starts_with("http")) {
            self.problem(name, "is no URL of an SQS queue");
        }
        url
    }

    fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// The variable's value; an empty one is none.
    fn optional(&mut self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?.trim().to_owned();
        if value.contains(char::REPLACEMENT_CHARACTER) {
            self.problem(name, "is no UTF-8: set it again");
        }
        Some(value).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str, meaning: &str) -> String {
        self.optional(name).unwrap_or_else(|| {
            self.problem(name, &format!("is missing: {meaning}"));
            String::new()
        })
    }

    /// One of the words, the first if none is given.
    fn choice(&mut self, name: &str, words: &[&'static str]) -> &'static str {
        let Some(value) = self.optional(name) else { return words[0] };
        words.iter().copied().find(|word| *word == value).unwrap_or_else(|| {
            self.problem(name, &format!("\"{value}\" is none of {}", words.join(", ")));
            words[0]
        })
    }

    fn number(&mut self, name: &str, default: usize, least: usize, most: usize) -> usize {
        let Some(value) = self.optional(name) else { return default };
        match value.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.problem(name, &format!("\"{value}\" is no whole number from {least} to {most}"));
                default
            }
        }
    }

    /// An `https` address, or `http` on this machine; without a slash at its end.
    fn address(&mut self, name: &str, text: &str) -> String {
        let is_loopback = |url: &Url| match url.host() {
            Some(Host::Domain(domain)) => domain == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match Url::parse(text) {
            Ok(url) if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) => {}
            _ => {
                self.problem(name, &format!("\"{text}\" is no https address (http on a loopback host only)"));
            }
        }
        text.trim_end_matches('/').to_owned()
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
