//! Digests for tests, signed with keys of our own: one that the tests call CloudTrail's, and a forger's.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Document, Place, PublicKey, Signature};
use crate::json::hex;

const CLOUDTRAIL: &[u8] = include_bytes!("../../tests/fixtures/digest/key.pk8");
const FORGER: &[u8] = include_bytes!("../../tests/fixtures/digest/forger.pk8");
const FINGERPRINT: &str = "31e8b5433410dfb61a9dc45cc65b22ff";
pub(crate) const BUCKET: &str = "trail";
pub(crate) const FILES: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/10/";

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
    /// The hour of 10 March 2026 that it begins with.
    pub(crate) hour: u32,
    pub(crate) previous: Option<&'a Forged>,
    /// Keys behind [`FILES`], and contents.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) is_backfill: bool,
    pub(crate) by_forger: bool,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(hour: u32, previous: Option<&'a Forged>) -> Self {
        Self { hour, previous, files: Vec::new(), is_backfill: false, by_forger: false }
    }

    pub(crate) fn with(mut self, name: &str, content: &[u8]) -> Self {
        self.files.push((name.to_owned(), content.to_vec()));
        self
    }

    /// The digest's members.
    pub(crate) fn members(&self) -> Value {
        let at = |hour: u32| format!("2026-03-10T{hour:02}:01:31Z");
        let place = self.place();
        let previous = self.previous;
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|(name, content)| {
                json!({
                    "s3Bucket": BUCKET,
                    "s3Object": format!("{FILES}{name}"),
                    "hashValue": hex(&Sha256::digest(content)),
                    "hashAlgorithm": "SHA-256",
                    "newestEventTime": at(self.hour),
                    "oldestEventTime": at(self.hour),
                })
            })
            .collect();
        json!({
            "awsAccountId": "111122223333",
            "digestStartTime": at(self.hour),
            "digestEndTime": at(self.hour + 1),
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
        let key = format!(
            "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/03/10/111122223333_CloudTrail-Digest_eu-west-1_\
             main_us-east-1_20260310T{:02}0131Z{suffix}.json.gz",
            self.hour + 1
        );
        Place { bucket: BUCKET.to_owned(), key }
    }

    pub(crate) fn forge(&self) -> Forged {
        let bytes = gzip(self.members().to_string().as_bytes());
        let text = Document::read(&bytes).unwrap().signed_text();
        let key = if self.by_forger { FORGER } else { CLOUDTRAIL };
        Forged { place: self.place(), bytes, signature: sign(key, &text) }
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn sign(key: &[u8], text: &str) -> Signature {
    let key = RsaKeyPair::from_pkcs8(key).unwrap();
    let mut bytes = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut bytes).unwrap();
    Signature { hex: hex(&bytes), algorithm: "SHA256withRSA".to_owned() }
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
