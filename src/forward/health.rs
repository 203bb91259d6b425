//! Sends the row that says what a run did. It is told, not promised: what can't be sent is left out, and costs no run
//! more than seconds.

use std::time::{Duration, Instant};

use tracing::warn;

use super::Forwarder;
use super::deliver::count_upload;
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::deadline::Deadline;
use crate::report::{Run, Tally};
use crate::sentinel::LogSink;
use crate::table::Table;

/// How long a run may wait for its row to be taken.
const MOST_WAIT: Duration = Duration::from_secs(5);

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Sends the row of a run; its upload is counted as any other, but its row is none of the run's.
    pub async fn send_health(&self, run: &Run<'_>, deadline: Deadline, tally: &mut Tally) {
        if self.sink.rests().is_some() {
            return;
        }
        let table = Table::Health;
        let mut body = vec![b'['];
        if table.map(tally.health(run).as_bytes(), run.ended, &mut body).is_err() {
            return;
        }
        body.push(b']');
        let deadline = Deadline::at(deadline.instant().min(Instant::now() + MOST_WAIT));
        let (costs, result) = self.sink.upload(table, &body, deadline).await;
        count_upload(tally, table, &costs, result.is_ok());
        if let Err(error) = result {
            warn!(
                %error,
                "the health row was not taken: has the rule the stream of {}? SENTINEL_HEALTH_ROWS=false sends none",
                table.name()
            );
        }
    }
}
