//! What the token endpoint refuses and issues.

use crate::client::{Answer, start, token_request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use sentinel_forwarder::standin::{Cloud, Settings, Standin};
use serde_json::{Value, json};

const ISSUER: &str = "https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws";
const SUBJECT: &str = "arn:aws:iam::123456789012:role/forwarder";

fn in_seconds(seconds: i64) -> i64 {
    Timestamp::now().as_second() + seconds
}

fn jwt(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims))
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": "api://AzureADTokenExchange",
        "iat": in_seconds(0), "nbf": in_seconds(0), "exp": in_seconds(300), "jti": "1",
    })
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "key-1", "typ": "JWT"})
}

fn with(mut value: Value, member: &str, new: Value) -> Value {
    value[member] = new;
    value
}

fn without(mut value: Value, member: &str) -> Value {
    value.as_object_mut().unwrap().remove(member);
    value
}

fn assert_with(standin: &Standin, assertion: &str) -> Answer {
    token_request(&[
        ("client_secret", ""),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ])
    .send(standin)
}

fn error_number(answer: &Answer) -> u64 {
    let body = answer.json();
    let number = body["error_codes"][0].as_u64().unwrap();
    assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{number}: ")));
    for member in ["error", "trace_id", "correlation_id"] {
        assert!(body[member].is_string(), "{member}");
    }
    number
}

#[test]
fn a_right_secret_gets_a_token() {
    let standin = Standin::start(Settings { token_seconds: 7, ..Settings::default() }).unwrap();
    let answer = token_request(&[]).send(&standin);
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!((&body["expires_in"], &body["ext_expires_in"]), (&json!(7), &json!(7)));
    assert!(body["access_token"].as_str().unwrap().len() > 40);
    assert_eq!(standin.token_exchanges(), 1);
}

#[test]
fn a_wrong_form_is_refused_in_entras_words() {
    let standin = start();
    let request = token_request;
    for (what, request, status, number) in [
        ("a JSON content type", request(&[]).header("content-type", "application/json"), 400, 9_002_313),
        ("another tenant", request(&[]).target("/other/oauth2/v2.0/token"), 400, 90002),
        ("no client", request(&[("client_id", "")]), 400, 900_144),
        ("another client", request(&[("client_id", "x")]), 400, 700_016),
        ("no grant type", request(&[("grant_type", "")]), 400, 900_144),
        ("another grant type", request(&[("grant_type", "password")]), 400, 70003),
        ("no scope", request(&[("scope", "")]), 400, 900_144),
        ("a scope without .default", request(&[("scope", "https://monitor.azure.com")]), 400, 70011),
        ("another cloud's scope", request(&[("scope", "https://monitor.azure.us/.default")]), 400, 500_011),
        ("a wrong secret", request(&[("client_secret", "x")]), 401, 7_000_215),
        ("no credential", request(&[("client_secret", "")]), 401, 7_000_216),
        ("two credentials", request(&[("client_assertion", "x")]), 400, 9_002_313),
        (
            "a parameter twice",
            request(&[]).body("client_id=22222222-2222-2222-2222-222222222222&client_id=x"),
            400,
            9_002_313,
        ),
        ("no assertion type", request(&[("client_secret", ""), ("client_assertion", "x")]), 400, 900_144),
    ] {
        let answer = request.send(&standin);
        assert_eq!((answer.status, error_number(&answer)), (status, number), "{what}");
    }
    assert_eq!(standin.token_exchanges(), 0);
    assert_eq!(standin.refusals().len(), 14);
}

#[test]
fn a_federated_assertion_is_checked_claim_by_claim() {
    let settings = Settings {
        issuer: Some(ISSUER.to_owned()),
        subject: Some(SUBJECT.to_owned()),
        ..Settings::default()
    };
    let standin = Standin::start(settings).unwrap();
    for (what, assertion, status, number) in [
        ("no JWT", "a.b".to_owned(), 400, 50027),
        ("four parts", format!("{}.x", jwt(&header(), &claims())), 400, 50027),
        ("no signature", jwt(&header(), &claims()).replace("c2lnbmF0dXJl", ""), 400, 50027),
        ("ES384", jwt(&with(header(), "alg", json!("ES384")), &claims()), 400, 5_002_730),
        ("none", jwt(&with(header(), "alg", json!("none")), &claims()), 400, 5_002_730),
        ("no kid", jwt(&without(header(), "kid"), &claims()), 400, 50027),
        ("no issuer", jwt(&header(), &without(claims(), "iss")), 400, 50027),
        ("no subject", jwt(&header(), &without(claims(), "sub")), 400, 50027),
        ("no audience", jwt(&header(), &without(claims(), "aud")), 400, 50027),
        ("no expiry", jwt(&header(), &without(claims(), "exp")), 400, 50027),
        ("expired", jwt(&header(), &with(claims(), "exp", json!(in_seconds(-1)))), 401, 700_024),
        ("not yet valid", jwt(&header(), &with(claims(), "nbf", json!(in_seconds(60)))), 401, 700_024),
        ("issued in the future", jwt(&header(), &with(claims(), "iat", json!(in_seconds(60)))), 401, 700_024),
        ("another issuer", jwt(&header(), &with(claims(), "iss", json!("x"))), 401, 700_211),
        ("another subject", jwt(&header(), &with(claims(), "sub", json!("x"))), 401, 700_213),
        (
            "another cloud's audience",
            jwt(&header(), &with(claims(), "aud", json!("api://AzureADTokenExchangeUSGov"))),
            401,
            700_212,
        ),
        (
            "two audiences",
            jwt(&header(), &with(claims(), "aud", json!(["api://AzureADTokenExchange", "x"]))),
            401,
            700_212,
        ),
    ] {
        let answer = assert_with(&standin, &assertion);
        assert_eq!((answer.status, error_number(&answer)), (status, number), "{what}");
    }
    assert_eq!(assert_with(&standin, &jwt(&header(), &claims())).status, 200);
}

#[test]
fn the_audience_of_the_credential_may_be_another() {
    let settings = Settings { audience: Some("api://other".to_owned()), ..Settings::default() };
    let standin = Standin::start(settings).unwrap();
    let other = with(claims(), "aud", json!("api://other"));
    assert_eq!(assert_with(&standin, &jwt(&header(), &other)).status, 200);
    assert_eq!(error_number(&assert_with(&standin, &jwt(&header(), &claims()))), 700_212);
}

#[test]
fn a_clock_that_is_ahead_dates_answers_and_judges_times() {
    let settings = Settings { clock_ahead_seconds: 400, ..Settings::default() };
    let standin = Standin::start(settings).unwrap();
    let answer = assert_with(&standin, &jwt(&header(), &claims()));
    assert_eq!(error_number(&answer), 700_024);
    let date = DateTimeParser::new().parse_timestamp(answer.header("date").unwrap()).unwrap();
    assert!((390..=410).contains(&(date.as_second() - in_seconds(0))), "{date}");
}

#[test]
fn each_cloud_has_a_scope_and_an_audience_of_its_own() {
    for cloud in [Cloud::Public, Cloud::UsGovernment, Cloud::China] {
        let standin = Standin::start(Settings { cloud, ..Settings::default() }).unwrap();
        let secret = token_request(&[("scope", cloud.scope())]).send(&standin);
        assert_eq!(secret.status, 200);
        let assertion = jwt(&header(), &with(claims(), "aud", json!([cloud.federation_audience()])));
        let federated = token_request(&[
            ("scope", cloud.scope()),
            ("client_secret", ""),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ]);
        assert_eq!(federated.send(&standin).status, 200);
        if cloud != Cloud::Public {
            assert_eq!(token_request(&[]).send(&standin).status, 400);
        }
    }
}

#[test]
fn an_assertion_that_comes_twice_is_noted() {
    let standin = start();
    let assertion = jwt(&header(), &claims());
    for reused in [0, 1, 2] {
        assert_eq!(assert_with(&standin, &assertion).status, 200);
        assert_eq!(standin.tokens().reused_assertions, reused);
    }
    assert_eq!(assert_with(&standin, &jwt(&header(), &with(claims(), "jti", json!("2")))).status, 200);
    assert_eq!(standin.tokens().reused_assertions, 2);
}

#[test]
fn a_certificate_assertion_is_checked_against_the_endpoint_and_the_client() {
    let settings = Settings { certificate_thumbprint: Some("dGh1bWI".to_owned()), ..Settings::default() };
    let (client_id, tenant) = (settings.client_id.clone(), settings.tenant.clone());
    let standin = Standin::start(settings).unwrap();
    let header = json!({"alg": "RS256", "typ": "JWT", "x5t": "dGh1bWI"});
    let own = format!("{}/{tenant}/oauth2/v2.0/token", standin.url());
    let claims = json!({"aud": own, "iss": client_id, "sub": client_id, "exp": in_seconds(300), "jti": "1"});
    let entra = json!(format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"));
    for (what, assertion, status) in [
        ("right", jwt(&header, &claims), 200),
        ("for Entra's own address", jwt(&header, &with(claims.clone(), "aud", entra)), 200),
        ("another audience", jwt(&header, &with(claims.clone(), "aud", json!("x"))), 401),
        ("another issuer", jwt(&header, &with(claims.clone(), "iss", json!("x"))), 401),
        ("another subject", jwt(&header, &with(claims.clone(), "sub", json!("x"))), 401),
        ("no jti", jwt(&header, &without(claims.clone(), "jti")), 400),
        ("another certificate", jwt(&with(header.clone(), "x5t", json!("x")), &claims), 401),
    ] {
        let answer = assert_with(&standin, &assertion);
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
    }
}
