//! Where a service is called that has no SDK client here: as the environment says, else by partition.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

/// The endpoint that is set for the service, or for all
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
pub(super) fn configured(config: &SdkConfig, service_id: &str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service_id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = config.service_config().and_then(|known| known.load_config(key.ok()?));
    let endpoint = own.or_else(|| config.endpoint_url().map(str::to_owned))?;
    Some(endpoint.trim_end_matches('/').to_owned())
}

/// The service's own endpoint in a region, by the SDKs' rules.
pub(super) fn standard(name: &str, region: &str, uses_fips: bool, uses_dual_stack: bool) -> String {
    let (domain, dual_stack_domain) = match region.split('-').next() {
        Some("cn") => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        Some("eusc") => ("amazonaws.eu", "api.amazonwebservices.eu"),
        _ => ("amazonaws.com", "api.aws"),
    };
    let domain = if uses_dual_stack { dual_stack_domain } else { domain };
    let fips = if uses_fips { "-fips" } else { "" };
    format!("https://{name}{fips}.{region}.{domain}")
}
