//! Settings from the environment: everything that is wrong is told at once.

use std::collections::BTreeMap;

use sentinel_forwarder::config::{Api, Cloud, Config, Credential, Logging};

const DCR: &str = "dcr-0123456789abcdef0123456789abcdef";

fn parse(changes: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let mut variables: BTreeMap<String, String> = [
        ("SENTINEL_ENDPOINT", "https://rule.westeurope-1.ingest.monitor.azure.com/"),
        ("SENTINEL_DCR_ID", DCR),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    variables.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Config::parse(variables).map_err(|problems| problems.0)
}

#[test]
fn the_least_is_enough_and_the_rest_has_defaults() {
    let config = parse(&[]).unwrap();
    let Api::LogsIngestion(api) = config.api else { panic!("not the default API") };
    assert_eq!(api.rules[0].endpoint, "https://rule.westeurope-1.ingest.monitor.azure.com");
    assert_eq!((api.cloud, api.authority.as_str()), (Cloud::Public, "https://login.microsoftonline.com"));
    assert!(matches!(api.credential, Credential::Federated));
    assert_eq!(
        (config.max_request_bytes, config.max_concurrency, config.compression_level),
        (1_000_000, 8, 6)
    );
}

#[test]
fn each_wrong_value_is_a_problem_and_never_a_default() {
    for (name, value) in [
        ("SENTINEL_ENDPOINT", "http://rule.example.com"),
        ("SENTINEL_DCR_ID", "dcr-1"),
        ("SENTINEL_MAX_REQUEST_BYTES", "1O00000"),
        ("SENTINEL_MAX_REQUEST_BYTES", "1048577"),
        ("SENTINEL_MAX_CONCURRENCY", "0"),
        ("SENTINEL_COMPRESSION_LEVEL", "13"),
        ("SENTINEL_STREAMS", "AWSCloudtrail=Custom-X"),
        ("SENTINEL_ENDPIONT", "https://x.example.com"),
        ("SENTINEL_API", "log-ingestion"),
        ("AZURE_CLOUD", "Public"),
        ("AZURE_CREDENTIAL", "certificate"),
        ("AZURE_CREDENTIAL", "secret"),
        ("AZURE_CREDENTIAL", "certificat"),
        ("AZURE_TENANT_ID", ""),
        ("AZURE_AUTHORITY_HOST", "login.example.com"),
        ("RULES_URI", "rules.json"),
        ("AZURE_CLIENT_ID", "caf\u{fffd}"),
        ("AWS_LAMBDA_FUNCTION_NAME", "f"),
    ] {
        let problems = parse(&[(name, value)]).expect_err(name);
        let about = if name.starts_with("AWS") { "QUEUE_URL" } else { name.trim_end_matches("CREDENTIAL") };
        assert!(problems.iter().any(|problem| problem.contains(about)), "{name}={value}: {problems:?}");
    }
}

#[test]
fn all_problems_are_told_in_one_message() {
    let problems =
        Config::parse([("AWS_LAMBDA_FUNCTION_NAME".to_owned(), "f".to_owned())].into()).unwrap_err();
    let message = problems.to_string();
    for name in [
        "SENTINEL_ENDPOINT",
        "SENTINEL_DCR_ID",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "WORK_QUEUE_URL",
        "DEAD_LETTER_QUEUE_URL",
    ] {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn clouds_have_their_hosts_and_several_rules_their_endpoints() {
    let other = "dcr-ffffffffffffffffffffffffffffffff";
    let config = parse(&[
        ("AZURE_CLOUD", "usgovernment"),
        ("SENTINEL_DCR_ID", &format!("{DCR}, {other}")),
        ("SENTINEL_ENDPOINT", "https://a.example.com,https://b.example.com"),
        ("SENTINEL_STREAMS", "AWSGuardDuty=Custom-Other"),
        ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:8089"),
    ]);
    let Api::LogsIngestion(api) = config.unwrap().api else { panic!("not the default API") };
    assert_eq!(api.cloud.audience(), "api://AzureADTokenExchangeUSGov");
    assert_eq!(api.authority, "http://127.0.0.1:8089");
    assert_eq!(
        (api.rules[1].endpoint.as_str(), api.rules[1].dcr_immutable_id.as_str()),
        ("https://b.example.com", other)
    );
    assert!(api.streams.values().eq(["Custom-AWSCloudTrail", "Custom-Other"]));
}

#[test]
fn completeness_rows_are_asked_for_as_health_rows_are() {
    assert!(!parse(&[]).unwrap().completeness_rows);
    let config = parse(&[("SENTINEL_COMPLETENESS_ROWS", "true")]).unwrap();
    let Api::LogsIngestion(api) = config.api else { panic!("not the default API") };
    let own: Vec<&str> =
        api.streams.keys().filter(|table| table.is_ours()).map(|table| table.name()).collect();
    assert_eq!(own, ["SentinelForwarderCompleteness_CL"]);
    assert!(parse(&[("SENTINEL_COMPLETENESS_ROWS", "true"), ("SENTINEL_API", "data-collector")]).is_err());
}

#[test]
fn health_rows_are_asked_for_and_the_legacy_api_has_none() {
    assert!(!parse(&[]).unwrap().health_rows);
    let config = parse(&[("SENTINEL_HEALTH_ROWS", "true")]).unwrap();
    let Api::LogsIngestion(api) = config.api else { panic!("not the default API") };
    assert!(
        config.health_rows && api.streams.values().any(|name| name == "Custom-SentinelForwarderHealth_CL")
    );
    assert!(parse(&[("SENTINEL_HEALTH_ROWS", "yes")]).is_err());
    let problems =
        parse(&[("SENTINEL_HEALTH_ROWS", "true"), ("SENTINEL_API", "data-collector")]).unwrap_err();
    assert!(problems.iter().any(|problem| problem.starts_with("SENTINEL_HEALTH_ROWS: ")), "{problems:?}");
}

#[test]
fn no_secret_is_shown() {
    let config = parse(&[("AZURE_CREDENTIAL", "secret"), ("AZURE_CLIENT_SECRET", "hush-hush")]).unwrap();
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn the_log_is_as_lambda_says_and_then_as_rust_log_says() {
    let logging = |variables: &[(&str, &str)]| {
        let logging = Logging::parse(
            &variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        );
        (logging.filter, logging.is_json)
    };
    assert_eq!(logging(&[]), ("info".to_owned(), false));
    assert_eq!(logging(&[("RUST_LOG", ""), ("AWS_LAMBDA_LOG_FORMAT", "Text")]), ("info".to_owned(), false));
    assert_eq!(logging(&[("RUST_LOG", "warn,hyper=debug")]), ("warn,hyper=debug".to_owned(), false));
    let by_lambda =
        [("RUST_LOG", "warn"), ("AWS_LAMBDA_LOG_LEVEL", "DEBUG"), ("AWS_LAMBDA_LOG_FORMAT", "JSON")];
    assert_eq!(logging(&by_lambda), ("DEBUG".to_owned(), true));
}
