//! Sends the row that says what a run did, and what earlier runs did whose rows were not taken: what refuses records
//! refuses health rows too. The process keeps those counts, and they end with it.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::warn;

use super::Forwarder;
use super::deliver::count_upload;
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::deadline::Deadline;
use crate::report::{Run, Tally};
use crate::sentinel::{LogSink, UploadError};
use crate::table::Table;

/// How long a run may wait for its row to be taken.
const MOST_WAIT: Duration = Duration::from_secs(5);

/// The counts of runs whose rows were not taken.
#[derive(Default)]
pub(super) struct Unsent(Mutex<(Tally, u64)>);

impl Unsent {
    /// Takes them out, with the counts of one more run.
    fn with(&self, tally: &Tally) -> (Tally, u64) {
        let (mut sum, runs) = mem::take(&mut *self.lock());
        sum.add(tally.clone());
        (sum, runs)
    }

    fn keep(&self, sum: Tally, runs: u64) {
        let mut unsent = self.lock();
        unsent.0.add(sum);
        unsent.0 = unsent.0.condensed();
        unsent.1 += runs;
    }

    fn lock(&self) -> MutexGuard<'_, (Tally, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says whether it is the health row's own problem: only its stream is.
fn not_taken(error: &UploadError) -> String {
    match error {
        UploadError::Rejected { .. } | UploadError::Misconfigured { status: 400, .. } => format!(
            "the health row was not taken: has the rule the stream of {}? SENTINEL_HEALTH_ROWS=false sends none",
            Table::Health.name()
        ),
        _ => "the health row was not taken; what refuses it refuses every record too".to_owned(),
    }
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Sends the row of a run, or keeps its counts for the next one's.
    pub async fn send_health(&self, run: &Run<'_>, deadline: Deadline, tally: &mut Tally) {
        let (sum, unsent_runs) = self.unsent_health.with(tally);
        let record = sum.health(run, unsent_runs);
        if self.sink.rests().is_some() || !self.is_taken(&record, run.ended, deadline, tally).await {
            self.unsent_health.keep(sum, unsent_runs + 1);
        }
    }

    async fn is_taken(&self, record: &str, now: Timestamp, deadline: Deadline, tally: &mut Tally) -> bool {
        let table = Table::Health;
        let deadline = Deadline::at(deadline.instant().min(Instant::now() + MOST_WAIT));
        let sent = self.send_own_row(table, record, now, deadline, tally).await;
        if let Err(error) = &sent {
            warn!(%error, "{}", not_taken(error));
        }
        sent.is_ok()
    }

    /// Sends a row to a table of our own; its upload is counted as any other, but its row is none of the run's.
    pub(super) async fn send_own_row(
        &self,
        table: Table,
        record: &str,
        now: Timestamp,
        deadline: Deadline,
        tally: &mut Tally,
    ) -> Result<(), UploadError> {
        let mut body = vec![b'['];
        if table.map(record.as_bytes(), now, &mut body).is_err() {
            return Ok(());
        }
        body.push(b']');
        let (costs, result) = self.sink.upload(table, &body, deadline).await;
        count_upload(tally, table, &costs, result.is_ok());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_tenant_is_no_problem_of_the_health_row() {
        let tenant = UploadError::Unauthorized { what: "AADSTS90002".to_owned(), status: None };
        let stream = UploadError::Misconfigured { code: "InvalidStream".to_owned(), status: 400 };
        assert!(!not_taken(&tenant).contains("SENTINEL_HEALTH_ROWS"));
        assert!(not_taken(&stream).contains("SENTINEL_HEALTH_ROWS"));
    }
}
