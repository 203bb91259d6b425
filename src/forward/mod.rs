//! The pipeline: read, decode, map, batch, upload, settle.
//!
//! An item is done only when every record of it was taken by Sentinel or stands in a letter that the queue has taken.
//! What fails for now is left to come again; a double is preferred to a loss.

mod deliver;
mod object;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use crate::aws::{ObjectReader, Queue};
use crate::batch::Batcher;
use crate::deadline::Deadline;
use crate::failure::{DeadLetter, Disposition, Reason, Subject};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::trigger::Item;

/// From this receipt of a message on, what an operator should have mended becomes a letter.
pub const PATIENCE_RECEIVES: u32 = 5;

/// An item that must come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComeAgain {
    /// Why, without log text.
    pub why: String,
    /// When at the earliest, if the other side said so.
    pub after: Option<Duration>,
}

/// Settings of the pipeline.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most bytes of one uncompressed body.
    pub max_request_bytes: usize,
    /// Uploads in flight, over all items.
    pub max_concurrency: usize,
    /// The buckets that may be read.
    pub allowed_buckets: Option<Vec<String>>,
}

/// All that forwarding needs.
pub struct Forwarder<S, O, Q> {
    sink: Arc<S>,
    objects: O,
    dead_letters: Q,
    limits: Limits,
    uploads: Arc<Semaphore>,
}

/// What is known of the message that an item came in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// How often it was received, this time included.
    pub receives: u32,
    /// When all must be settled.
    pub deadline: Deadline,
}

impl Attempt {
    /// Whether a failure of that kind is to be left to come again.
    fn leaves_again(self, disposition: Disposition) -> Result<Option<Duration>, Reason> {
        match disposition {
            Disposition::Retryable { after } => Ok(after),
            Disposition::Permanent(reason)
                if reason.is_mended_by_operators() && self.receives < PATIENCE_RECEIVES =>
            {
                Ok(None)
            }
            Disposition::Permanent(reason) | Disposition::Poison(reason) => Err(reason),
        }
    }
}

impl<S: LogSink, O: ObjectReader, Q: Queue> Forwarder<S, O, Q> {
    /// A pipeline from these parts.
    pub fn new(sink: S, objects: O, dead_letters: Q, limits: Limits) -> Self {
        let uploads = Arc::new(Semaphore::new(limits.max_concurrency));
        Self { sink: Arc::new(sink), objects, dead_letters, limits, uploads }
    }

    /// Forwards one item and settles it.
    ///
    /// # Errors
    /// If the item must come again; what was done is in the tally all the same.
    pub async fn forward(&self, item: &Item, attempt: Attempt, tally: &mut Tally) -> Result<(), ComeAgain> {
        match item {
            Item::Ignored(why) => {
                info!(why, "ignored");
                tally.ignored += 1;
                Ok(())
            }
            Item::Unknown(event) => {
                let message = "the invocation has no shape that this version knows".to_owned();
                let subject = Subject::Event(event.clone());
                self.send_letter(
                    DeadLetter {
                        reason: Reason::UnknownTrigger,
                        message,
                        status: None,
                        table: None,
                        subject,
                    },
                    tally,
                )
                .await
            }
            Item::Object(task) => self.forward_object(task, attempt, tally).await,
            Item::Event { table, record, event } => {
                let subject = |_| Subject::Event(event.clone());
                let result = self.forward_record(*table, record, attempt, &subject, tally).await;
                if result.is_ok() {
                    info!(table = table.name(), "forwarded an event");
                }
                result
            }
        }
    }

    /// Forwards the record that an event carries.
    async fn forward_record(
        &self,
        table: Table,
        record: &str,
        attempt: Attempt,
        subject: &(impl Fn(std::ops::Range<u64>) -> Subject + Sync),
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let numbers = tally.table(table.name());
        numbers.records += 1;
        let mut row = Vec::new();
        let letter = |reason, message: String| DeadLetter {
            reason,
            message,
            status: None,
            table: Some(table.name()),
            subject: subject(0..1),
        };
        let mut batcher = Batcher::new(self.limits.max_request_bytes);
        match table.map(record.as_bytes(), Timestamp::now(), &mut row) {
            Err(error) => return self.send_letter(letter(Reason::Corrupt, error.to_string()), tally).await,
            Ok(facts) => {
                object::count_facts(numbers, facts);
                if let Err(error) = batcher.push(0, &row, facts.event_time) {
                    return self.send_letter(letter(Reason::TooLarge, error.to_string()), tally).await;
                }
            }
        }
        let Some(batch) = batcher.take() else { return Ok(()) };
        let delivered = deliver::deliver(&*self.sink, table, batch, attempt.deadline).await;
        tally.add(delivered.tally);
        for failed in delivered.failed {
            self.settle_failed(table, &failed, attempt, subject, tally).await?;
        }
        Ok(())
    }

    /// A batch that was not taken comes again, or becomes a letter.
    async fn settle_failed(
        &self,
        table: Table,
        failed: &deliver::Failed,
        attempt: Attempt,
        subject: &(impl Fn(std::ops::Range<u64>) -> Subject + Sync),
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        match attempt.leaves_again(failed.error.disposition()) {
            Ok(after) => Err(ComeAgain { why: failed.error.to_string(), after }),
            Err(reason) => {
                let letter = DeadLetter {
                    reason,
                    message: failed.error.to_string(),
                    status: failed.error.status(),
                    table: Some(table.name()),
                    subject: subject(failed.records.clone()),
                };
                self.send_letter(letter, tally).await
            }
        }
    }

    /// Sends a letter; only then is its subject settled.
    async fn send_letter(&self, letter: DeadLetter, tally: &mut Tally) -> Result<(), ComeAgain> {
        if let Err(failure) = self.dead_letters.send(&letter.to_json(Timestamp::now())).await {
            warn!(%failure, reason = letter.reason.name(), "a dead letter could not be sent");
            return Err(ComeAgain { why: failure.to_string(), after: None });
        }
        error!(
            id = letter.id(),
            reason = letter.reason.name(),
            message = letter.message,
            "wrote a dead letter"
        );
        *tally.letters.entry(letter.reason).or_default() += 1;
        Ok(())
    }
}
