//! A digest's bytes → what it says, in memory that is bounded: of each listed file its name and hash are kept, and of a
//! digest whose signature is not verified yet not even those.
//!
//! Form: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html>.
//! A digest is one gzip member; what follows it is no part of what was signed, so nothing may.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use jiff::Timestamp;
use serde::de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::unhex;
use crate::task::ObjectRef;

/// The most bytes of a digest that is read: some 80,000 listed files.
pub const MOST_BYTES: usize = 8 * 1024 * 1024;
/// The most bytes that it may have when inflated.
const MOST_BYTES_INFLATED: u64 = 32 * 1024 * 1024;
/// The most bytes of a string in it: a key has 1,024
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>), each written in six characters at most.
const MOST_BYTES_OF_STRING: usize = 8 * 1024;
/// The only ways in which `CloudTrail` hashes and signs.
const HASH_ALGORITHM: &str = "SHA-256";
pub(super) const SIGNATURE_ALGORITHM: &str = "SHA256withRSA";

/// A SHA-256.
pub type Hash = [u8; 32];

/// Why bytes are no digest.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// The gzip stream is damaged, cut off, or none.
    #[error("its gzip stream is damaged, cut off, or none")]
    Gzip,
    /// Something follows the first gzip member.
    #[error("bytes follow its first gzip member: they are not signed, and some readers pass over them")]
    BytesAfterGzip,
    /// It is longer than any digest.
    #[error("it is longer than a digest can be")]
    TooLong,
    /// It is no JSON of a digest's form.
    #[error("its JSON has not a digest's form (line {line}, column {column})")]
    Json {
        /// Where, counted from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A time in it is none.
    #[error("a time in it is none")]
    Time,
    /// It is hashed or signed in another way than `CloudTrail` does.
    #[error("it names another algorithm than SHA-256 and SHA256withRSA")]
    Algorithm,
    /// It names a part of the digest before it, but not all.
    #[error("it names the digest before it by half")]
    HalfLinked,
    /// It is a backfill, and its metadata has no time at which `CloudTrail` made it.
    #[error("it is a backfill without a valid backfill-generation-timestamp in its metadata")]
    NoGenerationTime,
}

/// What a digest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The account whose files it lists.
    pub account: String,
    /// When the time begins that it speaks of.
    pub start: Timestamp,
    /// When that time ends.
    pub end: Timestamp,
    /// The end as it is written, for it is signed so.
    end_text: String,
    /// Where it says that it lies.
    pub place: Place,
    /// Which key signed it.
    pub fingerprint: String,
    /// The digest before it; none if the chain begins with it.
    pub previous: Option<Previous>,
    /// The SHA-256 of its uncompressed content.
    pub sha256: Hash,
}

/// Where something lies in S3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl Place {
    /// That bucket and key.
    #[must_use]
    pub fn new(bucket: &str, key: &str) -> Self {
        Self { bucket: bucket.to_owned(), key: key.to_owned() }
    }

    /// The place of an object.
    #[must_use]
    pub fn of(object: &ObjectRef) -> Self {
        Self::new(&object.bucket, &object.key)
    }

    /// What lies there, whichever content that is.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef { bucket: self.bucket.clone(), key: self.key.clone(), version_id: None, etag: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

/// How a digest names the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Previous {
    /// Where it lies.
    pub place: Place,
    /// The SHA-256 of its uncompressed content.
    pub sha256: Hash,
    /// Its signature in hexadecimal digits.
    pub signature: String,
}

/// A folder that holds listed files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder {
    /// The bucket.
    pub bucket: String,
    /// All of the keys up to the last slash, which is part of it.
    pub prefix: String,
}

/// A listed file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its key behind the folder.
    pub name: Box<str>,
    /// The SHA-256 of its uncompressed content.
    pub sha256: Hash,
}

/// The listed files by their folders.
pub type Folders = BTreeMap<Folder, Vec<Listed>>;

/// The files that a digest's bytes list; read once its signature is verified, since anybody can write a long list.
///
/// # Errors
/// If it is no digest.
pub fn listed(bytes: &[u8]) -> Result<Folders, Malformed> {
    parse::<WireList>(bytes).map(|(wire, _)| wire.log_files)
}

/// Reads JSON of a form, and the hash of all of it.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Hash), Malformed> {
    let mut reading = Reading::of(bytes);
    let parsed = serde_json::from_reader::<_, T>(io::BufReader::new(&mut reading));
    let sha256 = reading.end()?;
    let parsed = parsed.map_err(|error| Malformed::Json { line: error.line(), column: error.column() })?;
    Ok((parsed, sha256))
}

impl Document {
    /// Reads a digest's bytes as they lie in S3, but not what it lists.
    ///
    /// # Errors
    /// If it is no digest.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (wire, sha256) = parse::<Wire>(bytes)?;
        wire.document(sha256)
    }

    /// The text whose signature it is
    /// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html>).
    #[must_use]
    pub fn signed_text(&self) -> String {
        let previous = self.previous.as_ref().map_or("null", |previous| &previous.signature);
        let (Place { bucket, key }, hash) = (&self.place, crate::json::hex(&self.sha256));
        format!("{}\n{bucket}/{key}\n{hash}\n{previous}", self.end_text)
    }
}

/// The SHA-256 of the uncompressed content of a digest's bytes, which need not be a digest.
///
/// # Errors
/// If they are not one gzip member, or too long.
pub fn sha256(bytes: &[u8]) -> Result<Hash, Malformed> {
    Reading::of(bytes).end()
}

/// Inflates and hashes on the way, and no further than is allowed.
struct Reading<'a> {
    inflater: GzDecoder<&'a [u8]>,
    hash: Sha256,
    read: u64,
    /// The bytes so far of the string that it is in.
    string: Option<usize>,
    is_escaped: bool,
    fault: Option<Malformed>,
}

impl<'a> Reading<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let fault = (bytes.len() > MOST_BYTES).then_some(Malformed::TooLong);
        let (inflater, hash) = (GzDecoder::new(bytes), Sha256::new());
        Self { inflater, hash, read: 0, string: None, is_escaped: false, fault }
    }

    /// Whether no string becomes too long by these bytes: the parser holds each whole before anybody sees it.
    fn has_short_strings(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match (self.string, byte) {
                (None, b'"') => self.string = Some(0),
                (None, _) => {}
                (Some(_), b'"') if !self.is_escaped => self.string = None,
                (Some(length), byte) => {
                    self.is_escaped = *byte == b'\\' && !self.is_escaped;
                    self.string = Some(length + 1);
                    if length >= MOST_BYTES_OF_STRING {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Reads what is left; the hash of all.
    fn end(mut self) -> Result<Hash, Malformed> {
        let ended = io::copy(&mut self, &mut io::sink());
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        ended.map_err(|_| Malformed::Gzip)?;
        if !self.inflater.get_ref().is_empty() {
            return Err(Malformed::BytesAfterGzip);
        }
        Ok(self.hash.finalize().into())
    }
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let stopped = || io::Error::from(io::ErrorKind::InvalidData);
        if self.fault.is_some() {
            return Err(stopped());
        }
        let count = self.inflater.read(buffer).inspect_err(|_| self.fault = Some(Malformed::Gzip))?;
        self.read += count as u64;
        if self.read > MOST_BYTES_INFLATED || !self.has_short_strings(&buffer[..count]) {
            self.fault = Some(Malformed::TooLong);
            return Err(stopped());
        }
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    aws_account_id: String,
    digest_start_time: String,
    digest_end_time: String,
    #[serde(rename = "digestS3Bucket")]
    digest_s3_bucket: String,
    #[serde(rename = "digestS3Object")]
    digest_s3_object: String,
    digest_public_key_fingerprint: String,
    digest_signature_algorithm: String,
    #[serde(rename = "previousDigestS3Bucket")]
    previous_digest_s3_bucket: Option<String>,
    #[serde(rename = "previousDigestS3Object")]
    previous_digest_s3_object: Option<String>,
    previous_digest_hash_value: Option<String>,
    previous_digest_hash_algorithm: Option<String>,
    previous_digest_signature: Option<String>,
    #[serde(rename = "logFiles")]
    _log_files: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireList {
    #[serde(deserialize_with = "folders")]
    log_files: Folders,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireFile {
    #[serde(rename = "s3Bucket")]
    s3_bucket: String,
    #[serde(rename = "s3Object")]
    s3_object: String,
    hash_value: String,
    hash_algorithm: String,
}

impl Wire {
    fn document(self, sha256: Hash) -> Result<Document, Malformed> {
        let time = |text: &str| text.parse::<Timestamp>().map_err(|_| Malformed::Time);
        let hash_algorithm = self.previous_digest_hash_algorithm.as_deref();
        if self.digest_signature_algorithm != SIGNATURE_ALGORITHM
            || hash_algorithm.is_some_and(|algorithm| algorithm != HASH_ALGORITHM)
        {
            return Err(Malformed::Algorithm);
        }
        let previous = match (
            self.previous_digest_s3_bucket,
            self.previous_digest_s3_object,
            self.previous_digest_hash_value,
            self.previous_digest_signature,
        ) {
            (None, None, None, None) => None,
            (Some(bucket), Some(key), Some(hash), Some(signature)) => Some(Previous {
                place: Place { bucket, key },
                sha256: hash_of(&hash).ok_or(Malformed::HalfLinked)?,
                signature,
            }),
            _ => return Err(Malformed::HalfLinked),
        };
        Ok(Document {
            account: self.aws_account_id,
            start: time(&self.digest_start_time)?,
            end: time(&self.digest_end_time)?,
            end_text: self.digest_end_time,
            place: Place { bucket: self.digest_s3_bucket, key: self.digest_s3_object },
            fingerprint: self.digest_public_key_fingerprint,
            previous,
            sha256,
        })
    }
}

fn hash_of(text: &str) -> Option<Hash> {
    unhex(text)?.try_into().ok()
}

fn folders<'de, D: Deserializer<'de>>(from: D) -> Result<Folders, D::Error> {
    struct Files;

    impl<'de> Visitor<'de> for Files {
        type Value = Folders;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of files")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut files: A) -> Result<Self::Value, A::Error> {
            let mut folders = Self::Value::new();
            while let Some(file) = files.next_element::<WireFile>()? {
                if file.hash_algorithm != HASH_ALGORITHM {
                    return Err(A::Error::custom("another hash"));
                }
                let sha256 = hash_of(&file.hash_value).ok_or_else(|| A::Error::custom("no hash"))?;
                let (prefix, name) =
                    file.s3_object.split_at(file.s3_object.rfind('/').map_or(0, |at| at + 1));
                let folder = Folder { bucket: file.s3_bucket, prefix: prefix.to_owned() };
                folders.entry(folder).or_default().push(Listed { name: name.into(), sha256 });
            }
            for files in folders.values_mut() {
                files.sort_unstable();
                files.dedup();
                files.shrink_to_fit();
            }
            Ok(folders)
        }
    }

    from.deserialize_seq(Files)
}
