//! What is not as it should be, where, with its letter, and what to do about it.

use jiff::Timestamp;

use super::hour::State;
use crate::digest::{Finding, Place};
use crate::failure::{DeadLetter, Reason, Subject};
use crate::task::Task;

/// The name of what the notary finds nothing wrong with: files that are accounted for, and did not arrive.
pub(super) const IN_LETTERS: &str = "InLetters";
/// The name of hours that are older than what the ledger keeps.
pub(super) const OLDER: &str = "OlderThanLedger";
/// The name of what was asked for and is nowhere.
pub(super) const NOT_FOUND: &str = "NotFound";
/// The name of what could not be read.
const UNREADABLE: &str = "Unreadable";

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
    pub(super) fn of(finding: &Finding, hour: Timestamp, digest: Option<&Place>) -> Self {
        let subject = finding.file().or(digest).map(Place::object);
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
            UNREADABLE | OLDER => State::Unchecked,
            "Altered" | "Overwritten" => State::Altered,
            "Gone" | "Removed" => State::Gone,
            "Missing" | IN_LETTERS => State::Incomplete,
            "Gap" | "PreviousRemoved" | "Restarted" | "Ended" => State::Unsealed,
            _ => State::Unverified,
        }
    }

    /// Whether something is wrong, and not only unknown.
    pub(super) fn is_wrong(&self) -> bool {
        !matches!(self.name, UNREADABLE | OLDER)
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
            "look at the letters: sentinelctl dlq list --key-prefix KEY, with the file's key; mend the cause and replay \
             them; the ledger does not record that a replay delivered, so the file is still named afterwards"
        }
        UNREADABLE => {
            "give whoever verifies the permission that it lacks, restore what lies in an archive, and verify again; what \
             somebody else encrypted with a key of their own under a digest's name is none of CloudTrail's"
        }
        OLDER => {
            "the ledger keeps deliveries for 400 days: whether older files were delivered is known from a report that was \
             made in time, or from Sentinel itself"
        }
        NOT_FOUND => {
            "look at the spelling of accounts, regions and services, and at the prefix: it is the folder that holds AWSLogs/"
        }
        "Overwritten" => {
            "find out who overwrote it: CloudTrail's data events of the bucket, and its versions; what was delivered is \
             what CloudTrail wrote, what lies there now is not"
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
