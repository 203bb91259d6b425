//! Why AWS did not do what an operator asked for: one judgement for all commands.
//!
//! The function asks another question of an error, namely whether invoking again helps; that stands beside its clients.

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use thiserror::Error;

/// Why a call failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AwsError {
    /// No region is set.
    #[error("no AWS region is set: give --region, or set AWS_REGION")]
    NoRegion,
    /// There are no credentials, or the profile's can't be obtained.
    #[error(
        "no AWS credentials ({why}): sign in and name the profile by --profile or AWS_PROFILE; after any kind of \
         sign-in of the AWS CLI, eval \"$(aws configure export-credentials --format env)\" sets them too"
    )]
    NoCredentials {
        /// What the provider of credentials said.
        why: String,
    },
    /// AWS rejects the credentials, or they have expired.
    #[error(
        "AWS rejects the credentials ({code}): sign in again, and look at the profile and this machine's clock"
    )]
    BadCredentials {
        /// The code that AWS gave.
        code: String,
    },
    /// The identity lacks a permission.
    #[error("access denied ({code}): your identity needs {action}, and no policy may deny it")]
    Denied {
        /// The permission.
        action: &'static str,
        /// The code that AWS gave.
        code: String,
    },
    /// There is no such resource in this account and region.
    #[error("it does not exist in this account and region ({code})")]
    Missing {
        /// The code that AWS gave.
        code: String,
    },
    /// The bucket is in another region than the client.
    #[error("it is in another region: give --region {region}, or set AWS_REGION to {region}")]
    OtherRegion {
        /// Its region, where AWS said it.
        region: String,
    },
    /// Too many calls.
    #[error("AWS throttles the calls ({code}): run the same command again later")]
    Throttled {
        /// The code that AWS gave.
        code: String,
    },
    /// AWS rejects the request itself.
    #[error("AWS rejects the request ({code})")]
    Rejected {
        /// The code that AWS gave.
        code: String,
    },
    /// There was no answer, or AWS failed.
    #[error(
        "AWS can't be reached ({code}): look at the network, at the region and at AWS_ENDPOINT_URL, then run the same \
         command again"
    )]
    Unavailable {
        /// The code that AWS gave, or what went wrong below it.
        code: String,
    },
}

impl AwsError {
    /// Whether every other call would fail the same way until an operator acts.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        !matches!(self, Self::Throttled { .. } | Self::Rejected { .. } | Self::Unavailable { .. })
    }

    /// What AWS answered: the status, where there was an answer at all, and the code.
    #[must_use]
    pub(crate) fn of_answer(status: Option<u16>, code: &str, action: &'static str) -> Self {
        let says = |words: &[&str]| words.iter().any(|word| code.contains(word));
        let own_code = code.to_owned();
        if says(&BAD_CREDENTIALS) {
            Self::BadCredentials { code: own_code }
        } else if is_denial(code) || matches!(status, Some(401 | 403)) {
            Self::Denied { action, code: own_code }
        } else if matches!(status, Some(301)) || says(&OTHER_REGION) {
            Self::OtherRegion { region: "its region".to_owned() }
        } else if says(&MISSING) || matches!(status, Some(404)) {
            Self::Missing { code: own_code }
        } else if says(&THROTTLED) || matches!(status, Some(429)) {
            Self::Throttled { code: own_code }
        } else if matches!(status, Some(400..=499)) {
            Self::Rejected { code: own_code }
        } else {
            Self::Unavailable { code: own_code }
        }
    }
}

const BAD_CREDENTIALS: [&str; 8] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthentication",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];
const OTHER_REGION: [&str; 3] =
    ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"];
const MISSING: [&str; 5] =
    ["NonExistentQueue", "QueueDoesNotExist", "ResourceNotFound", "NoSuchBucket", "InvalidAddress"];
const THROTTLED: [&str; 5] =
    ["Throttl", "TooManyRequests", "SlowDown", "RequestLimitExceeded", "ProvisionedThroughputExceeded"];

/// Whether a code says that an identity lacks a permission.
#[must_use]
pub fn is_denial(code: &str) -> bool {
    code.contains("AccessDenied") || code.contains("NotAuthorized") || code.starts_with("AuthorizationError")
}

/// Judges an error of the SDK; `action` is the permission that the call needs.
pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>, action: &'static str) -> AwsError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let answer = error.raw_response();
    let status = answer.map(|answer| answer.status().as_u16());
    let Some(code) = error.code().map(str::to_owned).or_else(|| status.map(|status| status.to_string()))
    else {
        return without_answer(error);
    };
    match AwsError::of_answer(status, &code, action) {
        AwsError::OtherRegion { region } => {
            let told = answer.and_then(|answer| answer.headers().get("x-amz-bucket-region"));
            AwsError::OtherRegion { region: told.map_or(region, str::to_owned) }
        }
        judged => judged,
    }
}

/// Judges credentials that can't be obtained.
pub(super) fn no_credentials(error: &CredentialsError) -> AwsError {
    let why = match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            "neither the environment nor the profile has any".to_owned()
        }
        other => causes(other),
    };
    AwsError::NoCredentials { why }
}

/// Judges an error that no answer came with, by what lies below it.
fn without_answer(error: &(dyn std::error::Error + 'static)) -> AwsError {
    let mut inner = error;
    loop {
        if let Some(error) = inner.downcast_ref::<CredentialsError>() {
            return no_credentials(error);
        }
        let Some(source) = inner.source() else { break };
        inner = source;
    }
    let code = inner.to_string();
    // The SDK has no type for it, and each part of it other words.
    let words = ["missing region", "missing signing region", "region must be set"];
    if words.iter().any(|word| code.to_lowercase().contains(word)) {
        AwsError::NoRegion
    } else {
        AwsError::Unavailable { code }
    }
}

/// What lies below an error, from the top down: a provider's own words stand in the middle of it.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let mut texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: Option<u16>, code: &str) -> &'static str {
        match AwsError::of_answer(status, code, "sqs:SendMessage") {
            AwsError::NoRegion => "region",
            AwsError::NoCredentials { .. } | AwsError::BadCredentials { .. } => "credentials",
            AwsError::Denied { .. } => "denied",
            AwsError::Missing { .. } => "missing",
            AwsError::OtherRegion { .. } => "other region",
            AwsError::Throttled { .. } => "throttled",
            AwsError::Rejected { .. } => "rejected",
            AwsError::Unavailable { .. } => "unavailable",
        }
    }

    #[test]
    fn each_answer_has_one_judgement() {
        for (status, code, expected) in [
            (400, "AccessDeniedException", "denied"),
            (403, "AccessDenied", "denied"),
            (403, "Forbidden", "denied"),
            (400, "KMS.AccessDeniedException", "denied"),
            (400, "ExpiredTokenException", "credentials"),
            (403, "ExpiredToken", "credentials"),
            (403, "InvalidClientTokenId", "credentials"),
            (403, "SignatureDoesNotMatch", "credentials"),
            (403, "RequestTimeTooSkewed", "credentials"),
            (400, "UnrecognizedClientException", "credentials"),
            (400, "AWS.SimpleQueueService.NonExistentQueue", "missing"),
            (400, "ResourceNotFoundException", "missing"),
            (404, "NoSuchBucket", "missing"),
            (404, "404", "missing"),
            (301, "PermanentRedirect", "other region"),
            (400, "AuthorizationHeaderMalformed", "other region"),
            (400, "ThrottlingException", "throttled"),
            (400, "ProvisionedThroughputExceededException", "throttled"),
            (503, "SlowDown", "throttled"),
            (429, "429", "throttled"),
            (400, "ValidationException", "rejected"),
            (500, "InternalError", "unavailable"),
            (503, "ServiceUnavailable", "unavailable"),
        ] {
            assert_eq!(kind(Some(status), code), expected, "{status} {code}");
        }
        // Of the ledger nothing but the code is known.
        for (code, expected) in [
            ("ResourceNotFoundException", "missing"),
            ("AccessDeniedException", "denied"),
            ("ThrottlingException", "throttled"),
            ("no answer", "unavailable"),
        ] {
            assert_eq!(kind(None, code), expected, "{code}");
        }
    }

    #[test]
    fn credentials_that_are_not_there_are_told_from_a_network_that_is_not() {
        let none = CredentialsError::not_loaded("no providers in chain provided credentials");
        assert!(matches!(without_answer(&none), AwsError::NoCredentials { why } if why.contains("neither")));
        let expired = CredentialsError::provider_error("the SSO session has expired");
        assert!(
            matches!(without_answer(&expired), AwsError::NoCredentials { why } if why.contains("SSO session"))
        );
        for text in
            ["missing signing region", "Invalid Configuration: Missing Region", "A region must be set"]
        {
            assert_eq!(without_answer(&std::io::Error::other(text)), AwsError::NoRegion, "{text}");
        }
        let refused = std::io::Error::other("connection refused");
        assert!(
            matches!(without_answer(&refused), AwsError::Unavailable { code } if code.contains("refused"))
        );
    }
}
