//! Tokens of Entra: one exchange at a time, kept until shortly before their end.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Mutex;

use super::UploadError;
use super::certificate::Certificate;
use crate::config::LogsIngestion;
use crate::credential::{Proof, ProofError, ProofSource};
use crate::failure::{Disposition, Reason};

/// A token is renewed this long before its end.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// How long one exchange may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Entra's codes for what passes by itself
/// (<https://learn.microsoft.com/entra/identity-platform/reference-error-codes>); 70021 for the first minutes of a new
/// federated credential, 700024 for an assertion that was too old, which the next one is not.
const PASSING_CODES: [u32; 6] = [90006, 90024, 90033, 90055, 70021, 700_024];

/// Why Entra gave no token.
#[derive(Clone, Debug, Error)]
pub enum ExchangeError {
    /// There is no proof to send.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The certificate can't sign one.
    #[error("the certificate's secret won't do: {0}")]
    Certificate(&'static str),
    /// Entra can't be reached, or its answer was none.
    #[error("Entra: {0}")]
    NoAnswer(&'static str),
    /// Entra refuses, or is not to be had for now.
    #[error("Entra: {status} {}", names(codes))]
    Refused {
        /// The status.
        status: u16,
        /// Its own codes, the numbers after `AADSTS`.
        codes: Vec<u32>,
    },
}

fn names(codes: &[u32]) -> String {
    codes.iter().map(|code| format!("AADSTS{code}")).collect::<Vec<_>>().join(" ")
}

impl ExchangeError {
    /// What helps.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        let passes = match self {
            Self::Proof(error) => return error.disposition(),
            Self::Certificate(_) => false,
            Self::NoAnswer(_) => true,
            Self::Refused { status, codes } => {
                matches!(status, 408 | 429 | 500..=599)
                    || codes.iter().any(|code| PASSING_CODES.contains(code))
            }
        };
        if passes {
            Disposition::Retryable { after: None }
        } else {
            Disposition::Permanent(Reason::Unauthorized)
        }
    }
}

impl From<ExchangeError> for UploadError {
    fn from(error: ExchangeError) -> Self {
        let what = error.to_string();
        match error.disposition() {
            Disposition::Retryable { after } => Self::Unavailable { what, after },
            _ => Self::Unauthorized { what },
        }
    }
}

struct Token {
    text: Arc<SecretString>,
    renew_at: Instant,
}

/// The token that all uploads share.
pub struct TokenCache<P> {
    client: Client,
    url: String,
    client_id: String,
    scope: &'static str,
    proofs: P,
    token: Mutex<Option<Token>>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    expires_in: u64,
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
    pub fn new(client: Client, settings: &LogsIngestion, proofs: P) -> Self {
        Self {
            client,
            url: format!("{}/{}/oauth2/v2.0/token", settings.authority, settings.tenant_id),
            client_id: settings.client_id.clone(),
            scope: settings.cloud.scope(),
            proofs,
            token: Mutex::default(),
        }
    }

    /// A token that holds for a while yet. Those who ask meanwhile wait for the same exchange.
    ///
    /// # Errors
    /// If there is none to be had for now, or Entra does not know us.
    pub async fn token(&self) -> Result<Arc<SecretString>, UploadError> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(Arc::clone(&token.text));
        }
        let asked_at = Instant::now();
        let granted = self.exchange().await?;
        let text = Arc::new(granted.access_token);
        let lifetime = Duration::from_secs(granted.expires_in).saturating_sub(RENEW_BEFORE);
        *kept = Some(Token { text: Arc::clone(&text), renew_at: asked_at + lifetime });
        Ok(text)
    }

    /// Forgets a token that was refused; a newer one stays.
    pub async fn forget(&self, refused: &Arc<SecretString>) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|token| Arc::ptr_eq(&token.text, refused)) {
            *kept = None;
        }
    }

    /// Asks Entra for a token that is not kept; how long it would hold.
    ///
    /// # Errors
    /// With what Entra said.
    pub async fn try_exchange(&self) -> Result<Duration, ExchangeError> {
        self.exchange().await.map(|granted| Duration::from_secs(granted.expires_in))
    }

    async fn exchange(&self) -> Result<Granted, ExchangeError> {
        let proof = self.proofs.proof().await?;
        let sent = self
            .client
            .post(&self.url)
            .timeout(EXCHANGE_TIMEOUT)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(self.form(&proof)?)
            .send()
            .await;
        let response = sent.map_err(|error| ExchangeError::NoAnswer(super::ingestion::kind_of(&error)))?;
        let status = response.status();
        let body = response.bytes().await.map_err(|_| ExchangeError::NoAnswer("the answer broke off"))?;
        if status.is_success() {
            return serde_json::from_slice(&body)
                .map_err(|_| ExchangeError::NoAnswer("the answer is no token"));
        }
        Err(ExchangeError::Refused { status: status.as_u16(), codes: Refused::of(&body) })
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
