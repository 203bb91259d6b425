//! The Logs Ingestion API: judges one upload in the order in which a gateway, a service and a table would.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>.

use super::call::Call;
use super::refusal::Flaw;
use super::row::{self, Judged, Terms};
use super::settings::Settings;
use super::token::{BadBearer, Tokens};
use crate::table::TIME_GENERATED;
use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use std::io::Read;

/// The most bytes of one call, on the wire and inflated:
/// <https://learn.microsoft.com/azure/azure-monitor/service-limits#logs-ingestion-api>.
pub(super) const LIMIT_BYTES: usize = 1_048_576;
/// The most bytes of one value; the service cuts longer ones. The same page.
const VALUE_BYTES: usize = 65_536;
const API_VERSION: &str = "2023-01-01";

/// A batch that passed every check.
pub(super) struct Batch {
    /// The table it is for.
    pub(super) table: String,
    /// Its rows.
    pub(super) rows: Vec<Judged>,
    /// The body it came as, inflated.
    pub(super) body: String,
}

/// What the checks need beside the call itself.
pub(super) struct Desk<'a> {
    pub(super) settings: &'a Settings,
    pub(super) tokens: &'a Tokens,
    /// Whether no earlier request had this one's id.
    pub(super) fresh_id: bool,
    pub(super) now: Timestamp,
}

/// Judges an upload to a stream of a rule; says how far it inflated the body.
pub(super) fn judge(
    call: &Call,
    dcr: &str,
    stream: &str,
    desk: &Desk<'_>,
    bytes_inflated: &mut usize,
) -> Result<Batch, Flaw> {
    check_bearer(call, desk.tokens)?;
    if !desk.settings.dcrs.iter().any(|known| known == dcr) {
        let message = format!("Data collection rule with immutable Id '{dcr}' not found.");
        return Err(Flaw::new(404, "NotFound", message));
    }
    if call.bytes_wire > LIMIT_BYTES {
        return Err(too_large(&format!("{} bytes", call.bytes_wire)));
    }
    check_headers(call, desk.fresh_id)?;
    let body = inflate(call, bytes_inflated)?;
    let elements = elements(&body)?;
    if elements.is_empty() {
        return Err(internal_error());
    }
    if let Some(at) = elements.iter().position(|element| !element.get().starts_with('{')) {
        return Err(Flaw::bad("InvalidRow", "An element of the array is no object.").in_row(at));
    }
    let stream = percent_decode_str(stream).decode_utf8_lossy();
    let Some(&table) = desk.settings.streams.get(stream.as_ref()) else {
        let message = format!("The stream {stream} was not configured in the data collection rule.");
        return Err(Flaw::bad("InvalidStream", message));
    };
    let terms = Terms {
        table: Some(table),
        time_column: Some(TIME_GENERATED),
        value_bytes: VALUE_BYTES,
        reserved: None,
        now: desk.now,
    };
    let rows = judge_rows(&elements, &terms)?;
    Ok(Batch { table: table.name().to_owned(), rows, body })
}

/// Judges each row; a flaw names the first that fails.
pub(super) fn judge_rows(elements: &[&RawValue], terms: &Terms<'_>) -> Result<Vec<Judged>, Flaw> {
    elements
        .iter()
        .enumerate()
        .map(|(at, element)| row::judge(element.get(), terms).map_err(|flaw| flaw.in_row(at)))
        .collect()
}

/// The elements of a JSON array, as raw text.
pub(super) fn elements(body: &str) -> Result<Vec<&RawValue>, Flaw> {
    let document: &RawValue = serde_json::from_str(body)
        .map_err(|error| Flaw::bad("InvalidJson", format!("The body is no JSON: {error}.")))?;
    if !document.get().starts_with('[') {
        return Err(Flaw::bad("InvalidPayload", "The body is no JSON array."));
    }
    serde_json::from_str(document.get())
        .map_err(|error| Flaw::bad("InvalidJson", format!("The array can't be read: {error}.")))
}

fn too_large(provided: &str) -> Flaw {
    let message = format!(
        "Maximum allowed content length: {LIMIT_BYTES} bytes (1 MB). Provided content length: {provided}."
    );
    Flaw::new(413, "ContentLengthLimitExceeded", message)
}

/// What Microsoft's own tests got for a body without rows.
fn internal_error() -> Flaw {
    Flaw::new(500, "InternalServerError", "The request holds no rows.")
}

fn check_bearer(call: &Call, tokens: &Tokens) -> Result<(), Flaw> {
    let unauthorized = |message: &str| Err(Flaw::new(401, "Unauthorized", message));
    let Some(token) = call.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) else {
        return unauthorized("The request carries no bearer token.");
    };
    match tokens.check(token) {
        Ok(()) => Ok(()),
        Err(BadBearer::Unknown) => unauthorized("The bearer token is none that was issued here."),
        Err(BadBearer::Expired) => unauthorized("The bearer token has expired."),
    }
}

fn check_headers(call: &Call, fresh_id: bool) -> Result<(), Flaw> {
    if !call.has_api_version(API_VERSION) {
        let message = format!("The query must be api-version={API_VERSION} and nothing else.");
        return Err(Flaw::bad("UnsupportedApiVersion", message));
    }
    if !call.has_content_type("application/json") {
        return Err(Flaw::bad("InvalidContentType", "The content type must be application/json."));
    }
    match call.header("x-ms-client-request-id") {
        None => Err(Flaw::bad("MissingClientRequestId", "The header x-ms-client-request-id is missing.")),
        Some(id) if !row::is_guid(id) => {
            Err(Flaw::bad("InvalidClientRequestId", "The header x-ms-client-request-id is no GUID."))
        }
        Some(id) if !fresh_id => {
            Err(Flaw::bad("RepeatedClientRequestId", format!("The request id {id} was used before.")))
        }
        Some(_) => Ok(()),
    }
}

fn inflate(call: &Call, bytes_inflated: &mut usize) -> Result<String, Flaw> {
    if call.body.is_empty() {
        return Err(internal_error());
    }
    let bytes = match call.header("content-encoding") {
        None if !call.headers.contains_key("content-encoding") => call.body.to_vec(),
        Some("gzip") => {
            let mut inflated = Vec::new();
            MultiGzDecoder::new(call.body.as_ref())
                .take(LIMIT_BYTES as u64 + 1)
                .read_to_end(&mut inflated)
                .map_err(|error| Flaw::bad("InvalidGzip", format!("The body is no gzip: {error}.")))?;
            inflated
        }
        _ => return Err(Flaw::bad("UnsupportedContentEncoding", "The content encoding is gzip or none.")),
    };
    *bytes_inflated = bytes.len();
    if bytes.len() > LIMIT_BYTES {
        return Err(too_large("more than that, inflated"));
    }
    String::from_utf8(bytes)
        .map_err(|error| Flaw::bad("InvalidUtf8", format!("The body is no UTF-8: {}.", error.utf8_error())))
}
