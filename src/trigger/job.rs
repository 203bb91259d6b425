//! Tasks of an S3 Batch Operations job, schema 1.0 and 2.0.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/batch-ops-invoke-lambda.html>: keys are URL-encoded, as in
//! notifications.

use super::{Item, s3, some_string, string, unknown};
use crate::json;
use crate::task::{ObjectRef, Task};

/// A job's invocation: usually of one task.
#[derive(Clone, Debug)]
pub struct Job {
    /// The schema of request and answer.
    pub schema_version: String,
    /// What the answer repeats.
    pub invocation_id: String,
    /// Each task's id and what it asks for.
    pub tasks: Vec<(String, Item)>,
}

/// The job that an invocation comes from, if it does.
pub(super) fn parse(text: &str) -> Option<Job> {
    let [version, invocation_id, tasks] =
        json::pick(text, ["invocationSchemaVersion", "invocationId", "tasks"]).ok()?;
    let mut found = Vec::new();
    json::for_each_element(tasks?, |task| {
        let id = json::pick(task, ["taskId"]).unwrap_or_default()[0];
        found.push((string(id), object(task).unwrap_or_else(|| unknown(task))));
    })
    .ok()?;
    Some(Job { schema_version: some_string(version)?, invocation_id: string(invocation_id), tasks: found })
}

fn object(task: &str) -> Option<Item> {
    let [key, version_id, bucket_arn, bucket] =
        json::pick(task, ["s3Key", "s3VersionId", "s3BucketArn", "s3Bucket"]).ok()?;
    let bucket = some_string(bucket).or_else(|| {
        let arn = some_string(bucket_arn)?;
        arn.rsplit(':').next().map(str::to_owned)
    });
    Some(Item::object(Task::whole(ObjectRef {
        bucket: bucket.filter(|bucket| !bucket.is_empty())?,
        key: s3::decode_key(&some_string(key)?)?,
        version_id: some_string(version_id),
        etag: None,
    })))
}
