//! Judges who we are: at AWS, by the proof for Entra, and by Entra's answer to it.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::aadsts;
use super::claims::Claims;
use super::finding::{Check, Finding};
use super::validity::Validity;
use crate::aws::{AwsError, Caller, is_denial};
use crate::config::{Cloud, Credential};
use crate::credential::{Proof, ProofError};
use crate::json::hex;
use crate::sentinel::{Certificate, ExchangeError};

/// What reading a secret takes.
const READING: &str =
    "secretsmanager:GetSecretValue (of a parameter ssm:GetParameter), or kms:Decrypt on its key";
/// Entra's codes for a subject that it does not trust.
const SUBJECT_CODES: [u32; 3] = [70021, 700_213, 7_002_131];

/// Judges who we are at AWS.
pub(super) fn aws(caller: &Result<Caller, AwsError>, role_arn: Option<&str>) -> Finding {
    const EXPORT: &str = "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; after any kind \
                          of sign-in of the AWS CLI, `eval \"$(aws configure export-credentials --format \
                          env)\"` does it.";
    let check = Check::AwsIdentity;
    match caller {
        Ok(Caller { arn, account }) => match role_arn {
            Some(role) if role.split(':').nth(4) != Some(account) => Finding::warning(
                check,
                format!("you are {arn}, and the role is of another account"),
                "Look whether you are signed in to the account that the function runs in.",
            ),
            _ => Finding::ok(check, arn.clone()),
        },
        Err(AwsError::NoRegion) => Finding::failed(
            check,
            "no region is set",
            "Set AWS_REGION to the region that the function runs in.",
        ),
        Err(AwsError::NoCredentials { why }) => {
            Finding::failed(check, format!("there are no credentials of AWS ({why})"), EXPORT)
        }
        Err(AwsError::BadCredentials { code }) => {
            let what = format!("AWS does not take the credentials, or no longer ({code})");
            Finding::failed(check, what, format!("Sign in again. {EXPORT}"))
        }
        Err(AwsError::Denied { action, .. }) => Finding::failed(
            check,
            format!("AWS denies {action}"),
            "Ask who denies it: AWS allows it to everybody.",
        ),
        Err(error) => Finding::failed(
            check,
            format!("STS does not answer: {error}"),
            "Look whether AWS can be reached from here, and whether AWS_REGION and AWS_ENDPOINT_URL are \
             right.",
        ),
    }
}

/// What is known of the proof.
pub(super) struct Proven {
    /// What to tell.
    pub(super) finding: Finding,
    /// Whether there is a proof to go on with.
    pub(super) is_given: bool,
    /// Whether it is about another role than the function's.
    pub(super) is_about_another: bool,
}

/// Judges the proof; it is looked at, never shown.
pub(super) fn proof(
    proof: &Result<Proof, ProofError>,
    credential: &Credential,
    cloud: Cloud,
    role_arn: Option<&str>,
    now: Timestamp,
) -> Proven {
    let given = |finding| Proven { finding, is_given: true, is_about_another: false };
    let none = |finding| Proven { finding, is_given: false, is_about_another: false };
    match proof {
        Ok(Proof::Assertion(token)) => match Claims::read(token.expose_secret()) {
            Some(claims) => Proven {
                finding: claims.judge(cloud.audience(), role_arn, now),
                is_given: true,
                is_about_another: claims.is_about_another(role_arn),
            },
            None => none(Finding::failed(
                Check::Proof,
                "what STS answers is no JSON Web Token",
                "Look who answers for STS (AWS_ENDPOINT_URL_STS).",
            )),
        },
        Ok(Proof::Secret(_)) => given(Finding::ok(Check::Proof, "the client secret could be read")),
        Ok(Proof::Certificate(pem)) => match Certificate::from_pem(pem.expose_secret()) {
            Ok(certificate) => given(certificate_found(&certificate, now)),
            Err(why) => none(Finding::failed(
                Check::Proof,
                format!("the certificate's secret won't do: {why}"),
                "Put the PEM of the certificate and of its RSA private key into the secret of \
                 AZURE_CLIENT_CERTIFICATE_ARN.",
            )),
        },
        Err(error) => none(unproven(error, credential)),
    }
}

fn certificate_found(certificate: &Certificate, now: Timestamp) -> Finding {
    // The portal writes it in capital letters.
    let digits = hex(certificate.thumbprint().as_ref()).to_uppercase();
    Validity::read(certificate.der()).map_or_else(
        || {
            let what = "the certificate's times of validity can't be read";
            Finding::warning(Check::Proof, what, "Look at it with `openssl x509 -text`.")
                .details([format!("thumbprint: {digits}")])
        },
        |validity| validity.judge(&digits, now),
    )
}

/// Why there is no proof, and what to do.
fn unproven(error: &ProofError, credential: &Credential) -> Finding {
    let (variable, action) = match credential {
        Credential::Federated => ("", "sts:GetWebIdentityToken"),
        Credential::Secret(_) => ("AZURE_CLIENT_SECRET_ARN", READING),
        Credential::Certificate(_) => ("AZURE_CLIENT_CERTIFICATE_ARN", READING),
    };
    unread(error, variable, action)
}

/// Why a secret of that variable could not be read; without a variable, it is the web identity token.
fn unread(error: &ProofError, variable: &str, action: &str) -> Finding {
    match error {
        ProofError::Refused { what, code, .. } if is_denial(code) => Finding::skipped(
            Check::Proof,
            format!("you may not have {what}: your identity lacks {action}"),
            "Have it allowed to you, or let the doctor run as somebody who may.",
        ),
        ProofError::Refused { what, code, .. } if !variable.is_empty() => Finding::failed(
            Check::Proof,
            format!("{what} can't be read ({code})"),
            format!("Compare {variable} with the ARN of the secret or parameter: account, region, name."),
        ),
        ProofError::Refused { what, code, advice } => {
            Finding::failed(Check::Proof, format!("{what} is refused by AWS ({code})"), sentence(advice))
        }
        ProofError::Unavailable { what, code } => Finding::failed(
            Check::Proof,
            format!("{what} can't be fetched for now ({code})"),
            "Look whether AWS can be reached from here, then try again.",
        ),
    }
}

/// Judges the workspace's key of the legacy API; `is_base64` says whether it can be used.
pub(super) fn workspace_key(read: &Result<bool, ProofError>) -> Finding {
    const VARIABLE: &str = "LOG_ANALYTICS_SHARED_KEY_ARN";
    match read {
        Ok(true) => Finding::ok(Check::Proof, "the workspace's key could be read"),
        Ok(false) => Finding::failed(
            Check::Proof,
            "the workspace's key is no base64",
            format!(
                "Put the primary or secondary key of the workspace into the secret of {VARIABLE}, and \
                 nothing else."
            ),
        ),
        Err(error) => unread(error, VARIABLE, READING),
    }
}

/// Judges Entra's answer to the proof.
pub(super) fn token(result: &Result<Duration, ExchangeError>, is_about_another: bool) -> Finding {
    let check = Check::Token;
    match result {
        Ok(lifetime) => {
            Finding::ok(check, format!("Entra gives one that holds for {} minutes", lifetime.as_secs() / 60))
        }
        Err(ExchangeError::Refused { codes, .. })
            if is_about_another && codes.iter().any(|code| SUBJECT_CODES.contains(code)) =>
        {
            Finding::warning(
                check,
                format!("Entra does not trust your own subject ({}), and need not", named(codes)),
                "Compare the federated credential with the proof of identity by eye: Lambda alone may be the \
                 function's role. Whether Entra trusts it shows in the function's log and in the metric \
                 ActionNeeded.",
            )
        }
        Err(ExchangeError::Refused { status, codes }) => refused(check, *status, codes),
        Err(ExchangeError::NoAnswer(why)) => Finding::failed(
            check,
            format!("Entra does not answer ({why})"),
            "Look at the check of the tenant, then try again.",
        ),
        Err(error) => Finding::failed(check, error.to_string(), "Look at the proof of identity."),
    }
}

/// Entra's refusal in words.
pub(super) fn refused(check: Check, status: u16, codes: &[u32]) -> Finding {
    let explained = codes.iter().find_map(|code| aadsts::advice(*code));
    if let Some(advice) = explained {
        return Finding::failed(check, format!("{} ({})", advice.meaning, named(codes)), advice.next);
    }
    let next = codes.first().map_or_else(
        || "Look whether AZURE_AUTHORITY_HOST is Entra's address, then try again.".to_owned(),
        |code| format!("Look it up at https://login.microsoftonline.com/error?code={code}"),
    );
    Finding::failed(check, format!("Entra refuses ({status} {})", named(codes)), next)
}

fn named(codes: &[u32]) -> String {
    codes.iter().map(|code| format!("AADSTS{code}")).collect::<Vec<_>>().join(", ")
}

/// Advice of an error as a sentence of its own.
fn sentence(advice: &str) -> String {
    let mut letters = advice.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;
    use crate::config::Secret;

    const ROLE: &str = "arn:aws:iam::123456789012:role/forwarder";

    #[test]
    fn who_is_nobody_at_aws_is_told_how_to_be_somebody() {
        for (error, word) in [
            (AwsError::NoRegion, "AWS_REGION"),
            (AwsError::NoCredentials { why: "none".to_owned() }, "export-credentials"),
            (AwsError::BadCredentials { code: "ExpiredToken".to_owned() }, "Sign in again"),
            (AwsError::Unavailable { code: "no answer".to_owned() }, "AWS_ENDPOINT_URL"),
        ] {
            let finding = aws(&Err(error), None);
            assert_eq!(finding.status, Status::Failed);
            assert!(finding.next.clone().unwrap().contains(word), "{finding:?}");
        }
    }

    #[test]
    fn a_role_of_another_account_is_a_warning() {
        let caller = |account: &str| Ok(Caller { account: account.to_owned(), arn: "arn".to_owned() });
        assert_eq!(aws(&caller("123456789012"), Some(ROLE)).status, Status::Ok);
        assert_eq!(aws(&caller("999999999999"), Some(ROLE)).status, Status::Warning);
        assert_eq!(aws(&caller("999999999999"), None).status, Status::Ok);
    }

    #[test]
    fn what_the_operator_may_not_read_is_no_failure_of_the_function() {
        let error =
            |code: &str| Err(ProofError::Refused { what: "the secret", code: code.to_owned(), advice: "x" });
        let secret = Credential::Secret(Secret::Arn("arn".to_owned()));
        for (code, credential, status, word) in [
            ("AccessDeniedException", &secret, Status::Skipped, "secretsmanager:GetSecretValue"),
            ("ResourceNotFoundException", &secret, Status::Failed, "AZURE_CLIENT_SECRET_ARN"),
            ("AccessDenied", &Credential::Federated, Status::Skipped, "sts:GetWebIdentityToken"),
        ] {
            let proven = proof(&error(code), credential, Cloud::Public, None, Timestamp::UNIX_EPOCH);
            assert!(!proven.is_given);
            assert_eq!(proven.finding.status, status);
            assert!(proven.finding.text(false).contains(word), "{:?}", proven.finding);
        }
    }

    #[test]
    fn a_secret_is_never_in_what_is_told_of_it() {
        let secret = Ok(Proof::Secret("hush".into()));
        let credential = Credential::Secret(Secret::Given("hush".into()));
        let proven = proof(&secret, &credential, Cloud::Public, None, Timestamp::UNIX_EPOCH);
        assert!(proven.is_given && !proven.finding.text(false).contains("hush"));
        let pem = Ok(Proof::Certificate("hush".into()));
        let proven = proof(&pem, &credential, Cloud::Public, None, Timestamp::UNIX_EPOCH);
        assert!(!proven.is_given && !proven.finding.text(false).contains("hush"));
    }

    #[test]
    fn the_operators_own_subject_need_not_be_trusted() {
        let refused = |code| Err(ExchangeError::Refused { status: 401, codes: vec![code] });
        for (code, is_about_another, status) in [
            (700_213, false, Status::Failed),
            (700_213, true, Status::Warning),
            (70021, true, Status::Warning),
            (700_211, true, Status::Failed),
        ] {
            assert_eq!(token(&refused(code), is_about_another).status, status, "{code} {is_about_another}");
        }
    }

    #[test]
    fn a_code_that_is_not_known_is_told_where_to_look_up() {
        let finding = token(&Err(ExchangeError::Refused { status: 400, codes: vec![12345] }), false);
        assert!(finding.what.contains("AADSTS12345"));
        assert!(finding.next.unwrap().ends_with("error?code=12345"));
    }
}
