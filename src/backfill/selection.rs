//! What a backfill is to take: a bucket, a prefix, and of AWS's layout which accounts, services, regions and days.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

use super::layout::{Path, Period, stamp};
use crate::decode::KeyTells;

/// A bucket and what keys begin with: `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix, or the key.
    pub prefix: String,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("s3://").ok_or("it begins with s3://, as in s3://bucket/prefix")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("it names no bucket, as in s3://bucket/prefix".to_owned());
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// A day (its first moment, UTC) or a moment.
///
/// # Errors
/// With the forms that there are.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day: Option<Date> = (text.len() == "2026-01-31".len()).then(|| text.parse().ok()).flatten();
    let midnight = day.and_then(|day| Offset::UTC.to_timestamp(day.to_datetime(Time::midnight())).ok());
    midnight.ok_or_else(|| "give a day as 2026-01-31 (UTC), or a moment as 2026-01-31T12:00:00Z".to_owned())
}

/// A service whose files the function decodes.
///
/// # Errors
/// If it decodes none.
pub fn parse_service(text: &str) -> Result<String, String> {
    match KeyTells::of(&format!("AWSLogs/111122223333/{text}/x")) {
        KeyTells::Format(_) if !text.contains('/') => Ok(text.to_owned()),
        _ => Err("no service whose files are forwarded: CloudTrail, CloudTrail-Insight, \
                  CloudTrail-NetworkActivity, GuardDuty"
            .to_owned()),
    }
}

/// What is to be done with an object that lies among those that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is forwarded.
    Take,
    /// It was written before or after.
    OutOfPeriod,
    /// It holds nothing that is forwarded.
    Other,
    /// It can't be read before it is restored.
    Archived,
}

/// What a backfill is to take; an empty list takes all there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Where.
    pub source: Source,
    /// Whether the prefix is taken as it is, without AWS's layout.
    pub raw: bool,
    /// Accounts.
    pub accounts: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// Services; none: the one that the prefix names, or else `CloudTrail`.
    pub services: Vec<String>,
    /// When the files were written.
    pub period: Period,
}

/// What to look for in AWS's layout, level by level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The prefix, as far as it says.
    pub path: Path,
    /// Accounts; empty: all there are.
    pub accounts: Vec<String>,
    /// Services; never empty.
    pub services: Vec<String>,
    /// Regions; empty: all there are.
    pub regions: Vec<String>,
}

impl Selection {
    /// What is to be looked for; the prefix and the lists must agree.
    ///
    /// # Errors
    /// If they don't.
    pub fn wanted(&self) -> Result<Wanted, String> {
        let path = Path::of(&self.source.prefix);
        let accounts = agreed("account", "--accounts", path.account.as_deref(), &self.accounts)?;
        let regions = agreed("region", "--regions", path.region.as_deref(), &self.regions)?;
        let mut services = agreed("service", "--service", path.service.as_deref(), &self.services)?;
        if services.is_empty() {
            services.push("CloudTrail".to_owned());
        }
        Ok(Wanted { path, accounts, services, regions })
    }
}

impl Selection {
    /// Judges an object of the ranges that are listed.
    #[must_use]
    pub fn judge(&self, key: &str, bytes: u64, modified: Timestamp, is_archived: bool) -> Verdict {
        let in_period = if self.raw {
            self.period.takes(stamp(key).unwrap_or(modified))
        } else {
            self.period.takes_name(key)
        };
        if !in_period {
            Verdict::OutOfPeriod
        } else if bytes == 0 || KeyTells::of(key) == KeyTells::Other {
            Verdict::Other
        } else if is_archived {
            Verdict::Archived
        } else {
            Verdict::Take
        }
    }
}

/// What the prefix names and what the list names, as one list without doubles.
fn agreed(what: &str, option: &str, named: Option<&str>, listed: &[String]) -> Result<Vec<String>, String> {
    match named {
        Some(name) if !listed.is_empty() && !listed.iter().any(|other| other == name) => Err(format!(
            "the prefix names the {what} {name}, which is not in {option}: give one or the other"
        )),
        Some(name) => Ok(vec![name.to_owned()]),
        None => {
            let mut listed = listed.to_vec();
            listed.sort();
            listed.dedup();
            Ok(listed)
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.source.bucket, self.source.prefix)?;
        if self.raw {
            formatter.write_str(" --raw")?;
        }
        let lists =
            [("--accounts", &self.accounts), ("--service", &self.services), ("--regions", &self.regions)];
        for (option, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            write!(formatter, " {option} {}", list.join(","))?;
        }
        for (option, time) in [("--from", self.period.from), ("--until", self.period.until)] {
            if let Some(time) = time {
                write!(formatter, " {option} {time}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(source: &str) -> Selection {
        Selection {
            source: source.parse().unwrap(),
            raw: false,
            accounts: Vec::new(),
            regions: Vec::new(),
            services: Vec::new(),
            period: Period::default(),
        }
    }

    #[test]
    fn a_source_is_a_bucket_and_a_prefix() {
        for (text, bucket, prefix) in
            [("s3://b", "b", ""), ("s3://b/", "b", ""), ("s3://b/a b/Zürich+1/", "b", "a b/Zürich+1/")]
        {
            let source = Source { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
            assert_eq!(text.parse(), Ok(source), "{text}");
        }
        assert!("b/p".parse::<Source>().is_err());
        assert!("s3:///p".parse::<Source>().is_err());
    }

    #[test]
    fn a_time_is_a_day_or_a_moment() {
        for (text, time) in [
            ("2026-01-31", Some("2026-01-31T00:00:00Z")),
            ("2026-01-31T12:30:00Z", Some("2026-01-31T12:30:00Z")),
            ("2026-01-31T12:30:00+02:00", Some("2026-01-31T10:30:00Z")),
            ("2026-02-30", None),
            ("31.1.2026", None),
            ("2026-01-31T12:30:00", None),
            ("", None),
        ] {
            let expected = time.map(|time| time.parse::<Timestamp>().unwrap());
            assert_eq!(parse_time(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn only_services_that_are_decoded_are_taken() {
        assert!(parse_service("CloudTrail-Insight").is_ok());
        assert!(parse_service("GuardDuty").is_ok());
        assert!(parse_service("vpcflowlogs").is_err());
        assert!(parse_service("").is_err());
    }

    #[test]
    fn prefix_and_lists_must_agree() {
        let mut named = selection("s3://b/AWSLogs/111122223333/GuardDuty");
        assert_eq!(named.wanted().unwrap().services, ["GuardDuty"]);
        named.accounts = vec!["444455556666".to_owned()];
        assert!(named.wanted().unwrap_err().contains("--accounts"));
        named.accounts.push("111122223333".to_owned());
        assert_eq!(named.wanted().unwrap().accounts, ["111122223333"]);
    }

    #[test]
    fn lists_are_sorted_and_hold_nothing_twice() {
        let mut listed = selection("s3://b");
        listed.regions = ["us-east-1", "eu-west-1", "us-east-1"].map(str::to_owned).to_vec();
        let wanted = listed.wanted().unwrap();
        assert_eq!(wanted.regions, ["eu-west-1", "us-east-1"]);
        assert_eq!(wanted.services, ["CloudTrail"]);
    }

    #[test]
    fn what_can_not_be_forwarded_is_told_from_what_can() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut raw = selection("s3://b/old/");
        raw.raw = true;
        raw.period.from = Some(time("2026-01-02T00:00:00Z"));
        let (before, after) = (time("2026-01-01T00:00:00Z"), time("2026-01-03T00:00:00Z"));
        for (key, bytes, modified, archived, verdict) in [
            ("old/a.json.gz", 9, after, false, Verdict::Take),
            ("old/a.json.gz", 9, before, false, Verdict::OutOfPeriod),
            // The name tells better than the object, which may be a copy.
            ("old/1_CloudTrail_x_20260103T1000Z_y.json.gz", 9, before, false, Verdict::Take),
            ("old/a.json.gz", 0, after, false, Verdict::Other),
            ("old/AWSLogs/111122223333/CloudTrail-Digest/x/y", 9, after, false, Verdict::Other),
            ("old/a.json.gz", 9, after, true, Verdict::Archived),
        ] {
            assert_eq!(raw.judge(key, bytes, modified, archived), verdict, "{key}");
        }
    }

    #[test]
    fn a_selection_reads_like_its_command() {
        let mut told = selection("s3://b/p");
        told.accounts = vec!["111122223333".to_owned()];
        told.period.from = Some("2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(told.to_string(), "s3://b/p --accounts 111122223333 --from 2026-01-01T00:00:00Z");
    }
}
