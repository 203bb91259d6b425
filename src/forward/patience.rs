//! Patience: how many attempts may fail for a reason that an operator has to mend, before it is a dead letter.
//!
//! The ledger's entry counts the attempts that failed for each reason. Receives of a message are no measure: an outage
//! uses them up. Progress begins the counts anew. Without a ledger nothing counts, and the redrive policy of the work
//! queue ends the retries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::hold::Hold;
use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::delivery::{Entry, Key};
use crate::failure::{Disposition, Reason};
use crate::report::Tally;
use crate::sentinel::LogSink;

/// The attempt that fails for the same reason for this time writes a dead letter. With the waits of
/// [`wait_before`](super::wait_before) that is more than 30 minutes after the first, by when a role assignment has
/// reached all of Azure.
pub const MOST_FAILED_ATTEMPTS: u32 = 10;

/// The failures of one attempt, and those of the attempts before it.
#[derive(Debug)]
pub(super) struct Patience {
    most: u32,
    before: BTreeMap<Reason, u32>,
    now: BTreeSet<Reason>,
}

impl Patience {
    pub(super) fn new(attempt: Attempt, entry: &Entry) -> Self {
        Self { before: entry.failures.clone(), ..Self::of_none(attempt) }
    }

    /// Of what is left to the next schedule: nothing is counted.
    pub(super) const fn of_none(attempt: Attempt) -> Self {
        Self { most: attempt.most_failures, before: BTreeMap::new(), now: BTreeSet::new() }
    }

    /// Notes that the attempt failed for that reason; whether another is due before a dead letter.
    pub(super) fn is_left(&mut self, reason: Reason) -> bool {
        self.now.insert(reason);
        self.before.get(&reason).map_or(1, |count| count + 1) < self.most
    }

    /// Whether a failure is retried, and when; what operators must mend alarms at once.
    ///
    /// # Errors
    /// If it becomes a dead letter, with its reason.
    pub(super) fn judge(
        &mut self,
        disposition: Disposition,
        tally: &mut Tally,
    ) -> Result<Option<Duration>, Reason> {
        let (reason, after) = match disposition {
            Disposition::Retryable { after } => return Ok(after),
            Disposition::RetryableWithAlarm { reason, after } => (reason, after),
            // Time may suffice once less is in work.
            Disposition::Permanent(Reason::Exhausted) if self.is_left(Reason::Exhausted) => return Ok(None),
            Disposition::Permanent(reason) if reason.may_be_mended() && self.is_left(reason) => {
                (reason, None)
            }
            Disposition::Permanent(reason) | Disposition::Poison(reason) => return Err(reason),
        };
        tally.count_action(reason);
        Ok(after)
    }

    /// Counts this attempt's failures in the entry, which is to be released.
    pub(super) fn count_in(&self, entry: &mut Entry) {
        for reason in &self.now {
            *entry.failures.entry(*reason).or_default() += 1;
        }
    }
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Judges the failure of a thing that is claimed, or else has only its failures remembered, under that key.
    pub(super) async fn judge(
        &self,
        claimed: Option<&mut Hold>,
        key: Key,
        disposition: Disposition,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<Result<Option<Duration>, Reason>, ComeAgain> {
        let mut count = |entry: &mut Entry| {
            let mut patience = Patience::new(attempt, entry);
            let judged = patience.judge(disposition, tally);
            patience.count_in(entry);
            judged
        };
        if let Some(hold) = claimed.filter(|hold| hold.is_remembered()) {
            return Ok(count(&mut hold.entry));
        }
        // Delivered meanwhile: the next claim says so.
        let Some(mut hold) = self.claim(Some(key), 0, attempt).await? else { return Ok(Ok(None)) };
        let judged = count(&mut hold.entry);
        let settled = hold.entry.settled.clone();
        self.release(&mut hold, &settled).await?;
        Ok(judged)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::deadline::Deadline;

    fn patience(failures: &[(Reason, u32)]) -> Patience {
        let now = Instant::now();
        let deadline = Deadline::at(now);
        let attempt = Attempt {
            receives: 100,
            most_failures: MOST_FAILED_ATTEMPTS,
            began: now,
            reads_until: deadline,
            deadline,
            ends: deadline,
        };
        Patience {
            before: failures.iter().copied().collect(),
            most: attempt.most_failures,
            now: BTreeSet::new(),
        }
    }

    #[test]
    fn what_may_last_until_an_operator_acts_is_retried_without_end_and_alarms_each_time() {
        let (reason, after) = (Reason::Misconfigured, Some(Duration::from_secs(7)));
        let (mut patience, mut tally) = (patience(&[(reason, 1000)]), Tally::default());
        for times in 1..3 {
            let disposition = Disposition::RetryableWithAlarm { reason, after };
            assert_eq!(patience.judge(disposition, &mut tally), Ok(after));
            assert_eq!(tally.action_needed[&reason], times);
        }
    }

    #[test]
    fn each_reason_has_its_own_patience_however_often_the_message_was_received() {
        let last = MOST_FAILED_ATTEMPTS - 1;
        let mut patience = patience(&[(Reason::Forbidden, last), (Reason::Unauthorized, last - 1)]);
        let mut tally = Tally::default();
        let mut judge = |disposition| patience.judge(disposition, &mut tally);
        assert_eq!(judge(Disposition::Permanent(Reason::Forbidden)), Err(Reason::Forbidden));
        assert_eq!(judge(Disposition::Permanent(Reason::Unauthorized)), Ok(None));
        assert_eq!(judge(Disposition::Permanent(Reason::Exhausted)), Ok(None));
        assert_eq!(judge(Disposition::Retryable { after: None }), Ok(None));
        assert_eq!(judge(Disposition::Poison(Reason::Rejected)), Err(Reason::Rejected));
        assert_eq!(tally.action_needed.into_iter().collect::<Vec<_>>(), [(Reason::Unauthorized, 1)]);
        assert_eq!(
            Vec::from_iter(patience.now),
            [Reason::Unauthorized, Reason::Forbidden, Reason::Exhausted]
        );
    }
}
