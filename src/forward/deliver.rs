//! Delivers one batch: halved on 413, bisected on 400 down to the record.

use std::ops::Range;

use jiff::Timestamp;

use crate::batch::Batch;
use crate::deadline::Deadline;
use crate::failure::Disposition;
use crate::report::Tally;
use crate::sentinel::{LogSink, UploadError};
use crate::table::Table;

/// Records that were not taken, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) records: Range<u64>,
    pub(super) error: UploadError,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) tally: Tally,
    /// Rows that Sentinel took.
    pub(super) rows: u64,
    pub(super) failed: Vec<Failed>,
}

/// Delivers a batch in as few posts as the service allows.
pub(super) async fn deliver<S: LogSink>(
    sink: &S,
    table: Table,
    batch: Batch,
    deadline: Deadline,
) -> Delivered {
    let mut delivered = Delivered::default();
    let mut waiting = vec![batch];
    while let Some(batch) = waiting.pop() {
        let (costs, result) = sink.upload(table, batch.body(), deadline).await;
        delivered.tally.circuit_open += costs.circuit_open;
        let numbers = delivered.tally.table(table.name());
        numbers.upload_throttled += costs.throttled;
        numbers.upload_failed += costs.failed;
        numbers.upload_ms.push(u64::try_from(costs.elapsed.as_millis()).unwrap_or(u64::MAX));
        match result {
            Ok(()) => {
                numbers.uploads += 1;
                numbers.rows += batch.len() as u64;
                delivered.rows += batch.len() as u64;
                numbers.bytes_uploaded += costs.bytes;
                if let Some(oldest) = batch.oldest {
                    let lag = Timestamp::now().duration_since(oldest).as_secs();
                    numbers.delivery_lag_seconds.push(u64::try_from(lag).unwrap_or(0));
                }
            }
            Err(error) => match (error.disposition(), batch.halves()) {
                (Disposition::Poison(_), Some((left, right))) => waiting.extend([right, left]),
                _ => delivered.add_failed(Failed { records: batch.records(), error }),
            },
        }
    }
    delivered
}

impl Delivered {
    /// Neighbours that failed alike are one failure.
    fn add_failed(&mut self, failed: Failed) {
        if let Some(last) = self.failed.last_mut()
            && last.records.end == failed.records.start
            && last.error.disposition() == failed.error.disposition()
        {
            last.records.end = failed.records.end;
        } else {
            self.failed.push(failed);
        }
    }
}
