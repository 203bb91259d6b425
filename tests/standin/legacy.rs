//! What the legacy API refuses and takes.

use crate::client::{Request, gzip, hours_ago, row, start};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use sentinel_forwarder::standin::Settings;
use sha2::Sha256;

fn date(minutes_ago: i64) -> String {
    let time = Timestamp::now() - SignedDuration::from_mins(minutes_ago);
    DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap()
}

fn signed(date: &str, body: &[u8]) -> Request {
    let settings = Settings::default();
    let key = STANDARD.decode(&settings.shared_key).unwrap();
    let mut code = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    code.update(format!("POST\n{}\napplication/json\nx-ms-date:{date}\n/api/logs", body.len()).as_bytes());
    let signature = STANDARD.encode(code.finalize().into_bytes());
    Request::new("POST", "/api/logs?api-version=2016-04-01")
        .header("authorization", format!("SharedKey {}:{signature}", settings.workspace_id))
        .header("content-type", "application/json")
        .header("log-type", "AWSCloudTrail")
        .header("time-generated-field", "TimeGenerated")
        .header("x-ms-date", date)
        .body(body)
}

#[test]
fn a_signed_post_is_taken() {
    let standin = start();
    let sent = row(r#""EventName":"é""#);
    assert_eq!(signed(&date(0), format!("[{sent}]").as_bytes()).send(&standin).status, 200);
    assert_eq!(standin.rows("AWSCloudTrail_CL"), [sent]);
    let own = signed(&date(14), br#"[{"Anything":1.5}]"#)
        .header("log-type", "Other")
        .header("time-generated-field", "");
    assert_eq!(own.send(&standin).status, 200);
    assert_eq!(standin.rows("Other_CL"), [r#"{"Anything":1.5}"#]);
}

#[test]
fn a_wrong_post_is_refused_in_the_legacy_words() {
    let standin = start();
    let body = format!("[{}]", row(""));
    let good = || signed(&date(0), body.as_bytes());
    let of = |text: &str| signed(&date(0), text.as_bytes());
    let long = format!("[{}]", row(&format!(r#""UserAgent":"{}""#, "x".repeat(32_769))));
    let stale = format!(r#"[{{"TimeGenerated":"{}"}}]"#, hours_ago(49));
    let zipped = gzip(body.as_bytes());
    for (what, request, status, code) in [
        ("no version", good().target("/api/logs"), 400, "MissingApiVersion"),
        ("another version", good().target("/api/logs?api-version=2023-01-01"), 400, "InvalidApiVersion"),
        ("no content type", good().header("content-type", ""), 400, "MissingContentType"),
        (
            "a charset, which is not what was signed",
            good().header("content-type", "application/json; charset=utf-8"),
            400,
            "UnsupportedContentType",
        ),
        ("no authorization", good().header("authorization", ""), 403, "InvalidAuthorization"),
        (
            "another workspace",
            good().header("authorization", "SharedKey x:eA=="),
            403,
            "InvalidAuthorization",
        ),
        ("another body than was signed", good().body(format!("{body} ")), 403, "InvalidAuthorization"),
        ("another date than was signed", good().header("x-ms-date", date(1)), 403, "InvalidAuthorization"),
        ("an old date", signed(&date(16), body.as_bytes()), 403, "InvalidAuthorization"),
        ("a date ahead", signed(&date(-16), body.as_bytes()), 403, "InvalidAuthorization"),
        ("another form of date", signed(&hours_ago(0), body.as_bytes()), 403, "InvalidAuthorization"),
        ("over 30 MB", of(&format!("{body}{}", " ".repeat(30_000_000))), 413, "RequestTooLarge"),
        (
            "gzip",
            signed(&date(0), &zipped).header("content-encoding", "gzip"),
            400,
            "UnsupportedContentEncoding",
        ),
        ("no type", good().header("log-type", ""), 400, "MissingLogType"),
        ("a type with a hyphen", good().header("log-type", "AWS-CloudTrail"), 400, "InvalidLogType"),
        ("no rows", of("[]"), 400, "InvalidDataFormat"),
        ("an object", of("{}"), 400, "InvalidDataFormat"),
        ("a value over 32 KB", of(&long), 400, "ValueTooLong"),
        ("an undeclared column", of(&format!("[{}]", row(r#""Nope":1"#))), 400, "UnknownColumn"),
        ("a row without its time", of(r#"[{"EventName":"x"}]"#), 400, "MissingTimeGenerated"),
        ("an old time alone", of(&stale), 400, "MissingEventTime"),
        (
            "a reserved name",
            of(&format!("[{}]", row(r#""tenant":"x""#))).header("log-type", "Other"),
            400,
            "ReservedColumn",
        ),
    ] {
        let answer = request.send(&standin);
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert_eq!(answer.json()["Error"], code, "{what}");
    }
    assert_eq!(standin.rows("AWSCloudTrail_CL"), [""; 0]);
}
