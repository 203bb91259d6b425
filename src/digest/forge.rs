//! Digests for tests, signed with keys of our own: one that the tests call CloudTrail's, and a forger's.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Document, Place, PublicKey, Signature};
use crate::delivery::{Content, Counts, Entry, Settled, Stage};
use crate::json::hex;

const CLOUDTRAIL: &[u8] = include_bytes!("../../tests/fixtures/digest/key.pk8");
const FORGER: &[u8] = include_bytes!("../../tests/fixtures/digest/forger.pk8");
const FINGERPRINT: &str = "31e8b5433410dfb61a9dc45cc65b22ff";
pub(crate) const BUCKET: &str = "trail";
pub(crate) const FILES: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/10/";

/// The entry of a file that was delivered with this content.
pub(crate) fn delivered(content: &[u8]) -> Entry {
    let counts = Counts { records: 3, rows: 2, filtered: 1, ..Counts::default() };
    Entry {
        version: 2,
        holder: String::new(),
        stage: Stage::Delivered { at: Timestamp::UNIX_EPOCH },
        settled: Settled { counts, ..Settled::default() },
        takeovers: 0,
        failures: std::collections::BTreeMap::default(),
        announced_at: Timestamp::UNIX_EPOCH,
        content: Some(Content {
            size: 1,
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }),
    }
}

/// A digest as it lies in S3.
#[derive(Clone, Debug)]
pub(crate) struct Forged {
    pub(crate) place: Place,
    pub(crate) bytes: Vec<u8>,
    pub(crate) signature: Signature,
}

/// What a digest is to say.
#[derive(Clone)]
pub(crate) struct Plan<'a> {
    /// The account and the region.
    pub(crate) of: (&'a str, &'a str),
    pub(crate) trail: &'a str,
    pub(crate) bucket: &'a str,
    /// The hour that it begins with, counted from the beginning of 10 March 2026.
    pub(crate) hour: i64,
    /// How many hours it is about.
    pub(crate) hours: i64,
    pub(crate) previous: Option<&'a Forged>,
    /// Keys, and contents.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) is_backfill: bool,
    pub(crate) by_forger: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(hour: i64, previous: Option<&'a Forged>) -> Self {
        let of = ("111122223333", "eu-west-1");
        let (files, is_backfill, by_forger) = (Vec::new(), false, false);
        Self { of, trail: "main", bucket: BUCKET, hour, hours: 1, previous, files, is_backfill, by_forger }
    }

    /// Lists a file of [`FILES`].
    pub(crate) fn with(self, name: &str, content: &[u8]) -> Self {
        self.with_key(format!("{FILES}{name}"), content)
    }

    pub(crate) fn with_key(mut self, key: String, content: &[u8]) -> Self {
        self.files.push((key, content.to_vec()));
        self
    }

    /// The digest's members.
    pub(crate) fn members(&self) -> Value {
        let at = |hour| beginning(hour).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let place = self.place();
        let previous = self.previous;
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(key, content)| {
                json!({
                    "s3Bucket": BUCKET,
                    "s3Object": key,
                    "hashValue": hex(&Sha256::digest(content)),
                    "hashAlgorithm": "SHA-256",
                    "newestEventTime": at(self.hour),
                    "oldestEventTime": at(self.hour),
                })
            })
            .collect();
        json!({
            "awsAccountId": self.of.0,
            "digestStartTime": at(self.hour),
            "digestEndTime": at(self.hour + self.hours),
            "digestS3Bucket": place.bucket,
            "digestS3Object": place.key,
            "digestPublicKeyFingerprint": FINGERPRINT,
            "digestSignatureAlgorithm": "SHA256withRSA",
            "newestEventTime": null,
            "oldestEventTime": null,
            "previousDigestS3Bucket": previous.map(|previous| &previous.place.bucket),
            "previousDigestS3Object": previous.map(|previous| &previous.place.key),
            "previousDigestHashValue":
                previous.map(|previous| hex(&super::sha256(&previous.bytes).unwrap())),
            "previousDigestHashAlgorithm": previous.map(|_| "SHA-256"),
            "previousDigestSignature": previous.map(|previous| &previous.signature.hex),
            "logFiles": files,
        })
    }

    pub(crate) fn place(&self) -> Place {
        let suffix = if self.is_backfill { "_backfill" } else { "" };
        let ((account, region), trail) = (self.of, self.trail);
        let end = beginning(self.hour + self.hours);
        let (day, end) = (end.strftime("%Y/%m/%d"), end.strftime("%Y%m%dT%H%M%SZ"));
        let key = format!(
            "AWSLogs/{account}/CloudTrail-Digest/{region}/{day}/{account}_CloudTrail-Digest_{region}_{trail}_us-east-1_\
             {end}{suffix}.json.gz"
        );
        Place::new(self.bucket, &key)
    }

    pub(crate) fn forge(&self) -> Forged {
        let bytes = gzip(self.members().to_string().as_bytes());
        let text = Document::read(&bytes).unwrap().signed_text();
        let signed = sign(self.by_forger, &text);
        let generated_at = self.is_backfill.then(|| beginning(self.hour + 26));
        Forged { place: self.place(), bytes, signature: Signature { generated_at, ..signed } }
    }
}

/// When the digest of an hour begins.
pub(crate) fn beginning(hour: i64) -> Timestamp {
    "2026-03-10T00:01:31Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(hour)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn sign(by_forger: bool, text: &str) -> Signature {
    static KEYS: LazyLock<[RsaKeyPair; 2]> =
        LazyLock::new(|| [CLOUDTRAIL, FORGER].map(|key| RsaKeyPair::from_pkcs8(key).unwrap()));
    let key = &KEYS[usize::from(by_forger)];
    let mut bytes = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut bytes).unwrap();
    Signature { hex: hex(&bytes), algorithm: "SHA256withRSA".to_owned(), generated_at: None }
}

/// The key that the tests call CloudTrail's, good for all of 2026.
pub(crate) fn key() -> PublicKey {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    PublicKey {
        fingerprint: FINGERPRINT.to_owned(),
        der: RsaKeyPair::from_pkcs8(CLOUDTRAIL).unwrap().public_key().as_ref().to_vec(),
        valid_from: time("2026-01-01T00:00:00Z"),
        valid_until: time("2027-01-01T00:00:00Z"),
    }
}
