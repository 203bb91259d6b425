//! Answers of Entra and of the Logs Ingestion API that are out of the ordinary: each has its place, and none is taken for
//! a token or a receipt.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use sentinel_forwarder::aws::http_client;
use sentinel_forwarder::config::{Api, Config, DataCollectionRule, LogsIngestion};
use sentinel_forwarder::deadline::Deadline;
use sentinel_forwarder::failure::{Disposition, Reason};
use sentinel_forwarder::sentinel::{LogSink, LogsIngestionSink, TokenCache};
use sentinel_forwarder::table::Table;

const TRANSIENT: Disposition = Disposition::Retryable { after: None };
const ALARMING: Disposition = Disposition::RetryableWithAlarm { reason: Reason::Unauthorized, after: None };
const REFUSED: Disposition = Disposition::Permanent(Reason::Unauthorized);

/// Reads a request to its end.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return false,
            Ok(length) => request.extend_from_slice(&chunk[..length]),
        }
        let text = String::from_utf8_lossy(&request);
        let Some(head) = text.find("\r\n\r\n") else { continue };
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if request.len() >= head + 4 + length.unwrap_or(0) {
            return true;
        }
    }
}

/// A server of one answer, and how many requests came.
fn serve(status: u16, body: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::default());
    let counted = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            while read_request(&mut stream) {
                counted.fetch_add(1, Ordering::Relaxed);
                let length = body.len();
                let answer = format!("HTTP/1.1 {status} Any\r\ncontent-length: {length}\r\n\r\n{body}");
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    (url, asked)
}

fn settings(authority: &str, endpoint: &str) -> LogsIngestion {
    let variables = [
        ("SENTINEL_ENDPOINT", endpoint),
        ("SENTINEL_DCR_ID", "dcr-00000000000000000000000000000000"),
        ("AZURE_AUTHORITY_HOST", authority),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Api::LogsIngestion(settings) = Config::parse(variables.into()).unwrap().api else {
        panic!("not the default API")
    };
    settings
}

fn cache(url: &str) -> TokenCache<SecretString> {
    TokenCache::new(http_client().unwrap(), &settings(url, url), SecretString::from("secret"))
}

#[tokio::test]
async fn a_lifetime_is_read_in_every_form_and_none_ends_the_process() {
    let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
    for (expires_in, lifetime) in [
        (r#","expires_in":3600"#, minutes(60)),
        (r#","expires_in":"3600""#, minutes(60)),
        (r#","expires_in":3600.0"#, minutes(60)),
        ("", minutes(10)),
        (r#","expires_in":null"#, minutes(10)),
        (r#","expires_in":"soon""#, minutes(10)),
        (r#","expires_in":-1"#, minutes(10)),
        (r#","expires_in":{}"#, minutes(10)),
        (r#","expires_in":0"#, minutes(0)),
        (r#","expires_in":9223372036854775807"#, minutes(28 * 60)),
        (r#","expires_in":"18446744073709551616""#, minutes(28 * 60)),
        (r#","expires_in":1e999"#, None),
    ] {
        let (url, asked) = serve(200, format!(r#"{{"access_token":"t"{expires_in}}}"#));
        let granted = cache(&url).try_exchange().await.ok();
        if let Some(lifetime) = lifetime {
            assert_eq!(granted, Some(lifetime), "{expires_in}");
        }
        let tokens = cache(&url);
        for _ in 0..2 {
            assert!(tokens.token().await.is_ok(), "{expires_in}");
        }
        // Whoever has to renew it at once asks again.
        let renewals = if lifetime == minutes(0) { 3 } else { 2 };
        assert_eq!(asked.load(Ordering::Relaxed), renewals, "{expires_in}");
    }
}

#[tokio::test]
async fn each_answer_of_entra_has_its_place() {
    let error = |code: u32| format!(r#"{{"error":"e","error_codes":[{code}]}}"#);
    for (status, body, disposition) in [
        (503, String::new(), TRANSIENT),
        (429, error(90055), TRANSIENT),
        (400, error(90033), TRANSIENT),
        (401, error(700_024), TRANSIENT),
        // A federated credential that is new or wrong.
        (400, error(70021), ALARMING),
        (401, error(70025), ALARMING),
        (401, error(700_211), ALARMING),
        (401, error(700_212), ALARMING),
        (401, error(700_213), ALARMING),
        (401, error(7_000_215), REFUSED),
        (400, error(90002), REFUSED),
        (404, error(90002), REFUSED),
        (401, String::new(), REFUSED),
        // Not Entra's.
        (200, "<html>".to_owned(), ALARMING),
        (200, "{}".to_owned(), ALARMING),
        (200, r#"{"access_token":"a b","expires_in":3600}"#.to_owned(), ALARMING),
        (202, r#"{"access_token":"t","expires_in":3600}"#.to_owned(), ALARMING),
        (302, String::new(), ALARMING),
        (404, "<html>".to_owned(), ALARMING),
        (501, String::new(), ALARMING),
        (200, "x".repeat(65_537), ALARMING),
    ] {
        let (url, _) = serve(status, body.clone());
        let error = cache(&url).try_exchange().await.unwrap_err();
        assert_eq!(error.disposition(), disposition, "{status} {body:.60}: {error}");
    }
}

#[tokio::test]
async fn rules_are_not_blamed_for_entra_and_entra_rests_when_it_fails() {
    let (endpoint, posts) = serve(204, String::new());
    let (authority, exchanges) = serve(503, String::new());
    let settings = settings(&authority, &endpoint);
    let sink = LogsIngestionSink::new(http_client().unwrap(), settings, SecretString::from("secret"), 6);
    let deadline = Deadline::at(Instant::now() + Duration::from_mins(1));
    let (costs, result) = sink.upload(Table::AwsGuardDuty, b"[{}]", deadline).await;
    assert!(matches!(result.unwrap_err().disposition(), Disposition::Retryable { .. }));
    assert_eq!((costs.failed, costs.circuit_open), (5, 0), "no rule's circuit opened");
    assert!(sink.rests().is_some(), "Entra rests");
    let (_, result) = sink.upload(Table::AwsGuardDuty, b"[{}]", deadline).await;
    assert!(matches!(result.unwrap_err().disposition(), Disposition::Retryable { after: Some(_) }));
    assert_eq!((posts.load(Ordering::Relaxed), exchanges.load(Ordering::Relaxed)), (0, 5));
}

#[tokio::test]
async fn each_answer_to_an_upload_has_its_place_and_keeps_its_status() {
    let permanent = |reason| Disposition::Permanent(reason);
    let unknown = Disposition::RetryableWithAlarm { reason: Reason::Misconfigured, after: None };
    let (authority, _) = serve(200, r#"{"access_token":"t","expires_in":3600}"#.to_owned());
    for status in [
        200, 201, 202, 206, 299, 301, 302, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411,
        412, 413, 415, 421, 422, 425, 426, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 529, 599,
        600, 999,
    ] {
        let (endpoint, _) = serve(status, "<html>portal</html>".to_owned());
        let settings = settings(&authority, &endpoint);
        let sink = LogsIngestionSink::new(http_client().unwrap(), settings, SecretString::from("secret"), 6);
        // There is no time for a second try.
        let deadline = Deadline::at(Instant::now() + Duration::from_millis(200));
        let error = sink.upload(Table::AwsGuardDuty, b"[{}]", deadline).await.1.unwrap_err();
        let expected = match status {
            200..=299 | 404 => permanent(Reason::Misconfigured),
            400 => Disposition::Poison(Reason::Rejected),
            401 => permanent(Reason::Unauthorized),
            403 => permanent(Reason::Forbidden),
            413 => Disposition::Poison(Reason::TooLarge),
            408 | 429 | 500 | 502..=599 => TRANSIENT,
            _ => unknown,
        };
        assert_eq!((error.disposition(), error.status()), (expected, Some(status)), "{error}");
    }
}

#[tokio::test]
async fn the_rows_that_one_rule_refuses_another_takes_and_the_alarm_rings() {
    let (authority, _) = serve(200, r#"{"access_token":"t","expires_in":3600}"#.to_owned());
    for (status, reason) in
        [(403, Reason::Forbidden), (404, Reason::Misconfigured), (400, Reason::Misconfigured)]
    {
        let ((refuses, _), (takes, count)) = (serve(status, String::new()), serve(204, String::new()));
        let mut settings = settings(&authority, &refuses);
        let second = settings.rules[0].clone();
        settings.rules.push(DataCollectionRule { endpoint: takes, ..second });
        let sink = LogsIngestionSink::new(http_client().unwrap(), settings, SecretString::from("secret"), 6);
        let mut passed_over = Vec::new();
        for _ in 0..4 {
            let deadline = Deadline::at(Instant::now() + Duration::from_secs(20));
            let (costs, result) = sink.upload(Table::AwsGuardDuty, b"[{}]", deadline).await;
            assert_eq!(result, Ok(()), "{status}");
            passed_over.extend(costs.passed_over);
        }
        assert_eq!((passed_over, count.load(Ordering::Relaxed)), (vec![reason], 4), "{status}");
    }
}
