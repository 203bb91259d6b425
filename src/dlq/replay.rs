//! Replays: a message goes to the work queue as it is, and is deleted once SQS has it there.
//!
//! Nothing is written down for it. The function claims a letter in the ledger when it takes it up, so the ledger knows
//! each letter that was replayed, and whether it was delivered. Killed between the two steps, a letter lies in both
//! queues: replayed again it is delivered once, and poison comes back twice and is held.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use super::filter::Filter;
use super::found::Found;
use super::visit::{Fate, Visit};
use super::{DlqError, Ending, Stop};
use crate::aws::{AwsError, Ledger, LedgerError, Mailbox, Received};
use crate::delivery::Stage;

/// Why a letter is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The ledger knows that it was replayed, and was not delivered.
    CameBack,
    /// One with its id was replayed by this very run.
    Twin,
}

/// What became of a message that was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is on the work queue, or would be.
    Replayed,
    /// It stays, for now or for good.
    Held(Held),
    /// This run replayed it, and the function has sent it back already: it stays.
    Returned,
    /// It was sent after the run began: it stays for the next run.
    Late,
    /// The work queue did not take it, by this code; it stays.
    Refused(String),
    /// It is on the work queue, and could not be deleted here: replayed again, it is delivered once.
    Left,
}

/// What is to be replayed, and how.
pub struct Replay<'a, M, L> {
    /// Where the messages lie.
    pub dead_letters: &'a M,
    /// Where they go.
    pub work_queue: &'a M,
    /// What knows what was replayed before.
    pub ledger: Option<&'a L>,
    /// Which are meant.
    pub filter: &'a Filter,
    /// Also what came back.
    pub again: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The most messages a second.
    pub rate: Option<f64>,
    /// The most messages.
    pub limit: Option<u64>,
}

/// What one run remembers.
struct Run<'a, M> {
    visit: Visit<'a, M>,
    /// The letters that it sends or sent.
    ids: RefCell<HashSet<String>>,
    sent: Cell<u64>,
    next_at: Cell<Instant>,
}

impl<M: Mailbox, L: Ledger> Replay<'_, M, L> {
    /// Replays; tells of each message that is meant.
    ///
    /// # Errors
    /// If a queue or the ledger can't be used; all that is not on the work queue is still where it was.
    pub async fn run(&self, stop: &Stop, tell: impl Fn(&Found, &Verdict)) -> Result<Ending, DlqError> {
        let time = |depth| match self.rate {
            Some(rate) => Duration::try_from_secs_f64(seconds(depth) / rate).unwrap_or(Duration::MAX),
            None => Duration::ZERO,
        };
        let visit = Visit::begin(self.dead_letters, stop, time, self.rate.is_some()).await?;
        let (ids, sent, next_at) = (RefCell::default(), Cell::new(0), Cell::new(Instant::now()));
        let run = Run { visit, ids, sent, next_at };
        let went = run.visit.each(|messages| self.some(messages, &run, stop, &tell)).await;
        let ending = run.visit.ending();
        let released = run.visit.release().await;
        went?;
        released?;
        Ok(ending)
    }

    async fn some(
        &self,
        messages: Vec<Received>,
        run: &Run<'_, M>,
        stop: &Stop,
        tell: impl Fn(&Found, &Verdict),
    ) -> Result<Vec<Fate>, DlqError> {
        let mut fates = vec![Fate::Stays; messages.len()];
        let found: Vec<Found> = messages.iter().map(Found::read).collect();
        let now = Timestamp::now();
        let meant: Vec<usize> =
            (0..found.len()).filter(|place| self.filter.takes(&found[*place], now)).collect();
        let stages = join_all(meant.iter().map(|place| self.stage(&found[*place]))).await;
        let mut to_send = Vec::new();
        for (place, stage) in meant.into_iter().zip(stages) {
            if self.limit.is_some_and(|limit| run.sent.get() >= limit) {
                run.visit.end();
                break;
            }
            if run.visit.is_late(&messages[place]) {
                // The function gives the same failure of the same thing the same id.
                let came_back = run.ids.borrow().contains(&found[place].id);
                tell(&found[place], if came_back { &Verdict::Returned } else { &Verdict::Late });
                continue;
            }
            match self.hold(&found[place], stage?, run) {
                Some(held) => tell(&found[place], &Verdict::Held(held)),
                None if self.dry_run => {
                    run.sent.update(|sent| sent + 1);
                    tell(&found[place], &Verdict::Replayed);
                }
                None => {
                    run.sent.update(|sent| sent + 1);
                    to_send.push(place);
                }
            }
        }
        // At a pace of less than ten a second they go one by one, not ten at a time.
        let at_once = self.rate.map_or(to_send.len(), |rate| whole(rate).clamp(1, to_send.len().max(1)));
        for places in to_send.chunks(at_once.max(1)) {
            self.wait(places.len(), run, stop).await;
            if stop.is_told() {
                break;
            }
            let bodies: Vec<&str> = places.iter().map(|place| messages[*place].body.as_str()).collect();
            let refusals = self.work_queue.send(&bodies).await?;
            let (mut taken, mut message_ids) = (Vec::new(), Vec::new());
            for (place, refusal) in places.iter().zip(refusals) {
                if let Some(code) = refusal {
                    run.sent.update(|sent| sent - 1);
                    tell(&found[*place], &Verdict::Refused(code));
                } else {
                    taken.push(*place);
                    message_ids.push(messages[*place].message_id.clone());
                }
            }
            let gone = run.visit.delete_seen(&message_ids).await?;
            for (place, gone) in taken.into_iter().zip(gone) {
                if gone {
                    fates[place] = Fate::Gone;
                }
                tell(&found[place], if gone { &Verdict::Replayed } else { &Verdict::Left });
            }
        }
        Ok(fates)
    }

    /// What the ledger knows of its replay; nothing of what is no letter.
    async fn stage(&self, found: &Found) -> Result<Option<Stage>, DlqError> {
        match self.ledger.zip(found.ledger_key()) {
            Some((ledger, key)) => match ledger.read(&key).await {
                Ok(entry) => Ok(entry.map(|entry| entry.stage)),
                Err(LedgerError::Unavailable { code }) => {
                    Err(DlqError::Ledger(AwsError::of_answer(None, &code, "dynamodb:GetItem")))
                }
                Err(error) => Err(DlqError::Ledger(AwsError::Unavailable { code: error.to_string() })),
            },
            None => Ok(None),
        }
    }

    /// Whether it is held; if not, it is this run's.
    fn hold(&self, found: &Found, stage: Option<Stage>, run: &Run<'_, M>) -> Option<Held> {
        match stage {
            // What was delivered is poison no more: the function passes it over.
            Some(Stage::Delivered { .. }) => return None,
            Some(Stage::Open | Stage::Claimed { .. }) if !self.again => return Some(Held::CameBack),
            _ => {}
        }
        // What comes back while the run goes on would go round for ever.
        let is_first = found.ledger_key().is_none() || run.ids.borrow_mut().insert(found.id.clone());
        (!is_first).then_some(Held::Twin)
    }

    async fn wait(&self, count: usize, run: &Run<'_, M>, stop: &Stop) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let at = run.next_at.get().max(now);
        run.next_at.set(at + Duration::try_from_secs_f64(seconds(count as u64) / rate).unwrap_or_default());
        stop.sleep(at - now).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "no queue holds 2^53 messages")]
const fn seconds(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
const fn whole(rate: f64) -> usize {
    rate as usize
}
