//! Goes once through a queue. SQS can't list: messages are received, which hides them, and released in the end.
//!
//! What was received is hidden for about as long as the visit takes. If that was too short, what comes again is known by
//! its message id, and hidden for twice as long. Killed, all that was not deleted is visible again after that time.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::DlqError;
use crate::aws::{MOST_MESSAGES, Mailbox, MailboxError, Received};

/// Calls under way at once: a visit is mostly waiting for answers.
const WORKERS: usize = 4;
/// So many answers in a row that hold only what was sent after the visit began end it: a queue may fill for ever.
const MOST_LATE: usize = 25;
/// The most messages that are hidden at once, and remembered: SQS hides 120,000 of a queue
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const MOST_KEPT: usize = 100_000;
/// How long messages are hidden: in a short visit, and at most; and how many a second are gone through at least.
const SHORTEST_HIDE: Duration = Duration::from_secs(10);
const LONGEST_HIDE: Duration = Duration::from_hours(1);
const MESSAGES_A_SECOND: u64 = 100;
/// How often a message that SQS did not delete or release for now is tried again, and how long after.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// Told to stop, whoever works finishes what is under way and releases the rest.
#[derive(Debug, Default)]
pub struct Stop {
    told: Cell<bool>,
    woken: Notify,
}

impl Stop {
    /// Tells it.
    pub fn tell(&self) {
        self.told.set(true);
        self.woken.notify_waiters();
    }

    /// Whether it was told.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.told.get()
    }

    /// Sleeps for so long, or until it is told.
    pub async fn sleep(&self, time: Duration) {
        let woken = self.woken.notified();
        if !self.is_told() {
            let _ = tokio::time::timeout(time, woken).await;
        }
    }
}

/// What becomes of a message that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays in the queue, and is released in the end.
    Stays,
    /// It was deleted.
    Gone,
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All was seen, or enough.
    Whole,
    /// It was told to stop.
    Stopped,
    /// No more messages may be hidden at once, and there may be more.
    Full,
}

/// One visit of a queue.
pub(super) struct Visit<'a, M> {
    mailbox: &'a M,
    stop: &'a Stop,
    hide: Cell<Duration>,
    /// When the first was hidden for that long.
    hidden_at: Cell<Instant>,
    stale_at: Instant,
    workers: usize,
    depth: u64,
    began: Timestamp,
    /// By message id: the newest receipt of what stays, none of what is gone.
    seen: RefCell<HashMap<String, Option<String>>>,
    kept: Cell<usize>,
    enough: Cell<bool>,
    late: Cell<usize>,
    old: Cell<usize>,
}

impl<'a, M: Mailbox> Visit<'a, M> {
    /// Begins one that takes `more` time than going through the queue does; with a pace, one message after the other.
    pub(super) async fn begin(
        mailbox: &'a M,
        stop: &'a Stop,
        more: impl FnOnce(u64) -> Duration,
        is_paced: bool,
    ) -> Result<Self, MailboxError> {
        let depth = mailbox.depth().await?;
        let time = SHORTEST_HIDE + Duration::from_secs(depth / MESSAGES_A_SECOND) + more(depth);
        let (hide, now) = (time.min(LONGEST_HIDE), Instant::now());
        Ok(Self {
            mailbox,
            stop,
            hide: Cell::new(hide),
            hidden_at: Cell::new(now),
            stale_at: now + hide,
            workers: if is_paced { 1 } else { WORKERS },
            depth,
            began: Timestamp::now(),
            seen: RefCell::default(),
            kept: Cell::new(0),
            enough: Cell::new(false),
            late: Cell::new(0),
            old: Cell::new(0),
        })
    }

    /// Nothing more need be received.
    pub(super) fn end(&self) {
        self.enough.set(true);
    }

    /// Whether the time is over for which the first message was hidden.
    pub(super) fn is_stale(&self) -> bool {
        Instant::now() >= self.stale_at
    }

    /// How it ended.
    pub(super) const fn ending(&self) -> Ending {
        if self.stop.is_told() {
            Ending::Stopped
        } else if self.is_full() {
            Ending::Full
        } else {
            Ending::Whole
        }
    }

    const fn is_full(&self) -> bool {
        self.kept.get() >= MOST_KEPT
    }

    /// Shows each message once, a few at a time, until the end, the first error or the order to stop.
    pub(super) async fn each<F>(&self, look: impl Fn(Vec<Received>) -> F) -> Result<(), DlqError>
    where
        F: Future<Output = Result<Vec<Fate>, DlqError>>,
    {
        let failed = Cell::new(false);
        let worker = async || {
            let mut waits = false;
            while !self.has_ended() && !failed.get() {
                // What was received must be taken down even if another failed meanwhile: never dropped half-way.
                let result = self.look_at_some(&look, waits).await;
                failed.set(failed.get() || result.is_err());
                let is_empty = result?;
                if is_empty && waits {
                    break;
                }
                waits = is_empty;
            }
            Ok::<(), DlqError>(())
        };
        let ends = futures_util::future::join_all((0..self.workers).map(|_| worker())).await;
        ends.into_iter().collect()
    }

    /// Whether there were none.
    async fn look_at_some<F>(&self, look: impl Fn(Vec<Received>) -> F, waits: bool) -> Result<bool, DlqError>
    where
        F: Future<Output = Result<Vec<Fate>, DlqError>>,
    {
        let messages = self.mailbox.receive(self.hide.get(), waits).await?;
        let is_empty = messages.is_empty();
        let (new, returned) = self.take_down(messages);
        self.delete(&returned).await?;
        if new.is_empty() {
            return Ok(is_empty);
        }
        let ids: Vec<String> = new.iter().map(|message| message.message_id.clone()).collect();
        for (id, fate) in ids.into_iter().zip(look(new).await?) {
            if fate == Fate::Gone {
                self.forget(id);
            }
        }
        Ok(false)
    }

    /// Notes what was received; what is new comes back, and the receipts of what had been deleted.
    fn take_down(&self, messages: Vec<Received>) -> (Vec<Received>, Vec<String>) {
        let mut seen = self.seen.borrow_mut();
        let count = messages.len();
        let (mut new, mut returned) = (Vec::new(), Vec::new());
        for message in messages {
            match seen.get_mut(&message.message_id) {
                Some(Some(receipt)) => {
                    *receipt = message.receipt;
                    self.hide_longer();
                }
                // SQS may deliver a message once more that was deleted.
                Some(None) => returned.push(message.receipt),
                None => {
                    seen.insert(message.message_id.clone(), Some(message.receipt.clone()));
                    new.push(message);
                }
            }
        }
        self.kept.update(|kept| kept + new.len());
        self.old.set(if new.is_empty() { self.old.get() + count } else { 0 });
        let is_late = new.iter().all(|message| self.is_late(message));
        self.late.set(if is_late { self.late.get() + 1 } else { 0 });
        (new, returned)
    }

    /// Else those that come again would stand before those that were not seen, for ever.
    fn hide_longer(&self) {
        if self.hidden_at.get().elapsed() >= self.hide.get() {
            self.hide.update(|hide| (hide * 2).min(LONGEST_HIDE));
            self.hidden_at.set(Instant::now());
        }
    }

    fn has_ended(&self) -> bool {
        let seen = self.seen.borrow().len();
        self.stop.is_told()
            || self.enough.get()
            // All that comes again has come again, and nothing was new.
            || self.old.get() > seen + MOST_MESSAGES * WORKERS
            // The depth is there in case this machine's clock is behind.
            || self.late.get() >= MOST_LATE && seen as u64 >= self.depth
            || self.is_full()
    }

    fn forget(&self, message_id: String) {
        if self.seen.borrow_mut().insert(message_id, None).flatten().is_some() {
            self.kept.update(|kept| kept - 1);
        }
    }

    /// Whether it was sent after the visit began.
    pub(super) fn is_late(&self, message: &Received) -> bool {
        message.sent_at > self.began
    }

    /// Deletes messages that were looked at; tells of each whether it is gone.
    pub(super) async fn delete_seen(&self, message_ids: &[String]) -> Result<Vec<bool>, MailboxError> {
        let receipts: Vec<String> = {
            let seen = self.seen.borrow();
            message_ids.iter().map(|id| seen.get(id).cloned().flatten().unwrap_or_default()).collect()
        };
        let gone = self.delete(&receipts).await?;
        for (id, _) in message_ids.iter().zip(&gone).filter(|(_, gone)| **gone) {
            self.forget(id.clone());
        }
        Ok(gone)
    }

    /// Deletes by receipts; tells of each whether it is gone.
    pub(super) async fn delete(&self, receipts: &[String]) -> Result<Vec<bool>, MailboxError> {
        let mut gone = vec![false; receipts.len()];
        for attempt in 0..TRIES {
            let left: Vec<usize> = (0..receipts.len()).filter(|place| !gone[*place]).collect();
            for places in left.chunks(MOST_MESSAGES) {
                let some: Vec<&str> = places.iter().map(|place| receipts[*place].as_str()).collect();
                let refusals = self.mailbox.delete(&some).await?;
                for (place, _) in places.iter().zip(refusals).filter(|(_, refusal)| refusal.is_none()) {
                    gone[*place] = true;
                }
            }
            if attempt + 1 == TRIES || gone.iter().all(|gone| *gone) {
                break;
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
        }
        Ok(gone)
    }

    /// Makes all visible at once that is still there.
    pub(super) async fn release(self) -> Result<(), MailboxError> {
        let receipts: Vec<String> = self.seen.into_inner().into_values().flatten().collect();
        let calls = receipts.chunks(MOST_MESSAGES).map(|some| async {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            // What is not released now is visible when its time is over.
            self.mailbox.release(&some).await.map(|_| ())
        });
        let mut calls = stream::iter(calls).buffer_unordered(WORKERS);
        while let Some(released) = calls.next().await {
            released?;
        }
        Ok(())
    }
}
