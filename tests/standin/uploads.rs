//! What the Logs Ingestion API refuses and takes.

use crate::client::{DCR, gzip, hours_ago, now, row, start, token, upload, upload_trail};
use sentinel_forwarder::standin::{Settings, Standin};
use sentinel_forwarder::table::Table;
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: usize = 1_048_576;

#[test]
fn a_flawless_batch_is_taken_verbatim() {
    let standin = start();
    let token = token(&standin);
    let trail = row(
        r#""EventName":"Get\u0042\ud83d\ude00", "ReadOnly" : true,"AwsEventId":"0A1b2c3d-0000-1111-2222-333344445555""#,
    );
    let finding = row(r#""Severity":-7,"ResourceDetails":{"n":123456789012345678901234567890.10,"x":null}"#);
    let body = format!("[ {trail} ,\n{trail}]");
    let answer =
        upload_trail(&token, gzip(body.as_bytes())).header("content-encoding", "gzip").send(&standin);
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let answer = upload(&token, "Custom-AWSGuardDuty", format!("[{finding}]"))
        .header("content-type", "application/json; charset=utf-8")
        .send(&standin);
    assert_eq!(answer.status, 204);
    assert_eq!(standin.rows("AWSCloudTrail"), [trail.clone(), trail]);
    assert_eq!(standin.rows("AWSGuardDuty"), [finding]);
    assert_eq!(standin.refusals(), []);
    let exchange = &standin.requests()[1];
    assert_eq!((exchange.status, exchange.rows), (Some(204), 2));
    assert_eq!(exchange.bytes_inflated, body.len());
    assert_eq!(exchange.bytes_wire, gzip(body.as_bytes()).len());
}

#[test]
fn a_request_with_a_wrong_head_is_refused() {
    let standin = start();
    let token = token(&standin);
    let good = || upload_trail(&token, format!("[{}]", row("")));
    let path = format!("/dataCollectionRules/{DCR}/streams/Custom-AWSCloudTrail");
    let used = good();
    assert_eq!(used.send(&standin).status, 204);
    let used_id = used.headers.iter().find(|(name, _)| *name == "x-ms-client-request-id").unwrap().1.clone();
    let cases = [
        ("no bearer", good().header("authorization", ""), 401, "Unauthorized"),
        ("another scheme", good().header("authorization", format!("bearer:{token}")), 401, "Unauthorized"),
        ("an unknown bearer", good().header("authorization", "Bearer x"), 401, "Unauthorized"),
        (
            "an unknown rule",
            good().target("/dataCollectionRules/dcr-0/streams/Custom-AWSCloudTrail?api-version=2023-01-01"),
            404,
            "NotFound",
        ),
        ("no version", good().target(&path), 400, "UnsupportedApiVersion"),
        (
            "another version",
            good().target(format!("{path}?api-version=2021-11-01-preview")),
            400,
            "UnsupportedApiVersion",
        ),
        (
            "more query",
            good().target(format!("{path}?api-version=2023-01-01&a=b")),
            400,
            "UnsupportedApiVersion",
        ),
        ("no content type", good().header("content-type", ""), 400, "InvalidContentType"),
        ("another content type", good().header("content-type", "text/json"), 400, "InvalidContentType"),
        (
            "another charset",
            good().header("content-type", "application/json; charset=utf-16"),
            400,
            "InvalidContentType",
        ),
        ("no id", good().header("x-ms-client-request-id", ""), 400, "MissingClientRequestId"),
        (
            "an id that is no GUID",
            good().header("x-ms-client-request-id", "1"),
            400,
            "InvalidClientRequestId",
        ),
        (
            "an id used before, in capitals",
            good().header("x-ms-client-request-id", used_id.to_uppercase()),
            400,
            "RepeatedClientRequestId",
        ),
        ("another encoding", good().header("content-encoding", "deflate"), 400, "UnsupportedContentEncoding"),
        (
            "an unknown stream",
            good().target(
                "/dataCollectionRules/{}/streams/Custom-AWSWAF?api-version=2023-01-01".replace("{}", DCR),
            ),
            400,
            "InvalidStream",
        ),
    ];
    let refused = cases.len();
    for (what, request, status, code) in cases {
        let answer = request.send(&standin);
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert_eq!(answer.header("x-ms-error-code"), Some(code), "{what}");
        assert_eq!(answer.json()["error"]["code"], code, "{what}");
        assert_eq!(standin.refusals().last().unwrap().code, code, "{what}");
    }
    assert_eq!(standin.refusals().len(), refused);
    assert_eq!(standin.rows("AWSCloudTrail").len(), 1);
}

#[test]
fn a_body_that_is_no_array_of_objects_is_refused() {
    let standin = start();
    let token = token(&standin);
    let good = row("");
    let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", Vec::new(), 500, "InternalServerError"),
        ("an empty array", b"[]".into(), 500, "InternalServerError"),
        ("an empty array with blanks", b" [ \n ] ".into(), 500, "InternalServerError"),
        ("no JSON", b"TimeGenerated".into(), 400, "InvalidJson"),
        ("half an array", format!("[{good}").into(), 400, "InvalidJson"),
        ("a comma too many", format!("[{good},]").into(), 400, "InvalidJson"),
        ("two documents", format!("[{good}][{good}]").into(), 400, "InvalidJson"),
        ("JSON lines", format!("{good}\n{good}").into(), 400, "InvalidJson"),
        ("a raw control character", b"[{\"EventName\":\"a\nb\"}]".into(), 400, "InvalidJson"),
        ("no UTF-8", b"[{\"EventName\":\"\xff\"}]".into(), 400, "InvalidUtf8"),
        ("an object", good.clone().into(), 400, "InvalidPayload"),
        ("a string within", format!("[{good},\"x\"]").into(), 400, "InvalidRow"),
        ("an array within", format!("[[{good}]]").into(), 400, "InvalidRow"),
        ("null within", format!("[null,{good}]").into(), 400, "InvalidRow"),
        ("200,000 levels", deep.into(), 400, "InvalidRow"),
    ];
    for (what, body, status, code) in cases {
        let answer = upload_trail(&token, body).send(&standin);
        assert_eq!((answer.status, answer.header("x-ms-error-code")), (status, Some(code)), "{what}");
    }
    assert_eq!(standin.rows("AWSCloudTrail"), [""; 0]);
}

#[test]
fn a_row_that_the_service_would_cut_or_null_is_refused() {
    let standin = start();
    let token = token(&standin);
    let long = "x".repeat(65_537);
    let wide = "é".repeat(32_769);
    let text = |name: &str, value: &str| row(&format!(r#""{name}":{value}"#));
    let cases: Vec<(Table, String, &str, Option<&str>)> = vec![
        (Table::AwsCloudTrail, text("Nope", "1"), "UnknownColumn", Some("Nope")),
        (Table::AwsCloudTrail, text("eventname", "\"x\""), "UnknownColumn", Some("eventname")),
        (Table::AwsCloudTrail, text("Severity", "1"), "UnknownColumn", Some("Severity")),
        (
            Table::AwsCloudTrail,
            row(r#""EventName":"a","Event\u004eame":"b""#),
            "DuplicateColumn",
            Some("EventName"),
        ),
        (Table::AwsCloudTrail, text("EventName", "null"), "EmptyValue", Some("EventName")),
        (Table::AwsCloudTrail, text("EventName", "\"\""), "EmptyValue", Some("EventName")),
        (Table::AwsGuardDuty, text("ServiceDetails", "null"), "EmptyValue", Some("ServiceDetails")),
        (Table::AwsGuardDuty, text("ServiceDetails", "\"\""), "EmptyValue", Some("ServiceDetails")),
        (Table::AwsCloudTrail, text("EventName", "1"), "WrongType", Some("EventName")),
        (Table::AwsCloudTrail, text("Resources", "[]"), "WrongType", Some("Resources")),
        (Table::AwsCloudTrail, text("ReadOnly", "\"true\""), "WrongType", Some("ReadOnly")),
        (Table::AwsCloudTrail, text("ReadOnly", "1"), "WrongType", Some("ReadOnly")),
        (Table::AwsCloudTrail, text("AwsEventId", "\"abc\""), "WrongType", Some("AwsEventId")),
        (
            Table::AwsCloudTrail,
            text("SharedEventId", "\"{0a1b2c3d-0000-1111-2222-33334444555}\""),
            "WrongType",
            Some("SharedEventId"),
        ),
        (
            Table::AwsCloudTrail,
            text("SharedEventId", "\"0a1b2c3d000011112222333344445555\""),
            "WrongType",
            Some("SharedEventId"),
        ),
        (Table::AwsGuardDuty, text("Severity", "6.9"), "WrongType", Some("Severity")),
        (Table::AwsGuardDuty, text("Severity", "1e1"), "WrongType", Some("Severity")),
        (Table::AwsGuardDuty, text("Severity", "2147483648"), "WrongType", Some("Severity")),
        (Table::AwsGuardDuty, text("Severity", "\"7\""), "WrongType", Some("Severity")),
        (Table::AwsGuardDuty, text("TimeCreated", "\"yesterday\""), "WrongType", Some("TimeCreated")),
        (Table::AwsGuardDuty, text("TimeCreated", "1700000000"), "WrongType", Some("TimeCreated")),
        (
            Table::AwsGuardDuty,
            text("TimeCreated", "\"2024-01-01T00:00:00+01:00\""),
            "WrongType",
            Some("TimeCreated"),
        ),
        (Table::AwsCloudTrail, text("UserAgent", &format!("\"{long}\"")), "ValueTooLong", Some("UserAgent")),
        (Table::AwsCloudTrail, text("UserAgent", &format!("\"{wide}\"")), "ValueTooLong", Some("UserAgent")),
        (
            Table::AwsGuardDuty,
            text("ServiceDetails", &format!("[\"{}\"]", "x".repeat(65_533))),
            "ValueTooLong",
            Some("ServiceDetails"),
        ),
        (Table::AwsCloudTrail, text("UserAgent", r#""\ud83d""#), "LoneSurrogate", None),
        (Table::AwsGuardDuty, text("ServiceDetails", r#"{"a":["\ude00"]}"#), "LoneSurrogate", None),
        (Table::AwsCloudTrail, r#"{"EventName":"x"}"#.into(), "MissingTimeGenerated", Some("TimeGenerated")),
        (Table::AwsCloudTrail, "{}".into(), "MissingTimeGenerated", Some("TimeGenerated")),
        (
            Table::AwsCloudTrail,
            format!(r#"{{"TimeGenerated":"{}"}}"#, hours_ago(49)),
            "MissingEventTime",
            Some("EventTime_CF"),
        ),
        (
            Table::AwsCloudTrail,
            format!(r#"{{"TimeGenerated":"{}"}}"#, hours_ago(-25)),
            "MissingEventTime",
            Some("EventTime_CF"),
        ),
    ];
    for (table, flawed, code, column) in cases {
        let stream = format!("Custom-{}", table.name());
        let shown: String = flawed.chars().take(120).collect();
        let answer = upload(&token, &stream, format!("[{},{flawed}]", row(""))).send(&standin);
        assert_eq!((answer.status, answer.header("x-ms-error-code")), (400, Some(code)), "{shown}");
        let refusal = standin.refusals().pop().unwrap();
        assert_eq!((refusal.row, refusal.column.as_deref()), (Some(1), column), "{shown}");
        assert_eq!(standin.rows(table.name()), [""; 0], "nothing of a refused batch is taken");
    }
}

#[test]
fn values_at_their_limit_are_taken() {
    let standin = start();
    let token = token(&standin);
    let cases = [
        (Table::AwsCloudTrail, format!(r#""UserAgent":"{}""#, "x".repeat(65_536))),
        (Table::AwsCloudTrail, format!(r#""UserAgent":"{}""#, "é".repeat(32_768))),
        (Table::AwsCloudTrail, format!(r#""UserAgent":"{}""#, r"\u0041".repeat(65_536))),
        (Table::AwsGuardDuty, format!(r#""ServiceDetails":["{}"]"#, "x".repeat(65_532))),
        (Table::AwsGuardDuty, format!(r#""ServiceDetails":{}{}"#, "[".repeat(30_000), "]".repeat(30_000))),
        (
            Table::AwsGuardDuty,
            r#""Severity":-2147483648,"ServiceDetails":[],"ResourceDetails":{}"#.to_owned(),
        ),
    ];
    for (table, members) in cases {
        let shown: String = members.chars().take(80).collect();
        let answer = upload(&token, &format!("Custom-{}", table.name()), format!("[{}]", row(&members)));
        assert_eq!(answer.send(&standin).status, 204, "{shown}");
    }
}

#[test]
fn one_byte_over_a_size_limit_is_refused() {
    let standin = start();
    let token = token(&standin);
    let good = format!("[{}]", row(""));
    let padded = |bytes: usize| format!("{good}{}", " ".repeat(bytes - good.len())).into_bytes();
    for (bytes, status) in [(LIMIT, 204), (LIMIT + 1, 413)] {
        assert_eq!(upload_trail(&token, padded(bytes)).send(&standin).status, status, "{bytes} plain");
        let request = upload_trail(&token, gzip(&padded(bytes))).header("content-encoding", "gzip");
        assert_eq!(request.send(&standin).status, status, "{bytes} inflated");
    }
    let answer = upload_trail(&token, padded(9 * LIMIT)).send(&standin);
    assert_eq!(answer.header("x-ms-error-code"), Some("ContentLengthLimitExceeded"));
    assert!(answer.body.contains("Maximum allowed content length: 1048576 bytes"), "{}", answer.body);
}

#[test]
fn a_gzip_bomb_is_refused_without_being_inflated() {
    let standin = start();
    let token = token(&standin);
    let bomb = gzip(&vec![b' '; 64 * LIMIT]);
    assert!(bomb.len() < LIMIT);
    let answer = upload_trail(&token, bomb).header("content-encoding", "gzip").send(&standin);
    assert_eq!(answer.status, 413);
    assert_eq!(standin.requests().last().unwrap().bytes_inflated, LIMIT + 1);
}

#[test]
fn broken_gzip_is_refused() {
    let standin = start();
    let token = token(&standin);
    let whole = gzip(format!("[{}]", row("")).as_bytes());
    let mut trailed = whole.clone();
    trailed.extend_from_slice(b"garbage");
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    for (what, body) in [
        ("cut short", whole[..whole.len() - 9].to_vec()),
        ("with bytes after it", trailed),
        ("with a wrong checksum", flipped),
        ("plain", format!("[{}]", row("")).into_bytes()),
    ] {
        let answer = upload_trail(&token, body).header("content-encoding", "gzip").send(&standin);
        assert_eq!((answer.status, answer.header("x-ms-error-code")), (400, Some("InvalidGzip")), "{what}");
    }
}

#[test]
fn a_time_that_is_far_off_is_replaced_and_marked() {
    let standin = start();
    let token = token(&standin);
    for (hours, replaced) in [(47, false), (49, true), (-23, false), (-25, true)] {
        let time = hours_ago(hours);
        let sent = format!(r#"{{"EventName":"é", "TimeGenerated" : "{time}","EventTime_CF":"{time}"}}"#);
        assert_eq!(upload_trail(&token, format!("[{sent}]")).send(&standin).status, 204);
        let kept = standin.kept_rows("AWSCloudTrail").pop().unwrap();
        assert_eq!(kept.time_replaced, replaced, "{hours} hours");
        let expected = if replaced {
            format!(
                r#"{{"EventName":"é", "TimeGenerated" : "{}","EventTime_CF":"{time}"}}"#,
                kept.received_at
            )
        } else {
            sent
        };
        assert_eq!(kept.text, expected);
    }
}

#[test]
fn a_stream_may_have_another_name() {
    let streams = BTreeMap::from([("Custom-Mine".to_owned(), Table::AwsGuardDuty)]);
    let standin = Standin::start(Settings { streams, ..Settings::default() }).unwrap();
    let token = token(&standin);
    let body = format!("[{}]", row(r#""Severity":8"#));
    assert_eq!(upload(&token, "Custom-Mine", body.clone()).send(&standin).status, 204);
    assert_eq!(upload(&token, "Custom-AWSGuardDuty", body).send(&standin).status, 400);
    assert_eq!(standin.rows("AWSGuardDuty").len(), 1);
}

#[test]
fn a_token_that_expired_or_was_revoked_is_refused() {
    let standin = Standin::start(Settings { token_seconds: 1, ..Settings::default() }).unwrap();
    let old = token(&standin);
    let body = format!("[{}]", row(""));
    assert_eq!(upload_trail(&old, body.clone()).send(&standin).status, 204);
    std::thread::sleep(Duration::from_millis(1_050));
    let answer = upload_trail(&old, body.clone()).send(&standin);
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("expired"), "{}", answer.body);
    let fresh = token(&standin);
    standin.revoke_tokens();
    assert_eq!(upload_trail(&fresh, body).send(&standin).status, 401);
}

#[test]
fn only_posts_to_known_paths_are_served() {
    let standin = start();
    let token = token(&standin);
    let mut get = upload_trail(&token, format!("[{}]", row("")));
    get.method = "GET";
    assert_eq!(get.send(&standin).status, 405);
    let nowhere = upload_trail(&token, "").target(format!("/dataCollectionRules/{DCR}?time={}", now()));
    assert_eq!(nowhere.send(&standin).status, 404);
}
