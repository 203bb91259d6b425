//! The Lambda boundary: an invocation in, an answer out.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>: the answer names only the messages
//! that must come again.

use std::time::{Duration, Instant, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use futures_util::StreamExt;
use futures_util::stream;
use lambda_runtime::{Error, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use tracing::warn;

use crate::aws::{ObjectReader, Queue};
use crate::deadline::Deadline;
use crate::forward::{Attempt, ComeAgain, Forwarder};
use crate::report::{Report, Tally};
use crate::sentinel::LogSink;
use crate::trigger::{Item, Message, Trigger};

/// Items that are on their way at once: enough to keep the line busy, few enough for 128 MB.
const ITEMS_AT_ONCE: usize = 4;

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
pub struct Handler<S, O, Q> {
    forwarder: Forwarder<S, O, Q>,
    work_queue: Q,
}

impl<S: LogSink, O: ObjectReader, Q: Queue> Handler<S, O, Q> {
    /// A handler over a pipeline; what no queue brings again goes on the work queue.
    pub const fn new(forwarder: Forwarder<S, O, Q>, work_queue: Q) -> Self {
        Self { forwarder, work_queue }
    }

    /// Handles one invocation.
    ///
    /// # Errors
    /// If invoking again can help.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<(Answer, Tally), Error> {
        let deadline = deadline(event.context.deadline());
        match Trigger::parse(event.payload.get()) {
            Trigger::Queue(messages) => Ok(self.queue(messages, deadline).await),
            Trigger::Direct(items) => self.direct(items, event.payload.get(), deadline).await,
        }
    }

    async fn queue(&self, messages: Vec<Message>, deadline: Deadline) -> (Answer, Tally) {
        let outcomes = stream::iter(&messages).map(|message| async move {
            let attempt = Attempt { receives: message.receives, deadline };
            let (tally, result) = self.all(&message.items, attempt).await;
            (tally, result.err().map(|_| message.id.clone()))
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

    async fn direct(
        &self,
        items: Vec<Item>,
        payload: &str,
        deadline: Deadline,
    ) -> Result<(Answer, Tally), Error> {
        let (mut tally, result) = self.all(&items, Attempt { receives: 1, deadline }).await;
        if let Err(again) = result {
            warn!(why = again.why, "put on the work queue");
            // A single object needs but its task; anything else comes again as it came.
            let body = match &items[..] {
                [Item::Object(task)] => task.to_json(),
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
        while let Some((tally, result)) = outcomes.next().await {
            sum.add(tally);
            if result.is_err() {
                all = result;
            }
        }
        (sum, all)
    }
}

/// The invocation's deadline, less a tenth of the time but at most ten seconds, for settling.
fn deadline(end: SystemTime) -> Deadline {
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    Deadline::at(Instant::now() + left.saturating_sub((left / 10).min(Duration::from_secs(10))))
}
