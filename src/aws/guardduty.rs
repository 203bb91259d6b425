//! `GuardDuty`'s findings as its API has them, as text: what has no name here yet is not lost.
//!
//! <https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Operations.html>: on the wire a finding is written as in
//! the event that tells of it. The calls are signed here, and not made by the SDK's client: that one reads findings into
//! types of its own, which forget what they don't know.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use thiserror::Error;
use tokio::time::sleep;

use super::endpoint;
use crate::failure::{Disposition, Reason};
use crate::http_client::{HttpClient, read_body};
use crate::json;

/// The most findings of a page, and of one call for their content.
const PAGE: u32 = 50;
/// How long one try may take, and how many there are.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The longest answer: a page of findings that are each as long as an event may be, 256 KB.
const MOST_BYTES: usize = 16 << 20;
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Why nothing was told of findings.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GuardDutyError {
    /// It can't be reached, or is busy: again.
    #[error("GuardDuty is not to be had for now ({code})")]
    Unavailable {
        /// The code.
        code: String,
    },
    /// An operator mends it.
    #[error(
        "AWS denies GuardDuty's findings ({code}): the function's role needs guardduty:ListDetectors, GetDetector, \
         ListFindings and GetFindings"
    )]
    Denied {
        /// The code.
        code: String,
    },
}

impl GuardDutyError {
    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. } => Disposition::Retryable { after: None },
            Self::Denied { .. } => Disposition::Permanent(Reason::AccessDenied),
        }
    }

    fn unavailable(code: &str) -> Self {
        Self::Unavailable { code: code.to_owned() }
    }
}

/// Who finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detector {
    /// Its id.
    pub id: String,
    /// How often an event tells that a known finding occurred again; of a new one it tells at once.
    pub tells_every: SignedDuration,
}

/// A page of ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdPage {
    /// Of findings.
    pub ids: Vec<String>,
    /// Where the next page begins; none after the last one.
    pub next: Option<String>,
}

/// Where findings are known.
pub trait Findings: Send + Sync + 'static {
    /// The detectors of this account and region.
    fn detectors(&self) -> impl Future<Output = Result<Vec<Detector>, GuardDutyError>> + Send;

    /// The findings that were updated since then and are not archived, the oldest first. Suppressed ones are archived at
    /// once, and no event tells of them.
    fn updated_since(
        &self,
        detector: &str,
        since: Timestamp,
        page: Option<&str>,
    ) -> impl Future<Output = Result<IdPage, GuardDutyError>> + Send;

    /// The findings of a page, each as it is written.
    fn findings(
        &self,
        detector: &str,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<String>, GuardDutyError>> + Send;
}

/// `GuardDuty` itself.
pub struct GuardDuty {
    client: HttpClient,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    endpoint: String,
}

impl GuardDuty {
    /// With the SDK's settings.
    #[must_use]
    pub fn new(client: HttpClient, config: &SdkConfig) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let endpoint = endpoint::configured(config, "GuardDuty").unwrap_or_else(|| {
            endpoint_in(
                &region,
                config.use_fips().unwrap_or_default(),
                config.use_dual_stack().unwrap_or_default(),
            )
        });
        Self { client, credentials: config.credentials_provider(), region, endpoint }
    }

    /// Calls until there is an answer that counts.
    async fn call(&self, method: &str, path: &str, body: String) -> Result<String, GuardDutyError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.call_once(method, path, body.clone()).await {
                Err(GuardDutyError::Unavailable { .. }) if tries < TRIES => {
                    sleep(FIRST_WAIT * 2_u32.pow(tries - 1)).await;
                }
                answered => return answered,
            }
        }
    }

    async fn call_once(&self, method: &str, path: &str, body: String) -> Result<String, GuardDutyError> {
        let request = self.signed(method, path, body).await?;
        let answer =
            self.client.execute(request).await.map_err(|_| GuardDutyError::unavailable("no answer"))?;
        let status = answer.status();
        // It may have a form like `AccessDeniedException:http://…`.
        let kind = answer.headers().get("x-amzn-errortype").and_then(|kind| kind.to_str().ok());
        let code = kind.and_then(|kind| kind.split(':').next()).unwrap_or(status.as_str()).to_owned();
        if status == StatusCode::FORBIDDEN || status == StatusCode::UNAUTHORIZED {
            return Err(GuardDutyError::Denied { code });
        }
        if !status.is_success() {
            return Err(GuardDutyError::Unavailable { code });
        }
        let body = read_body(answer, MOST_BYTES).await;
        let body = body.map_err(|error| GuardDutyError::unavailable(&error.to_string()))?;
        String::from_utf8(body).map_err(|_| unreadable())
    }

    async fn signed(
        &self,
        method: &str,
        path: &str,
        body: String,
    ) -> Result<reqwest::Request, GuardDutyError> {
        let credentials = match &self.credentials {
            Some(credentials) => credentials.provide_credentials().await.ok(),
            None => None,
        };
        let identity = credentials.ok_or_else(|| GuardDutyError::unavailable("no credentials"))?.into();
        let unsigned = |_| GuardDutyError::unavailable("the request can't be signed");
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("guardduty")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| GuardDutyError::unavailable("the request can't be signed"))?
            .into();
        let uri = format!("{}{path}", self.endpoint);
        let headers = [("content-type", "application/json")];
        let signable =
            SignableRequest::new(method, &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
                .map_err(unsigned)?;
        let (instructions, _) = sign(signable, &params).map_err(unsigned)?.into_parts();
        let request = http::Request::builder().method(method).uri(&uri);
        let mut request = request
            .header("content-type", "application/json")
            .body(body)
            .map_err(|_| GuardDutyError::unavailable("the request can't be made"))?;
        instructions.apply_to_request_http1x(&mut request);
        let mut request = reqwest::Request::try_from(request)
            .map_err(|_| GuardDutyError::unavailable("the request can't be made"))?;
        *request.timeout_mut() = Some(ATTEMPT);
        Ok(request)
    }
}

impl Findings for GuardDuty {
    async fn detectors(&self) -> Result<Vec<Detector>, GuardDutyError> {
        // There is one at most.
        let answer = self.call("GET", "/detector", String::new()).await?;
        let mut detectors = Vec::new();
        for id in strings(member(&answer, "detectorIds")?)? {
            let answer = self.call("GET", &format!("/detector/{id}"), String::new()).await?;
            let tells = member(&answer, "findingPublishingFrequency")?.and_then(json::string);
            let tells_every = match tells.as_deref() {
                Some("FIFTEEN_MINUTES") => SignedDuration::from_mins(15),
                Some("ONE_HOUR") => SignedDuration::from_hours(1),
                // What AWS takes where nothing was chosen, and the longest.
                _ => SignedDuration::from_hours(6),
            };
            detectors.push(Detector { id, tells_every });
        }
        Ok(detectors)
    }

    async fn updated_since(
        &self,
        detector: &str,
        since: Timestamp,
        page: Option<&str>,
    ) -> Result<IdPage, GuardDutyError> {
        let criterion = json!({
            "updatedAt": {"greaterThanOrEqual": since.as_millisecond()},
            "service.archived": {"equals": ["false"]},
        });
        let mut asked = json!({
            "findingCriteria": {"criterion": criterion},
            "sortCriteria": {"attributeName": "updatedAt", "orderBy": "ASC"},
            "maxResults": PAGE,
        });
        if let Some(page) = page {
            asked["nextToken"] = page.into();
        }
        let answer = self.call("POST", &format!("/detector/{detector}/findings"), asked.to_string()).await?;
        let next = member(&answer, "nextToken")?.and_then(json::string).map(String::from);
        let ids = strings(member(&answer, "findingIds")?)?;
        Ok(IdPage { ids, next: next.filter(|next| !next.is_empty()) })
    }

    async fn findings(&self, detector: &str, ids: &[String]) -> Result<Vec<String>, GuardDutyError> {
        let asked = json!({"findingIds": ids}).to_string();
        let answer = self.call("POST", &format!("/detector/{detector}/findings/get"), asked).await?;
        let mut findings = Vec::new();
        json::for_each_element(member(&answer, "findings")?.unwrap_or("[]"), |finding| {
            findings.push(finding.to_owned());
        })
        .map_err(|_| unreadable())?;
        Ok(findings)
    }
}

/// <https://docs.aws.amazon.com/general/latest/gr/guardduty.html>; by the SDKs' rules for what FIPS 140 validated, and for
/// both versions of IP.
fn endpoint_in(region: &str, uses_fips: bool, uses_dual_stack: bool) -> String {
    // The endpoints of GovCloud are validated under their usual names.
    let is_validated = region.starts_with("us-gov-") && !uses_dual_stack;
    endpoint::standard("guardduty", region, uses_fips && !is_validated, uses_dual_stack)
}

fn member<'a>(answer: &'a str, name: &str) -> Result<Option<&'a str>, GuardDutyError> {
    let [found] = json::pick(answer, [name]).map_err(|_| unreadable())?;
    Ok(found.filter(|text| *text != "null"))
}

fn strings(list: Option<&str>) -> Result<Vec<String>, GuardDutyError> {
    serde_json::from_str(list.unwrap_or("[]")).map_err(|_| unreadable())
}

fn unreadable() -> GuardDutyError {
    GuardDutyError::unavailable("an answer that can't be read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_endpoints_those_of_fips_and_dual_stack_too() {
        // As botocore 1.44 resolves them, for the usual endpoint, dual stack, FIPS, and both.
        for (region, hosts) in [
            (
                "eu-west-1",
                [
                    "guardduty.eu-west-1.amazonaws.com",
                    "guardduty.eu-west-1.api.aws",
                    "guardduty-fips.eu-west-1.amazonaws.com",
                    "guardduty-fips.eu-west-1.api.aws",
                ],
            ),
            (
                "us-gov-west-1",
                [
                    "guardduty.us-gov-west-1.amazonaws.com",
                    "guardduty.us-gov-west-1.api.aws",
                    "guardduty.us-gov-west-1.amazonaws.com",
                    "guardduty-fips.us-gov-west-1.api.aws",
                ],
            ),
            (
                "cn-north-1",
                [
                    "guardduty.cn-north-1.amazonaws.com.cn",
                    "guardduty.cn-north-1.api.amazonwebservices.com.cn",
                    "guardduty-fips.cn-north-1.amazonaws.com.cn",
                    "guardduty-fips.cn-north-1.api.amazonwebservices.com.cn",
                ],
            ),
            (
                "eusc-de-east-1",
                [
                    "guardduty.eusc-de-east-1.amazonaws.eu",
                    "guardduty.eusc-de-east-1.api.amazonwebservices.eu",
                    "guardduty-fips.eusc-de-east-1.amazonaws.eu",
                    "guardduty-fips.eusc-de-east-1.api.amazonwebservices.eu",
                ],
            ),
        ] {
            let resolved = [(false, false), (false, true), (true, false), (true, true)];
            let resolved = resolved.map(|(fips, dual_stack)| endpoint_in(region, fips, dual_stack));
            assert_eq!(resolved, hosts.map(|host| format!("https://{host}")));
        }
    }
}
