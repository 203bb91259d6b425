//! By the work queue: a task for each object, ten in a call. The function does the rest, and skips what was delivered.

use std::time::Duration;

use tokio::time::sleep;

use super::carry::{Carrier, Done, Halt};
use crate::aws::{Listed, MOST_MESSAGES, Mailbox, MailboxError, Refusals};
use crate::task::{ObjectRef, Task};

/// Calls that are under way at once: enough to fill a line of 100 ms at hundreds of tasks a second.
const CALLS_AT_ONCE: usize = 8;
/// How often a task is sent until it is given up; pauses double from the first, to half a minute in all.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Sends tasks to the work queue.
pub struct ByQueue<M> {
    queue: M,
    bucket: String,
    files_per_second: u32,
}

impl<M: Mailbox> ByQueue<M> {
    /// Tasks about objects of that bucket, so many a second.
    #[must_use]
    pub const fn new(queue: M, bucket: String, files_per_second: u32) -> Self {
        Self { queue, bucket, files_per_second }
    }
}

impl<M: Mailbox> Carrier for ByQueue<M> {
    const TOGETHER: usize = MOST_MESSAGES;

    fn at_once(&self) -> usize {
        CALLS_AT_ONCE
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1) / self.files_per_second.max(1)
    }

    async fn carry(&self, objects: &[Listed]) -> Result<Done, Halt> {
        let tasks = objects.iter().map(|object| task(&self.bucket, &object.key)).collect();
        send(tasks, async |bodies| self.queue.send(bodies).await).await?;
        let (files, bytes) = (objects.len() as u64, objects.iter().map(|object| object.bytes).sum());
        Ok(Done { files, bytes, ..Done::default() })
    }
}

/// Sends until all are taken, those that were refused again.
async fn send(
    mut waiting: Vec<String>,
    call: impl AsyncFn(&[&str]) -> Result<Refusals, MailboxError>,
) -> Result<(), Halt> {
    for tried in 0..TRIES {
        if tried > 0 {
            sleep((FIRST_PAUSE * 2_u32.pow(tried - 1)).mul_f64(0.75 + fastrand::f64() / 4.0)).await;
        }
        let bodies: Vec<&str> = waiting.iter().map(String::as_str).collect();
        match call(&bodies).await {
            Ok(refusals) => {
                let refused = waiting.into_iter().zip(refusals);
                let refused: Vec<_> = refused.filter_map(|(task, code)| Some((task, code?))).collect();
                if let Some((task, code)) = refused.iter().find(|(_, code)| is_the_tasks_fault(code)) {
                    return Err(Halt::Failed(format!("the queue never takes this task ({code}): {task}")));
                }
                waiting = refused.into_iter().map(|(task, _)| task).collect();
            }
            Err(failure) if failure.error.is_lasting() => return Err(Halt::Failed(failure.to_string())),
            Err(_) => {}
        }
        if waiting.is_empty() {
            return Ok(());
        }
    }
    Err(Halt::Failed("the work queue does not take the tasks for now".to_owned()))
}

/// A task names the key alone: what stands there is told apart when it is read, by its version or else its entity tag, as
/// in the announcement of S3. A listing would name the entity tag where the announcement names the version.
fn task(bucket: &str, key: &str) -> String {
    let object = ObjectRef { bucket: bucket.to_owned(), key: key.to_owned(), version_id: None, etag: None };
    Task::whole(object).to_json()
}

/// Whether a code says that the message itself is wrong, such as by a character that SQS does not take.
fn is_the_tasks_fault(code: &str) -> bool {
    code.contains("InvalidMessageContents")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::aws::AwsError;

    #[test]
    fn a_task_names_the_key_and_leaves_its_content_to_the_reader() {
        assert_eq!(
            task("b", "a \"ü\"/x.gz"),
            r#"{"schema":"sentinel-forwarder/task/1","object":{"bucket":"b","key":"a \"ü\"/x.gz"}}"#
        );
    }

    type Answer = Result<Vec<Option<&'static str>>, MailboxError>;

    /// Sends three tasks to a queue that answers so; what came of it, and what the queue took.
    async fn sent(mut answers: Vec<Answer>) -> (Result<(), Halt>, Vec<String>) {
        answers.reverse();
        let (answers, taken) = (RefCell::new(answers), RefCell::new(Vec::new()));
        let tasks = ["x", "y", "z"].map(str::to_owned).to_vec();
        let result = send(tasks, async |bodies| {
            let answer = answers.borrow_mut().pop().unwrap_or_else(|| Ok(vec![None; bodies.len()]))?;
            assert_eq!(answer.len(), bodies.len());
            let safe = bodies.iter().zip(&answer).filter(|(_, refusal)| refusal.is_none());
            taken.borrow_mut().extend(safe.map(|(body, _)| (*body).to_owned()));
            Ok(answer.into_iter().map(|refusal| refusal.map(str::to_owned)).collect())
        })
        .await;
        (result, taken.into_inner())
    }

    fn unavailable() -> MailboxError {
        MailboxError { url: "q".to_owned(), error: AwsError::Unavailable { code: "no answer".to_owned() } }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_now_is_sent_again_and_nothing_else() {
        let refused = Some("ServiceUnavailable");
        let answers = vec![Ok(vec![None, refused, refused]), Err(unavailable()), Ok(vec![refused, None])];
        assert_eq!(sent(answers).await, (Ok(()), ["x", "z", "y"].map(str::to_owned).to_vec()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_takes_nothing_is_given_up_in_the_end() {
        let (result, taken) = sent((0..TRIES).map(|_| Err(unavailable())).collect()).await;
        assert!(matches!(result, Err(Halt::Failed(why)) if why.contains("for now")));
        assert!(taken.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_time_does_not_heal_is_not_tried_again() {
        let error = AwsError::Denied { action: "sqs:SendMessage", code: "AccessDenied".to_owned() };
        let denied = MailboxError { url: "q".to_owned(), error };
        let (result, _) = sent(vec![Err(denied)]).await;
        assert!(matches!(result, Err(Halt::Failed(why)) if why.contains("sqs:SendMessage")));
        let (result, _) = sent(vec![Ok(vec![None, Some("InvalidMessageContents"), None])]).await;
        assert!(matches!(result, Err(Halt::Failed(why)) if why.ends_with(": y")));
    }
}
