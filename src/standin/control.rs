//! What the stand-in shows of itself and takes in orders: `/` and `/_standin/…`.

use super::call::Answer;
use super::fault::Fault;
use super::kept::KeptRow;
use super::server::Shared;
use hyper::Method;
use jiff::Timestamp;
use serde_json::json;

const PAGE: &str = include_str!("page.html");
/// The page loads nothing from anywhere but here.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                           connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

pub(super) fn answer(
    shared: &Shared,
    method: &Method,
    path: &str,
    query: &[(String, String)],
    body: &[u8],
) -> Answer {
    match (method.as_str(), path) {
        ("GET", "/") => Answer::text(200, "text/html; charset=utf-8", PAGE)
            .with_header("content-security-policy", PAGE_POLICY.to_owned()),
        ("GET", "/_standin/state") => state(shared),
        ("DELETE", "/_standin/state") => {
            shared.kept().reset();
            Answer::empty(204)
        }
        ("GET", "/_standin/rows") => rows(shared, query),
        ("GET", "/_standin/faults") => Answer::json(200, &json!(shared.faults().armed())),
        ("POST", "/_standin/faults") => match Fault::from_json(body) {
            Ok(fault) => {
                shared.faults().arm(fault);
                Answer::empty(204)
            }
            Err(message) => bad_request(&message),
        },
        ("DELETE", "/_standin/faults") => {
            shared.faults().clear();
            Answer::empty(204)
        }
        (_, "/" | "/_standin/state" | "/_standin/rows" | "/_standin/faults") => {
            Answer::ingestion_error(405, "MethodNotAllowed", "This method is not served at this path.")
        }
        _ => Answer::ingestion_error(404, "NotFound", "Nothing is served at this path."),
    }
}

fn bad_request(message: &str) -> Answer {
    Answer::ingestion_error(400, "InvalidRequest", message)
}

fn state(shared: &Shared) -> Answer {
    let settings = &shared.settings;
    let streams: serde_json::Map<_, _> =
        settings.streams.iter().map(|(stream, table)| (stream.clone(), json!(table.name()))).collect();
    let mut state = json!(shared.kept().summary());
    state["now"] = json!(Timestamp::now().to_string());
    state["url"] = json!(shared.url);
    state["cloud"] = json!(settings.cloud.name());
    state["tenant"] = json!(settings.tenant);
    state["client_id"] = json!(settings.client_id);
    state["dcrs"] = json!(settings.dcrs);
    state["streams"] = json!(streams);
    state["faults"] = json!(shared.faults().armed());
    Answer::json(200, &state)
}

/// The rows of a table as JSON lines; with `envelope=true`, each within what is known of its arrival.
fn rows(shared: &Shared, query: &[(String, String)]) -> Answer {
    let (mut table, mut offset, mut limit, mut envelope) = (None, 0, usize::MAX, false);
    for (name, value) in query {
        let understood = match name.as_str() {
            "table" => {
                table = Some(value.as_str());
                true
            }
            "offset" => value.parse().map(|number| offset = number).is_ok(),
            "limit" => value.parse().map(|number| limit = number).is_ok(),
            "envelope" => value.parse().map(|wanted| envelope = wanted).is_ok(),
            _ => false,
        };
        if !understood {
            return bad_request(&format!("The parameter {name} is not understood."));
        }
    }
    let Some(table) = table else { return bad_request("The parameter table is missing.") };
    let kept = shared.kept();
    let mut lines = String::new();
    for row in kept.rows(table).skip(offset).take(limit) {
        if envelope {
            lines.push_str(&enveloped(row));
        } else {
            lines.push_str(&one_line(&row.text));
        }
        lines.push('\n');
    }
    Answer::text(200, "application/x-ndjson", lines)
        .with_header("x-total-rows", kept.row_total(table).to_string())
}

fn enveloped(row: &KeptRow) -> String {
    let about = json!({
        "received_at": row.received_at.to_string(),
        "request_id": row.request_id,
        "dcr": row.dcr,
        "time_replaced": row.time_replaced,
    })
    .to_string();
    // The row goes in as it is: a tree would not keep its numbers.
    format!("{},\"row\":{}}}", about.trim_end_matches('}'), one_line(&row.text))
}

/// JSON has raw line ends only between its tokens, where a blank is as good.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}
