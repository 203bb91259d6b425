//! The claims of a web identity token: what Azure must trust, to the letter. The token itself is never shown.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html>.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::finding::{Check, Finding};

/// The one algorithm that Entra takes for a federated assertion
/// (<https://learn.microsoft.com/entra/workload-id/workload-identity-federation-considerations>).
const ALGORITHM: &str = "RS256";

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Body {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// What a token claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// How it is signed.
    pub(super) algorithm: String,
    /// Who signed it.
    pub(super) issuer: String,
    /// Whom it is about.
    pub(super) subject: String,
    /// For whom it is.
    pub(super) audiences: Vec<String>,
    /// Until when it holds.
    pub(super) expires_at: Timestamp,
}

impl Claims {
    /// Reads the claims of a token; none if it is no JSON Web Token.
    pub(super) fn read(token: &str) -> Option<Self> {
        let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let header: Header = serde_json::from_slice(&parts.next()??).ok()?;
        let body: Body = serde_json::from_slice(&parts.next()??).ok()?;
        Some(Self {
            algorithm: header.alg,
            issuer: body.iss,
            subject: body.sub,
            audiences: match body.aud {
                Audience::One(audience) => vec![audience],
                Audience::Several(audiences) => audiences,
            },
            expires_at: Timestamp::from_second(body.exp).ok()?,
        })
    }

    /// Whether the token is about another role than this one.
    pub(super) fn is_about_another(&self, role_arn: Option<&str>) -> bool {
        role_arn.is_some_and(|role| role != self.subject)
    }

    /// Judges them; with `role_arn` the function's role is known.
    pub(super) fn judge(&self, audience: &str, role_arn: Option<&str>, now: Timestamp) -> Finding {
        let seconds = self.expires_at.duration_since(now).as_secs();
        let subject = role_arn.unwrap_or(&self.subject);
        let trust = [
            format!("issuer: {}", self.issuer),
            format!("subject: {subject}"),
            format!("audience: {}", self.audiences.join(" ")),
        ];
        let token = format!("a web identity token of AWS, {ALGORITHM}, holds for {seconds} s.");
        let trusted = "Azure must trust exactly";
        let finding = if self.algorithm != ALGORITHM {
            Finding::failed(
                Check::Proof,
                format!("the web identity token is signed with {}", self.algorithm),
                "Entra takes RS256 alone, and RS256 was asked for: look who answers for STS \
                 (AWS_ENDPOINT_URL_STS).",
            )
        } else if self.audiences != [audience] {
            Finding::failed(
                Check::Proof,
                format!("the web identity token is not for {audience} alone"),
                "Look whether AZURE_CLOUD is right, and who answers for STS (AWS_ENDPOINT_URL_STS).",
            )
        } else if seconds <= 0 {
            Finding::failed(
                Check::Proof,
                "the web identity token has expired by this machine's clock",
                "Set this machine's clock (NTP).",
            )
        } else if self.is_about_another(role_arn) {
            Finding::warning(
                Check::Proof,
                format!("{token} It is about {}, as whom the doctor runs. {trusted}", self.subject),
                "Compare these three with the federated credential (`az identity federated-credential \
                 list`): its subject is the function's role, not yours.",
            )
        } else {
            Finding::ok(Check::Proof, format!("{token} {trusted}"))
        };
        finding.details(trust)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::finding::Status;
    use super::*;

    const AUDIENCE: &str = "api://AzureADTokenExchange";
    const ROLE: &str = "arn:aws:iam::123456789012:role/forwarder";
    const OTHER: &str = "arn:aws:iam::123456789012:role/operator";

    fn token(algorithm: &str, audience: &serde_json::Value) -> String {
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"iss": "https://issuer", "sub": ROLE, "aud": audience, "exp": 1000});
        format!("{}.{}.{}", part(json!({"alg": algorithm, "typ": "JWT"})), part(claims), "c2lnbmF0dXJl")
    }

    fn judge(claims: &Claims, role: Option<&str>, second: i64) -> Finding {
        claims.judge(AUDIENCE, role, Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn claims_are_read_of_either_form_of_audience() {
        for audience in [json!(AUDIENCE), json!([AUDIENCE])] {
            let claims = Claims::read(&token("RS256", &audience)).unwrap();
            assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), ("https://issuer", ROLE));
            assert_eq!(claims.audiences, [AUDIENCE]);
            assert_eq!(claims.expires_at.as_second(), 1000);
        }
    }

    #[test]
    fn what_is_no_token_has_no_claims() {
        for text in ["", "a", "a.b.c", "e30.e30.x", "…"] {
            assert_eq!(Claims::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_right_token_is_shown_by_its_claims_and_never_itself() {
        let token = token("RS256", &json!(AUDIENCE));
        let finding = judge(&Claims::read(&token).unwrap(), Some(ROLE), 700);
        assert_eq!(finding.status, Status::Ok);
        assert!(finding.what.contains("RS256, holds for 300 s"), "{}", finding.what);
        assert_eq!(finding.details[1], format!("subject: {ROLE}"));
        let text = finding.text(false);
        assert!(token.split('.').all(|part| !text.contains(part)));
    }

    #[test]
    fn the_operators_token_is_no_failure_and_the_functions_role_is_named() {
        let claims = Claims::read(&token("RS256", &json!(AUDIENCE))).unwrap();
        let finding = judge(&claims, Some(OTHER), 700);
        assert_eq!(finding.status, Status::Warning);
        assert_eq!(finding.details[1], format!("subject: {OTHER}"));
        assert!(finding.what.contains(ROLE));
    }

    #[test]
    fn a_token_that_entra_will_not_take_is_a_failure() {
        for (algorithm, audience, second, word) in [
            ("ES384", json!(AUDIENCE), 700, "ES384"),
            ("RS256", json!("api://other"), 700, "not for"),
            ("RS256", json!([AUDIENCE, "api://other"]), 700, "not for"),
            ("RS256", json!(AUDIENCE), 1000, "expired"),
        ] {
            let finding = judge(&Claims::read(&token(algorithm, &audience)).unwrap(), None, second);
            assert_eq!(finding.status, Status::Failed);
            assert!(finding.what.contains(word), "{}", finding.what);
        }
    }
}
