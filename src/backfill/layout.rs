//! AWS's dated key layout: which folders and days of a bucket a selection asks for, as ranges of keys.
//!
//! `[prefix/]AWSLogs/[o-…/]<account>/<service>/<region>/YYYY/MM/DD/…`
//! (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html>).
//! S3 lists keys in the order of their bytes, and the days of a region stand in that order, so all days that are asked
//! for are one range.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// The folder that the layout begins with.
const ROOT: &str = "AWSLogs";

/// What of the layout a prefix names: whatever it leaves open is to be found by listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// All before organizations and accounts, with `AWSLogs/` at its end.
    pub root: String,
    /// The organization whose trail it is.
    pub organization: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// What follows the region: a part of the days.
    pub rest: String,
}

impl Path {
    /// Reads a prefix as far as it goes; without the layout in it, the layout begins below.
    #[must_use]
    pub fn of(prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        let segments: Vec<&str> = prefix.split('/').collect();
        let begins = (0..segments.len()).find(|place| {
            let next = segments.get(place + 1);
            segments[*place] == ROOT && next.is_none_or(|next| is_organization(next) || is_account(next))
        });
        let Some(begins) = begins else {
            let folder = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
            return Self { root: format!("{folder}{ROOT}/"), ..Self::default() };
        };
        let mut below = segments[begins + 1..].iter().map(|segment| (*segment).to_owned()).peekable();
        Self {
            root: segments[..=begins].join("/") + "/",
            organization: below.next_if(|name| is_organization(name)),
            account: below.next(),
            service: below.next(),
            region: below.next(),
            rest: below.collect::<Vec<_>>().join("/"),
        }
    }
}

/// Whether a folder is an organization's.
#[must_use]
pub fn is_organization(name: &str) -> bool {
    name.starts_with("o-")
}

/// Whether a folder is an account's.
#[must_use]
pub fn is_account(name: &str) -> bool {
    name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Keys in their order: those that begin with the prefix, after one key and before another.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// What all its keys begin with.
    pub prefix: String,
    /// The key that the first one follows.
    pub after: Option<String>,
    /// The key that all come before.
    pub before: Option<String>,
}

impl Range {
    /// All keys with that prefix.
    #[must_use]
    pub fn all(prefix: String) -> Self {
        Self { prefix, after: None, before: None }
    }

    /// What is left of it behind that key; none if nothing is.
    #[must_use]
    pub fn behind(mut self, key: &str) -> Option<Self> {
        if key.starts_with(&self.prefix) {
            if self.after.as_deref().is_none_or(|after| after < key) {
                self.after = Some(key.to_owned());
            }
            Some(self)
        } else {
            (self.prefix.as_str() > key).then_some(self)
        }
    }
}

/// From when until when, the end not included; a bound that is not given is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    /// The first moment of it.
    pub from: Option<Timestamp>,
    /// The first moment after it.
    pub until: Option<Timestamp>,
}

impl Period {
    /// The days of a region's folder that have a part in it; `rest` is what the prefix said of the days already.
    #[must_use]
    pub fn days(self, folder: &str, rest: &str) -> Range {
        let first = self.from.map(day);
        let after_last = self.until.map(|until| {
            let last = day(until);
            if is_midnight(until) { last } else { last.tomorrow().unwrap_or(last) }
        });
        let last = after_last.map(|date| date.yesterday().unwrap_or(date));
        let known = match (first, last) {
            (Some(first), Some(last)) if rest.is_empty() => common(&path(first), &path(last)),
            _ => rest.to_owned(),
        };
        Range {
            prefix: format!("{folder}{known}"),
            after: first.map(|date| format!("{folder}{}", path(date))),
            before: after_last.map(|date| format!("{folder}{}", path(date))),
        }
    }

    /// Whether a file of a day that has a part in it belongs to it: its name tells when it was written, or else the day
    /// decides.
    #[must_use]
    pub fn takes_name(self, key: &str) -> bool {
        let bounds = Self {
            from: self.from.filter(|from| !is_midnight(*from)),
            until: self.until.filter(|until| !is_midnight(*until)),
        };
        bounds == Self::default() || stamp(key).is_none_or(|time| bounds.takes(time))
    }

    /// Whether a moment belongs to it.
    #[must_use]
    pub fn takes(self, time: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }
}

/// When a file was written, if its name tells as CloudTrail's do: `…_20260310T1005Z_…`.
#[must_use]
pub fn stamp(key: &str) -> Option<Timestamp> {
    let name = key.rsplit('/').next()?;
    name.split('_').find_map(|part| {
        let digits = part.strip_suffix('Z')?;
        Offset::UTC.to_timestamp(DateTime::strptime("%Y%m%dT%H%M", digits).ok()?).ok()
    })
}

fn day(time: Timestamp) -> Date {
    Offset::UTC.to_datetime(time).date()
}

fn is_midnight(time: Timestamp) -> bool {
    Offset::UTC.to_datetime(time).time() == Time::midnight()
}

/// A day as the layout writes it.
fn path(date: Date) -> String {
    format!("{:04}/{:02}/{:02}/", date.year(), date.month(), date.day())
}

/// What both begin with.
fn common(one: &str, other: &str) -> String {
    one.chars().zip(other.chars()).take_while(|(left, right)| left == right).map(|(left, _)| left).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(from: &str, until: &str) -> Period {
        let time = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Period { from: time(from), until: time(until) }
    }

    #[test]
    fn a_prefix_is_read_as_far_as_it_goes() {
        for (prefix, root, below, rest) in [
            ("", "AWSLogs/", ["", "", "", ""], ""),
            ("my/trail/", "my/trail/AWSLogs/", ["", "", "", ""], ""),
            ("AWSLogs", "AWSLogs/", ["", "", "", ""], ""),
            ("AWSLogs/", "AWSLogs/", ["", "", "", ""], ""),
            ("a/AWSLogs/o-x1", "a/AWSLogs/", ["o-x1", "", "", ""], ""),
            ("AWSLogs/111122223333/", "AWSLogs/", ["", "111122223333", "", ""], ""),
            (
                "AWSLogs/o-x1/111122223333/CloudTrail/eu-west-1/2026/03",
                "AWSLogs/",
                ["o-x1", "111122223333", "CloudTrail", "eu-west-1"],
                "2026/03",
            ),
            // A folder of one's own may have the layout's name, and Control Tower puts the organization in front.
            ("AWSLogs/mine", "AWSLogs/mine/AWSLogs/", ["", "", "", ""], ""),
            ("AWSLogs/mine/AWSLogs", "AWSLogs/mine/AWSLogs/", ["", "", "", ""], ""),
            ("o-x1/AWSLogs/o-x1", "o-x1/AWSLogs/", ["o-x1", "", "", ""], ""),
        ] {
            let path = Path::of(prefix);
            let names = [&path.organization, &path.account, &path.service, &path.region];
            assert_eq!(names.map(|name| name.as_deref().unwrap_or_default()), below, "{prefix}");
            assert_eq!((path.root.as_str(), path.rest.as_str()), (root, rest), "{prefix}");
        }
    }

    #[test]
    fn the_days_of_a_period_are_one_range() {
        for (from, until, prefix, after, before) in [
            ("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z", "2026/03/10/", "2026/03/10/", "2026/03/11/"),
            ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z", "2026/02/28/", "2026/02/28/", "2026/03/01/"),
            ("2024-02-28T12:00:00Z", "2024-02-29T12:00:00Z", "2024/02/2", "2024/02/28/", "2024/03/01/"),
            ("2025-12-31T23:59:59Z", "2026-01-01T00:00:01Z", "202", "2025/12/31/", "2026/01/02/"),
            ("2019-12-31T00:00:00Z", "2020-01-01T00:00:00Z", "2019/12/31/", "2019/12/31/", "2020/01/01/"),
        ] {
            let range = period(from, until).days("x/", "");
            let expected = Range {
                prefix: format!("x/{prefix}"),
                after: Some(format!("x/{after}")),
                before: Some(format!("x/{before}")),
            };
            assert_eq!(range, expected, "{from} {until}");
        }
    }

    #[test]
    fn open_periods_are_open_ranges() {
        let open = Range { prefix: "x/".into(), after: None, before: None };
        assert_eq!(period("", "").days("x/", ""), open);
        assert_eq!(
            period("2026-01-01T00:00:00Z", "").days("x/", ""),
            Range { after: Some("x/2026/01/01/".into()), ..open.clone() }
        );
        assert_eq!(
            period("", "2026-01-01T00:00:00Z").days("x/", "2025/1"),
            Range { prefix: "x/2025/1".into(), before: Some("x/2026/01/01/".into()), ..open }
        );
    }

    #[test]
    fn every_day_of_a_period_is_in_its_range_and_no_other() {
        let (from, until) = ("2025-11-20T00:00:00Z", "2026-03-02T00:00:00Z");
        let range = period(from, until).days("x/", "");
        let mut date = jiff::civil::date(2025, 1, 1);
        while date.year() < 2027 {
            let key = format!("x/{}name.json.gz", path(date));
            let listed = key.starts_with(&range.prefix)
                && range.after.as_ref().is_none_or(|after| *after < key)
                && range.before.as_ref().is_none_or(|before| key < *before);
            let noon = Offset::UTC.to_timestamp(date.at(12, 0, 0, 0)).unwrap();
            assert_eq!(listed, period(from, until).takes(noon), "{date}");
            date = date.tomorrow().unwrap();
        }
    }

    #[test]
    fn the_time_in_a_name_decides_within_a_day_and_the_day_where_there_is_none() {
        let hours = period("2026-03-10T10:00:00Z", "2026-03-10T12:00:00Z");
        let name = |stamp: &str| format!("2026/03/10/111122223333_CloudTrail_us-east-1_{stamp}_ab_c.json.gz");
        for (key, taken) in [
            (name("20260310T0955Z"), false),
            (name("20260310T1000Z"), true),
            (name("20260310T1155Z"), true),
            (name("20260310T1200Z"), false),
            (name("20269910T1200Z"), true),
            ("2026/03/10/8d7c-finding.jsonl.gz".to_owned(), true),
        ] {
            assert_eq!(hours.takes_name(&key), taken, "{key}");
        }
        // A file of midnight may lie in either day's folder.
        let day = period("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z");
        assert!(day.takes_name(&name("20260311T0000Z")));
    }

    #[test]
    fn what_is_behind_a_key_is_what_comes_after_it() {
        let ranges = ["a/1/", "a/2/", "b/1/"].map(|prefix| Range::all(prefix.to_owned()));
        let left =
            |key: &str| -> Vec<_> { ranges.iter().cloned().filter_map(|range| range.behind(key)).collect() };
        assert_eq!(
            left("a/2/x"),
            [Range { after: Some("a/2/x".into()), ..ranges[1].clone() }, ranges[2].clone()]
        );
        assert_eq!(left("a/3"), [ranges[2].clone()]);
        assert_eq!(left("a"), ranges);
        let begun = Range { after: Some("a/1/m".into()), ..ranges[0].clone() };
        assert_eq!(begun.clone().behind("a/1/c"), Some(begun));
    }
}
