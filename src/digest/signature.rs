//! Whether `CloudTrail` signed a digest.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html>: RSA with
//! SHA-256 over a text of the digest's; the signature lies in the object's metadata, the key is chosen by its
//! fingerprint among those of the region.

use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::document::{Document, Malformed, Place, SIGNATURE_ALGORITHM};
use super::{DigestKey, Finding, unhex};

/// How long after the end of its time a digest may be signed: keys change in between.
const SIGNED_WITHIN: SignedDuration = SignedDuration::from_hours(2);
/// A backfill is signed when it is made, give or take.
const BESIDE_GENERATION: SignedDuration = SignedDuration::from_hours(1);

/// A public key of `CloudTrail`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// By which digests name it.
    pub fingerprint: String,
    /// The key as PKCS #1.
    pub der: Vec<u8>,
    /// From when it signs.
    pub valid_from: Timestamp,
    /// Until when.
    pub valid_until: Timestamp,
}

/// A signature as it lies in an object's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// In hexadecimal digits.
    pub hex: String,
    /// How it was made.
    pub algorithm: String,
    /// Of a backfill, when it was made.
    pub generated_at: Option<Timestamp>,
}

impl Signature {
    /// Between which moments it was made: `CloudTrail` lists the keys that were valid then. The allowances are those of
    /// `aws cloudtrail validate-logs`.
    #[must_use]
    pub fn period(&self, document: &Document) -> (Timestamp, Timestamp) {
        match self.generated_at {
            Some(at) => (at - BESIDE_GENERATION, at + BESIDE_GENERATION),
            None => (document.start, document.end + SIGNED_WITHIN),
        }
    }

    /// Whether it is the one that these hexadecimal digits write, in either case.
    #[must_use]
    pub fn is(&self, hex: &str) -> bool {
        self.hex.eq_ignore_ascii_case(hex)
    }
}

impl PublicKey {
    /// Whether it has that name, and was valid at some time between these two.
    #[must_use]
    pub fn is(&self, fingerprint: &str, from: Timestamp, until: Timestamp) -> bool {
        self.fingerprint == fingerprint && self.valid_from <= until && from <= self.valid_until
    }
}

/// Whether a digest is what `CloudTrail` wrote, and where it wrote it.
///
/// # Errors
/// With what tells that it is not.
pub fn check(
    document: &Document,
    lies_at: &DigestKey,
    lies: &Place,
    signature: Option<&Signature>,
    key: Option<&PublicKey>,
) -> Result<(), Finding> {
    if document.place != *lies {
        let Place { bucket, key } = &document.place;
        return Err(Finding::Moved { bucket: bucket.clone(), key: key.clone() });
    }
    let signature = signature.filter(|signature| signature.algorithm == SIGNATURE_ALGORITHM);
    let (signature, bytes) =
        signature.and_then(|signature| Some((signature, unhex(&signature.hex)?))).ok_or(Finding::Unsigned)?;
    if lies_at.is_backfill && signature.generated_at.is_none() {
        return Err(Malformed::NoGenerationTime.into());
    }
    let (from, until) = signature.period(document);
    let key =
        key.filter(|key| key.is(&document.fingerprint, from, until)).ok_or_else(|| Finding::UnknownKey {
            fingerprint: document.fingerprint.clone(),
            region: lies_at.chain.region.clone(),
        })?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der)
        .verify(document.signed_text().as_bytes(), &bytes)
        .map_err(|_| Finding::BadSignature)
}
