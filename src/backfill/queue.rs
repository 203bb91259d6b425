//! By the work queue: a task for each object, ten in a call. The function does the rest, and skips what was delivered.

use std::time::Duration;

use tokio::time::sleep;

use super::carry::{Carrier, Done, Halt};
use crate::aws::{Listed, MOST_MESSAGES, Mailbox, MailboxError};
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
        let mut waiting: Vec<String> = objects.iter().map(|object| task(&self.bucket, &object.key)).collect();
        for tried in 0..TRIES {
            if tried > 0 {
                sleep((FIRST_PAUSE * 2_u32.pow(tried - 1)).mul_f64(0.75 + fastrand::f64() / 4.0)).await;
            }
            let bodies: Vec<&str> = waiting.iter().map(String::as_str).collect();
            match self.queue.send(&bodies).await {
                Ok(refusals) => {
                    let refused = waiting.into_iter().zip(refusals);
                    let refused: Vec<_> = refused.filter_map(|(task, code)| Some((task, code?))).collect();
                    if let Some((task, code)) = refused.iter().find(|(_, code)| is_the_tasks_fault(code)) {
                        return Err(Halt::Failed(format!(
                            "the queue never takes this task ({code}): {task}"
                        )));
                    }
                    waiting = refused.into_iter().map(|(task, _)| task).collect();
                }
                Err(MailboxError::Unavailable { .. }) => {}
                Err(error) => return Err(Halt::Failed(error.to_string())),
            }
            if waiting.is_empty() {
                let (files, bytes) = (objects.len() as u64, objects.iter().map(|object| object.bytes).sum());
                return Ok(Done { files, bytes, ..Done::default() });
            }
        }
        Err(Halt::Failed("the work queue does not take the tasks for now".to_owned()))
    }
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

    use jiff::Timestamp;

    use super::*;
    use crate::aws::{Received, Refusals};

    #[test]
    fn a_task_names_the_key_and_leaves_its_content_to_the_reader() {
        assert_eq!(
            task("b", "a \"ü\"/x.gz"),
            r#"{"schema":"sentinel-forwarder/task/1","object":{"bucket":"b","key":"a \"ü\"/x.gz"}}"#
        );
    }

    type Answer = Result<Vec<Option<&'static str>>, MailboxError>;

    /// A queue that answers by a script, and keeps what it took.
    struct Scripted {
        answers: RefCell<Vec<Answer>>,
        taken: RefCell<Vec<String>>,
    }

    impl Mailbox for Scripted {
        async fn receive(&self, _: Duration) -> Result<Vec<Received>, MailboxError> {
            Ok(Vec::new())
        }

        async fn release(&self, _: &[&str]) -> Result<Refusals, MailboxError> {
            Ok(Vec::new())
        }

        async fn delete(&self, _: &[&str]) -> Result<Refusals, MailboxError> {
            Ok(Vec::new())
        }

        async fn send(&self, bodies: &[&str]) -> Result<Refusals, MailboxError> {
            let answer = self.answers.borrow_mut().pop().unwrap_or_else(|| Ok(vec![None; bodies.len()]))?;
            assert_eq!(answer.len(), bodies.len());
            let taken = bodies.iter().zip(&answer).filter(|(_, refusal)| refusal.is_none());
            self.taken.borrow_mut().extend(taken.map(|(body, _)| (*body).to_owned()));
            Ok(answer.into_iter().map(|refusal| refusal.map(str::to_owned)).collect())
        }

        async fn depth(&self) -> Result<u64, MailboxError> {
            Ok(0)
        }
    }

    /// Carries three objects; what came of it, and what the queue took.
    async fn carried(mut answers: Vec<Answer>) -> (Result<Done, Halt>, Vec<String>) {
        answers.reverse();
        let queue = Scripted { answers: RefCell::new(answers), taken: RefCell::default() };
        let by_queue = ByQueue::new(queue, "b".to_owned(), 1);
        let listed = |key: &str| Listed {
            key: key.to_owned(),
            bytes: 7,
            modified: Timestamp::UNIX_EPOCH,
            is_archived: false,
        };
        let result = by_queue.carry(&["x", "y", "z"].map(listed)).await;
        let keys = by_queue.queue.taken.into_inner();
        let keys = keys.iter().map(|body| Task::parse(body).unwrap().object.key).collect();
        (result, keys)
    }

    fn unavailable() -> MailboxError {
        MailboxError::Unavailable { url: "q".to_owned(), code: "no answer".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_now_is_sent_again_and_nothing_else() {
        let refused = Some("ServiceUnavailable");
        let (result, keys) =
            carried(vec![Ok(vec![None, refused, refused]), Err(unavailable()), Ok(vec![refused, None])])
                .await;
        assert_eq!(result, Ok(Done { files: 3, bytes: 21, ..Done::default() }));
        assert_eq!(keys, ["x", "z", "y"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_takes_nothing_is_given_up_in_the_end() {
        let (result, keys) = carried((0..TRIES).map(|_| Err(unavailable())).collect()).await;
        assert!(matches!(result, Err(Halt::Failed(why)) if why.contains("for now")));
        assert!(keys.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_time_does_not_heal_is_not_tried_again() {
        let denied = MailboxError::Denied { url: "q".to_owned(), action: "sqs:SendMessage" };
        let (result, _) = carried(vec![Err(denied)]).await;
        assert!(matches!(result, Err(Halt::Failed(why)) if why.contains("sqs:SendMessage")));
        let (result, _) = carried(vec![Ok(vec![None, Some("InvalidMessageContents"), None])]).await;
        assert!(matches!(result, Err(Halt::Failed(why)) if why.contains(r#""key":"y""#)));
    }
}
