//! What was done, in numbers: the answer of an invocation and its metrics.
//!
//! Metrics are log lines in `CloudWatch`'s embedded metric format
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

mod health;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::failure::Reason;

pub use health::Run;

/// The namespace of all metrics.
pub const NAMESPACE: &str = "SentinelForwarder";
/// The most values that one metric of a line may hold, by the format's specification.
const MOST_VALUES: usize = 100;

/// The answer to an invocation that no queue sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Objects read.
    pub objects: u64,
    /// Records and findings taken.
    pub records: u64,
    /// Rows that Sentinel took.
    pub rows: u64,
    /// Records that a rule kept back.
    pub filtered: u64,
    /// Letters written.
    pub dead_letters: u64,
    /// Things that had been delivered before.
    pub duplicates: u64,
    /// Things that call for nothing.
    pub ignored: u64,
}

/// The numbers of one table.
#[derive(Clone, Debug, Default)]
pub struct TableTally {
    /// Records read.
    pub records: u64,
    /// Rows taken by Sentinel.
    pub rows: u64,
    /// Values cut to the limit of a field.
    pub rows_truncated: u64,
    /// Records whose text had to be repaired.
    pub repaired: u64,
    /// Records with members that have no column, or do not fit theirs.
    pub unmapped: u64,
    /// Records without a time that can be read.
    pub without_time: u64,
    /// Compressed bytes posted and taken.
    pub bytes_uploaded: u64,
    /// Posts taken.
    pub uploads: u64,
    /// Answers 429.
    pub upload_throttled: u64,
    /// Posts that failed in any other way.
    pub upload_failed: u64,
    /// How long each post took.
    pub upload_ms: Vec<u64>,
    /// From the oldest event of a batch to its 204.
    pub delivery_lag_seconds: Vec<u64>,
}

/// All numbers of an invocation.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Objects read.
    pub objects: u64,
    /// Bytes read from S3.
    pub bytes_read: u64,
    /// Things that call for nothing.
    pub ignored: u64,
    /// By table.
    pub tables: BTreeMap<&'static str, TableTally>,
    /// Letters, by reason.
    pub letters: BTreeMap<Reason, u64>,
    /// Things that had been delivered before.
    pub duplicates: u64,
    /// Things put on the work queue to be done later.
    pub continuations: u64,
    /// The longest that a message which will be retried has waited since it was sent.
    pub waiting_seconds: u64,
    /// How often a rule's circuit opened.
    pub circuit_open: u64,
    /// Files that `CloudTrail`'s digests list, and that were not delivered.
    pub files_missing: u64,
    /// Digests that were checked, with nothing changed, removed or made up.
    pub digests_verified: u64,
    /// Digests where something was.
    pub digests_invalid: u64,
    /// Hours whose digests are overdue.
    pub digests_overdue: u64,
    /// Findings of `GuardDuty` that nobody had brought.
    pub findings_missing: u64,
    /// Watches that were kept to their end.
    pub watches: u64,
    /// Failures that an operator has to mend, and that come again meanwhile.
    pub action_needed: BTreeMap<Reason, u64>,
}

impl Tally {
    /// The numbers of a table.
    pub fn table(&mut self, name: &'static str) -> &mut TableTally {
        self.tables.entry(name).or_default()
    }

    /// Counts a failure that an operator has to mend.
    pub fn count_action(&mut self, reason: Reason) {
        *self.action_needed.entry(reason).or_default() += 1;
    }

    /// Adds the numbers of another.
    pub fn add(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes_read += other.bytes_read;
        self.ignored += other.ignored;
        self.duplicates += other.duplicates;
        self.continuations += other.continuations;
        self.waiting_seconds = self.waiting_seconds.max(other.waiting_seconds);
        self.circuit_open += other.circuit_open;
        self.files_missing += other.files_missing;
        self.digests_verified += other.digests_verified;
        self.digests_invalid += other.digests_invalid;
        self.digests_overdue += other.digests_overdue;
        self.findings_missing += other.findings_missing;
        self.watches += other.watches;
        for (reason, count) in other.action_needed {
            *self.action_needed.entry(reason).or_default() += count;
        }
        for (reason, count) in other.letters {
            *self.letters.entry(reason).or_default() += count;
        }
        for (name, theirs) in other.tables {
            let ours = self.table(name);
            ours.records += theirs.records;
            ours.rows += theirs.rows;
            ours.rows_truncated += theirs.rows_truncated;
            ours.repaired += theirs.repaired;
            ours.unmapped += theirs.unmapped;
            ours.without_time += theirs.without_time;
            ours.bytes_uploaded += theirs.bytes_uploaded;
            ours.uploads += theirs.uploads;
            ours.upload_throttled += theirs.upload_throttled;
            ours.upload_failed += theirs.upload_failed;
            ours.upload_ms.extend(theirs.upload_ms);
            ours.delivery_lag_seconds.extend(theirs.delivery_lag_seconds);
        }
    }

    /// The answer in numbers.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            objects: self.objects,
            records: self.tables.values().map(|table| table.records).sum(),
            rows: self.tables.values().map(|table| table.rows).sum(),
            dead_letters: self.letters.values().sum(),
            duplicates: self.duplicates,
            ignored: self.ignored,
            ..Report::default()
        }
    }

    /// The metrics as log lines, each metric also by the function's name: several functions may share a namespace.
    #[must_use]
    pub fn metrics(&self, now: Timestamp, function: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = Line::new(function, &[&[]]);
        line.count("Objects", self.objects);
        line.count("Ignored", self.ignored);
        line.number("BytesRead", "Bytes", self.bytes_read);
        line.count("Duplicates", self.duplicates);
        line.count("Continuations", self.continuations);
        line.number("WaitingSeconds", "Seconds", self.waiting_seconds);
        line.count("CircuitOpen", self.circuit_open);
        line.count("FilesMissing", self.files_missing);
        line.count("DigestsVerified", self.digests_verified);
        line.count("DigestsInvalid", self.digests_invalid);
        line.count("DigestsOverdue", self.digests_overdue);
        line.count("FindingsMissing", self.findings_missing);
        line.count("Watches", self.watches);
        line.end(now, &mut lines);
        for (name, table) in &self.tables {
            let mut line = Line::new(function, &[&["Table"]]);
            line.member("Table", json!(name));
            line.count("Records", table.records);
            line.count("Rows", table.rows);
            line.count("RowsTruncated", table.rows_truncated);
            line.count("RecordsRepaired", table.repaired);
            line.count("RecordsUnmapped", table.unmapped);
            line.count("RecordsWithoutTime", table.without_time);
            line.number("BytesUploaded", "Bytes", table.bytes_uploaded);
            line.count("Uploads", table.uploads);
            line.count("UploadThrottled", table.upload_throttled);
            line.count("UploadFailed", table.upload_failed);
            line.end(now, &mut lines);
            for (metric, unit, values) in [
                ("UploadMilliseconds", "Milliseconds", &table.upload_ms),
                ("DeliveryLagSeconds", "Seconds", &table.delivery_lag_seconds),
            ] {
                for values in values.chunks(MOST_VALUES) {
                    let mut line = Line::new(function, &[&["Table"]]);
                    line.member("Table", json!(name));
                    line.metric(metric, unit, json!(values));
                    line.end(now, &mut lines);
                }
            }
        }
        for (metric, counts) in [("DeadLetters", &self.letters), ("ActionNeeded", &self.action_needed)] {
            for (reason, count) in counts {
                let mut line = Line::new(function, &[&[], &["Reason"]]);
                line.member("Reason", json!(reason.name()));
                line.count(metric, *count);
                line.end(now, &mut lines);
            }
        }
        lines
    }
}

/// One line in the embedded metric format.
struct Line {
    dimensions: Value,
    metrics: Vec<Value>,
    members: Map<String, Value>,
}

impl Line {
    /// With those sets of dimensions, and each of them once more with the function's name.
    fn new(function: &str, sets: &[&[&str]]) -> Self {
        let own = sets.iter().map(|set| [&["FunctionName"], *set].concat());
        let dimensions: Vec<_> = sets.iter().map(|set| set.to_vec()).chain(own).collect();
        let mut line = Self { dimensions: json!(dimensions), metrics: Vec::new(), members: Map::new() };
        line.member("FunctionName", json!(function));
        line
    }

    fn member(&mut self, name: &str, value: Value) {
        self.members.insert(name.to_owned(), value);
    }

    fn metric(&mut self, name: &str, unit: &str, value: Value) {
        self.metrics.push(json!({"Name": name, "Unit": unit}));
        self.member(name, value);
    }

    fn count(&mut self, name: &str, value: u64) {
        self.number(name, "Count", value);
    }

    fn number(&mut self, name: &str, unit: &str, value: u64) {
        if value > 0 {
            self.metric(name, unit, json!(value));
        }
    }

    fn end(mut self, now: Timestamp, lines: &mut Vec<String>) {
        if !self.metrics.is_empty() {
            let directive =
                json!({"Namespace": NAMESPACE, "Dimensions": self.dimensions, "Metrics": self.metrics});
            let aws = json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]});
            self.member("_aws", aws);
            lines.push(Value::Object(self.members).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_name_their_dimensions_and_leave_out_what_is_zero() {
        let mut tally = Tally { objects: 2, ..Tally::default() };
        tally.table("AWSCloudTrail").rows = 3;
        tally.table("AWSCloudTrail").upload_ms = vec![5; 101];
        tally.letters.insert(Reason::Corrupt, 1);
        let lines = tally.metrics(Timestamp::UNIX_EPOCH, "forwarder");
        assert_eq!(lines.len(), 5);
        insta::assert_snapshot!(lines[0], @r#"{"FunctionName":"forwarder","Objects":2,"_aws":{"CloudWatchMetrics":[{"Dimensions":[[],["FunctionName"]],"Metrics":[{"Name":"Objects","Unit":"Count"}],"Namespace":"SentinelForwarder"}],"Timestamp":0}}"#);
        insta::assert_snapshot!(lines[4], @r#"{"DeadLetters":1,"FunctionName":"forwarder","Reason":"Corrupt","_aws":{"CloudWatchMetrics":[{"Dimensions":[[],["Reason"],["FunctionName"],["FunctionName","Reason"]],"Metrics":[{"Name":"DeadLetters","Unit":"Count"}],"Namespace":"SentinelForwarder"}],"Timestamp":0}}"#);
        assert_eq!(tally.report(), Report { objects: 2, rows: 3, dead_letters: 1, ..Report::default() });
    }
}
