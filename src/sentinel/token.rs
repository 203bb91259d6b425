//! Tokens of Entra: one exchange at a time, kept until shortly before their end.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use super::UploadError;
use super::answer::{MOST_BYTES, kind_of};
use super::cache::Cache;
use super::certificate::Certificate;
use super::circuit::{Circuit, Pause};
use crate::config::LogsIngestion;
use crate::credential::{Proof, ProofError, ProofSource};
use crate::failure::{Disposition, Reason};
use crate::http_client::{BodyError, HttpClient, read_body};

/// A token is renewed this long before its end.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// How long one exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long a token is taken to hold where Entra does not say: an hour is its least, but nothing promises that.
const UNSTATED_LIFETIME: Duration = Duration::from_mins(10);
/// No token holds for longer (<https://learn.microsoft.com/entra/identity-platform/access-tokens#token-lifetime>).
const LONGEST_LIFETIME: Duration = Duration::from_hours(28);

/// Entra's codes for what passes by itself
/// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>); 700024 for an assertion that was too old,
/// which the next one is not.
const PASSING_CODES: [u32; 5] = [90006, 90024, 90033, 90055, 700_024];
/// Codes for a federated credential that Entra does not find: of a new one that passes within minutes, as it reaches all
/// of Entra; one that is missing or wrong an operator mends. Which of both it is nobody can tell.
const TRUST_CODES: [u32; 7] = [70021, 70025, 700_211, 700_212, 700_213, 7_002_121, 7_002_131];

/// Why Entra gave no token.
#[derive(Clone, Debug, Error)]
pub enum ExchangeError {
    /// There is no proof to send.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The certificate can't sign one.
    #[error("the certificate's secret won't do: {0}")]
    Certificate(&'static str),
    /// Entra can't be reached, or its answer broke off.
    #[error("Entra: {0}")]
    NoAnswer(&'static str),
    /// The circuit is open: Entra was not asked.
    #[error("Entra did not answer several times in a row")]
    Resting(Duration),
    /// Entra refuses, is busy, or gives something else than a token.
    #[error("Entra: {status} {}", names(codes))]
    Refused {
        /// The status.
        status: u16,
        /// Its own codes, the numbers after `AADSTS`.
        codes: Vec<u32>,
    },
}

fn names(codes: &[u32]) -> String {
    if codes.is_empty() {
        return "without a token or a code of Entra's: look at AZURE_AUTHORITY_HOST, and for a proxy that answers in \
                its place"
            .to_owned();
    }
    codes.iter().map(|code| format!("AADSTS{code}")).collect::<Vec<_>>().join(" ")
}

impl ExchangeError {
    /// What helps.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        let passes = Disposition::Retryable { after: None };
        let reason = Reason::Unauthorized;
        match self {
            Self::Proof(error) => error.disposition(),
            Self::Certificate(_) => Disposition::Permanent(reason),
            Self::NoAnswer(_) => passes,
            Self::Resting(rest) => Disposition::Retryable { after: Some(*rest) },
            Self::Refused { status, codes } => {
                let is_any = |known: &[u32]| codes.iter().any(|code| known.contains(code));
                match status {
                    _ if is_any(&PASSING_CODES) => passes,
                    _ if is_any(&TRUST_CODES) => Disposition::RetryableWithAlarm { reason, after: None },
                    408 | 429 | 500 | 502..=599 => passes,
                    400 | 401 | 403 => Disposition::Permanent(reason),
                    _ if !codes.is_empty() => Disposition::Permanent(reason),
                    // No answer of Entra's.
                    _ => Disposition::RetryableWithAlarm { reason, after: None },
                }
            }
        }
    }

    /// The status that Entra answered with.
    const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl From<ExchangeError> for UploadError {
    fn from(error: ExchangeError) -> Self {
        if let ExchangeError::Resting(rest) = error {
            return Self::Resting { rest };
        }
        let (what, status) = (error.to_string(), error.status());
        match error.disposition() {
            Disposition::Retryable { after } => Self::Unavailable { what, status: None, after, alarm: None },
            Disposition::RetryableWithAlarm { reason, after } => {
                Self::Unavailable { what, status, after, alarm: Some(reason) }
            }
            _ => Self::Unauthorized { what, status },
        }
    }
}

/// The token that all uploads share.
pub struct TokenCache<P> {
    client: HttpClient,
    url: String,
    client_id: String,
    scope: &'static str,
    proofs: P,
    token: Cache<SecretString>,
    circuit: Circuit,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default = "unstated", rename = "expires_in", deserialize_with = "lifetime")]
    lifetime: Duration,
}

const fn unstated() -> Duration {
    UNSTATED_LIFETIME
}

/// Seconds, as a number or as text: the older endpoint writes text.
fn lifetime<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let written = <&RawValue>::deserialize(deserializer)?;
    let seconds = written.get().trim_matches('"').parse::<f64>().ok();
    let lifetime = seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64())).ok());
    Ok(lifetime.unwrap_or(UNSTATED_LIFETIME))
}

#[derive(Default, Deserialize)]
pub(super) struct Refused {
    #[serde(default)]
    error_codes: Vec<u32>,
}

impl Refused {
    /// Entra's codes in a body; none in any other body.
    pub(super) fn of(body: &[u8]) -> Vec<u32> {
        serde_json::from_slice::<Self>(body).unwrap_or_default().error_codes
    }
}

impl<P: ProofSource> TokenCache<P> {
    /// A cache for the identity of the settings.
    pub fn new(client: HttpClient, settings: &LogsIngestion, proofs: P) -> Self {
        Self {
            client,
            url: format!("{}/{}/oauth2/v2.0/token", settings.authority, settings.tenant_id),
            client_id: settings.client_id.clone(),
            scope: settings.cloud.scope(),
            proofs,
            token: Cache::new(),
            circuit: Circuit::new(),
        }
    }

    /// A token that holds for a while yet. Those who ask meanwhile wait for the same exchange.
    ///
    /// # Errors
    /// If Entra can't give one now, or does not know us.
    pub async fn token(&self) -> Result<Arc<SecretString>, UploadError> {
        self.token.get(self.fetch()).await
    }

    /// Forgets a token that was refused; a newer one stays.
    pub async fn forget(&self, refused: &Arc<SecretString>) {
        self.token.forget(refused).await;
    }

    /// How long Entra is not asked.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        self.circuit.rests(now)
    }

    /// Fetches a token, and says when it is renewed. One exchange is under way at most.
    async fn fetch(&self) -> Result<(SecretString, Option<Instant>), UploadError> {
        let asked_at = super::now();
        // A trial that was given up, with the upload that made it, hinders no other.
        if let Err(Pause::Rest(rest)) = self.circuit.admit(asked_at) {
            return Err(ExchangeError::Resting(rest).into());
        }
        let granted = self.exchange().await;
        match &granted {
            // The proof is of AWS.
            Err(ExchangeError::Proof(_)) | Ok(_) => self.circuit.close(),
            Err(error) if matches!(error.disposition(), Disposition::Permanent(_)) => self.circuit.close(),
            Err(_) => {
                self.circuit.fail(super::now(), None);
            }
        }
        let granted = granted?;
        let renew_at = asked_at.checked_add(granted.lifetime.saturating_sub(RENEW_BEFORE));
        Ok((granted.access_token, renew_at))
    }

    /// Asks Entra for a token that is not kept; how long it would hold.
    ///
    /// # Errors
    /// With what Entra said.
    pub async fn try_exchange(&self) -> Result<Duration, ExchangeError> {
        self.exchange().await.map(|granted| granted.lifetime)
    }

    async fn exchange(&self) -> Result<Granted, ExchangeError> {
        let form = self.form(&self.proofs.proof().await?)?;
        let sent = self.client.send(|client| {
            let request = client.post(&self.url).timeout(EXCHANGE_TIMEOUT);
            request.header("content-type", "application/x-www-form-urlencoded").body(form.clone())
        });
        let response = sent.await.map_err(|error| ExchangeError::NoAnswer(kind_of(&error)))?;
        let status = response.status().as_u16();
        let body = match read_body(response, MOST_BYTES).await {
            Ok(body) => body,
            Err(BodyError::Broken) => return Err(ExchangeError::NoAnswer("the answer broke off")),
            // Neither a token nor an error of Entra is so long.
            Err(BodyError::TooLong) => return Err(ExchangeError::Refused { status, codes: Vec::new() }),
        };
        let granted = if status == 200 { serde_json::from_slice::<Granted>(&body).ok() } else { None };
        let is_sent =
            |token: &SecretString| token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
        granted
            .filter(|granted| is_sent(&granted.access_token))
            .ok_or_else(|| ExchangeError::Refused { status, codes: Refused::of(&body) })
    }

    fn form(&self, proof: &Proof) -> Result<String, ExchangeError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.client_id);
        form.append_pair("scope", self.scope);
        form.append_pair("grant_type", "client_credentials");
        match proof {
            Proof::Secret(secret) => form.append_pair("client_secret", secret.expose_secret()),
            Proof::Assertion(assertion) => form
                .append_pair("client_assertion_type", ASSERTION_TYPE)
                .append_pair("client_assertion", assertion.expose_secret()),
            Proof::Certificate(pem) => {
                let certificate =
                    Certificate::from_pem(pem.expose_secret()).map_err(ExchangeError::Certificate)?;
                let signed = certificate.assertion(&self.client_id, &self.url, Timestamp::now());
                let signed = signed.ok_or(ExchangeError::Certificate("its private key can't sign"))?;
                form.append_pair("client_assertion_type", ASSERTION_TYPE)
                    .append_pair("client_assertion", &signed)
            }
        };
        Ok(form.finish())
    }
}
