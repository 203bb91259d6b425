//! Whether a digest follows the one that it names, and what lies between two that were checked.
//!
//! A digest names the one before it by place, hash and signature. It is compared with what lies there now, and with what
//! was remembered when that one was checked: so a chain holds in whatever order its digests come, and what is changed
//! or removed afterwards shows with the next one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::document::{Document, Hash, Place};
use super::finding::{Changed, Finding};
use super::{DigestKey, Signature};
use crate::json;

pub use super::key::Chain;

/// What is remembered of a digest that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The SHA-256 of its uncompressed content, in hexadecimal digits.
    pub sha256: String,
    /// Its signature, in hexadecimal digits.
    pub signature: String,
    /// When the time ends that it speaks of.
    pub end: Timestamp,
    /// The end of the newest digest that had been checked before it; none if it was the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Timestamp>,
    /// The digest that follows it, once one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Place>,
}

/// What is remembered of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// From when on its digests were checked; what was before was not ours to check.
    pub since: Timestamp,
    /// The end of the newest one.
    pub end: Timestamp,
    /// Where the newest one lies.
    pub bucket: String,
    /// Likewise.
    pub key: String,
    /// Up to when it was told that digests are overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
}

/// What lies where a digest says that the one before it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Something.
    Something {
        /// The SHA-256 of its uncompressed content; none if it can't be read.
        sha256: Option<Hash>,
        /// Its signature.
        signature: Option<Signature>,
    },
    /// It was not looked at: there is none, or its bucket is not ours to read.
    NotLookedAt,
}

/// A digest, and all that tells whether it follows the one before it.
#[derive(Clone, Copy, Debug)]
pub struct Joint<'a> {
    /// The digest.
    pub document: &'a Document,
    /// What its key says.
    pub key: &'a DigestKey,
    /// What lies in the place of the one before it.
    pub found: &'a Found,
    /// What is remembered of that one.
    pub link: Option<&'a Link>,
    /// What is remembered of the digest itself, if it was checked before: it is judged as it was then.
    pub own: Option<&'a Link>,
    /// What is remembered of the chain.
    pub head: Option<&'a Head>,
}

impl Joint<'_> {
    /// What is wrong with the chain where this digest joins it.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let Self { document, key, found, link, .. } = *self;
        let Some(previous) = &document.previous else {
            return match self.after() {
                Some(from) if !key.is_backfill => {
                    vec![Finding::Restarted { from, to: document.start }]
                }
                _ => Vec::new(),
            };
        };
        let place = || previous.place.clone();
        let mut findings = Vec::new();
        let mut compare = |sha256: bool, signature: bool| {
            let changed = if !sha256 {
                Changed::Content
            } else if !signature {
                Changed::Signature
            } else {
                return;
            };
            let finding = Finding::PreviousChanged(place(), changed);
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        };
        if let Some(link) = link {
            compare(
                link.sha256 == json::hex(&previous.sha256),
                link.signature.eq_ignore_ascii_case(&previous.signature),
            );
        }
        if let Found::Something { sha256, signature } = found {
            let is_same = signature.as_ref().is_some_and(|signature| signature.is(&previous.signature));
            compare(*sha256 == Some(previous.sha256), is_same);
        }
        if *found == Found::Nothing {
            if link.is_some() {
                findings.push(Finding::PreviousRemoved(place()));
            } else if self.is_ours() {
                let (from, to) = (self.after(), document.start);
                findings.push(Finding::Gap { missing: place(), from, to });
            }
        }
        let follower = link.and_then(|link| link.next.as_ref()).filter(|_| !key.is_backfill);
        if let Some(other) = follower.filter(|other| **other != document.place) {
            findings.push(Finding::Fork(other.clone()));
        }
        findings
    }

    /// The digest before it, if it lies there as it should, and nobody has checked it.
    #[must_use]
    pub fn unchecked(&self) -> Option<&Place> {
        let previous = self.document.previous.as_ref()?;
        let is_there = matches!(self.found, Found::Something { .. });
        (self.link.is_none() && self.is_ours() && is_there).then_some(&previous.place)
    }

    /// The end of the newest digest that had been checked before it, if it comes behind that.
    fn after(&self) -> Option<Timestamp> {
        let after = match self.own {
            Some(own) => own.after,
            None => self.head.map(|head| head.end),
        };
        after.filter(|after| *after <= self.document.start)
    }

    /// Whether the digest before it lies in the time that is ours to check.
    fn is_ours(&self) -> bool {
        self.head.is_some_and(|head| head.since < self.document.start)
    }
}

impl Head {
    /// What is to be remembered of a chain, with this digest checked.
    #[must_use]
    pub fn with(known: Option<Self>, document: &Document) -> Self {
        let Place { bucket, key } = document.place.clone();
        let own = Self { since: document.start, end: document.end, bucket, key, told: None };
        match known {
            None => own,
            Some(known) => {
                let (since, told) = (known.since.min(own.since), known.told);
                if own.end > known.end { Self { since, told, ..own } } else { Self { since, ..known } }
            }
        }
    }
}

impl Link {
    /// What is to be remembered of a digest that was checked; what was known stays so.
    #[must_use]
    pub fn of(known: Option<Self>, document: &Document, signature: &Signature, head: Option<&Head>) -> Self {
        let (after, next) = match known {
            Some(known) => (known.after, known.next),
            None => (head.map(|head| head.end), None),
        };
        let (sha256, signature) = (json::hex(&document.sha256), signature.hex.clone());
        Self { sha256, signature, end: document.end, after, next }
    }
}
