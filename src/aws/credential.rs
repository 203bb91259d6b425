//! Proofs for Entra that AWS keeps or signs.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html>: signed by AWS for our role, so
//! that no secret exists. Secrets come from Secrets Manager or from SSM.

use aws_config::SdkConfig;
use aws_sdk_sts::config::http::HttpResponse;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use secrecy::SecretString;

use crate::config::{Cloud, Credential, Secret};
use crate::credential::{Proof, ProofError, ProofSource};

/// How long the assertion holds, in seconds: one exchange needs less.
const ASSERTION_SECONDS: i32 = 300;

/// Reads secrets that AWS keeps.
#[derive(Clone)]
pub struct Secrets {
    config: SdkConfig,
}

impl Secrets {
    /// With the SDK's settings.
    #[must_use]
    pub const fn new(config: SdkConfig) -> Self {
        Self { config }
    }

    /// The secret's value.
    ///
    /// # Errors
    /// If AWS can't be reached or refuses.
    pub async fn read(&self, secret: &Secret) -> Result<SecretString, ProofError> {
        const WHAT: &str = "the secret";
        const ADVICE: &str = "the function's role must be allowed to read it, and to use its key";
        let arn = match secret {
            Secret::Given(secret) => return Ok(secret.clone()),
            Secret::Arn(arn) => arn,
        };
        let value = if arn.contains(":ssm:") {
            let client = aws_sdk_ssm::Client::new(&self.config);
            let answer = client.get_parameter().name(arn).with_decryption(true).send().await;
            answer
                .map_err(|error| refusal(&error, WHAT, ADVICE))?
                .parameter
                .and_then(|parameter| parameter.value)
        } else {
            let client = aws_sdk_secretsmanager::Client::new(&self.config);
            let answer = client.get_secret_value().secret_id(arn).send().await;
            answer.map_err(|error| refusal(&error, WHAT, ADVICE))?.secret_string
        };
        let empty = || ProofError::Refused { what: WHAT, code: "empty".to_owned(), advice: "it has no text" };
        value.map(|value| value.trim().into()).ok_or_else(empty)
    }
}

/// Proofs by the credential that the settings name.
pub struct AzureProofs {
    credential: Credential,
    audience: &'static str,
    secrets: Secrets,
    sts: aws_sdk_sts::Client,
}

impl AzureProofs {
    /// With the SDK's settings.
    #[must_use]
    pub fn new(config: &SdkConfig, credential: Credential, cloud: Cloud) -> Self {
        let sts = aws_sdk_sts::Client::new(config);
        Self { credential, audience: cloud.audience(), secrets: Secrets::new(config.clone()), sts }
    }
}

impl ProofSource for AzureProofs {
    async fn proof(&self) -> Result<Proof, ProofError> {
        const WHAT: &str = "the web identity token";
        const ADVICE: &str = "enable outbound web identity federation in the account (aws iam \
                              enable-outbound-web-identity-federation) and allow sts:GetWebIdentityToken";
        match &self.credential {
            Credential::Secret(secret) => return self.secrets.read(secret).await.map(Proof::Secret),
            Credential::Certificate(pem) => return self.secrets.read(pem).await.map(Proof::Certificate),
            Credential::Federated => {}
        }
        let request = self.sts.get_web_identity_token().audience(self.audience).signing_algorithm("RS256");
        let answer = request.duration_seconds(ASSERTION_SECONDS).send().await;
        let token = answer.map_err(|error| refusal(&error, WHAT, ADVICE))?.web_identity_token;
        let empty = || ProofError::Unavailable { what: WHAT, code: "empty".to_owned() };
        token.map(|token| Proof::Assertion(token.into())).ok_or_else(empty)
    }
}

fn refusal<E: ProvideErrorMetadata>(
    error: &SdkError<E, HttpResponse>,
    what: &'static str,
    advice: &'static str,
) -> ProofError {
    // Only AWS itself gives a code. What else answers, with whatever status, refuses nothing in its name.
    let Some(code) = error.code() else {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let code = status.map_or_else(|| "no answer".to_owned(), |status| format!("status {status}"));
        return ProofError::Unavailable { what, code };
    };
    let is_busy =
        error.raw_response().is_some_and(|response| matches!(response.status().as_u16(), 429 | 500..));
    let is_passing = |word: &&str| code.contains(*word);
    let code = code.to_owned();
    if is_busy || ["Throttl", "Internal", "ServiceUnavailable", "TooMany"].iter().any(is_passing) {
        ProofError::Unavailable { what, code }
    } else {
        ProofError::Refused { what, code, advice }
    }
}
