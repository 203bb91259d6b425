//! By the work queue: a task for each object, ten in a call. The function does the rest, and skips what was delivered.

use std::time::Duration;

use tokio::time::sleep;

use super::carry::{Carrier, Done, Halt};
use crate::aws::{Listed, MOST_MESSAGES, QueueError, SqsQueue};
use crate::task::{ObjectRef, Task};

/// Calls that are under way at once: enough to fill a line of 100 ms at hundreds of tasks a second.
const CALLS_AT_ONCE: usize = 8;
/// How often a task is sent until it is given up; pauses double from the first, to half a minute in all.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Sends tasks to the work queue.
pub struct ByQueue {
    queue: SqsQueue,
    bucket: String,
    files_per_second: u32,
}

impl ByQueue {
    /// Tasks about objects of that bucket, so many a second.
    #[must_use]
    pub const fn new(queue: SqsQueue, bucket: String, files_per_second: u32) -> Self {
        Self { queue, bucket, files_per_second }
    }
}

impl Carrier for ByQueue {
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
            match self.queue.send_batch(&waiting).await {
                Ok(refused) => {
                    if let Some(wrong) = refused.iter().find(|refused| refused.is_its_fault) {
                        let task = &waiting[wrong.place];
                        return Err(Halt::Failed(format!(
                            "the queue never takes this task ({}): {task}",
                            wrong.code
                        )));
                    }
                    let mut places = 0..waiting.len();
                    waiting.retain(|_| {
                        let place = places.next();
                        refused.iter().any(|refused| Some(refused.place) == place)
                    });
                }
                Err(error) if is_for_ever(&error) => return Err(Halt::Failed(advice(&error))),
                Err(_) => {}
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

fn is_for_ever(error: &QueueError) -> bool {
    [
        "AccessDenied",
        "NonExistentQueue",
        "QueueDoesNotExist",
        "InvalidAddress",
        "KMS",
        "Kms",
        "Token",
        "no queue",
    ]
    .iter()
    .any(|word| error.code.contains(word))
}

fn advice(error: &QueueError) -> String {
    let code = &error.code;
    let help = if code.contains("AccessDenied") {
        "your identity needs sqs:SendMessage on it"
    } else if code.contains("KMS") || code.contains("Kms") {
        "your identity needs kms:GenerateDataKey and kms:Decrypt on the key that encrypts it"
    } else if code.contains("Token") {
        "sign in anew"
    } else {
        "look at --queue-url or WORK_QUEUE_URL (WorkQueueUrl of the stack's outputs) and at AWS_REGION"
    };
    format!("the work queue does not take the tasks ({code}): {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_names_the_key_and_leaves_its_content_to_the_reader() {
        assert_eq!(
            task("b", "a \"ü\"/x.gz"),
            r#"{"schema":"sentinel-forwarder/task/1","object":{"bucket":"b","key":"a \"ü\"/x.gz"}}"#
        );
    }

    #[test]
    fn what_time_does_not_heal_says_what_does() {
        for (code, help) in [
            ("AccessDenied", "sqs:SendMessage"),
            ("AWS.SimpleQueueService.NonExistentQueue", "--queue-url"),
            ("KMS.AccessDeniedException", "sqs:SendMessage"),
            ("KmsAccessDenied", "sqs:SendMessage"),
            ("KMS.DisabledException", "kms:Decrypt"),
            ("ExpiredToken", "sign in"),
        ] {
            let error = QueueError { code: code.to_owned() };
            assert!(is_for_ever(&error) && advice(&error).contains(help), "{code}");
        }
        assert!(!is_for_ever(&QueueError { code: "no answer".to_owned() }));
        assert!(!is_for_ever(&QueueError { code: "RequestThrottled".to_owned() }));
    }
}
