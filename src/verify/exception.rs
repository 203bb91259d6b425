//! What is not as it should be, where, with its letter, and what to do about it.

use jiff::Timestamp;

use super::hour::State;
use super::{hour_from, hour_to};
use crate::digest::{DigestKey, Finding, Place, hour_at};
use crate::failure::{DeadLetter, Reason, Subject};
use crate::task::{ObjectRef, Task};

/// The name of what the notary finds nothing wrong with: files that are accounted for, and did not arrive.
pub(super) const IN_LETTERS: &str = "InLetters";

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The hour that it is about; the first, if it is about several.
    pub hour: Timestamp,
    /// Its name, as in rows.
    pub name: &'static str,
    /// A sentence.
    pub says: String,
    /// The digest that shows it; none if there is none.
    pub digest: Option<String>,
    /// The file that it is about.
    pub file: Option<Place>,
    /// Why the function writes a letter about it, and that letter's id.
    pub letter: Option<(Reason, String)>,
}

impl Exception {
    /// Of a finding, with the digest that shows it, as it was read.
    pub(super) fn of(finding: &Finding, hour: Timestamp, digest: Option<&ObjectRef>) -> Self {
        let subject = finding.file().map(Place::object).or_else(|| digest.cloned());
        let letter = finding.reason().zip(subject).map(|(reason, object)| {
            let subject = Subject::Task(Task::whole(object));
            (reason, DeadLetter { reason, message: String::new(), status: None, table: None, subject }.id())
        });
        Self {
            hour,
            name: finding.name(),
            says: finding.to_string(),
            digest: digest.map(|digest| digest.key.clone()),
            file: finding.file().cloned(),
            letter,
        }
    }

    /// What it makes of its hour.
    pub(super) fn state(&self) -> State {
        match self.name {
            "Altered" => State::Altered,
            "Gone" | "Removed" => State::Gone,
            "Missing" | IN_LETTERS => State::Incomplete,
            "Gap" | "PreviousRemoved" | "Restarted" | "Ended" => State::Unsealed,
            _ => State::Unverified,
        }
    }
}

/// The hours that a finding is about, where they are not that of the digest that shows it: the first, and the first that
/// is none of them.
pub(super) fn hours_of(finding: &Finding) -> Option<(Timestamp, Timestamp)> {
    let of_place = |place: &Place| {
        let hour = hour_to(DigestKey::parse(&place.key)?.end);
        Some((hour, hour + super::HOUR))
    };
    match finding {
        Finding::PreviousChanged(place, _) | Finding::PreviousRemoved(place) => of_place(place),
        Finding::Gap { missing, from, to } => match from {
            Some(from) => Some((hour_from(*from), hour_from(*to))),
            None => of_place(missing),
        },
        Finding::Restarted { from, to } => {
            Some((hour_from(*from), hour_from(*to).max(hour_at(*from) + super::HOUR)))
        }
        _ => None,
    }
}

/// What to do about whatever has that name.
#[must_use]
pub fn advice(name: &str) -> &'static str {
    match name {
        "Missing" => {
            "deliver it: sentinelctl backfill for its account, region and day skips what was delivered; if its notification \
             never came, look at the bucket's event rule"
        }
        IN_LETTERS => {
            "look at the letters: sentinelctl dlq list --key-prefix; mend the cause and replay them"
        }
        "Altered" => {
            "find out who wrote it: CloudTrail's data events of the bucket, and its versions; the rows of it in Sentinel are \
             not what CloudTrail recorded"
        }
        "Gone" | "Removed" => {
            "find out who removed it: CloudTrail's data events of the bucket; restore it from versions or a replica, and \
             backfill its day"
        }
        "Gap" | "PreviousRemoved" => {
            "find out who removed the digests: CloudTrail's data events of the bucket; restore them from versions or a \
             replica, and verify again"
        }
        "Ended" | "Restarted" => {
            "look for StopLogging, UpdateTrail and DeleteTrail in CloudTrail's events of that time; if the trail was on, \
             digests were removed"
        }
        _ => {
            "somebody else wrote this digest: find out who may write to the bucket, and look for PutObject in its data events"
        }
    }
}
