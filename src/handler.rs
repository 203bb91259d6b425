//! The Lambda boundary: an invocation in, an answer out.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>: the answer names only the messages
//! that must come again.

use std::collections::BTreeSet;
use std::slice;
use std::time::{Duration, Instant, SystemTime};

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse};
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;
use tracing::warn;

use crate::aws::{Ledger, ObjectReader, Queue, QueueError};
use crate::deadline::Deadline;
use crate::forward::{Attempt, ComeAgain, Forwarder, MOST_FAILED_ATTEMPTS, Outcome, wait_before};
use crate::report::{Report, Run, Tally};
use crate::sentinel::LogSink;
use crate::trigger::{Item, Job, Message, Trigger};

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To a queue.
    Queue(SqsBatchResponse),
    /// To an S3 Batch Operations job.
    Job(JobAnswer),
    /// To anyone else.
    Report(Report),
}

/// Why an invocation is to be retried by whoever invoked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HandlerError {
    /// What failed for now, or had no time, could not be put on the work queue.
    #[error("the work queue did not take what is to be retried, so this invocation must be retried: {0}")]
    WorkQueue(QueueError),
}

impl From<HandlerError> for Diagnostic {
    fn from(error: HandlerError) -> Self {
        let error_type = match &error {
            HandlerError::WorkQueue(_) => "WorkQueueUnavailable",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// The answer to a job
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobAnswer {
    invocation_schema_version: String,
    treat_missing_keys_as: ResultCode,
    invocation_id: String,
    results: Vec<JobResult>,
}

/// What became of a job's task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobResult {
    task_id: String,
    result_code: ResultCode,
    result_string: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
enum ResultCode {
    Succeeded,
    /// The job tries it again before it ends.
    TemporaryFailure,
    /// A letter tells of it as well.
    PermanentFailure,
}

/// Handles invocations.
pub struct Handler<S, O, Q, L> {
    forwarder: Forwarder<S, O, Q, L>,
    work_queue: Q,
    health_rows: bool,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Handler<S, O, Q, L> {
    /// A handler over a pipeline; what no queue brings again goes on the work queue. With health rows each run says
    /// in Sentinel what it did.
    pub const fn new(forwarder: Forwarder<S, O, Q, L>, work_queue: Q, health_rows: bool) -> Self {
        Self { forwarder, work_queue, health_rows }
    }

    /// Handles one invocation.
    ///
    /// The answer is an error if invoking again can help; what was done is in the counts all the same.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> (Result<Answer, HandlerError>, Tally) {
        let (began, attempt) = (Instant::now(), attempt(event.context.deadline()));
        let (answer, mut tally) = match Trigger::parse(event.payload.get()) {
            Trigger::Queue(messages) => {
                let (answer, tally) = self.queue(messages, attempt).await;
                (Ok(answer), tally)
            }
            Trigger::Job(job) => {
                let (answer, tally) = self.job(job, attempt).await;
                (Ok(answer), tally)
            }
            Trigger::Direct(items) => self.direct(&items, event.payload.get(), attempt).await,
        };
        if self.health_rows {
            let run = Run {
                function_arn: &event.context.invoked_function_arn,
                request_id: &event.context.request_id,
                ended: Timestamp::now(),
                duration: began.elapsed(),
            };
            self.forwarder.send_health(&run, attempt.deadline, &mut tally).await;
        }
        (answer, tally)
    }

    /// What must come again of a queue's messages is hidden, longer each time.
    async fn queue(&self, messages: Vec<Message>, attempt: Attempt) -> (Answer, Tally) {
        let groups = messages.iter().map(|message| {
            let attempt = Attempt { receives: message.receives, ..attempt };
            (&message.items[..], attempt)
        });
        let (mut tally, mut hidden) = (Tally::default(), Vec::new());
        let mut response = SqsBatchResponse::default();
        for (message, (numbers, result)) in messages.iter().zip(self.all(groups).await) {
            tally.add(numbers);
            let Err(again) = result else { continue };
            if let Some(sent_at) = message.sent_at {
                let waited = Timestamp::now().duration_since(sent_at).as_secs();
                tally.waiting_seconds = tally.waiting_seconds.max(waited.try_into().unwrap_or(0));
            }
            // Another queue's visibility is its owner's to set.
            if self.work_queue.is(&message.queue_arn) {
                let receives = if again.is_soon { 1 } else { message.receives };
                hidden.push((message.receipt.as_str(), wait_before(receives, again.after)));
            }
            let mut failure = BatchItemFailure::default();
            failure.item_identifier.clone_from(&message.id);
            response.batch_item_failures.push(failure);
        }
        if let Err(error) = self.work_queue.hide_all(&hidden).await {
            count_action(&ComeAgain::because(&error), &mut tally);
            warn!(%error, "a message comes again after the queue's own time");
        }
        (Answer::Queue(response), tally)
    }

    async fn job(&self, job: Job, attempt: Attempt) -> (Answer, Tally) {
        let (mut sum, mut results) = (Tally::default(), Vec::new());
        let groups = job.tasks.iter().map(|(_, item)| (slice::from_ref(item), attempt));
        for ((task_id, _), (tally, result)) in job.tasks.iter().zip(self.all(groups).await) {
            let letters: Vec<_> = tally.letters.keys().map(|reason| reason.name()).collect();
            let (result_code, result_string) = match result {
                Err(again) => (ResultCode::TemporaryFailure, again.why),
                Ok(()) if !letters.is_empty() => {
                    (ResultCode::PermanentFailure, format!("dead letter: {}", letters.join(", ")))
                }
                Ok(()) if tally.continuations > 0 => {
                    (ResultCode::Succeeded, "goes on through the work queue".to_owned())
                }
                Ok(()) if tally.duplicates > 0 && tally.objects == 0 => {
                    (ResultCode::Succeeded, "was delivered before".to_owned())
                }
                Ok(()) if tally.ignored > 0 => (ResultCode::Succeeded, "ignored".to_owned()),
                Ok(()) => (ResultCode::Succeeded, format!("{} rows", tally.report().rows)),
            };
            results.push(JobResult { task_id: task_id.clone(), result_code, result_string });
            sum.add(tally);
        }
        let answer = JobAnswer {
            invocation_schema_version: job.schema_version,
            treat_missing_keys_as: ResultCode::TemporaryFailure,
            invocation_id: job.invocation_id,
            results,
        };
        (Answer::Job(answer), sum)
    }

    /// What no queue brings again goes on the work queue, each item by itself.
    async fn direct(
        &self,
        items: &[Item],
        payload: &str,
        attempt: Attempt,
    ) -> (Result<Answer, HandlerError>, Tally) {
        let mut tally = Tally::default();
        let outcomes = self.forwarder.forward_all(items.iter().map(|item| (item, attempt))).await;
        let mut rests = BTreeSet::new();
        for (item, (numbers, outcome)) in items.iter().zip(outcomes) {
            tally.add(numbers);
            // A letter that is replayed comes again as it came, since only it says what it stands for.
            let whole = || item.message().unwrap_or_else(|| payload.to_owned());
            match outcome {
                Ok(Outcome::Done) => {}
                Ok(Outcome::GoesOn(rest)) => {
                    rests.insert(rest.to_json());
                }
                Ok(Outcome::NoTurn) => {
                    rests.insert(whole());
                }
                Err(again) => {
                    count_action(&again, &mut tally);
                    warn!(why = again.why, "a work item is to be retried through the work queue");
                    rests.insert(whole());
                }
            }
        }
        let mut answer = Ok(());
        for sent in self.work_queue.send_all(&Vec::from_iter(rests)).await {
            match sent {
                Ok(()) => tally.continuations += 1,
                Err(error) => {
                    count_action(&ComeAgain::because(&error), &mut tally);
                    answer = Err(HandlerError::WorkQueue(error));
                }
            }
        }
        (answer.map(|()| Answer::Report(tally.report())), tally)
    }

    /// Forwards the items of each group; one that must come again brings its group again.
    async fn all<'i>(
        &self,
        groups: impl Iterator<Item = (&'i [Item], Attempt)> + Clone,
    ) -> Vec<(Tally, Result<(), ComeAgain>)> {
        let items = groups.clone().flat_map(|(items, attempt)| items.iter().map(move |item| (item, attempt)));
        let mut outcomes = self.forwarder.forward_all(items).await.into_iter();
        let (mut all, mut rests) = (Vec::new(), Vec::new());
        for (group, (items, _)) in groups.enumerate() {
            let (mut sum, mut result, before) = (Tally::default(), Ok(()), rests.len());
            for (item, (tally, outcome)) in items.iter().zip(outcomes.by_ref()) {
                sum.add(tally);
                match outcome {
                    Ok(Outcome::Done) => {}
                    Ok(Outcome::GoesOn(rest)) => rests.push((group, rest.to_json())),
                    Ok(Outcome::NoTurn) => match item.message().filter(|_| items.len() > 1) {
                        // Its neighbours would be gone through again with it.
                        Some(message) => rests.push((group, message)),
                        None => result = result.and(Err(ComeAgain::soon("time was up before its turn came"))),
                    },
                    Err(again) => {
                        count_action(&again, &mut sum);
                        result = Err(again);
                    }
                }
            }
            if result.is_err() {
                // What comes again brings its rests with it.
                rests.truncate(before);
            }
            all.push((sum, result));
        }
        let (groups, bodies): (Vec<usize>, Vec<String>) = rests.into_iter().unzip();
        for (group, sent) in groups.into_iter().zip(self.work_queue.send_all(&bodies).await) {
            let (sum, result) = &mut all[group];
            match sent {
                Ok(()) => sum.continuations += 1,
                Err(error) => {
                    let again = ComeAgain::because(&error);
                    count_action(&again, sum);
                    *result = Err(again);
                }
            }
        }
        all
    }
}

/// Counts a refusal of the stack's own ledger or queues, which an operator has to mend.
fn count_action(again: &ComeAgain, tally: &mut Tally) {
    if let Some(reason) = again.action {
        tally.count_action(reason);
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
        most_failures: MOST_FAILED_ATTEMPTS,
        began: now,
        reads_until: Deadline::at(reads_until),
        deadline: Deadline::at(deadline),
        ends: Deadline::at(now + left),
    }
}
