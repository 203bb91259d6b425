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
    shows: bool,
    delivered: Option<(Counts, bool)>,
    altered: Option<(Counts, String)>,
    in_letters: Option<Counts>,
    is_under_way: bool,
    unknown: Vec<ObjectRef>,
}

/// What became of a listed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was delivered.
    Delivered,
    /// Something else was delivered in its place.
    Altered,
    /// It could not be delivered, and stands in letters.
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
        self.shows |= version.is_latest;
        let Some(entry) = entry else {
            self.unknown.push(version.object);
            return;
        };
        let Stage::Delivered { at } = entry.stage else {
            self.is_under_way = true;
            return;
        };
        let counts = entry.settled.counts;
        match &entry.content {
            None => self.in_letters = Some(counts),
            Some(content) if content.sha256 == json::hex(listed) => {
                self.delivered = Some((counts, at.duration_since(version.modified) > LATE));
            }
            Some(content) => self.altered = Some((counts, content.sha256.clone())),
        }
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
                if !self.shows {
                    findings.push(Finding::Removed(place.clone()));
                }
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
        if let Some((_, found)) = &self.altered {
            let (listed, found) = (json::hex(listed), found.clone());
            findings.push(Finding::Altered { place: place.clone(), listed, found });
        }
    }
}
