//! What an answer says of an upload: one table of statuses for both APIs, and the error code beside the status.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>,
//! <https://learn.microsoft.com/previous-versions/azure/azure-monitor/logs/data-collector-api#return-codes>. The service's
//! messages are never logged: they may quote log text. Its codes are.

use std::time::{Duration, SystemTime};

use reqwest::Response;
use serde::Deserialize;
use tokio::time::timeout;

use super::UploadError;
use super::retry::retry_after;
use crate::failure::Reason;
use crate::http_client::read_body;

/// The most bytes of an answer that are read: an error of either service is some hundred bytes.
pub(super) const MOST_BYTES: usize = 64 << 10;
/// How long reading the code of an error may take. It comes with the head, and without it the status says enough.
const CODE_TIMEOUT: Duration = Duration::from_secs(2);

/// Codes of 400 that are about the request's address: no row is at fault, so that bisecting would post each in vain.
/// The first is the Logs Ingestion API's, the others are the legacy one's.
const ADDRESS_CODES: [&str; 4] =
    ["InvalidStream", "InactiveCustomer", "InvalidApiVersion", "InvalidCustomerId"];

/// What a status asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// The rows are taken.
    Receipt,
    /// Never the same rows again.
    Rejected,
    /// Never so many bytes again.
    TooLarge,
    /// Another token or key.
    Unauthorized,
    /// An operator assigns the role.
    Forbidden,
    /// An operator mends the address. Success without the receipt is an answer of somebody else: a portal, a proxy, or
    /// another API.
    Misconfigured,
    /// The same again, later.
    Busy,
    /// The same again, later; but the API documents no such status, so an operator should look.
    Undocumented,
}

/// The table; either API has one status alone as its receipt.
const fn meaning(status: u16, receipt: u16) -> Meaning {
    match status {
        _ if status == receipt => Meaning::Receipt,
        200..=299 | 404 => Meaning::Misconfigured,
        400 => Meaning::Rejected,
        401 => Meaning::Unauthorized,
        403 => Meaning::Forbidden,
        408 | 429 | 500 | 502..=599 => Meaning::Busy,
        413 => Meaning::TooLarge,
        _ => Meaning::Undocumented,
    }
}

/// Reads an answer of the API that has this receipt.
pub(super) async fn judge(response: Response, receipt: u16, request_id: String) -> Result<(), UploadError> {
    let status = response.status().as_u16();
    let meaning = meaning(status, receipt);
    if meaning == Meaning::Receipt {
        return Ok(());
    }
    let after = response
        .headers()
        .get("retry-after")
        .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
    let code = code_of(response).await;
    Err(match meaning {
        Meaning::Rejected if ADDRESS_CODES.contains(&code.as_str()) => {
            UploadError::Misconfigured { code, status }
        }
        Meaning::Rejected => UploadError::Rejected { code, request_id },
        Meaning::TooLarge => UploadError::TooLarge,
        Meaning::Unauthorized => {
            UploadError::Unauthorized { what: format!("{status} {code}"), status: Some(status) }
        }
        Meaning::Forbidden => UploadError::Forbidden { code },
        Meaning::Receipt | Meaning::Misconfigured => UploadError::Misconfigured { code, status },
        Meaning::Busy => {
            UploadError::Unavailable { what: status.to_string(), status: Some(status), after, alarm: None }
        }
        Meaning::Undocumented => UploadError::Unavailable {
            what: format!("{status}, which its API does not document: {OTHER_HOST}"),
            status: Some(status),
            after,
            alarm: Some(Reason::Misconfigured),
        },
    })
}

/// What to look at where something answers that is not the API.
pub(super) const OTHER_HOST: &str = "compare SENTINEL_ENDPOINT with the rule's logsIngestion endpoint, and look for a proxy that answers in its place";

/// The body of an error, by either API.
#[derive(Deserialize)]
struct Answer {
    error: Option<AnswerError>,
    #[serde(rename = "Error")]
    legacy_code: Option<String>,
}

#[derive(Deserialize)]
struct AnswerError {
    code: String,
}

/// The service's code, by the header or the body; nothing else of it.
async fn code_of(response: Response) -> String {
    let header =
        response.headers().get("x-ms-error-code").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let code = match header {
        Some(code) => Some(code),
        None => match timeout(CODE_TIMEOUT, read_body(response, MOST_BYTES)).await {
            Ok(Ok(body)) => serde_json::from_slice::<Answer>(&body)
                .ok()
                .and_then(|answer| answer.error.map(|error| error.code).or(answer.legacy_code)),
            _ => None,
        },
    };
    code.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(64).collect()
}

/// A word for what went wrong on the way; never the address.
pub(super) fn kind_of(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_place_and_one_alone_is_a_receipt() {
        for receipt in [200, 204] {
            for status in 100..=999 {
                let expected = match status {
                    200 | 204 if status == receipt => Meaning::Receipt,
                    200..=299 | 404 => Meaning::Misconfigured,
                    400 => Meaning::Rejected,
                    401 => Meaning::Unauthorized,
                    403 => Meaning::Forbidden,
                    413 => Meaning::TooLarge,
                    501 => Meaning::Undocumented,
                    408 | 429 | 500..=599 => Meaning::Busy,
                    _ => Meaning::Undocumented,
                };
                assert_eq!(meaning(status, receipt), expected, "{status}");
            }
        }
    }
}
