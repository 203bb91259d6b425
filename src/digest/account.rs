//! The account of an hour: what its digests list, and what became of each file and record.
//!
//! `listed` = `delivered` + `altered` + `in_letters` + `missing`, and `records` = `rows` + `filtered` + `letters`, always:
//! no finding lies in a file of `CloudTrail`'s, so none of its records came through another door.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::chain::Chain;
use super::document::{Document, Place};
use super::finding::Finding;
use crate::delivery::Counts;

/// The most findings that a row names; the log and the letters name more.
const MOST_NAMED: usize = 50;

/// What became of the files that a digest lists, and of their records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Files that it lists.
    pub listed: u64,
    /// Those that were delivered with the content that it vouches for.
    pub delivered: u64,
    /// Those of them that came late.
    pub late: u64,
    /// Those that were not delivered.
    pub missing: u64,
    /// Those of them that are not in the bucket.
    pub gone: u64,
    /// Those in whose place something else was delivered.
    pub altered: u64,
    /// Those that could not be delivered, and stand in letters.
    pub in_letters: u64,
    /// Their records.
    pub counts: Counts,
}

impl Account {
    /// Takes in what another digest lists.
    pub fn add(&mut self, other: &Self) {
        self.listed += other.listed;
        self.delivered += other.delivered;
        self.late += other.late;
        self.missing += other.missing;
        self.gone += other.gone;
        self.altered += other.altered;
        self.in_letters += other.in_letters;
        self.counts.add(other.counts);
    }

    /// Counts files whose bucket can't be read: that they were delivered is not known.
    pub const fn leave_out(&mut self, files: u64) {
        self.listed += files;
        self.missing += files;
    }

    /// Its numbers by their names in the ledger and in rows.
    #[must_use]
    pub const fn numbers(&self) -> [(&'static str, &'static str, u64); 11] {
        let counts = &self.counts;
        [
            ("files_listed", "FilesListed", self.listed),
            ("files_delivered", "FilesDelivered", self.delivered),
            ("files_late", "FilesLate", self.late),
            ("files_missing", "FilesMissing", self.missing),
            ("files_gone", "FilesGone", self.gone),
            ("files_altered", "FilesAltered", self.altered),
            ("files_in_letters", "FilesInLetters", self.in_letters),
            ("records", "Records", counts.records),
            ("rows", "Rows", counts.rows),
            ("filtered", "RowsFiltered", counts.filtered),
            ("letters", "DeadLetters", counts.letters),
        ]
    }

    /// The hour's item in the ledger, with this digest's part in it in the place of what was known of that; the sums
    /// stand beside the parts.
    #[must_use]
    pub fn into_hour(&self, known: Option<Map<String, Value>>, digest: &str) -> Map<String, Value> {
        let mut hour = known.unwrap_or_default();
        let own = self.numbers().map(|(name, _, number)| (name.to_owned(), json!(number)));
        let mut digests = match hour.remove("digests") {
            Some(Value::Object(digests)) => digests,
            _ => Map::new(),
        };
        digests.insert(digest.to_owned(), Value::Object(own.into_iter().collect()));
        for (name, _, _) in self.numbers() {
            let sum: u64 = digests.values().filter_map(|part| part[name].as_u64()).sum();
            hour.insert(name.to_owned(), json!(sum));
        }
        hour.insert("digests".to_owned(), Value::Object(digests));
        hour
    }
}

/// The hour that a digest is about: most of its time lies in it.
#[must_use]
pub fn hour_of(document: &Document) -> Timestamp {
    hour_between(document.start, document.end)
}

/// The hour that most of the time between these two lies in.
fn hour_between(start: Timestamp, end: Timestamp) -> Timestamp {
    hour_at(start + end.duration_since(start) / 2)
}

/// The hour that a moment lies in.
#[must_use]
pub fn hour_at(time: Timestamp) -> Timestamp {
    let second = time.as_second();
    Timestamp::from_second(second - second.rem_euclid(3600)).unwrap_or(time)
}

/// What a check of one digest is told by in Sentinel.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Where the digest lies.
    pub place: &'a Place,
    /// The chain that its key names.
    pub chain: &'a Chain,
    /// What it says, if it is believed.
    pub document: Option<&'a Document>,
    /// What became of its files.
    pub account: &'a Account,
    /// What is not as it should be.
    pub findings: &'a [Finding],
}

impl Told<'_> {
    /// As a record of `SentinelForwarderCompleteness_CL`: its members are named as the columns.
    #[must_use]
    pub fn record(&self, now: Timestamp) -> String {
        let times = self.document.map(|document| (document.start, document.end));
        let mut record = record(self.chain, &self.place.bucket, times, self.findings, now);
        let mut member = |name: &str, value: Value| record.insert(name.to_owned(), value);
        member("DigestKey", json!(self.place.key));
        member("IsGenuine", json!(self.document.is_some()));
        for (_, name, number) in self.account.numbers() {
            member(name, json!(number));
        }
        Value::Object(record).to_string()
    }
}

/// What every record has: whose digest, of what time if that is known, and what is not as it should be.
pub(super) fn record(
    chain: &Chain,
    bucket: &str,
    times: Option<(Timestamp, Timestamp)>,
    findings: &[Finding],
    now: Timestamp,
) -> Map<String, Value> {
    let mut record = Map::new();
    let mut member = |name: &str, value: Value| record.insert(name.to_owned(), value);
    member("TimeGenerated", json!(format!("{now:.3}")));
    member("AwsAccountId", json!(chain.account));
    member("AwsRegion", json!(chain.region));
    member("OrganizationId", json!(chain.organization));
    member("Trail", json!(chain.trail));
    member("HomeRegion", json!(chain.home_region));
    member("DigestBucket", json!(bucket));
    if let Some((start, end)) = times {
        member("Hour", json!(hour_between(start, end).to_string()));
        member("DigestStart", json!(start.to_string()));
        member("DigestEnd", json!(end.to_string()));
    }
    if !findings.is_empty() {
        let findings = findings.iter().take(MOST_NAMED);
        let findings: Vec<Value> =
            findings.map(|finding| json!({"Name": finding.name(), "Message": finding.to_string()})).collect();
        member("Findings", json!(findings));
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_the_sum_of_its_digests_however_often_each_is_looked_at() {
        let part = |listed, records| Account {
            listed,
            delivered: listed,
            counts: Counts { records, rows: records, ..Counts::default() },
            ..Account::default()
        };
        let first = part(3, 10).into_hour(None, "one");
        let second = part(2, 5).into_hour(Some(first), "two");
        assert_eq!((&second["files_listed"], &second["records"]), (&json!(5), &json!(15)));
        let again = part(4, 11).into_hour(Some(second), "one");
        assert_eq!(
            (&again["files_listed"], &again["records"], &again["rows"]),
            (&json!(6), &json!(16), &json!(16))
        );
        assert_eq!(again["digests"]["two"]["files_listed"], json!(2));
    }
}
