//! What one run of the function did, as a record of `SentinelForwarderHealth_CL`: its members are named as the columns.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Tally;

/// Which run it was.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The function's ARN, as Lambda names it: `arn:aws:lambda:<region>:<account>:function:<name>`.
    pub function_arn: &'a str,
    /// The run's request id.
    pub request_id: &'a str,
    /// When it was over.
    pub ended: Timestamp,
    /// How long it took.
    pub duration: Duration,
}

impl Tally {
    /// The record of a run, with the counts of some runs before it; what is zero is left out.
    #[must_use]
    pub fn health(&self, run: &Run<'_>, unsent_runs: u64) -> String {
        let mut record = Map::new();
        let mut arn = run.function_arn.split(':').skip(3);
        let mut member = |name: &str, value: Value| record.insert(name.to_owned(), value);
        member("TimeGenerated", json!(format!("{:.3}", run.ended)));
        for name in ["AwsRegion", "AwsAccountId"] {
            member(name, json!(arn.next()));
        }
        member("FunctionName", json!(arn.nth(1)));
        member("FunctionVersion", json!(env!("CARGO_PKG_VERSION")));
        member("AwsRequestId", json!(run.request_id));
        member("DurationMilliseconds", json!(u64::try_from(run.duration.as_millis()).unwrap_or(u64::MAX)));
        let sum = |of: fn(&super::TableTally) -> u64| self.tables.values().map(of).sum::<u64>();
        let report = self.report();
        let counts = [
            ("Objects", self.objects),
            ("Records", report.records),
            ("Rows", report.rows),
            ("RowsFiltered", report.filtered),
            ("RowsTruncated", sum(|table| table.rows_truncated)),
            ("DeadLetters", report.dead_letters),
            ("Duplicates", self.duplicates),
            ("Ignored", self.ignored),
            ("Continuations", self.continuations),
            ("ActionNeeded", self.action_needed.values().sum()),
            ("BytesRead", self.bytes_read),
            ("BytesUploaded", sum(|table| table.bytes_uploaded)),
            ("Uploads", sum(|table| table.uploads)),
            ("UploadThrottled", sum(|table| table.upload_throttled)),
            ("UploadFailed", sum(|table| table.upload_failed)),
            ("CircuitOpen", self.circuit_open),
            ("FilesMissing", self.files_missing),
            ("UnsentRuns", unsent_runs),
        ];
        let lag = self.tables.values().filter_map(|table| longest(&table.delivery_lag_seconds)).max();
        for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            member(name, json!(count));
        }
        if let Some(lag) = lag {
            member("DeliveryLagSeconds", json!(lag));
        }
        let tables: Map<_, _> = self
            .tables
            .iter()
            .map(|(name, table)| {
                let mut numbers = json!({"Records": table.records, "Rows": table.rows});
                if let Some(lag) = longest(&table.delivery_lag_seconds) {
                    numbers["DeliveryLagSeconds"] = json!(lag);
                }
                ((*name).to_owned(), numbers)
            })
            .collect();
        let reasons: Map<_, _> =
            self.letters.iter().map(|(reason, count)| (reason.name().to_owned(), json!(count))).collect();
        for (name, object) in [("Tables", tables), ("Reasons", reasons)] {
            if !object.is_empty() {
                member(name, Value::Object(object));
            }
        }
        Value::Object(record).to_string()
    }

    /// The same for a health row, in memory that does not grow with the uploads.
    #[must_use]
    pub fn condensed(&self) -> Self {
        let mut condensed = self.clone();
        for table in condensed.tables.values_mut() {
            table.upload_ms.clear();
            table.delivery_lag_seconds = longest(&table.delivery_lag_seconds).into_iter().collect();
        }
        condensed
    }
}

fn longest(lags: &[u64]) -> Option<u64> {
    lags.iter().max().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Reason;

    #[test]
    fn a_run_is_told_in_the_words_of_the_metrics() {
        let mut tally = Tally { objects: 2, ..Tally::default() };
        let table = tally.table("AWSCloudTrail");
        (table.records, table.rows, table.uploads) = (4, 3, 1);
        table.delivery_lag_seconds = vec![7, 40, 9];
        tally.letters.insert(Reason::Rejected, 1);
        let run = Run {
            function_arn: "arn:aws:lambda:eu-west-1:111122223333:function:forwarder",
            request_id: "a-request",
            ended: Timestamp::UNIX_EPOCH,
            duration: Duration::from_millis(250),
        };
        assert_eq!(tally.condensed().health(&run, 0), tally.health(&run, 0));
        assert_eq!(tally.condensed().table("AWSCloudTrail").delivery_lag_seconds, [40]);
        insta::assert_snapshot!(tally.health(&run, 0), @r#"{"AwsAccountId":"111122223333","AwsRegion":"eu-west-1","AwsRequestId":"a-request","DeadLetters":1,"DeliveryLagSeconds":40,"DurationMilliseconds":250,"FunctionName":"forwarder","FunctionVersion":"0.1.0","Objects":2,"Reasons":{"Rejected":1},"Records":4,"Rows":3,"Tables":{"AWSCloudTrail":{"DeliveryLagSeconds":40,"Records":4,"Rows":3}},"TimeGenerated":"1970-01-01T00:00:00.000Z","Uploads":1}"#);
    }
}
