//! Writes an object of any size part by part.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::bucket::{Bucket, BucketError};

/// How large a part is: at least 5 MiB but the last, at most 10,000 of them
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const PART_BYTES: usize = 8 * 1024 * 1024;
/// How long a part may take over a slow line.
const PART_TIME: Duration = Duration::from_mins(5);

/// An object that is being written; what is not finished never shows.
pub struct Writing {
    bucket: Bucket,
    key: String,
    upload_id: String,
    parts: Vec<CompletedPart>,
    buffer: Vec<u8>,
}

impl Writing {
    /// Begins an object.
    ///
    /// # Errors
    /// If S3 refuses.
    pub async fn begin(bucket: Bucket, key: String) -> Result<Self, BucketError> {
        let begun = bucket.client.create_multipart_upload().bucket(&bucket.name).key(&key).send().await;
        let begun = begun.map_err(|error| refusal(&bucket, &key, &error))?;
        let upload_id = begun.upload_id.unwrap_or_default();
        Ok(Self { bucket, key, upload_id, parts: Vec::new(), buffer: Vec::new() })
    }

    /// Adds to it.
    ///
    /// # Errors
    /// If S3 refuses.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BucketError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PART_BYTES { Ok(()) } else { self.send_part().await }
    }

    /// Makes it whole; its entity tag, without quotes.
    ///
    /// # Errors
    /// If S3 refuses.
    pub async fn finish(mut self) -> Result<String, BucketError> {
        self.send_part().await?;
        let Bucket { client, name } = &self.bucket;
        let parts = CompletedMultipartUpload::builder().set_parts(Some(self.parts)).build();
        let request =
            client.complete_multipart_upload().bucket(name).key(&self.key).upload_id(&self.upload_id);
        let finished = request.multipart_upload(parts).send().await;
        let finished = finished.map_err(|error| refusal(&self.bucket, &self.key, &error))?;
        Ok(finished.e_tag().unwrap_or_default().trim_matches('"').to_owned())
    }

    /// Gives it up; nothing of it stays.
    pub async fn give_up(self) {
        let Bucket { client, name } = &self.bucket;
        let request = client.abort_multipart_upload().bucket(name).key(&self.key).upload_id(&self.upload_id);
        // Whoever gives up has another error to tell of; S3's lifecycle rules remove what is left.
        let _ = request.send().await;
    }

    async fn send_part(&mut self) -> Result<(), BucketError> {
        let body = std::mem::take(&mut self.buffer);
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        let Bucket { client, name } = &self.bucket;
        let request = client.upload_part().bucket(name).key(&self.key).upload_id(&self.upload_id);
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(PART_TIME).operation_timeout(PART_TIME * 2);
        let request = request.part_number(number).body(body.into()).customize();
        let request =
            request.config_override(aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build()));
        let sent = request.send().await.map_err(|error| refusal(&self.bucket, &self.key, &error))?;
        self.parts.push(CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).build());
        Ok(())
    }
}

fn refusal<E: ProvideErrorMetadata + std::error::Error + 'static>(
    bucket: &Bucket,
    key: &str,
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> BucketError {
    Bucket::refusal(error, "s3:PutObject", format!("{}/{key}", bucket.name))
}
