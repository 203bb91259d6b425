//! `CloudTrail`'s digests: what they say, whether `CloudTrail` said it, and whether all that they list was delivered.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-intro.html>. Pure: bytes,
//! keys and entries come in, findings and an account come out; the function and the command line use the same.

mod account;
mod chain;
mod document;
mod file;
mod finding;
#[cfg(test)]
pub(crate) mod forge;
mod key;
mod signature;
mod silence;
#[cfg(test)]
mod tests;

pub use account::{Account, Told, hour_at, hour_of};
pub use chain::{Chain, Found, Head, Joint, Link};
pub use document::{
    Document, Folder, Folders, Hash, Listed, MOST_BYTES, Malformed, Place, Previous, listed, sha256,
};
pub use file::{Current, Evidence, LATE, Verdict, Version};
pub use finding::{Changed, Finding};
pub use key::DigestKey;
pub use signature::{PublicKey, Signature, check};
pub use silence::{Missed, TOLERANCE};

/// The bytes of hexadecimal digits; none if the text has others.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
