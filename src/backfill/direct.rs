//! From this machine: the function's own pipeline, with its ledger and its dead letter queue.
//!
//! What fails for now is tried again here, since no queue brings it back. What an operator has to mend ends the run, so
//! that a whole bucket does not become letters.

use std::cell::Cell;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout_at;

use super::carry::{Carrier, Done, Halt};
use crate::aws::{Ledger, Listed, ObjectReader, Queue};
use crate::deadline::Deadline;
use crate::failure::Reason;
use crate::forward::{Attempt, ComeAgain, Forwarder, MOST_FAILED_ATTEMPTS, Outcome, wait_before};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::task::{ObjectRef, Task};
use crate::trigger::Item;

/// How long one object, or a part of it, is read before the rest begins anew; so long others wait for what a run that was
/// killed had begun.
const READING: Duration = Duration::from_secs(45);
/// By when it is settled, and when the lease on it ends.
const SETTLING: Duration = Duration::from_secs(55);
const LEASE: Duration = Duration::from_mins(1);
/// How often an object is tried: over some ten minutes.
const TRIES: u32 = 6;
/// A finished object waits for those before it; so many times as many as are forwarded at once may have begun.
const AHEAD: usize = 8;

/// Forwards objects with this pipeline.
pub struct Direct<S, O, Q, L> {
    forwarder: Forwarder<S, O, Q, L>,
    bucket: String,
    concurrency: usize,
    permits: Semaphore,
    stop: watch::Receiver<bool>,
    /// Whether any object could be read: then one that is denied is an exception.
    has_read: Cell<bool>,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Direct<S, O, Q, L> {
    /// So many objects of that bucket at once, until it is told to stop.
    #[must_use]
    pub fn new(
        forwarder: Forwarder<S, O, Q, L>,
        bucket: String,
        concurrency: usize,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let permits = Semaphore::new(concurrency);
        Self { forwarder, bucket, concurrency, permits, stop, has_read: Cell::new(false) }
    }

    async fn forward(&self, key: &str, tally: &mut Tally) -> Result<(), Halt> {
        let object =
            ObjectRef { bucket: self.bucket.clone(), key: key.to_owned(), version_id: None, etag: None };
        let mut task = Task::whole(object);
        let (mut tries, mut most_failures) = (0, MOST_FAILED_ATTEMPTS);
        loop {
            let mut once = Tally::default();
            let outcome = self.attempt(&task, most_failures, &mut once).await;
            let needed = std::mem::take(&mut once.action_needed);
            self.has_read.set(self.has_read.get() || once.bytes_read > 0);
            tally.add(once);
            let again = match outcome {
                Ok(Outcome::Done) => return Ok(()),
                Ok(Outcome::GoesOn(rest)) if rest.from_record > task.from_record => {
                    (task, tries) = (rest, 0);
                    continue;
                }
                Ok(Outcome::GoesOn(_) | Outcome::NoTurn) => {
                    ComeAgain::new("time was up before anything of it was settled")
                }
                Err(again) => again,
            };
            match needed.keys().next() {
                // It alone is at fault: it becomes a letter now, not with its tenth attempt.
                Some(Reason::Crashed) => most_failures = 1,
                Some(Reason::AccessDenied) if self.has_read.get() => most_failures = 1,
                Some(_) => return Err(failed(key, &again)),
                None => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(failed(key, &again));
                    }
                    self.pause(wait_before(tries, again.after)).await?;
                }
            }
        }
    }

    async fn attempt(
        &self,
        task: &Task,
        most_failures: u32,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        let now = Instant::now();
        let attempt = Attempt {
            receives: 1,
            most_failures,
            began: now,
            reads_until: Deadline::at(now + READING),
            deadline: Deadline::at(now + SETTLING),
            ends: Deadline::at(now + LEASE),
        };
        let item = Item::Object { task: task.clone(), letter: None };
        // Nobody works on it when its lease has run out.
        let forwarding = timeout_at((now + LEASE).into(), self.forwarder.forward(&item, attempt, tally));
        forwarding.await.unwrap_or_else(|_| Err(ComeAgain::new("its time was up")))
    }

    async fn pause(&self, time: Duration) -> Result<(), Halt> {
        let mut stop = self.stop.clone();
        let stopped = stop.wait_for(|is_stopped| *is_stopped);
        match tokio::time::timeout(time, stopped).await {
            Ok(_) => Err(Halt::Interrupted),
            Err(_) => Ok(()),
        }
    }
}

fn failed(key: &str, again: &ComeAgain) -> Halt {
    Halt::Failed(format!("{key}: {}", again.why))
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Carrier for Direct<S, O, Q, L> {
    const TOGETHER: usize = 1;

    fn at_once(&self) -> usize {
        self.concurrency * AHEAD
    }

    fn pace(&self) -> Duration {
        Duration::ZERO
    }

    async fn carry(&self, objects: &[Listed]) -> Result<Done, Halt> {
        let mut done = Done::default();
        for object in objects {
            // It is never closed.
            let _permit = self.permits.acquire().await;
            // What has not begun when it is to stop never does.
            if *self.stop.borrow() {
                return Err(Halt::Interrupted);
            }
            let mut tally = Tally::default();
            self.forward(&object.key, &mut tally).await?;
            let report = tally.report();
            done.files += 1;
            done.bytes += object.bytes;
            done.duplicates += report.duplicates;
            done.ignored += report.ignored;
            done.records += report.records;
            done.rows += report.rows;
            done.dead_letters += report.dead_letters;
        }
        Ok(done)
    }
}
