//! What the commands have in common: which messages are meant.

use std::time::Duration;

use sentinel_forwarder::dlq::{Filter, ID_CHARACTERS, reasons};

use super::Misuse;

/// Which messages are meant: those that meet all that is given.
#[derive(clap::Args)]
pub(super) struct Given {
    /// Only of this reason; may be repeated.
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    reason: Vec<String>,
    /// Only for this table; may be repeated.
    #[arg(long, value_name = "TABLE")]
    table: Vec<String>,
    /// Only about objects of this bucket.
    #[arg(long)]
    bucket: Option<String>,
    /// Only about objects whose key begins so.
    #[arg(long, value_name = "PREFIX")]
    key_prefix: Option<String>,
    /// Only what failed longer ago: 90s, 15m, 12h, 7d.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    older_than: Option<Duration>,
    /// No more than so many messages.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) limit: Option<u64>,
}

impl Given {
    /// As a filter, with ids.
    pub(super) fn filter(&self, ids: &[String]) -> Filter {
        Filter {
            ids: ids.to_vec(),
            reasons: self.reason.clone(),
            tables: self.table.clone(),
            bucket: self.bucket.clone(),
            key_prefix: self.key_prefix.clone(),
            older_than: self.older_than,
        }
    }
}

/// The messages that are to be worked on, and not only looked at: they must be said.
#[derive(clap::Args)]
pub(super) struct Chosen {
    /// Ids, or their first 12 characters at least.
    #[arg(value_name = "ID", value_parser = parse_id)]
    pub(super) ids: Vec<String>,
    /// All messages.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(super) given: Given,
}

impl Chosen {
    /// Whether it says which messages are meant.
    pub(super) fn check(&self) -> Result<(), Misuse> {
        match (self.all, self.filter().is_empty()) {
            (false, true) => Err(Misuse(
                "say which messages are meant: their IDs, a filter such as --reason, or --all; see --help",
            )),
            (true, false) => Err(Misuse("--all goes with neither IDs nor filters: leave it out")),
            _ => Ok(()),
        }
    }

    pub(super) fn filter(&self) -> Filter {
        self.given.filter(&self.ids)
    }
}

/// An id, or so much of it that it means one letter.
pub(super) fn parse_id(text: &str) -> Result<String, String> {
    if text.len() < ID_CHARACTERS {
        return Err(format!("give {ID_CHARACTERS} characters of the id at least, as list shows them"));
    }
    Ok(text.to_owned())
}

/// A misspelt reason would silently mean nothing; letters of later versions may have reasons of their own.
fn parse_reason(text: &str) -> Result<String, String> {
    if reasons().any(|reason| reason.eq_ignore_ascii_case(text)) {
        return Ok(text.to_owned());
    }
    Err(format!("the reasons are {}", reasons().collect::<Vec<_>>().join(", ")))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and s, m, h or d, as in 12h".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = number.parse().map_err(|_| wrong())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// So many a second, or a minute.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let wrong = || "a rate is as in 10/s or 30/m, from 1/m to 1000/s".to_owned();
    let (count, seconds) = match text.split_once('/') {
        Some((count, "s")) => (count, 1.0),
        Some((count, "m")) => (count, 60.0),
        None => (text, 1.0),
        Some(_) => return Err(wrong()),
    };
    let count: u32 = count.parse().map_err(|_| wrong())?;
    let rate = f64::from(count) / seconds;
    if count == 0 || rate > 1000.0 { Err(wrong()) } else { Ok(rate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rates_are_read_and_nothing_else() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("0s", Some(0)),
        ] {
            assert_eq!(parse_time(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in
            ["", "h", "12", "-1h", "1w", "1.5h", "12ü", "99999999999999999999d", "999999999999999999d"]
        {
            assert!(parse_time(text).is_err(), "{text}");
        }
        for (text, rate) in [("10/s", 10.0), ("10", 10.0), ("30/m", 0.5), ("1000/s", 1000.0)] {
            assert!(parse_rate(text).is_ok_and(|read| (read - rate).abs() < 1e-9), "{text}");
        }
        for text in ["", "0", "0/s", "-1/s", "1/h", "1001/s", "x/s", "1/s/s", "NaN"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_reason_is_told() {
        assert!(parse_reason("rejected").is_ok());
        assert!(parse_reason("Rejectd").unwrap_err().contains("Rejected"));
    }
}
