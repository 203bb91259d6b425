//! What a check of digests finds: each with a name, and a sentence for whoever must act.

use jiff::Timestamp;
use thiserror::Error;

use super::document::{Malformed, Place};
use crate::failure::Reason;

/// Something that is not as it should be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Finding {
    /// It can't be read.
    #[error("the digest is none that CloudTrail wrote: {0}")]
    Malformed(#[from] Malformed),
    /// It is a copy.
    #[error(
        "the digest was written for another place, s3://{bucket}/{key}, and was put here by somebody else"
    )]
    Moved {
        /// The bucket that it names.
        bucket: String,
        /// The key that it names.
        key: String,
    },
    /// Its metadata has no signature.
    #[error("the digest has no signature of SHA256withRSA in its metadata: it was put here by somebody else")]
    Unsigned,
    /// `CloudTrail` has no such key.
    #[error("CloudTrail had no key {fingerprint} in {region} then: the digest was signed by somebody else")]
    UnknownKey {
        /// The key that it names.
        fingerprint: String,
        /// The region where that was looked for.
        region: String,
    },
    /// Its signature is not of its content.
    #[error("the digest's signature does not fit it: it was changed, or made up")]
    BadSignature,
    /// The digest before it is not the one that it vouches for.
    #[error("the digest before it is not what CloudTrail wrote: {0} was changed after {1}")]
    PreviousChanged(Place, Changed),
    /// The digest before it is gone, and was never checked.
    #[error("digests are gone: {missing}, and so nothing vouches for the time from {} to {to}", from_text(*.from))]
    Gap {
        /// The digest that is known to be gone; others before it may be.
        missing: Place,
        /// The end of the last digest that was checked before; none if none was.
        from: Option<Timestamp>,
        /// The beginning of the digest behind the gap.
        to: Timestamp,
    },
    /// The digest before it was checked, and was removed since.
    #[error("a digest that was checked has been removed since: {0}")]
    PreviousRemoved(Place),
    /// The chain ends, and its next digest has been due for long.
    #[error(
        "no digest follows {last}: the trail or its validation was switched off, or digests were removed, and \
         nothing vouches for the time from {from} on"
    )]
    Ended {
        /// The last digest.
        last: Place,
        /// Its end.
        from: Timestamp,
    },
    /// The chain begins anew in its midst.
    #[error(
        "the chain begins anew at {to}: the trail or its validation was off, and nothing vouches for the time from {from} on"
    )]
    Restarted {
        /// The end of the last digest that was checked before.
        from: Timestamp,
        /// The beginning of this one.
        to: Timestamp,
    },
    /// Two digests follow the same one.
    #[error("two digests follow the same one: this, and {0}")]
    Fork(Place),
    /// The next digest did not come.
    #[error(
        "no digest came for the time from {from} to {to}: the trail or its validation is off, or its files no longer \
         reach the bucket"
    )]
    Overdue {
        /// The end of the digest before it.
        from: Timestamp,
        /// When its own time ended.
        to: Timestamp,
    },
    /// None has come for so long that nobody waits for the next one.
    #[error("no digest has come since {since}: this is the last time that it is told, until one comes")]
    GivenUp {
        /// The end of the newest one.
        since: Timestamp,
    },
    /// A file is not what `CloudTrail` wrote.
    #[error("the log was altered: {place} has the SHA-256 {found}, and CloudTrail wrote {listed}")]
    Altered {
        /// The file.
        place: Place,
        /// The hash that the digest states.
        listed: String,
        /// The hash of what was forwarded.
        found: String,
    },
    /// A file was delivered, and something else has been put in its place since.
    #[error(
        "a log file was overwritten after it had been delivered: {place} {}, and CloudTrail wrote {listed}",
        found_text(found.as_deref())
    )]
    Overwritten {
        /// The file.
        place: Place,
        /// The hash that the digest states.
        listed: String,
        /// The hash of what lies there now; none if its gzip stream is damaged.
        found: Option<String>,
    },
    /// A file is gone, and no delivery of it is known.
    #[error("a log file is gone: {0} is not in the bucket, and no delivery of it is known")]
    Gone(Place),
    /// A file was delivered, and removed since.
    #[error("a log file was removed after it had been delivered: {0}")]
    Removed(Place),
    /// Something could not be read, and so was not checked.
    #[error("{what} could not be read, and so was not checked: {why}")]
    Unreadable {
        /// The object, or the folder.
        what: Place,
        /// Why.
        why: String,
    },
    /// A file is there, and was not delivered.
    #[error("a log file was not delivered: {0}")]
    Missing(Place),
}

/// What was changed of a digest.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Changed {
    /// Its content.
    #[error("it was signed (its hash is another)")]
    Content,
    /// Its signature.
    #[error("the next one was written (its signature is another)")]
    Signature,
}

impl Finding {
    /// Its name, in rows and in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Malformed",
            Self::Moved { .. } => "Moved",
            Self::Unsigned => "Unsigned",
            Self::UnknownKey { .. } => "UnknownKey",
            Self::BadSignature => "BadSignature",
            Self::PreviousChanged(..) => "PreviousChanged",
            Self::Gap { .. } => "Gap",
            Self::PreviousRemoved(_) => "PreviousRemoved",
            Self::Ended { .. } => "Ended",
            Self::Restarted { .. } => "Restarted",
            Self::Fork(_) => "Fork",
            Self::Overdue { .. } => "Overdue",
            Self::GivenUp { .. } => "GivenUp",
            Self::Altered { .. } => "Altered",
            Self::Overwritten { .. } => "Overwritten",
            Self::Unreadable { .. } => "Unreadable",
            Self::Gone(_) => "Gone",
            Self::Removed(_) => "Removed",
            Self::Missing(_) => "Missing",
        }
    }

    /// The file that it is about; none if it is about the digest itself or its chain.
    #[must_use]
    pub const fn file(&self) -> Option<&Place> {
        match self {
            Self::Altered { place, .. }
            | Self::Overwritten { place, .. }
            | Self::Gone(place)
            | Self::Removed(place)
            | Self::Missing(place) => Some(place),
            _ => None,
        }
    }

    /// Whether somebody changed or removed what `CloudTrail` wrote, or kept it from writing.
    #[must_use]
    pub const fn is_tampering(&self) -> bool {
        !matches!(
            self,
            Self::Missing(_) | Self::Overdue { .. } | Self::GivenUp { .. } | Self::Unreadable { .. }
        )
    }

    /// Whether it says that something was not checked.
    #[must_use]
    pub const fn is_unreadable(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }

    /// Why a letter tells of it; none if what it is about still comes, or has come.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Missing(_) | Self::Overdue { .. } | Self::GivenUp { .. } => None,
            Self::Gone(_) | Self::Removed(_) => Some(Reason::NotFound),
            Self::Unreadable { .. } => Some(Reason::AccessDenied),
            _ => Some(Reason::Corrupt),
        }
    }
}

fn from_text(from: Option<Timestamp>) -> String {
    from.map_or_else(|| "an unknown time".to_owned(), |time| time.to_string())
}

fn found_text(found: Option<&str>) -> String {
    found.map_or_else(|| "is no gzip stream now".to_owned(), |hash| format!("has the SHA-256 {hash} now"))
}
