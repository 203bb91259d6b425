//! Lists a bucket page by page.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>: keys come in the order of their bytes, and
//! URL-encoded where asked for, since XML can't hold every character that a key can.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{EncodingType, Object, ObjectStorageClass, OptionalObjectAttributes};
use jiff::Timestamp;
use thiserror::Error;

use super::error::{AwsError, classify};
use super::objects::client;
use crate::trigger::decode_key;

/// A bucket can't be listed or written to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{}", self.text())]
pub struct BucketError {
    /// The bucket, or an object in it.
    pub resource: String,
    /// Why not.
    pub error: AwsError,
}

impl BucketError {
    fn text(&self) -> String {
        let Self { resource, error } = self;
        match error {
            AwsError::Missing { .. } => {
                format!("there is no bucket {resource}: look at its name, and at the account that you are in")
            }
            AwsError::Denied { action, code } => format!(
                "access denied ({code}): your identity needs {action} on arn:aws:s3:::{resource}, and the bucket's \
                 policy must not forbid it"
            ),
            _ => format!("s3://{resource}: {error}"),
        }
    }
}

/// An object, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written.
    pub modified: Timestamp,
    /// Whether it has to be restored from an archive before it can be read.
    pub is_archived: bool,
}

/// A page of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects, in the order of their keys.
    pub objects: Vec<Listed>,
    /// Folders, if they were asked for: prefixes up to the next slash.
    pub folders: Vec<String>,
    /// By which the next page is asked for; none after the last one.
    pub next: Option<String>,
}

/// A bucket of S3.
#[derive(Clone)]
pub struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
}

impl Bucket {
    /// That bucket, with the SDK's settings.
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, name: String) -> Self {
        Self { client: client(config), name }
    }

    /// A page of the objects whose keys begin with the prefix, in order, behind a key.
    ///
    /// # Errors
    /// If S3 refuses.
    pub async fn objects(
        &self,
        prefix: &str,
        after: Option<&str>,
        page: Option<&str>,
    ) -> Result<Page, BucketError> {
        self.page(prefix, None, after, page).await
    }

    /// The names of the folders right below a prefix, in order.
    ///
    /// # Errors
    /// If S3 refuses.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, BucketError> {
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let page = self.page(prefix, Some("/"), None, next.as_deref()).await?;
            let below = page.folders.iter().filter_map(|folder| folder.strip_prefix(prefix));
            names.extend(below.map(|name| name.trim_end_matches('/').to_owned()));
            next = page.next;
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    async fn page(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        after: Option<&str>,
        page: Option<&str>,
    ) -> Result<Page, BucketError> {
        let request = self.client.list_objects_v2().bucket(&self.name).prefix(prefix);
        let request = request.set_delimiter(delimiter.map(str::to_owned)).encoding_type(EncodingType::Url);
        let request = request.optional_object_attributes(OptionalObjectAttributes::RestoreStatus);
        let request =
            request.set_start_after(after.map(str::to_owned)).set_continuation_token(page.map(str::to_owned));
        let output = request
            .send()
            .await
            .map_err(|error| Self::refusal(&error, "s3:ListBucket", self.name.clone()))?;
        let folders = output.common_prefixes().iter().filter_map(|folder| decode_key(folder.prefix()?));
        Ok(Page {
            folders: folders.collect(),
            objects: output.contents().iter().filter_map(listed).collect(),
            next: output.next_continuation_token,
        })
    }

    pub(super) fn refusal<E: ProvideErrorMetadata + std::error::Error + 'static>(
        error: &SdkError<E, HttpResponse>,
        action: &'static str,
        resource: String,
    ) -> BucketError {
        BucketError { resource, error: classify(error, action) }
    }
}

fn listed(object: &Object) -> Option<Listed> {
    let restored = object.restore_status().is_some_and(|status| status.restore_expiry_date().is_some());
    let archive =
        matches!(object.storage_class(), Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive));
    Some(Listed {
        key: decode_key(object.key()?)?,
        bytes: u64::try_from(object.size().unwrap_or_default()).unwrap_or_default(),
        modified: object
            .last_modified()
            .and_then(|time| Timestamp::from_second(time.secs()).ok())
            .unwrap_or_default(),
        is_archived: archive && !restored,
    })
}
