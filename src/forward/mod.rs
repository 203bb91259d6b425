//! The pipeline: claim, read, decode, map, batch, upload, checkpoint, settle.
//!
//! An item is done only when every record of it was taken by Sentinel or stands in a letter that the queue has taken.
//! What fails for now is left to come again; a double is preferred to a loss.

mod crash;
mod deliver;
mod digest;
mod event;
mod health;
mod hold;
mod letter;
mod object;
mod passage;
mod patience;
mod reading;
mod station;
mod watch;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::Semaphore;
use tracing::info;

use crate::aws::{Ledger, ObjectReader, Queue, ServiceError};
use crate::batch::{Batcher, Buffers};
use crate::deadline::Deadline;
use crate::failure::Reason;
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::task::Task;
use crate::trigger::Item;
use crate::watch::Watchman;
use hold::Hold;
use station::{Station, Ticket};

pub use digest::Checks;
pub use patience::MOST_FAILED_ATTEMPTS;

/// Items in hand at once, most of which wait for a place or for an upload: more than a batch of the queue brings.
const ITEMS_IN_HAND: usize = 32;
/// How long a message is hidden after its first failure.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// How long at most.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// An item that must come again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComeAgain {
    /// Why, without log text.
    pub why: String,
    /// When at the earliest, if the other side said so.
    pub after: Option<Duration>,
    /// What an operator has to mend, if it is a service of our own stack that refuses.
    pub action: Option<Reason>,
    /// Nothing failed, time was up: it comes again soon, however often it came.
    pub is_soon: bool,
}

impl ComeAgain {
    /// For that reason.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), ..Self::default() }
    }

    /// Time was up.
    pub fn soon(why: impl Into<String>) -> Self {
        Self { is_soon: true, ..Self::new(why) }
    }

    /// The ledger or a queue failed.
    pub fn because(error: &impl ServiceError) -> Self {
        Self { action: error.needs_operator(), ..Self::new(error.to_string()) }
    }
}

/// What has become of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is settled.
    Done,
    /// Time was up; all before this task is settled, and once the task is safe on the work queue the item is too.
    GoesOn(Task),
    /// Time was up before its turn came: nothing of it was begun.
    NoTurn,
}

/// How long a message waits that was received so often: twice as long each time, with jitter, and no less than was
/// asked for.
#[must_use]
pub fn wait_before(receives: u32, asked_for: Option<Duration>) -> Duration {
    let wait = (FIRST_WAIT * 2_u32.pow(receives.clamp(1, 10) - 1)).min(LONGEST_WAIT);
    wait.mul_f64(0.75 + fastrand::f64() / 4.0).max(asked_for.unwrap_or_default()).min(LONGEST_WAIT)
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
pub struct Forwarder<S, O, Q, L> {
    sink: Arc<S>,
    objects: O,
    dead_letters: Q,
    ledger: Option<L>,
    limits: Limits,
    buffers: Buffers,
    uploads: Arc<Semaphore>,
    checks: Option<Checks>,
    /// Digests are checked one at a time.
    digests: Semaphore,
    watchman: Option<Box<dyn Watchman>>,
    unsent_health: health::Unsent,
}

/// What is known of the invocation and the message that an item came in.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// How often it was received, this time included: no measure of failure, since an outage counts too.
    pub receives: u32,
    /// With so many attempts that failed for the same reason it becomes a dead letter.
    pub most_failures: u32,
    /// When the invocation began.
    pub began: Instant,
    /// When reading stops, so that what was read can still be uploaded.
    pub reads_until: Deadline,
    /// When all must be settled.
    pub deadline: Deadline,
    /// When Lambda ends the invocation.
    pub ends: Deadline,
}

impl Attempt {
    /// Whether the time for beginning anything is up.
    fn is_late(self) -> bool {
        !self.reads_until.leaves(Instant::now(), Duration::ZERO)
    }

    /// How long this worker lives.
    fn lifetime(self) -> Duration {
        self.ends.instant().saturating_duration_since(Instant::now())
    }

    /// Until when the ledger is written: half of the time for settling, so that the rest can be sent and the answer given.
    fn writes_until(self) -> Deadline {
        let (deadline, ends) = (self.deadline.instant(), self.ends.instant());
        Deadline::at(deadline + ends.saturating_duration_since(deadline) / 2)
    }

    /// Whether at least half of the time for reading is left: whoever makes no progress in it may be blamed.
    fn leaves_a_turn(self) -> bool {
        let until = self.reads_until.instant();
        let left = until.saturating_duration_since(Instant::now());
        left * 2 >= until.saturating_duration_since(self.began)
    }

    /// Until when dead letters are sent: a third of the time for settling, so that the ledger can be written after.
    fn letters_until(self) -> Deadline {
        let (deadline, ends) = (self.deadline.instant(), self.ends.instant());
        Deadline::at(deadline + ends.saturating_duration_since(deadline) / 3)
    }
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// A pipeline from these parts; without a ledger, what is announced twice is delivered twice.
    pub fn new(sink: S, objects: O, dead_letters: Q, ledger: Option<L>, limits: Limits) -> Self {
        let uploads = Arc::new(Semaphore::new(limits.max_concurrency));
        Self {
            sink: Arc::new(sink),
            objects,
            dead_letters,
            ledger,
            limits,
            buffers: Buffers::default(),
            uploads,
            checks: None,
            digests: Semaphore::new(1),
            watchman: None,
            unsent_health: health::Unsent::default(),
        }
    }

    /// Forwards the items of an invocation and settles each; what became of them comes back in their order. Small
    /// batches of several share a request.
    pub async fn forward_all<'i>(
        &self,
        items: impl IntoIterator<Item = (&'i Item, Attempt)>,
    ) -> Vec<(Tally, Result<Outcome, ComeAgain>)> {
        let items: Vec<_> = items.into_iter().collect();
        let alone = self.order_alone(&items).await;
        let station = self.station();
        let together = (0..items.len()).filter(|place| !alone.contains(place)).map(|place| {
            // Issued before the first is polled, so that all that are in hand wait for each other.
            let (ticket, (item, attempt)) = (station.ticket(), items[place]);
            async move {
                let mut tally = Tally::default();
                let result = self.forward_with(item, attempt, ticket, &mut tally).await;
                (place, (tally, result))
            }
        });
        let together = stream::iter(together).buffered(ITEMS_IN_HAND);
        let mut outcomes: BTreeMap<_, _> = together.collect().await;
        for place in alone {
            let (mut tally, (item, attempt)) = (Tally::default(), items[place]);
            // On the heap, since few invocations have any.
            let result = Box::pin(self.forward(item, attempt, &mut tally)).await;
            outcomes.insert(place, (tally, result));
        }
        outcomes.into_values().collect()
    }

    /// Forwards one item and settles it.
    ///
    /// # Errors
    /// If the item must come again; what was done is in the tally all the same.
    pub async fn forward(
        &self,
        item: &Item,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        let station = self.station();
        self.forward_with(item, attempt, station.ticket(), tally).await
    }

    fn batcher(&self) -> Batcher {
        Batcher::new(self.limits.max_request_bytes, self.buffers.clone())
    }

    fn station(&self) -> Station<S> {
        Station::new(Arc::clone(&self.sink), Arc::clone(&self.uploads), self.limits.max_request_bytes)
    }

    async fn forward_with(
        &self,
        item: &Item,
        attempt: Attempt,
        ticket: Ticket<'_, S>,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        if attempt.is_late() && !matches!(item, Item::Watch(_) | Item::Ignored(_)) {
            return Ok(Outcome::NoTurn);
        }
        // It outlives a panic.
        let mut claimed = None;
        let forwarding = AssertUnwindSafe(self.forward_item(item, attempt, ticket, &mut claimed, tally));
        if let Ok(result) = forwarding.catch_unwind().await {
            return result;
        }
        Box::pin(self.settle_panic(item, claimed, attempt, tally)).await.map(|()| Outcome::Done)
    }

    async fn forward_item(
        &self,
        item: &Item,
        attempt: Attempt,
        ticket: Ticket<'_, S>,
        claimed: &mut Option<Hold>,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        match item {
            Item::Ignored(why) => {
                info!(why, "ignored");
                tally.ignored += 1;
                Ok(Outcome::Done)
            }
            Item::Watch(watch) => {
                self.keep_watch(*watch, attempt, tally).await;
                Ok(Outcome::Done)
            }
            Item::Unknown { event, letter } => {
                self.return_to_sender(event, letter.as_deref(), attempt, tally).await.map(|()| Outcome::Done)
            }
            Item::Object { task, letter } => {
                self.forward_object(task, letter.as_deref(), attempt, ticket, claimed, tally).await
            }
            Item::Event { table, record, event, letter } => {
                let event = event::Event { table: *table, record, whole: event, letter: letter.as_deref() };
                self.forward_event(event, attempt, ticket, claimed, tally).await.map(|()| Outcome::Done)
            }
        }
    }

    /// Nothing is begun while Sentinel is left alone.
    fn begin(&self) -> Result<(), ComeAgain> {
        match self.sink.rests() {
            Some(rest) => Err(ComeAgain {
                after: Some(rest),
                ..ComeAgain::new("Sentinel is left alone after failures in a row")
            }),
            None => Ok(()),
        }
    }
}
