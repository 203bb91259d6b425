//! Reads objects of S3, chunk by chunk.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use thiserror::Error;
use tokio::time::timeout;

use crate::failure::{Disposition, Reason};
use crate::task::ObjectRef;

/// Why an object can't be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// S3 can't be reached, is busy, or broke off: again.
    #[error("S3 can't be read for now ({code})")]
    Unavailable {
        /// The code.
        code: String,
    },
    /// 403: an operator mends it.
    #[error(
        "AWS denies reading the object ({code}): the function's role needs s3:GetObject, and kms:Decrypt on its key"
    )]
    Denied {
        /// The code.
        code: String,
    },
    /// 403 where a bucket's versions are listed: likewise.
    #[error("AWS denies listing the bucket ({code}): the function's role needs s3:ListBucketVersions on it")]
    NotListed {
        /// The code.
        code: String,
    },
    /// The bucket is not one of `ALLOWED_BUCKETS`.
    #[error("the bucket is not in ALLOWED_BUCKETS")]
    NotAllowed,
    /// The object, or that version of it, is gone.
    #[error("the object is gone or was replaced ({code})")]
    Gone {
        /// The code.
        code: String,
    },
    /// It is in an archive storage class: an operator restores it.
    #[error("the object is archived ({code}): restore it with `aws s3api restore-object`, then replay")]
    Archived {
        /// The code.
        code: String,
    },
    /// The bucket is in another region than the function.
    #[error(
        "the bucket is in the region {region}, which is not the function's ({code}): deploy the stack in the bucket's region"
    )]
    WrongRegion {
        /// The code.
        code: String,
        /// The bucket's region, as S3 names it.
        region: String,
    },
    /// The key as a path is another object's.
    #[error(
        "the key has a segment `.` or `..`, which HTTP clients resolve to another key: copy the object to a key without it"
    )]
    DotSegment,
}

impl ReadError {
    /// Whether it may be read in a moment.
    #[must_use]
    pub const fn is_for_now(&self) -> bool {
        matches!(self.disposition(), Disposition::Retryable { .. })
    }

    /// What helps.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Unavailable { .. } => Disposition::Retryable { after: None },
            Self::Denied { .. } | Self::NotListed { .. } | Self::Archived { .. } => {
                Disposition::Permanent(Reason::AccessDenied)
            }
            Self::WrongRegion { .. } => Disposition::Permanent(Reason::Misconfigured),
            Self::NotAllowed | Self::DotSegment => Disposition::Poison(Reason::AccessDenied),
            Self::Gone { .. } => Disposition::Poison(Reason::NotFound),
        }
    }
}

/// The bytes of an object as they come.
pub trait Chunks: Send {
    /// The next bytes; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, ReadError>> + Send;
}

/// Where objects are read.
pub trait ObjectReader: Send + Sync + 'static {
    /// What reading one yields.
    type Chunks: Chunks;

    /// Opens an object; what comes back names the very content that is read.
    fn open(
        &self,
        object: &ObjectRef,
    ) -> impl Future<Output = Result<(ObjectRef, Self::Chunks), ReadError>> + Send;
}

/// Objects of S3.
#[derive(Clone)]
pub struct S3Objects {
    pub(super) client: Client,
}

impl S3Objects {
    /// With the SDK's settings.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self { client: client(config) }
    }
}

/// A client of S3; buckets are named in the path where the endpoint is not AWS's own.
pub(super) fn client(config: &aws_config::SdkConfig) -> Client {
    let path_style = config.endpoint_url().is_some();
    Client::from_conf(aws_sdk_s3::config::Builder::from(config).force_path_style(path_style).build())
}

impl ObjectReader for S3Objects {
    type Chunks = S3Chunks;

    async fn open(&self, object: &ObjectRef) -> Result<(ObjectRef, S3Chunks), ReadError> {
        let (pinned, chunks, _) = self.open_with_metadata(object).await?;
        Ok((pinned, chunks))
    }
}

impl S3Objects {
    /// Opens an object; the metadata that its writer gave it comes along.
    pub(super) async fn open_with_metadata(
        &self,
        object: &ObjectRef,
    ) -> Result<(ObjectRef, S3Chunks, HashMap<String, String>), ReadError> {
        let output = get(&self.client, object, 0).await?;
        let etag = output.e_tag().map(|etag| etag.trim_matches('"').to_owned());
        let pinned = ObjectRef {
            version_id: output.version_id().map(str::to_owned).or_else(|| object.version_id.clone()),
            etag: etag.or_else(|| object.etag.clone()),
            ..object.clone()
        };
        let chunks = S3Chunks {
            client: self.client.clone(),
            object: pinned.clone(),
            size: output.content_length().and_then(|bytes| bytes.try_into().ok()),
            body: output.body,
            position: 0,
            breaks: 0,
        };
        Ok((pinned, chunks, output.metadata.unwrap_or_default()))
    }
}

/// How long S3 may keep silent in the middle of an object.
const SILENCE: Duration = Duration::from_secs(15);
/// How often in a row a body may break off without a byte of progress; each time it is asked for from there on.
const MOST_BREAKS: u32 = 3;

/// An object of S3 that is being read.
pub struct S3Chunks {
    client: Client,
    object: ObjectRef,
    body: ByteStream,
    /// Bytes of the object, as the first answer stated them.
    size: Option<u64>,
    position: u64,
    breaks: u32,
}

impl Chunks for S3Chunks {
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let read = timeout(SILENCE, self.body.try_next()).await;
            match read {
                Ok(Ok(Some(chunk))) if !chunk.is_empty() => {
                    self.position += chunk.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(chunk));
                }
                Ok(Ok(None)) if self.size.is_none() => return Ok(None),
                _ => {}
            }
            if self.size == Some(self.position) {
                return Ok(None);
            }
            if matches!(read, Ok(Ok(Some(_)))) {
                continue;
            }
            self.breaks += 1;
            if self.breaks > MOST_BREAKS {
                return Err(broken_off("the body broke off"));
            }
            self.resume().await?;
        }
    }
}

impl S3Chunks {
    /// Asks for the bytes that are left. An answer that is not about them would splice two contents.
    async fn resume(&mut self) -> Result<(), ReadError> {
        if self.object.identity().is_none() {
            return Err(broken_off("the body broke off, and nothing names its content"));
        }
        let output = get(&self.client, &self.object, self.position).await?;
        let range = output.content_range().unwrap_or_default();
        let begins = format!("bytes {}-", self.position);
        let total = self.size.map_or_else(|| "/".to_owned(), |size| format!("/{size}"));
        if self.position > 0 && !(range.starts_with(&begins) && range.contains(&total)) {
            return Err(broken_off("another range was answered than was asked for"));
        }
        self.body = output.body;
        Ok(())
    }
}

fn broken_off(code: &str) -> ReadError {
    ReadError::Unavailable { code: code.to_owned() }
}

/// Asks for an object from this byte on, in exactly the version or content that the reference names.
async fn get(client: &Client, object: &ObjectRef, from: u64) -> Result<GetObjectOutput, ReadError> {
    // The URL parser of the HTTP client removes such segments after the request was signed.
    if object.key.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(ReadError::DotSegment);
    }
    let request = client.get_object().bucket(&object.bucket).key(&object.key);
    let request = request.set_version_id(object.version_id.clone());
    let request = match (object.version_id.as_deref(), &object.etag) {
        // Only a version of its own never changes; what has none, or `null`, is written over.
        (None | Some("null"), Some(etag)) => request.if_match(format!("\"{}\"", etag.trim_matches('"'))),
        _ => request,
    };
    let request = if from > 0 { request.range(format!("bytes={from}-")) } else { request };
    request.send().await.map_err(|error| classify(&error))
}

pub(super) fn classify<E: ProvideErrorMetadata>(
    error: &SdkError<E, aws_sdk_s3::config::http::HttpResponse>,
) -> ReadError {
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let code = error.code().map_or_else(|| format!("status {status}"), str::to_owned);
    let region = error.raw_response().and_then(|response| response.headers().get("x-amz-bucket-region"));
    match (status, code.as_str()) {
        (_, "InvalidObjectState") => ReadError::Archived { code },
        // The last was encrypted with a key of the writer's own (SSE-C), which must come with each read.
        (403, _) | (400, "InvalidRequest") => ReadError::Denied { code },
        // https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: 307 is for now, these are for good.
        (301, _) | (400, "AuthorizationHeaderMalformed") => {
            ReadError::WrongRegion { code, region: region.unwrap_or("that S3 did not name").to_owned() }
        }
        // The key that encrypts the object is disabled, deleted, or not ours to use.
        (400, kms) if kms.starts_with("KMS.") => ReadError::Denied { code },
        (404 | 412, _) | (400, "NoSuchVersion" | "InvalidArgument") => ReadError::Gone { code },
        _ => ReadError::Unavailable { code },
    }
}
