//! Whether one listed file was delivered as `CloudTrail` wrote it.
//!
//! A key may have several versions, and each is a delivery of its own: the file has arrived if one of them was delivered
//! with the content that the digest vouches for; another content under its name was put there by somebody else.

use jiff::{SignedDuration, Timestamp};

use super::document::{Hash, Place};
use super::{Account, Finding};
use crate::delivery::{Counts, Entry, Stage};
use crate::json;
use crate::task::ObjectRef;

/// A file that came later than this after it was written is counted as late.
pub const LATE: SignedDuration = SignedDuration::from_mins(15);

/// One version of a file, as its bucket lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which.
    pub object: ObjectRef,
    /// When it was written.
    pub modified: Timestamp,
    /// Whether it is what its key shows now.
    pub is_latest: bool,
}

/// What is known of a listed file.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    current: Current,
    delivered: Option<(Counts, bool)>,
    altered: Option<(Counts, String)>,
    in_letters: Option<Counts>,
    is_under_way: bool,
    unknown: Vec<ObjectRef>,
}

/// What the key of a listed file shows now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Current {
    /// Nothing.
    #[default]
    Nothing,
    /// The file.
    Listed,
    /// Something else, with this hash if it has one.
    Other(Option<String>),
    /// Something that was not delivered, and so nobody has hashed it yet.
    Unread(ObjectRef),
    /// Something that can't be read, and why.
    Unreadable(String),
}

impl Current {
    /// What has this hash; without one, it is no gzip stream.
    #[must_use]
    pub fn of(listed: &Hash, found: Option<Hash>) -> Self {
        match found {
            Some(found) if found == *listed => Self::Listed,
            found => Self::Other(found.map(|found| json::hex(&found))),
        }
    }
}

/// What became of a listed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was delivered.
    Delivered,
    /// Something else was delivered in its place.
    Altered,
    /// Some of it could not be delivered, and stands in letters.
    InLetters,
    /// It is being delivered.
    UnderWay,
    /// Nobody has begun to deliver it.
    Unknown,
    /// It is not there.
    Gone,
}

impl Evidence {
    /// Takes in a version of it, and what the ledger says of that.
    pub fn add(&mut self, listed: &Hash, version: Version, entry: Option<&Entry>) {
        let Version { object, modified, is_latest } = version;
        let content = entry.and_then(|entry| entry.content.as_ref());
        if is_latest {
            self.current = match content {
                Some(content) if content.sha256 == json::hex(listed) => Current::Listed,
                Some(content) => Current::Other(Some(content.sha256.clone())),
                None => Current::Unread(object.clone()),
            };
        }
        let Some(entry) = entry else {
            self.unknown.push(object);
            return;
        };
        let Stage::Delivered { at } = entry.stage else {
            self.is_under_way = true;
            return;
        };
        let counts = entry.settled.counts;
        match content {
            Some(content) if content.sha256 != json::hex(listed) => {
                self.altered = Some((counts, content.sha256.clone()));
            }
            Some(_) if counts.letters == 0 => {
                self.delivered = Some((counts, at.duration_since(modified) > LATE));
            }
            _ => self.in_letters = Some(counts),
        }
    }

    /// What its key shows now, if that has to be read to know whether it is the file that was delivered.
    #[must_use]
    pub fn to_compare(&self) -> Option<&ObjectRef> {
        match &self.current {
            Current::Unread(object) if self.verdict() == Verdict::Delivered => Some(object),
            _ => None,
        }
    }

    /// Takes in what its key shows now, once that was read.
    pub fn compare(&mut self, current: Current) {
        self.current = current;
    }

    /// What became of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.delivered.is_some() {
            Verdict::Delivered
        } else if self.is_under_way {
            Verdict::UnderWay
        } else if !self.unknown.is_empty() {
            Verdict::Unknown
        } else if self.altered.is_some() {
            Verdict::Altered
        } else if self.in_letters.is_some() {
            Verdict::InLetters
        } else {
            Verdict::Gone
        }
    }

    /// The versions that nobody has begun to deliver, if one of them may be the file.
    #[must_use]
    pub fn to_deliver(&self) -> &[ObjectRef] {
        if self.verdict() == Verdict::Unknown { &self.unknown } else { &[] }
    }

    /// Counts it, and says what is not as it should be; what is still to come counts as missing.
    pub fn settle(&self, place: &Place, listed: &Hash, account: &mut Account, findings: &mut Vec<Finding>) {
        account.listed += 1;
        let counts = match self.verdict() {
            Verdict::Delivered => {
                account.delivered += 1;
                account.late += u64::from(self.delivered.is_some_and(|(_, is_late)| is_late));
                self.delivered.map(|(counts, _)| counts)
            }
            Verdict::Altered => {
                account.altered += 1;
                self.altered.as_ref().map(|(counts, _)| *counts)
            }
            Verdict::InLetters => {
                account.in_letters += 1;
                self.in_letters
            }
            Verdict::UnderWay | Verdict::Unknown => {
                account.missing += 1;
                findings.push(Finding::Missing(place.clone()));
                None
            }
            Verdict::Gone => {
                account.missing += 1;
                account.gone += 1;
                findings.push(Finding::Gone(place.clone()));
                None
            }
        };
        account.counts.add(counts.unwrap_or_default());
        if matches!(self.verdict(), Verdict::Delivered | Verdict::InLetters) {
            match &self.current {
                Current::Nothing => findings.push(Finding::Removed(place.clone())),
                // What was forwarded in its place is told below.
                Current::Other(found)
                    if self.altered.as_ref().is_none_or(|(_, altered)| Some(altered) != found.as_ref()) =>
                {
                    let (listed, found) = (json::hex(listed), found.clone());
                    findings.push(Finding::Overwritten { place: place.clone(), listed, found });
                }
                Current::Unreadable(why) => {
                    findings.push(Finding::Unreadable { what: place.clone(), why: why.clone() });
                }
                Current::Listed | Current::Other(_) | Current::Unread(_) => {}
            }
        }
        if let Some((_, found)) = &self.altered {
            let (listed, found) = (json::hex(listed), found.clone());
            findings.push(Finding::Altered { place: place.clone(), listed, found });
        }
    }
}
