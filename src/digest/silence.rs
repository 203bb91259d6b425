//! Whether the next digest of a chain should have come: `CloudTrail` writes one an hour, also of an hour without files.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-intro.html>. How late one may
//! come is not stated there.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::account::record;
use super::chain::{Chain, Head};
use super::finding::Finding;

/// What a digest is about.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// How long after the end of its time a digest may come: long enough for a bad day of `CloudTrail`, and for its check.
pub const TOLERANCE: SignedDuration = SignedDuration::from_hours(2);
/// For how many hours a digest is waited for: three days. Then the trail was deleted, or somebody has seen the alarm.
const MOST_HOURS: i64 = 72;

/// A time that a digest should speak of by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// What is to be told of it.
    pub findings: Vec<Finding>,
}

impl Head {
    /// The hours whose digests should have come by now, and of which nobody was told. What has lasted too long already is
    /// told as one, for the last time.
    #[must_use]
    pub fn missed(&self, now: Timestamp) -> Vec<Missed> {
        let late = now.duration_since(self.end) - TOLERANCE;
        let due = (late.as_secs() / HOUR.as_secs()).clamp(0, MOST_HOURS);
        let told = self.told.unwrap_or(self.end).max(self.end);
        let ends = (1..=due).map(|hours| self.end + HOUR * i32::try_from(hours).unwrap_or(0));
        let ends: Vec<Timestamp> = ends.filter(|to| told < *to).collect();
        match ends.last() {
            Some(to) if due == MOST_HOURS => {
                let (from, to) = (told, *to);
                let findings = vec![Finding::Overdue { from, to }, Finding::GivenUp { since: self.end }];
                vec![Missed { from, to, findings }]
            }
            _ => {
                let hours = ends.into_iter().map(|to| {
                    let from = to - HOUR;
                    Missed { from, to, findings: vec![Finding::Overdue { from, to }] }
                });
                hours.collect()
            }
        }
    }
}

impl Missed {
    /// As a record of `SentinelForwarderCompleteness_CL`.
    #[must_use]
    pub fn record(&self, chain: &Chain, head: &Head, now: Timestamp) -> String {
        let times = Some((self.from, self.to));
        Value::Object(record(chain, &head.bucket, times, &self.findings, now)).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::DigestKey;

    const KEY: &str = "AWSLogs/o-abc/111122223333/CloudTrail-Digest/eu-west-1/2026/03/10/\
         111122223333_CloudTrail-Digest_eu-west-1_main_us-east-1_20260310T100131Z.json.gz";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn head(told: Option<&str>) -> Head {
        Head {
            since: time("2026-03-01T00:00:00Z"),
            end: time("2026-03-10T10:01:31Z"),
            bucket: "b".to_owned(),
            key: KEY.to_owned(),
            told: told.map(time),
        }
    }

    fn ends(head: &Head, now: &str) -> Vec<String> {
        head.missed(time(now)).iter().map(|missed| missed.to.to_string()).collect()
    }

    #[test]
    fn a_digest_is_overdue_two_hours_after_its_time_and_not_a_second_before() {
        assert_eq!(ends(&head(None), "2026-03-10T13:01:30Z"), <[&str; 0]>::default());
        assert_eq!(ends(&head(None), "2026-03-10T13:01:31Z"), ["2026-03-10T11:01:31Z"]);
        assert_eq!(ends(&head(None), "2026-03-10T14:01:30Z"), ["2026-03-10T11:01:31Z"]);
        // A clock that is behind.
        assert_eq!(ends(&head(None), "2026-03-10T09:00:00Z"), <[&str; 0]>::default());
    }

    #[test]
    fn each_hour_is_told_once() {
        let missed = head(None).missed(time("2026-03-10T15:30:00Z"));
        assert_eq!(missed.len(), 3);
        assert_eq!((missed[1].from, missed[1].to), (missed[0].to, missed[2].from));
        let told = head(Some("2026-03-10T12:01:31Z"));
        assert_eq!(ends(&told, "2026-03-10T15:30:00Z"), ["2026-03-10T13:01:31Z"]);
        // The first of them came late: those behind it are not told again.
        let came = Head { end: time("2026-03-10T11:01:31Z"), ..told };
        assert_eq!(ends(&came, "2026-03-10T15:30:00Z"), ["2026-03-10T13:01:31Z"]);
    }

    #[test]
    fn after_three_days_it_is_said_so_once_and_no_more() {
        let names = |missed: &[Missed]| -> Vec<Vec<_>> {
            missed.iter().map(|missed| missed.findings.iter().map(Finding::name).collect()).collect()
        };
        let last = head(Some("2026-03-13T09:01:31Z"));
        assert_eq!(last.missed(time("2026-03-13T12:01:30Z")), []);
        assert_eq!(names(&last.missed(time("2026-03-13T12:01:31Z"))), [["Overdue", "GivenUp"]]);
        // Nobody watched meanwhile.
        let missed = head(None).missed(time("2026-04-10T00:00:00Z"));
        assert_eq!(names(&missed), [["Overdue", "GivenUp"]]);
        assert_eq!((missed[0].from, missed[0].to), (head(None).end, time("2026-03-13T10:01:31Z")));
        let told = Head { told: Some(missed[0].to), ..head(None) };
        assert_eq!(told.missed(time("2026-05-10T00:00:00Z")), []);
        // A digest comes again, and the next one does not.
        let again = Head { end: time("2026-05-01T00:00:00Z"), ..told };
        assert_eq!(ends(&again, "2026-05-01T03:10:00Z"), ["2026-05-01T01:00:00Z"]);
    }

    #[test]
    fn an_hour_that_is_missed_is_told_in_the_columns_of_a_check() {
        let head = head(None);
        let chain = DigestKey::parse(KEY).unwrap().chain;
        let now = time("2026-03-10T13:05:00Z");
        let record = head.missed(now)[0].record(&chain, &head, now);
        insta::assert_snapshot!(record, @r#"{"AwsAccountId":"111122223333","AwsRegion":"eu-west-1","DigestBucket":"b","DigestEnd":"2026-03-10T11:01:31Z","DigestStart":"2026-03-10T10:01:31Z","Findings":[{"Message":"no digest came for the time from 2026-03-10T10:01:31Z to 2026-03-10T11:01:31Z: the trail or its validation is off, or its files no longer reach the bucket","Name":"Overdue"}],"HomeRegion":"us-east-1","Hour":"2026-03-10T10:00:00Z","OrganizationId":"o-abc","TimeGenerated":"2026-03-10T13:05:00.000Z","Trail":"main"}"#);
    }
}
