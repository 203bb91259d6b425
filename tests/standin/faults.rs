//! Each fault, injected in process and over HTTP.

use crate::client::{Request, row, start, token, token_request, upload_trail};
use sentinel_forwarder::standin::{Fault, FaultKind, Standin, Target};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_millis(300);

fn one_row() -> String {
    format!("[{}]", row(""))
}

fn post_fault(standin: &Standin, json: &str) -> u16 {
    Request::new("POST", "/_standin/faults").body(json).send(standin).status
}

/// Exchanges are noted when their connection ends, which the server may see a moment later.
fn last_fault(standin: &Standin, requests: usize) -> Option<&'static str> {
    let until = Instant::now() + Duration::from_secs(5);
    while standin.requests().len() < requests && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    standin.requests().last().unwrap().fault
}

#[test]
fn a_status_is_answered_as_often_as_asked() {
    let standin = start();
    let token = token(&standin);
    standin.inject(Fault::status(429).retry_after("2").times(2));
    for _ in 0..2 {
        let answer = upload_trail(&token, one_row()).send(&standin);
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")));
        assert_eq!(answer.header("x-ms-error-code"), Some("TooManyRequests"));
    }
    assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 204);
    assert_eq!(standin.rows("AWSCloudTrail").len(), 1);
    assert_eq!(standin.refusals(), [], "an injected fault is no refusal");
    assert_eq!(standin.requests()[1].fault, Some("status"));
}

#[test]
fn a_request_id_that_met_a_fault_is_used_up() {
    let standin = start();
    let token = token(&standin);
    standin.inject(Fault::status(503).times(1));
    let request = upload_trail(&token, one_row());
    assert_eq!(request.send(&standin).status, 503);
    let answer = request.send(&standin);
    assert_eq!((answer.status, answer.header("x-ms-error-code")), (400, Some("RepeatedClientRequestId")));
}

#[test]
fn a_fault_lasts_until_it_is_cleared() {
    let standin = start();
    let token = token(&standin);
    assert_eq!(post_fault(&standin, r#"{"kind":"status","status":403,"code":"OperationFailed"}"#), 204);
    for _ in 0..3 {
        assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 403);
    }
    let armed = Request::new("GET", "/_standin/faults").send(&standin).json();
    assert_eq!(armed[0]["kind"], "status");
    assert_eq!(Request::new("DELETE", "/_standin/faults").send(&standin).status, 204);
    assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 204);
}

#[test]
fn token_requests_fail_in_entras_words() {
    let standin = start();
    standin.inject(Fault::status(503).retry_after("Wed, 21 Oct 2026 07:28:00 GMT").times(1).on_tokens());
    standin.inject(Fault::status(400).code("AADSTS70021").times(1).on_tokens());
    let answer = token_request(&[]).send(&standin);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("Wed, 21 Oct 2026 07:28:00 GMT"));
    assert_eq!(answer.json()["error_codes"][0], 90033);
    let answer = token_request(&[]).send(&standin);
    assert_eq!((answer.status, &answer.json()["error_codes"][0]), (400, &serde_json::json!(70021)));
    assert_eq!(token_request(&[]).send(&standin).status, 200);
}

#[test]
fn a_slow_answer_comes_late_though_its_rows_were_taken() {
    let standin = start();
    let token = token(&standin);
    standin.inject(Fault::new(FaultKind::Slow { ms: 150 }).times(1));
    let started = Instant::now();
    assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 204);
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!(standin.rows("AWSCloudTrail").len(), 1);
}

#[test]
fn uploads_that_overlap_are_counted() {
    let standin = start();
    let token = token(&standin);
    standin.inject(Fault::new(FaultKind::Slow { ms: 300 }));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 204));
        }
    });
    assert_eq!(standin.most_in_flight(), 4);
}

#[test]
fn silence_and_lost_connections_take_the_rows_or_not_as_told() {
    for (kind, silent, rows) in
        [("hang", true, 0), ("hang_after", true, 1), ("drop_before", false, 0), ("drop_after", false, 1)]
    {
        let standin = start();
        let token = token(&standin);
        assert_eq!(post_fault(&standin, &format!(r#"{{"kind":"{kind}","times":1}}"#)), 204);
        let error = upload_trail(&token, one_row()).try_send(&standin, PATIENCE).unwrap_err();
        let timed_out = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert_eq!(timed_out, silent, "{kind}: {error}");
        assert_eq!(standin.rows("AWSCloudTrail").len(), rows, "{kind}");
        assert_eq!(last_fault(&standin, 2), Some(kind));
        assert_eq!(standin.requests()[1].status, None, "{kind}");
        assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 204);
        assert_eq!(standin.most_in_flight(), 1, "{kind}: a call that was given up is in flight no more");
    }
}

#[test]
fn an_acknowledgement_of_a_token_can_be_lost() {
    let standin = start();
    standin.inject(Fault::new(FaultKind::DropAfter).times(1).on_tokens());
    assert!(token_request(&[]).try_send(&standin, PATIENCE).is_err());
    assert_eq!(standin.token_exchanges(), 1);
}

#[test]
fn a_batch_with_a_marked_row_is_rejected_whole() {
    let standin = start();
    let token = token(&standin);
    standin.inject(Fault::new(FaultKind::RejectWhere { contains: "poison".to_owned() }));
    let good = row(r#""EventName":"good""#);
    let bad = row(r#""EventName":"poison""#);
    for (body, status) in
        [(format!("[{good},{bad}]"), 400), (format!("[{bad}]"), 400), (format!("[{good},{good}]"), 204)]
    {
        assert_eq!(upload_trail(&token, body).send(&standin).status, status);
    }
    assert_eq!(standin.rows("AWSCloudTrail"), [good.clone(), good]);
}

#[test]
fn a_lower_size_limit_can_be_set() {
    let standin = start();
    let token = token(&standin);
    let body = one_row();
    standin.inject(Fault::new(FaultKind::TooLargeOver { bytes: body.len() }));
    assert_eq!(upload_trail(&token, body.clone()).send(&standin).status, 204);
    assert_eq!(upload_trail(&token, format!("{body} ")).send(&standin).status, 413);
}

#[test]
fn chance_follows_its_seed() {
    let outcomes = |seed: u64| {
        let standin = start();
        let token = token(&standin);
        standin.inject(Fault::status(500).with_probability(0.5, seed));
        let statuses: Vec<_> =
            (0..24).map(|_| upload_trail(&token, one_row()).send(&standin).status).collect();
        statuses
    };
    let first = outcomes(1);
    assert_eq!(first, outcomes(1));
    assert_ne!(first, outcomes(2));
    assert!(first.contains(&500) && first.contains(&204), "{first:?}");
}

#[test]
fn a_fault_that_is_not_understood_is_refused() {
    let standin = start();
    for json in [
        "",
        "{}",
        r#"{"kind":"status"}"#,
        r#"{"kind":"status","status":99}"#,
        r#"{"kind":"status","status":429,"retry-after":"2"}"#,
        r#"{"kind":"status","status":429,"retry_after":"2\n"}"#,
        r#"{"kind":"slow"}"#,
        r#"{"kind":"hang","ms":2}"#,
        r#"{"kind":"explode"}"#,
        r#"{"kind":"hang","match":"everything"}"#,
        r#"{"kind":"hang","probability":1.5}"#,
        r#"{"kind":"hang","times":-1}"#,
    ] {
        assert_eq!(post_fault(&standin, json), 400, "{json}");
    }
    let token = token(&standin);
    assert_eq!(upload_trail(&token, one_row()).send(&standin).status, 204);
}

#[test]
fn a_fault_says_the_same_in_json_and_in_process() {
    let json = br#"{"kind":"status","status":429,"retry_after":2,"times":3,"match":"token"}"#;
    let fault = Fault::from_json(json).unwrap();
    assert_eq!(fault, Fault::status(429).retry_after("2").times(3).on_tokens());
    assert_eq!(fault.target, Target::Token);
}
