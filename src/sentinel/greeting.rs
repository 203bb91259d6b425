//! Whether a host of Azure answers at all, and what time it is there; nothing is posted, nobody proves who he is.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::Client;

use super::ingestion::kind_of;

/// An answer, whatever it says.
#[derive(Clone, Copy, Debug)]
pub struct Greeting {
    /// The time by the host's clock, if it said so.
    pub date: Option<Timestamp>,
    /// The time by ours, in the middle between question and answer.
    pub heard_at: Timestamp,
}

/// Asks a host for its first page.
///
/// # Errors
/// With what went wrong on the way.
pub async fn greet(client: &Client, url: &str, patience: Duration) -> Result<Greeting, &'static str> {
    let asked_at = Timestamp::now();
    let answer = client.get(url).timeout(patience).send().await.map_err(|error| kind_of(&error))?;
    let heard_at = asked_at + Timestamp::now().duration_since(asked_at) / 2;
    let date = answer.headers().get("date").and_then(|value| value.to_str().ok());
    let date = date.and_then(|text| DateTimeParser::new().parse_timestamp(text).ok());
    Ok(Greeting { date, heard_at })
}
