//! Sends the row that says what a run did. It is told, not promised: what can't be sent is left out, and costs no run
//! more than seconds.

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

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Sends the row of a run.
    pub async fn send_health(&self, run: &Run<'_>, deadline: Deadline, tally: &mut Tally) {
        if self.sink.rests().is_some() {
            return;
        }
        let table = Table::Health;
        let deadline = Deadline::at(deadline.instant().min(Instant::now() + MOST_WAIT));
        let record = tally.health(run);
        if let Err(error) = self.send_own_row(table, &record, run.ended, deadline, tally).await {
            warn!(
                %error,
                "the health row was not taken: has the rule the stream of {}? SENTINEL_HEALTH_ROWS=false sends none",
                table.name()
            );
        }
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
