//! What is kept, and how it is shown.

use crate::client::{DCR, Request, hours_ago, row, start, token, upload_trail};
use sentinel_forwarder::standin::{Settings, Standin};
use std::net::TcpListener;

fn get(standin: &Standin, target: &str) -> crate::client::Answer {
    Request::new("GET", target).send(standin)
}

fn upload_names(standin: &Standin, names: &[&str]) {
    let token = token(standin);
    let rows: Vec<_> = names.iter().map(|name| row(&format!(r#""EventName":"{name}""#))).collect();
    assert_eq!(upload_trail(&token, format!("[{}]", rows.join(","))).send(standin).status, 204);
}

#[test]
fn rows_are_served_as_lines() {
    let standin = start();
    upload_names(&standin, &["a", "b", "c", "d"]);
    let kept = standin.rows("AWSCloudTrail");
    let answer = get(&standin, "/_standin/rows?table=AWSCloudTrail&offset=1&limit=2");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("x-total-rows"), Some("4"));
    assert_eq!(answer.body.lines().collect::<Vec<_>>(), kept[1..3]);
    assert_eq!(get(&standin, "/_standin/rows?table=AWSCloudTrail").body.lines().count(), 4);
    assert_eq!(get(&standin, "/_standin/rows?table=AWSGuardDuty").body, "");
    for target in ["/_standin/rows", "/_standin/rows?table=a&limit=x", "/_standin/rows?tabel=a"] {
        assert_eq!(get(&standin, target).status, 400, "{target}");
    }
}

#[test]
fn a_row_with_line_ends_stays_one_line_and_keeps_its_numbers() {
    let standin = start();
    let token = token(&standin);
    let sent = row(r#""ServiceDetails":{"n":
        123456789012345678901234567890}"#);
    let request = crate::client::upload(&token, "Custom-AWSGuardDuty", format!("[{sent}]"));
    assert_eq!(request.send(&standin).status, 204);
    let plain = get(&standin, "/_standin/rows?table=AWSGuardDuty").body;
    assert_eq!(plain, format!("{}\n", sent.replace('\n', " ")));
    let enveloped = get(&standin, "/_standin/rows?table=AWSGuardDuty&envelope=true").body;
    assert!(enveloped.ends_with(&format!(r#","row":{}}}{}"#, plain.trim_end(), "\n")), "{enveloped}");
    let envelope: serde_json::Value = serde_json::from_str(&enveloped).unwrap();
    assert_eq!((&envelope["dcr"], &envelope["time_replaced"]), (&DCR.into(), &false.into()));
}

#[test]
fn only_so_many_rows_are_kept_but_all_are_counted() {
    let standin = Standin::start(Settings { keep_rows: 3, ..Settings::default() }).unwrap();
    upload_names(&standin, &["a", "b", "c", "d", "e"]);
    let rows = standin.rows("AWSCloudTrail");
    assert_eq!(rows.len(), 3);
    assert!(rows[0].contains(r#""c""#), "{}", rows[0]);
    assert_eq!(standin.row_total("AWSCloudTrail"), 5);
}

#[test]
fn the_state_sums_up_and_can_be_reset() {
    let standin = start();
    let token = token(&standin);
    let (early, late) = (hours_ago(3), hours_ago(1));
    let rows = format!(r#"[{{"TimeGenerated":"{late}"}},{{"TimeGenerated":"{early}"}}]"#);
    assert_eq!(upload_trail(&token, rows).send(&standin).status, 204);
    assert_eq!(upload_trail(&token, r#"[{"Nope":1}]"#).send(&standin).status, 400);
    let state = get(&standin, "/_standin/state").json();
    let table = &state["tables"][0];
    assert_eq!((&table["name"], &table["rows"]), (&"AWSCloudTrail".into(), &2.into()));
    assert_eq!((&table["first"], &table["last"]), (&early.into(), &late.into()));
    assert_eq!(state["requests"]["total"], 3);
    assert_eq!(state["requests"]["by_status"]["204"], 1);
    assert_eq!(state["refusals"]["latest"][0]["code"], "UnknownColumn");
    assert_eq!(state["refusals"]["latest"][0]["row"], 0);
    assert_eq!(state["tokens"]["exchanges"], 1);
    assert_eq!(state["uploads"]["most_in_flight"], 1);
    assert_eq!(state["dcrs"][0], DCR);

    assert_eq!(Request::new("DELETE", "/_standin/state").send(&standin).status, 204);
    let state = get(&standin, "/_standin/state").json();
    assert_eq!((&state["tables"], &state["requests"]["total"]), (&serde_json::json!([]), &0.into()));
    let again = upload_trail(&token, format!("[{}]", row("")));
    assert_eq!(again.send(&standin).status, 204, "a token outlives a reset");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let standin = start();
    let answer = get(&standin, "/");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(!answer.body.contains("innerHTML"), "uploaded text must never be read as HTML");
    for elsewhere in ["http://", "https://", "src=", "@import"] {
        assert!(!answer.body.contains(elsewhere), "{elsewhere}");
    }
    assert_eq!(get(&standin, "/_standin/nope").status, 404);
    assert_eq!(Request::new("PUT", "/_standin/state").send(&standin).status, 405);
}

#[test]
fn a_name_that_resolves_to_this_machine_is_not_answered() {
    let standin = start();
    for (host, status) in [
        ("localhost", 200),
        ("[::1]:80", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example:80", 421),
        ("localhost@attacker.example", 421),
    ] {
        for target in ["/", "/_standin/state"] {
            let answer = Request::new("GET", target).header("host", host).send(&standin);
            assert_eq!(answer.status, status, "{host}{target}");
        }
    }
}

#[test]
fn a_dropped_stand_in_gives_its_port_back() {
    let standin = start();
    let address = standin.url().strip_prefix("http://").unwrap().to_owned();
    assert!(TcpListener::bind(&address).is_err());
    drop(standin);
    TcpListener::bind(&address).unwrap();
}
