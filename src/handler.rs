//! The Lambda boundary: an invocation in, an answer out.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>: the answer names only the messages
//! that must come again.

use std::time::{Duration, Instant, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::warn;

use crate::aws::{Ledger, ObjectReader, Queue};
use crate::deadline::Deadline;
use crate::forward::{Attempt, ComeAgain, Forwarder, Outcome, wait_before};
use crate::report::{Report, Tally};
use crate::sentinel::LogSink;
use crate::trigger::{Item, Message, Trigger};

/// Items that are on their way at once: enough to keep the line busy, few enough for 128 MB.
const ITEMS_AT_ONCE: usize = 4;

/// Lambda ends an invocation at its deadline; so far may two machines' clocks be apart.
const CLOCKS_APART: Duration = Duration::from_secs(2);

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a queue.
    Queue(SqsBatchResponse),
    /// To anyone else.
    Report(Report),
}

/// Handles invocations.
pub struct Handler<S, O, Q, L> {
    forwarder: Forwarder<S, O, Q, L>,
    work_queue: Q,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Handler<S, O, Q, L> {
    /// A handler over a pipeline; what no queue brings again goes on the work queue.
    pub const fn new(forwarder: Forwarder<S, O, Q, L>, work_queue: Q) -> Self {
        Self { forwarder, work_queue }
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// If invoking again can help.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<(Answer, Tally), Error> {
        let attempt = attempt(event.context.deadline());
        match Trigger::parse(event.payload.get()) {
            Trigger::Queue(messages) => Ok(self.queue(messages, attempt).await),
            Trigger::Direct(items) => self.direct(items, event.payload.get(), attempt).await,
        }
    }

    async fn queue(&self, messages: Vec<Message>, attempt: Attempt) -> (Answer, Tally) {
        let outcomes = stream::iter(&messages).map(|message| async move {
            let attempt = Attempt { receives: message.receives, ..attempt };
            let (tally, result) = self.all(&message.items, attempt).await;
            let Err(again) = result else { return (tally, None) };
            self.postpone(message, &again).await;
            (tally, Some(message.id.clone()))
        });
        let mut tally = Tally::default();
        let mut response = SqsBatchResponse::default();
        let mut outcomes = outcomes.buffer_unordered(ITEMS_AT_ONCE);
        while let Some((numbers, failed)) = outcomes.next().await {
            tally.add(numbers);
            response.batch_item_failures.extend(failed.map(|id| {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                failure
            }));
        }
        (Answer::Queue(response), tally)
    }

    /// Hides a message that must come again, longer each time.
    async fn postpone(&self, message: &Message, again: &ComeAgain) {
        // Another queue's visibility is its owner's to set.
        if !self.work_queue.is(&message.queue_arn) {
            return;
        }
        let wait = wait_before(message.receives, again.after);
        if let Err(error) = self.work_queue.hide(&message.receipt, wait).await {
            warn!(%error, "a message comes again after the queue's own time");
        }
    }

    async fn direct(
        &self,
        items: Vec<Item>,
        payload: &str,
        attempt: Attempt,
    ) -> Result<(Answer, Tally), Error> {
        let (mut tally, result) = self.all(&items, attempt).await;
        if let Err(again) = result {
            warn!(why = again.why, "put on the work queue");
            // A single object needs but its task; anything else comes again as it came.
            let body = match &items[..] {
                [Item::Object { task, letter: None }] => task.to_json(),
                _ => payload.to_owned(),
            };
            self.work_queue.send(&body).await?;
            tally.continuations += 1;
        }
        Ok((Answer::Report(tally.report()), tally))
    }

    /// Forwards all items; each has its own outcome, and one that must come again brings the message again.
    async fn all(&self, items: &[Item], attempt: Attempt) -> (Tally, Result<(), ComeAgain>) {
        let outcomes = stream::iter(items).map(|item| async move {
            let mut tally = Tally::default();
            let result = self.forwarder.forward(item, attempt, &mut tally).await;
            (tally, result)
        });
        let mut outcomes = outcomes.buffer_unordered(ITEMS_AT_ONCE);
        let (mut sum, mut all) = (Tally::default(), Ok(()));
        let mut rests = Vec::new();
        while let Some((tally, result)) = outcomes.next().await {
            sum.add(tally);
            match result {
                Ok(Outcome::Done) => {}
                Ok(Outcome::GoesOn(rest)) => rests.push(rest),
                Err(again) => all = Err(again),
            }
        }
        // What comes again brings its rests with it.
        for rest in rests.iter().filter(|_| all.is_ok()) {
            if let Err(error) = self.work_queue.send(&rest.to_json()).await {
                all = Err(ComeAgain { why: error.to_string(), after: None });
                break;
            }
            sum.continuations += 1;
        }
        (sum, all)
    }
}

/// How the invocation's time is divided: a tenth, but at most ten seconds, is for settling, and before that a fifth, but
/// at most ten seconds, for uploading what was read.
fn attempt(end: SystemTime) -> Attempt {
    let (now, most) = (Instant::now(), Duration::from_secs(10));
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let deadline = now + left.saturating_sub((left / 10).min(most));
    let reads_until = now + left.saturating_sub((left / 10).min(most) + (left / 5).min(most));
    Attempt {
        receives: 1,
        reads_until: Deadline::at(reads_until),
        deadline: Deadline::at(deadline),
        lease_until: Timestamp::try_from(end + CLOCKS_APART).unwrap_or(Timestamp::MAX),
    }
}
