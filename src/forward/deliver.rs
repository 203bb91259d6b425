//! Delivers one batch: halved on 413, bisected on 400 down to the record.

use std::ops::Range;

use jiff::Timestamp;

use crate::batch::Batch;
use crate::deadline::Deadline;
use crate::report::Tally;
use crate::sentinel::{LogSink, UploadCosts, UploadError};
use crate::table::Table;

/// Records that were not taken, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) records: Range<u64>,
    /// How many of them had rows.
    pub(super) rows: u64,
    pub(super) error: UploadError,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    pub(super) tally: Tally,
    /// Records whose rows Sentinel took, and how many rows that were.
    pub(super) taken: Vec<(Range<u64>, u64)>,
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
        count_upload(&mut delivered.tally, table, &costs, result.is_ok());
        if result.as_ref().is_err_and(UploadError::is_poison)
            && let Some((left, right)) = batch.halves()
        {
            waiting.extend([right, left]);
        } else {
            delivered.note(table, &batch, result);
        }
    }
    delivered
}

/// Counts an upload, taken or not.
pub(super) fn count_upload(tally: &mut Tally, table: Table, costs: &UploadCosts, was_taken: bool) {
    tally.circuit_open += costs.circuit_open;
    for reason in &costs.passed_over {
        *tally.action_needed.entry(*reason).or_default() += 1;
    }
    let numbers = tally.table(table.name());
    numbers.upload_throttled += costs.throttled;
    numbers.upload_failed += costs.failed;
    numbers.upload_ms.push(u64::try_from(costs.elapsed.as_millis()).unwrap_or(u64::MAX));
    if was_taken {
        numbers.uploads += 1;
        numbers.bytes_uploaded += costs.bytes;
    }
}

impl Delivered {
    /// What becomes of records that all failed.
    pub(super) fn failed(records: Range<u64>, rows: u64, error: UploadError) -> Self {
        Self { failed: vec![Failed { records, rows, error }], ..Self::default() }
    }

    /// Notes what became of a batch, its own or the request's that carried it.
    pub(super) fn note(&mut self, table: Table, batch: &Batch, result: Result<(), UploadError>) {
        let (records, rows) = (batch.records(), batch.len() as u64);
        if let Err(error) = result {
            return self.add_failed(Failed { records, rows, error });
        }
        self.taken.push((records, rows));
        let numbers = self.tally.table(table.name());
        numbers.rows += rows;
        if let Some(oldest) = batch.oldest {
            let lag = Timestamp::now().duration_since(oldest).as_secs();
            numbers.delivery_lag_seconds.push(u64::try_from(lag).unwrap_or(0));
        }
    }

    /// Neighbours that failed alike are one failure.
    fn add_failed(&mut self, failed: Failed) {
        if let Some(last) = self.failed.last_mut()
            && last.records.end == failed.records.start
            && last.error.disposition() == failed.error.disposition()
        {
            last.records.end = failed.records.end;
            last.rows += failed.rows;
        } else {
            self.failed.push(failed);
        }
    }
}
