//! The legacy HTTP Data Collector API: shared-key signature, headers, body.
//!
//! <https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api>. Support ended on
//! 14 September 2026. Where the service would cut a value or add a column, this refuses.

use super::call::Call;
use super::ingestion::{Batch, elements, judge_rows};
use super::refusal::Flaw;
use super::row::Terms;
use super::settings::Settings;
use crate::table::Table;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;

/// The most bytes of one post.
pub(super) const LIMIT_BYTES: usize = 30_000_000;
/// The most bytes of one value; the service cuts longer ones.
const VALUE_BYTES: usize = 32_768;
/// The most characters of a record type.
const LOG_TYPE_CHARACTERS: usize = 100;
/// How far `x-ms-date` may be off.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);
const API_VERSION: &str = "2016-04-01";

/// Judges a post of the legacy API.
pub(super) fn judge(call: &Call, settings: &Settings, now: Timestamp) -> Result<Batch, Flaw> {
    match call.query("api-version") {
        None => return Err(Flaw::bad("MissingApiVersion", "The api-version is missing.")),
        Some(_) if call.has_api_version(API_VERSION) => {}
        Some(_) => return Err(Flaw::bad("InvalidApiVersion", "The api-version must be 2016-04-01.")),
    }
    match call.header("content-type") {
        None => return Err(Flaw::bad("MissingContentType", "The content type is missing.")),
        Some("application/json") => {}
        Some(_) => {
            return Err(Flaw::bad("UnsupportedContentType", "The content type must be application/json."));
        }
    }
    check_signature(call, settings, now)?;
    if call.bytes_wire > LIMIT_BYTES {
        let message = format!("A post holds at most {LIMIT_BYTES} bytes, this one {}.", call.bytes_wire);
        return Err(Flaw::new(413, "RequestTooLarge", message));
    }
    if call.headers.contains_key("content-encoding") {
        return Err(Flaw::bad("UnsupportedContentEncoding", "The legacy API takes no content encoding."));
    }
    let log_type =
        call.header("log-type").ok_or_else(|| Flaw::bad("MissingLogType", "Log-Type is missing."))?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if log_type.is_empty() || log_type.len() > LOG_TYPE_CHARACTERS || !log_type.bytes().all(is_word) {
        let message = "Log-Type may hold letters, digits and underscores, at most 100.";
        return Err(Flaw::bad("InvalidLogType", message));
    }
    let body = String::from_utf8(call.body.to_vec())
        .map_err(|error| Flaw::bad("InvalidDataFormat", format!("The body is no UTF-8: {error}.")))?;
    let elements = elements(&body).map_err(|flaw| Flaw::bad("InvalidDataFormat", flaw.message))?;
    if elements.is_empty() {
        return Err(Flaw::bad("InvalidDataFormat", "The body holds no rows."));
    }
    let terms = Terms {
        table: Table::named(log_type),
        time_column: call.header("time-generated-field"),
        value_bytes: VALUE_BYTES,
        reserved: Some("tenant"),
        now,
    };
    let rows = judge_rows(&elements, &terms)?;
    Ok(Batch { table: format!("{log_type}_CL"), rows, body })
}

fn check_signature(call: &Call, settings: &Settings, now: Timestamp) -> Result<(), Flaw> {
    let denied = |message: &str| Flaw::new(403, "InvalidAuthorization", message);
    let (workspace, signature) = call
        .header("authorization")
        .and_then(|value| value.strip_prefix("SharedKey "))
        .and_then(|value| value.split_once(':'))
        .ok_or_else(|| denied("The authorization is not SharedKey workspace:signature."))?;
    if !workspace.eq_ignore_ascii_case(&settings.workspace_id) {
        return Err(denied("The workspace is unknown."));
    }
    let date = call.header("x-ms-date").ok_or_else(|| denied("The header x-ms-date is missing."))?;
    let time = DateTimeParser::new()
        .parse_timestamp(date)
        .ok()
        .filter(|time| {
            DateTimePrinter::new().timestamp_to_rfc9110_string(time).is_ok_and(|text| text == date)
        })
        .ok_or_else(|| denied("The header x-ms-date is no RFC 1123 date."))?;
    if now.duration_since(time).abs() > CLOCK_SKEW {
        return Err(denied("The header x-ms-date is more than 15 minutes off."));
    }
    let key = STANDARD
        .decode(&settings.shared_key)
        .map_err(|_| Flaw::new(500, "UnspecifiedError", "The stand-in's shared key is no base64."))?;
    let mut code = Hmac::<Sha256>::new_from_slice(&key)
        .map_err(|error| Flaw::new(500, "UnspecifiedError", error.to_string()))?;
    let signed = format!("POST\n{}\napplication/json\nx-ms-date:{date}\n/api/logs", call.bytes_wire);
    code.update(signed.as_bytes());
    STANDARD
        .decode(signature)
        .ok()
        .filter(|signature| code.verify_slice(signature).is_ok())
        .map(|_| ())
        .ok_or_else(|| denied("An invalid signature was specified in the Authorization header."))
}
