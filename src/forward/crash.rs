//! After a crash: what the items of its invocation come to.
//!
//! A panic is caught, and is one item's own. A process that was killed had several in work, and nobody knows which of
//! them it was: each of them runs alone from then on, until it is done or its own crashes make it a dead letter.

use futures_util::{StreamExt, stream};
use tracing::error;

use super::event::finding_key;
use super::hold::Hold;
use super::{Attempt, ComeAgain, Forwarder, ITEMS_IN_HAND};
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::delivery::{Key, Stage};
use crate::failure::{DeadLetter, Disposition, Reason, Subject};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::task::Task;
use crate::trigger::Item;

/// From this receive on an item runs alone of which the ledger can't know whether it was in work.
const RECEIVES_ALONE: u32 = 3;
/// What a dead letter says of an item that crashed the function.
pub(super) const CRASHED: &str =
    "the function crashed on this again and again: report it, and replay it with a later version";

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// The places of the items that run alone, in their order: what was killed least often comes first, so that it is
    /// done before the one that kills.
    pub(super) async fn order_alone(&self, items: &[(&Item, Attempt)]) -> Vec<usize> {
        let looked = stream::iter(items.iter().enumerate()).map(|(place, (item, attempt))| async move {
            Some((self.kills(item, *attempt).await?, fastrand::u32(..), place))
        });
        let looked: Vec<_> = looked.buffered(ITEMS_IN_HAND).collect().await;
        let mut alone: Vec<_> = looked.into_iter().flatten().collect();
        alone.sort_unstable();
        alone.into_iter().map(|(_, _, place)| place).collect()
    }

    /// How often workers were killed with the item in work, if the last one may have been.
    async fn kills(&self, item: &Item, attempt: Attempt) -> Option<u32> {
        if attempt.receives <= 1 || attempt.is_late() {
            return None;
        }
        let keys = keys_of(item);
        if self.ledger.is_none() || keys.is_empty() {
            return (attempt.receives >= RECEIVES_ALONE).then_some(0);
        }
        for key in keys {
            if let Ok(Some(entry)) = self.look_up(&key).await
                && let Stage::Claimed { lease_until } = entry.stage
                && lease_until <= self.ledger_time().earliest
            {
                return Some(entry.takeovers);
            }
        }
        None
    }

    /// Settles an item whose forwarding ended in a panic: it is retried, or becomes a dead letter.
    pub(super) async fn settle_panic(
        &self,
        item: &Item,
        claimed: Option<Hold>,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        // The next schedule does what this one did not.
        let Some(mut subject) = subject_of(item) else { return Ok(()) };
        match &subject {
            Subject::Task(Task { object, .. }) => {
                error!(bucket = object.bucket, key = object.key, "a panic while forwarding an object");
            }
            Subject::Event(_) => error!("a panic while forwarding an event"),
        }
        let key = keys_of(item).into_iter().next().unwrap_or_else(|| match &subject {
            Subject::Task(task) => Key::object(&task.object),
            Subject::Event(event) => Key::event(event.get()),
        });
        let mut hold = match claimed {
            Some(hold) => hold,
            None => match self.claim(Some(key.clone()), 0, attempt).await? {
                Some(hold) => hold,
                None => return Ok(()),
            },
        };
        let settled = hold.entry.settled.clone();
        let crashed = Disposition::Permanent(Reason::Crashed);
        if self.judge(Some(&mut hold), key, crashed, attempt, tally).await?.is_ok() {
            self.release(&mut hold, &settled).await?;
            return Err(ComeAgain::new("the function crashed on it"));
        }
        if let Subject::Task(task) = &mut subject {
            task.from_record = task.from_record.max(settled.next_record);
        }
        let id = self.send_letter(letter(subject, item), attempt, tally).await?;
        if item.letter() == Some(id.as_str()) {
            // The letter stands as it stood, and can be replayed as before.
            return self.release(&mut hold, &settled).await;
        }
        self.deliver(&mut hold, &settled, None).await
    }
}

fn letter(subject: Subject, item: &Item) -> DeadLetter {
    let table = match item {
        Item::Event { table, .. } => Some(table.name()),
        _ => None,
    };
    DeadLetter { reason: Reason::Crashed, message: CRASHED.to_owned(), status: None, table, subject }
}

fn subject_of(item: &Item) -> Option<Subject> {
    match item {
        Item::Object { task, .. } => Some(Subject::Task(Task::clone(task))),
        Item::Event { event, .. } | Item::Unknown { event, .. } => Some(Subject::Event(event.clone())),
        Item::Watch(_) | Item::Ignored(_) => None,
    }
}

/// The keys under one of which the ledger knows an item that is in work.
fn keys_of(item: &Item) -> Vec<Key> {
    if let Some(id) = item.letter() {
        return vec![Key::letter(id)];
    }
    match item {
        Item::Object { task, .. } if task.object.identity().is_none() => Vec::new(),
        Item::Object { task, .. } if task.is_part() => vec![Key::part(task), Key::object(&task.object)],
        Item::Object { task, .. } => vec![Key::object(&task.object)],
        Item::Event { table: Table::AwsGuardDuty, record, .. } => finding_key(record).into_iter().collect(),
        Item::Event { .. } | Item::Unknown { .. } | Item::Watch(_) | Item::Ignored(_) => Vec::new(),
    }
}
