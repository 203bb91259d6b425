//! Calls of services that are asked one or two questions each, signed here: a client of the SDK for each of them would
//! take longer to build than all the rest of the command line.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use super::endpoint;
use super::error::{AwsError, no_credentials};
use crate::http_client::{HttpClient, read_body};
use crate::json;

/// How long one try may take, and how many there are.
const ATTEMPT: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The most that is read of an answer: far more than a page of any list.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A service.
pub(super) struct Service {
    /// Its name in `AWS_ENDPOINT_URL_<SERVICE>`.
    pub(super) id: &'static str,
    /// Its name in the host and in the signature.
    pub(super) name: &'static str,
}

/// A call.
pub(super) struct Call<'a> {
    pub(super) method: &'static str,
    /// The path with its query, encoded.
    pub(super) path: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a str,
    /// The permission that it needs.
    pub(super) action: &'static str,
}

/// Signs calls, and makes them.
pub(super) struct SignedCalls {
    client: HttpClient,
    config: SdkConfig,
    /// Kept, since a profile may ask STS or a program for each.
    credentials: OnceCell<Credentials>,
}

impl SignedCalls {
    pub(super) const fn new(client: HttpClient, config: SdkConfig) -> Self {
        Self { client, config, credentials: OnceCell::const_new() }
    }

    /// Calls until there is an answer that counts.
    pub(super) async fn call(&self, service: &Service, call: &Call<'_>) -> Result<String, AwsError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.call_once(service, call).await {
                Err(AwsError::Unavailable { .. } | AwsError::Throttled { .. }) if tries < TRIES => {
                    sleep(FIRST_WAIT * 2_u32.pow(tries - 1)).await;
                }
                answered => return answered,
            }
        }
    }

    async fn call_once(&self, service: &Service, call: &Call<'_>) -> Result<String, AwsError> {
        let request = self.signed(service, call).await?;
        let answer = self.client.execute(request).await;
        let answer =
            answer.map_err(|error| AwsError::Unavailable { code: error.without_url().to_string() })?;
        let status = answer.status();
        let kind = answer.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
        let kind = kind.map(str::to_owned);
        let body = read_body(answer, ANSWER_BYTES).await;
        let body = body.map_err(|error| AwsError::Unavailable { code: error.to_string() })?;
        let body = String::from_utf8_lossy(&body).into_owned();
        if status.is_success() {
            return Ok(body);
        }
        let code = error_code(kind.as_deref(), &body).unwrap_or_else(|| status.as_str().to_owned());
        Err(AwsError::of_answer(Some(status.as_u16()), &code, call.action))
    }

    async fn signed(&self, service: &Service, call: &Call<'_>) -> Result<reqwest::Request, AwsError> {
        let region = self.config.region().ok_or(AwsError::NoRegion)?.as_ref();
        let identity = self.credentials.get_or_try_init(|| self.load_credentials()).await?.clone().into();
        let unfit = |what: &dyn std::fmt::Display| AwsError::Rejected { code: what.to_string() };
        let params = SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unfit(&error))?
            .into();
        let uri = format!("{}{}", self.endpoint(service, region), call.path);
        let headers = call.headers.iter().copied();
        let body = SignableBody::Bytes(call.body.as_bytes());
        let signable =
            SignableRequest::new(call.method, &uri, headers, body).map_err(|error| unfit(&error))?;
        let (instructions, _) = sign(signable, &params).map_err(|error| unfit(&error))?.into_parts();
        let mut request = http::Request::builder().method(call.method).uri(&uri);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(call.body.to_owned()).map_err(|error| unfit(&error))?;
        instructions.apply_to_request_http1x(&mut request);
        let mut request = reqwest::Request::try_from(request).map_err(|error| unfit(&error))?;
        *request.timeout_mut() = Some(ATTEMPT);
        Ok(request)
    }

    async fn load_credentials(&self) -> Result<Credentials, AwsError> {
        match self.config.credentials_provider() {
            Some(provider) => provider.provide_credentials().await.map_err(|error| no_credentials(&error)),
            None => Err(AwsError::NoCredentials { why: "there is no provider of credentials".to_owned() }),
        }
    }

    /// `AWS_ENDPOINT_URL_<SERVICE>`, `AWS_ENDPOINT_URL`, or AWS's own
    /// (<https://docs.aws.amazon.com/general/latest/gr/rande.html>).
    fn endpoint(&self, service: &Service, region: &str) -> String {
        match endpoint::configured(&self.config, service.id) {
            Some(endpoint) => endpoint,
            None => endpoint::standard(
                service.name,
                region,
                self.config.use_fips().unwrap_or(false),
                self.config.use_dual_stack().unwrap_or(false),
            ),
        }
    }
}

/// The code of an error: of a header such as `AccessDeniedException:http://…`, of JSON such as
/// `com.amazonaws.scheduler#ResourceNotFoundException`, or of XML.
fn error_code(header: Option<&str>, body: &str) -> Option<String> {
    let of_json = || {
        let [kind] = json::pick(body, ["__type"]).ok()?;
        kind.and_then(json::string).map(|kind| kind.rsplit('#').next().unwrap_or_default().to_owned())
    };
    let of_xml = || Some(body.split_once("<Code>")?.1.split_once("</Code>")?.0.to_owned());
    let of_header = header.and_then(|kind| kind.split(':').next()).map(str::to_owned);
    of_header.or_else(of_json).or_else(of_xml).filter(|code| !code.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_domain() {
        for (region, fips, dual_stack, endpoint) in [
            ("eu-west-1", false, false, "https://lambda.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", true, false, "https://lambda-fips.us-gov-west-1.amazonaws.com"),
            ("us-east-1", true, true, "https://lambda-fips.us-east-1.api.aws"),
            ("cn-north-1", false, false, "https://lambda.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, "https://lambda.cn-north-1.api.amazonwebservices.com.cn"),
            ("eusc-de-east-1", false, false, "https://lambda.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(endpoint::standard("lambda", region, fips, dual_stack), endpoint);
        }
    }

    #[test]
    fn an_error_is_known_by_its_code_in_every_protocol() {
        for (header, body, code) in [
            (
                Some("AccessDeniedException:http://internal.amazon.com/coral/"),
                "{}",
                Some("AccessDeniedException"),
            ),
            (
                None,
                r#"{"__type":"a.b#ResourceNotFoundException","message":"no"}"#,
                Some("ResourceNotFoundException"),
            ),
            (
                None,
                "<ErrorResponse><Error><Code>ValidationError</Code></Error></ErrorResponse>",
                Some("ValidationError"),
            ),
            (None, "<html>", None),
            (None, "", None),
        ] {
            assert_eq!(error_code(header, body).as_deref(), code, "{body}");
        }
    }
}
