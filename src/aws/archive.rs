//! A bucket as whoever checks digests needs it: small objects whole, with their signatures, and all versions of keys.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>: versions come in the order of their keys,
//! the newest first; a bucket that keeps none shows each object as its only version, `null`.

use aws_sdk_s3::types::EncodingType;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::objects::{Chunks as _, ReadError, S3Objects, classify};
use crate::decode::ContentHash;
use crate::digest::{Hash, Signature, Version};
use crate::task::ObjectRef;
use crate::trigger::decode_key;

/// An object that was read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The very content that was read.
    pub object: ObjectRef,
    /// Its bytes; no more than were asked for and one chunk.
    pub bytes: Vec<u8>,
    /// The signature in its metadata.
    pub signature: Option<Signature>,
}

/// Behind which version a page begins: a key, and one of its versions unless all are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The key.
    pub key: String,
    /// The version.
    pub version_id: Option<String>,
}

/// A page of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// In the order of their keys.
    pub versions: Vec<Version>,
    /// Where the next page begins; none after the last one.
    pub next: Option<Mark>,
}

/// Where digests lie, and what they list.
pub trait Archive: Send + Sync + 'static {
    /// Reads an object whole, as long as it is no longer than that: one that is longer is cut off somewhere behind.
    fn read(
        &self,
        object: &ObjectRef,
        most_bytes: usize,
    ) -> impl Future<Output = Result<Stored, ReadError>> + Send;

    /// The SHA-256 of an object's uncompressed content; none if its gzip stream is damaged.
    fn content_hash(
        &self,
        object: &ObjectRef,
    ) -> impl Future<Output = Result<Option<Hash>, ReadError>> + Send;

    /// A page of the versions of all keys with this prefix, from behind a mark on.
    fn versions(
        &self,
        bucket: &str,
        prefix: &str,
        behind: &Mark,
    ) -> impl Future<Output = Result<Versions, ReadError>> + Send;
}

impl Archive for S3Objects {
    async fn read(&self, object: &ObjectRef, most_bytes: usize) -> Result<Stored, ReadError> {
        let (object, mut chunks, mut metadata) = self.open_with_metadata(object).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > most_bytes {
                break;
            }
        }
        let signature = metadata.remove("signature").zip(metadata.remove("signature-algorithm"));
        let generated_at = metadata.get("backfill-generation-timestamp").and_then(|text| time(text));
        let signature = signature.map(|(hex, algorithm)| Signature { hex, algorithm, generated_at });
        Ok(Stored { object, bytes, signature })
    }

    async fn content_hash(&self, object: &ObjectRef) -> Result<Option<Hash>, ReadError> {
        let (_, mut chunks, _) = self.open_with_metadata(object).await?;
        let mut hash = ContentHash::default();
        while let Some(chunk) = chunks.next().await? {
            if hash.push(chunk).is_err() {
                return Ok(None);
            }
        }
        Ok(hash.end().ok())
    }

    async fn versions(&self, bucket: &str, prefix: &str, behind: &Mark) -> Result<Versions, ReadError> {
        let request = self.client.list_object_versions().bucket(bucket).prefix(prefix);
        let request = request.key_marker(&behind.key).set_version_id_marker(behind.version_id.clone());
        let output = request.encoding_type(EncodingType::Url).send().await;
        let output = output.map_err(|error| match classify(&error) {
            ReadError::Denied { code } => ReadError::NotListed { code },
            other => other,
        })?;
        let versions = output.versions().iter().filter_map(|version| {
            let etag = version.e_tag()?.trim_matches('"').to_owned();
            let version_id = version.version_id().filter(|id| *id != "null").map(str::to_owned);
            let key = decode_key(version.key()?)?;
            let modified =
                version.last_modified().and_then(|time| Timestamp::from_second(time.secs()).ok())?;
            let object = ObjectRef { bucket: bucket.to_owned(), key, version_id, etag: Some(etag) };
            Some(Version { object, modified, is_latest: version.is_latest().unwrap_or_default() })
        });
        let next = output
            .next_key_marker()
            .and_then(decode_key)
            .map(|key| Mark { key, version_id: output.next_version_id_marker().map(str::to_owned) });
        Ok(Versions { versions: versions.collect(), next })
    }
}

/// A moment of metadata, in either form of ISO 8601.
fn time(text: &str) -> Option<Timestamp> {
    let basic = || Offset::UTC.to_timestamp(DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?).ok();
    text.parse().ok().or_else(basic)
}
