//! Whether a host of Azure answers at all, and what time it is there; nothing is posted, and nobody proves who he is.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::answer::{MOST_BYTES, kind_of};
use super::token::Refused;
use crate::config::LogsIngestion;
use crate::http_client::{HttpClient, read_body};

/// An answer, whatever it says.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// The status.
    pub status: u16,
    /// Entra's own codes, the numbers after `AADSTS`, if it is Entra that refuses.
    pub codes: Vec<u32>,
    /// The time by the host's clock, if it said so.
    pub date: Option<Timestamp>,
    /// The time by ours, in the middle between question and answer.
    pub heard_at: Timestamp,
}

/// Where Entra describes a tenant to everybody
/// (<https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#fetch-the-openid-configuration-document>).
#[must_use]
pub fn tenant_url(settings: &LogsIngestion) -> String {
    format!("{}/{}/v2.0/.well-known/openid-configuration", settings.authority, settings.tenant_id)
}

/// Asks for a page that everybody may see.
///
/// # Errors
/// With what went wrong on the way.
pub async fn greet(client: &HttpClient, url: &str, patience: Duration) -> Result<Greeting, &'static str> {
    let asked_at = Timestamp::now();
    let answer =
        client.send(|client| client.get(url).timeout(patience)).await.map_err(|error| kind_of(&error))?;
    let heard_at = asked_at + Timestamp::now().duration_since(asked_at) / 2;
    let status = answer.status();
    let date = answer.headers().get("date").and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
    let codes = if status.is_success() {
        Vec::new()
    } else {
        Refused::of(&read_body(answer, MOST_BYTES).await.unwrap_or_default())
    };
    Ok(Greeting { status: status.as_u16(), codes, date, heard_at })
}
