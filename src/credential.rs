//! What proves to Entra who we are; the wings that fetch and use it meet here.

use secrecy::SecretString;
use thiserror::Error;

use crate::failure::{Disposition, Reason};

/// The proof that goes into a token request.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A client secret.
    Secret(SecretString),
    /// A signed assertion.
    Assertion(SecretString),
    /// A certificate and its private key in PEM, to sign an assertion with.
    Certificate(SecretString),
}

/// Why there is no proof.
#[derive(Clone, Debug, Error)]
pub enum ProofError {
    /// AWS can't be reached or is busy: again.
    #[error("{what} can't be fetched for now ({code})")]
    Unavailable {
        /// What was to be fetched.
        what: &'static str,
        /// The code that AWS gave.
        code: String,
    },
    /// AWS refuses; an operator mends it.
    #[error("{what} is refused by AWS ({code}): {advice}")]
    Refused {
        /// What was to be fetched.
        what: &'static str,
        /// The code that AWS gave.
        code: String,
        /// What to do.
        advice: &'static str,
    },
}

impl ProofError {
    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. } => Disposition::Retryable { after: None },
            Self::Refused { .. } => Disposition::Permanent(Reason::Unauthorized),
        }
    }
}

/// Where proofs come from: a fresh one for every exchange, so that a rotated secret is seen.
pub trait ProofSource: Send + Sync {
    /// Fetches a proof.
    fn proof(&self) -> impl Future<Output = Result<Proof, ProofError>> + Send;
}

/// A secret that is at hand.
impl ProofSource for SecretString {
    async fn proof(&self) -> Result<Proof, ProofError> {
        Ok(Proof::Secret(self.clone()))
    }
}
