//! Whether `CloudTrail` signed a digest.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html>: RSA with
//! SHA-256 over a text of the digest's; the signature lies in the object's metadata, the key is chosen by its
//! fingerprint among those of the region.

use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

use super::document::{Document, Place, SIGNATURE_ALGORITHM};
use super::{Chain, Finding, unhex};

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
}

impl PublicKey {
    /// Whether it signed in the time of a digest.
    #[must_use]
    pub fn is_of(&self, document: &Document) -> bool {
        self.fingerprint == document.fingerprint
            && self.valid_from <= document.end
            && document.start <= self.valid_until
    }
}

/// Whether a digest is what `CloudTrail` wrote, and where it wrote it.
///
/// # Errors
/// With what tells that it is not.
pub fn check(
    document: &Document,
    chain: &Chain,
    lies: &Place,
    signature: Option<&Signature>,
    key: Option<&PublicKey>,
) -> Result<(), Finding> {
    if document.place != *lies {
        let Place { bucket, key } = &document.place;
        return Err(Finding::Moved { bucket: bucket.clone(), key: key.clone() });
    }
    let bytes = signature
        .filter(|signature| signature.algorithm == SIGNATURE_ALGORITHM)
        .and_then(|signature| unhex(&signature.hex))
        .ok_or(Finding::Unsigned)?;
    let key = key.filter(|key| key.is_of(document)).ok_or_else(|| Finding::UnknownKey {
        fingerprint: document.fingerprint.clone(),
        region: chain.region.clone(),
    })?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der)
        .verify(document.signed_text().as_bytes(), &bytes)
        .map_err(|_| Finding::BadSignature)
}
