//! What a backfill amounts to: files and bytes as listed, and from a sample the rows, the money and the time.
//!
//! Prices are list prices of us-east-1 and East US. An estimate is told with few digits.

use serde::{Deserialize, Serialize};

/// What was listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Files that are forwarded.
    pub files: u64,
    /// Their bytes, compressed as they are.
    pub bytes: u64,
    /// Files that have to be restored from Glacier first; not forwarded.
    pub archived: u64,
    /// Files that hold nothing that is forwarded.
    pub other: u64,
}

impl Found {
    /// Takes in what another listing found.
    pub const fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.archived += other.archived;
        self.other += other.other;
    }
}

/// What reading some of the files showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// How many files were read.
    pub files: u64,
    /// Their bytes, compressed as they are.
    pub bytes: u64,
    /// Their records.
    pub records: u64,
    /// The bytes of the rows that these become.
    pub row_bytes: u64,
}

impl Sample {
    /// What stands in where no file could be read: the trail of `make bench`, whose 183 MB are 572,000 records and 0.8
    /// GB of rows.
    pub const TYPICAL: Self = Self { files: 0, bytes: 183_000, records: 572, row_bytes: 800_000 };

    /// Takes in another file.
    pub const fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.records += other.records;
        self.row_bytes += other.row_bytes;
    }
}

/// How the objects reach Sentinel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// As tasks on the work queue, so many a second.
    Queue {
        /// The rate.
        files_per_second: u32,
    },
    /// By a job of S3 Batch Operations.
    Batch,
    /// From this machine.
    Direct,
}

/// Analytics logs, pay as you go (<https://azure.microsoft.com/pricing/details/microsoft-sentinel/>).
pub const SENTINEL_USD_PER_GB: f64 = 4.30;
/// What is billed of a byte of a row, since names and punctuation are not: README, "Several rules".
const BILLED_OF_ROW: f64 = 0.77;
/// The compressed bytes that leave AWS for a byte of a row.
const OUT_OF_ROW: f64 = 0.23;
/// Rows that a GB-second of Lambda makes: 90 MB a processor-second, and a processor is 1769 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>).
const ROW_BYTES_PER_GB_SECOND: f64 = 90e6 / (1769.0 / 1024.0);
/// What a file costs beside its rows, waiting for S3, the ledger and Sentinel: 0.1 s of 128 MB.
const GB_SECONDS_PER_FILE: f64 = 0.1 * 0.125;
/// <https://aws.amazon.com/lambda/pricing/>, arm64.
const LAMBDA_USD_PER_GB_SECOND: f64 = 0.000_013_333_4;
const LAMBDA_USD_PER_REQUEST: f64 = 0.2e-6;
/// <https://aws.amazon.com/sqs/pricing/>.
const SQS_USD_PER_REQUEST: f64 = 0.4e-6;
/// Messages that one request sends, receives or deletes.
const MESSAGES_PER_REQUEST: f64 = 10.0;
/// <https://aws.amazon.com/s3/pricing/>: batch operations.
const JOB_USD: f64 = 0.25;
const JOB_USD_PER_OBJECT: f64 = 1e-6;
/// Reading from S3 ($0.40 a million), two writes of the ledger ($0.625 a million each).
const OTHER_USD_PER_FILE: f64 = 0.4e-6 + 2.0 * 0.625e-6;
/// <https://aws.amazon.com/ec2/pricing/on-demand/>: data transfer out.
const OUT_USD_PER_GB: f64 = 0.09;
const GB: f64 = 1e9;

/// What it will come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// How many files were read for it; 0: a typical trail stands in.
    pub files_read: u64,
    /// Records.
    pub records: u64,
    /// Bytes of rows, as uncompressed JSON.
    pub row_bytes: u64,
    /// Bytes that Sentinel bills.
    pub billed_bytes: u64,
    /// Ingestion into Sentinel.
    pub sentinel_usd: f64,
    /// The function.
    pub lambda_usd: f64,
    /// The work queue.
    pub sqs_usd: f64,
    /// The S3 Batch Operations job.
    pub batch_usd: f64,
    /// Reading from S3, the ledger, and data out of AWS.
    pub other_aws_usd: f64,
    /// The time that it takes, where a rate says so.
    pub seconds: Option<u64>,
}

impl Estimate {
    /// Counts what was found by what the sample showed.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub fn of(found: Found, sample: Sample, via: Via, usd_per_gb: f64) -> Self {
        let sample = if sample.bytes == 0 { Sample::TYPICAL } else { sample };
        let (files, share) = (found.files as f64, found.bytes as f64 / sample.bytes as f64);
        let row_bytes = sample.row_bytes as f64 * share;
        let billed_bytes = row_bytes * BILLED_OF_ROW;
        let requests = match via {
            Via::Queue { .. } => files / MESSAGES_PER_REQUEST,
            Via::Batch => files,
            Via::Direct => 0.0,
        };
        let gb_seconds = row_bytes / ROW_BYTES_PER_GB_SECOND + files * GB_SECONDS_PER_FILE;
        let lambda = gb_seconds * LAMBDA_USD_PER_GB_SECOND + requests * LAMBDA_USD_PER_REQUEST;
        let messages = if matches!(via, Via::Queue { .. }) { files } else { 0.0 };
        Self {
            files_read: sample.files,
            records: (sample.records as f64 * share).round() as u64,
            row_bytes: row_bytes.round() as u64,
            billed_bytes: billed_bytes.round() as u64,
            sentinel_usd: cents(billed_bytes / GB * usd_per_gb),
            lambda_usd: cents(if via == Via::Direct { 0.0 } else { lambda }),
            // Each is sent, received and deleted.
            sqs_usd: cents(3.0 * messages / MESSAGES_PER_REQUEST * SQS_USD_PER_REQUEST),
            batch_usd: cents(if via == Via::Batch { JOB_USD + files * JOB_USD_PER_OBJECT } else { 0.0 }),
            other_aws_usd: cents(files * OTHER_USD_PER_FILE + row_bytes * OUT_OF_ROW / GB * OUT_USD_PER_GB),
            seconds: match via {
                Via::Queue { files_per_second } => {
                    Some(found.files.div_ceil(u64::from(files_per_second.max(1))))
                }
                Via::Batch | Via::Direct => None,
            },
        }
    }
}

/// Dollars to the cent, and never nothing for something.
fn cents(usd: f64) -> f64 {
    (usd * 100.0).ceil() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Via = Via::Queue { files_per_second: 100 };

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 0.011
    }

    #[test]
    fn a_sample_is_scaled_by_its_bytes() {
        let found = Found { files: 1_000_000, bytes: 20_000_000_000, ..Found::default() };
        let sample = Sample { files: 2, bytes: 40_000, records: 500, row_bytes: 400_000 };
        let estimate = Estimate::of(found, sample, QUEUE, 4.30);
        assert_eq!((estimate.records, estimate.row_bytes), (250_000_000, 200_000_000_000));
        assert_eq!(estimate.billed_bytes, 154_000_000_000);
        assert_eq!((estimate.files_read, estimate.seconds), (2, Some(10_000)));
        // 154 GB at $4.30; 300,000 requests at $0.40 a million; 46 GB out, a million reads and two million writes.
        assert!(close(estimate.sentinel_usd, 662.20), "{estimate:?}");
        assert!(close(estimate.sqs_usd, 0.12), "{estimate:?}");
        assert!(close(estimate.other_aws_usd, 5.79), "{estimate:?}");
        // 3839 GB-seconds for the rows, 12,500 for the waits, 100,000 invocations.
        assert!(close(estimate.lambda_usd, 0.24), "{estimate:?}");
        assert!(close(estimate.batch_usd, 0.0), "{estimate:?}");
    }

    #[test]
    fn each_way_costs_what_it_uses() {
        let found = Found { files: 1_000_000, bytes: 1, ..Found::default() };
        let batch = Estimate::of(found, Sample::default(), Via::Batch, 4.30);
        assert!(close(batch.batch_usd, 1.25) && close(batch.sqs_usd, 0.0) && batch.lambda_usd > 0.3);
        let direct = Estimate::of(found, Sample::default(), Via::Direct, 4.30);
        assert!(close(direct.batch_usd, 0.0) && close(direct.sqs_usd, 0.0) && close(direct.lambda_usd, 0.0));
        assert_eq!((batch.seconds, direct.seconds), (None, None));
    }

    #[test]
    fn without_a_sample_a_typical_trail_stands_in() {
        let found = Found { files: 1, bytes: 183_000_000, ..Found::default() };
        let estimate = Estimate::of(found, Sample::default(), QUEUE, 1.0);
        assert_eq!((estimate.files_read, estimate.records, estimate.row_bytes), (0, 572_000, 800_000_000));
    }

    #[test]
    fn nothing_costs_nothing_and_something_never_nothing() {
        let nothing = Estimate::of(Found::default(), Sample::default(), QUEUE, 4.30);
        assert!(close(nothing.sentinel_usd, 0.0) && nothing.seconds == Some(0));
        let little =
            Estimate::of(Found { files: 1, bytes: 1, ..Found::default() }, Sample::default(), QUEUE, 4.30);
        assert!(little.sentinel_usd >= 0.01 && little.seconds == Some(1));
    }
}
