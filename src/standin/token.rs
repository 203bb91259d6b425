//! Entra's token endpoint for the client credentials grant: a secret, a federated assertion or a certificate.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>. The form, the claims
//! and the times are checked; **signatures are not**, for no key of the issuer is at hand.

use super::call::{Answer, Call};
use super::refusal::Refusal;
use super::settings::Settings;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use uuid::Uuid;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A refusal in Entra's terms.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EntraError {
    pub(super) status: u16,
    /// The number after `AADSTS`.
    pub(super) number: u32,
    error: &'static str,
    pub(super) message: String,
}

impl EntraError {
    fn request(number: u32, error: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, number, error, message: message.into() }
    }

    fn client(number: u32, message: impl Into<String>) -> Self {
        Self { status: 401, number, error: "invalid_client", message: message.into() }
    }

    /// An error that was injected: by its code where that is one of Entra's, else by its status.
    pub(super) fn injected(status: u16, code: Option<&str>) -> Self {
        let number = code.and_then(|code| code.trim_start_matches("AADSTS").parse().ok()).unwrap_or(90033);
        let error = if status < 500 && status != 429 { "invalid_request" } else { "temporarily_unavailable" };
        Self { status, number, error, message: "A transient error has occurred (injected).".to_owned() }
    }

    pub(super) fn code(&self) -> String {
        format!("AADSTS{}", self.number)
    }

    /// The refusal that this error makes of a request.
    pub(super) fn as_refusal(&self, path: &str, request_id: Option<&str>) -> Refusal {
        Refusal {
            at: Timestamp::now(),
            path: path.to_owned(),
            request_id: request_id.map(str::to_owned),
            status: self.status,
            code: self.code(),
            message: self.message.clone(),
            row: None,
            column: None,
        }
    }

    pub(super) fn into_answer(self) -> Answer {
        let (trace_id, correlation_id, now) = (Uuid::new_v4(), Uuid::new_v4(), Timestamp::now());
        let description = format!(
            "{}: {} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {now}",
            self.code(),
            self.message,
        );
        let body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.number],
            "timestamp": now.to_string(),
            "trace_id": trace_id.to_string(),
            "correlation_id": correlation_id.to_string(),
        });
        Answer { code: Some(self.code()), ..Answer::json(self.status, &body) }
    }
}

/// The access tokens issued, and the assertions seen.
#[derive(Default)]
pub(super) struct Tokens {
    live_until: HashMap<String, Instant>,
    assertions: HashSet<String>,
}

/// Why a bearer is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadBearer {
    Unknown,
    Expired,
}

impl Tokens {
    pub(super) fn issue(&mut self, seconds: u64) -> Answer {
        let token = format!("standin.{}.{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.live_until.insert(token.clone(), Instant::now() + Duration::from_secs(seconds));
        let body = json!({
            "token_type": "Bearer",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": token,
        });
        Answer::json(200, &body)
    }

    pub(super) fn check(&self, token: &str) -> Result<(), BadBearer> {
        match self.live_until.get(token) {
            None => Err(BadBearer::Unknown),
            Some(until) if *until <= Instant::now() => Err(BadBearer::Expired),
            Some(_) => Ok(()),
        }
    }

    /// Makes every token issued so far unknown.
    pub(super) fn revoke(&mut self) {
        self.live_until.clear();
    }

    /// Whether this assertion came before.
    pub(super) fn is_repeat(&mut self, assertion: &str) -> bool {
        !self.assertions.insert(assertion.to_owned())
    }
}

/// Judges a token request; answers the assertion it was made with, if with one.
pub(super) fn judge(
    call: &Call,
    tenant: &str,
    settings: &Settings,
    own_url: &str,
    now: Timestamp,
) -> Result<Option<String>, EntraError> {
    if !call.has_content_type("application/x-www-form-urlencoded") {
        return Err(malformed("The content type must be application/x-www-form-urlencoded."));
    }
    let form = Form::parse(&call.body)?;
    if !tenant.eq_ignore_ascii_case(&settings.tenant) {
        return Err(no_tenant(tenant, "invalid_request"));
    }
    let client_id = form.required("client_id")?;
    if !client_id.eq_ignore_ascii_case(&settings.client_id) {
        let message =
            format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
        return Err(EntraError::request(700_016, "unauthorized_client", message));
    }
    let grant_type = form.required("grant_type")?;
    if grant_type != "client_credentials" {
        let message = format!("The app requested an unsupported grant type '{grant_type}'.");
        return Err(EntraError::request(70003, "unsupported_grant_type", message));
    }
    let scope = form.required("scope")?;
    if !scope.ends_with("/.default") {
        let message = format!("The provided value for the input parameter scope '{scope}' is not valid.");
        return Err(EntraError::request(70011, "invalid_scope", message));
    }
    if scope != settings.cloud.scope() {
        let message = format!("The resource principal of scope '{scope}' was not found in the tenant.");
        return Err(EntraError::request(500_011, "invalid_resource", message));
    }
    match (form.value("client_secret"), form.value("client_assertion")) {
        (Some(_), Some(_)) => Err(malformed("Both a client_secret and a client_assertion were given.")),
        (Some(secret), None) if secret == settings.client_secret => Ok(None),
        (Some(_), None) => Err(EntraError::client(
            7_000_215,
            "Invalid client secret provided. The value is expected, not the ID of the secret.",
        )),
        (None, Some(assertion)) => {
            if form.required("client_assertion_type")? != ASSERTION_TYPE {
                return Err(malformed("The client_assertion_type is not that of a JWT bearer."));
            }
            check_assertion(assertion, settings, own_url, now)?;
            Ok(Some(assertion.to_owned()))
        }
        (None, None) => Err(EntraError::client(
            7_000_216,
            "'client_assertion' or 'client_secret' is required for the 'client_credentials' grant type.",
        )),
    }
}

fn no_tenant(tenant: &str, error: &'static str) -> EntraError {
    let message = format!(
        "Tenant '{tenant}' not found. Check that the tenant ID is right and that it is of this cloud."
    );
    EntraError::request(90002, error, message)
}

/// Describes the tenant to everybody, as far as a client needs it to find the token endpoint.
pub(super) fn describe(tenant: &str, settings: &Settings, own_url: &str) -> Answer {
    if !tenant.eq_ignore_ascii_case(&settings.tenant) {
        return no_tenant(tenant, "invalid_tenant").into_answer();
    }
    let token_endpoint = format!("{own_url}/{tenant}/oauth2/v2.0/token");
    Answer::json(
        200,
        &json!({"token_endpoint": token_endpoint, "issuer": format!("{own_url}/{tenant}/v2.0")}),
    )
}

fn malformed(message: &str) -> EntraError {
    EntraError::request(9_002_313, "invalid_request", format!("Invalid request. {message}"))
}

struct Form(Vec<(String, String)>);

impl Form {
    fn parse(body: &[u8]) -> Result<Self, EntraError> {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
        let mut names = HashSet::new();
        if pairs.iter().all(|(name, _)| names.insert(name.as_str())) {
            Ok(Self(pairs))
        } else {
            Err(malformed("A parameter was given twice."))
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    fn required(&self, name: &str) -> Result<&str, EntraError> {
        self.value(name).ok_or_else(|| {
            let message = format!("The request body must contain the following parameter: '{name}'.");
            EntraError::request(900_144, "invalid_request", message)
        })
    }
}

#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
    kid: Option<String>,
    x5t: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<i64>,
    nbf: Option<i64>,
    iat: Option<i64>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    List(Vec<String>),
}

fn check_assertion(
    assertion: &str,
    settings: &Settings,
    own_url: &str,
    now: Timestamp,
) -> Result<(), EntraError> {
    let (header, claims) =
        parts(assertion).ok_or_else(|| invalid_jwt("It is no signed JSON Web Token in compact form."))?;
    if header.alg != "RS256" {
        let message =
            format!("Invalid JWT token. Unsupported key for the signing algorithm '{}'.", header.alg);
        return Err(EntraError::request(5_002_730, "invalid_request", message));
    }
    let issuer = present(claims.iss.as_deref(), "iss")?;
    let subject = present(claims.sub.as_deref(), "sub")?;
    let expiry = claims.exp.ok_or_else(|| invalid_jwt("The claim 'exp' is missing."))?;
    let audience = match claims.aud {
        Some(Audience::One(audience)) => audience,
        Some(Audience::List(list)) => match <[String; 1]>::try_from(list) {
            Ok([audience]) => audience,
            Err(list) => list.join(" "),
        },
        None => return Err(invalid_jwt("The claim 'aud' is missing.")),
    };
    let now = now.as_second();
    if expiry <= now || claims.nbf.is_some_and(|from| from > now) || claims.iat.is_some_and(|at| at > now) {
        let message = format!("Client assertion is not within its valid time range. Current time: {now}.");
        return Err(EntraError::client(700_024, message));
    }
    if let Some(thumbprint) = header.x5t {
        let token_path = format!("/{}/oauth2/v2.0/token", settings.tenant);
        let urls = [format!("{own_url}{token_path}"), format!("{}{token_path}", settings.cloud.authority())];
        if !urls.contains(&audience) {
            let message = format!("Client assertion audience '{audience}' is not this token endpoint.");
            return Err(EntraError::client(700_023, message));
        }
        if issuer != settings.client_id || subject != settings.client_id {
            let message = "Client assertion contains an invalid issuer or subject: both are the client ID.";
            return Err(EntraError::client(700_021, message));
        }
        present(claims.jti.as_deref(), "jti")?;
        if settings.certificate_thumbprint.as_ref().is_some_and(|registered| *registered != thumbprint) {
            let message = format!("The certificate with identifier '{thumbprint}' is not registered.");
            return Err(EntraError::client(700_027, message));
        }
        return Ok(());
    }
    present(header.kid.as_deref(), "kid")?;
    let no_match = |what: &str, value: &str| {
        format!("No matching federated identity record found for presented assertion {what} '{value}'.")
    };
    if settings.issuer.as_ref().is_some_and(|expected| expected != issuer) {
        return Err(EntraError::client(700_211, no_match("issuer", issuer)));
    }
    if settings.subject.as_ref().is_some_and(|expected| expected != subject) {
        return Err(EntraError::client(700_213, no_match("subject", subject)));
    }
    if audience != settings.audience.as_deref().unwrap_or(settings.cloud.federation_audience()) {
        return Err(EntraError::client(700_212, no_match("audience", &audience)));
    }
    Ok(())
}

fn invalid_jwt(message: &str) -> EntraError {
    EntraError::request(50027, "invalid_request", format!("JWT token is invalid or malformed. {message}"))
}

fn present<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, EntraError> {
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid_jwt(&format!("'{name}' is missing or empty.")))
}

fn parts(assertion: &str) -> Option<(JwtHeader, Claims)> {
    let mut parts = assertion.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if parts.next().is_some() || signature.is_empty() || !signature.bytes().all(is_base64url) {
        return None;
    }
    let header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some((header, claims))
}
