//! What can go wrong, sorted by what helps: again, an operator, or a dead letter.
//!
//! The form of a dead letter is public interface: operators, alarms and the replay read it.
//! Letters never hold log text where the thing can be read again: an object is pointed to.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::task::Task;

/// What helps against a failure; every error of the project answers with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// The same again, later; the other side may have said when.
    Retryable {
        /// How long the other side asked us to wait.
        after: Option<Duration>,
    },
    /// The same again, later, for as long as it takes; but it may last until an operator acts, so the alarm rings.
    RetryableWithAlarm {
        /// What the alarm says.
        reason: Reason,
        /// How long the other side asked us to wait.
        after: Option<Duration>,
    },
    /// Nothing at once: an operator or nobody can mend it.
    Permanent(Reason),
    /// Never the same again: the smallest unit becomes a letter, the rest goes on.
    Poison(Reason),
}

/// Why a thing could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// The invocation has no shape that we know.
    UnknownTrigger,
    /// AWS denies reading the object, or its bucket is not in `ALLOWED_BUCKETS`.
    AccessDenied,
    /// The object, or that version of it, is gone.
    NotFound,
    /// The gzip stream or the JSON is broken; the task's `from_record` is the first record not delivered.
    Corrupt,
    /// A record or row is over what one request may carry.
    TooLarge,
    /// Sentinel answered 400 for exactly these records.
    Rejected,
    /// Entra or Sentinel does not know us (401, wrong secret, wrong trust).
    Unauthorized,
    /// Our identity lacks the role on the data collection rule (403).
    Forbidden,
    /// The data collection rule, its stream or the URL does not exist (404).
    Misconfigured,
    /// The rules document could not be applied.
    RulesFailed,
    /// The function crashed on this thing again and again.
    Crashed,
    /// Tried as often as is allowed, without progress.
    Exhausted,
}

impl Reason {
    /// The word that stands in letters and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownTrigger => "UnknownTrigger",
            Self::AccessDenied => "AccessDenied",
            Self::NotFound => "NotFound",
            Self::Corrupt => "Corrupt",
            Self::TooLarge => "TooLarge",
            Self::Rejected => "Rejected",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::Misconfigured => "Misconfigured",
            Self::RulesFailed => "RulesFailed",
            Self::Crashed => "Crashed",
            Self::Exhausted => "Exhausted",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::deserialize(StrDeserializer::<serde::de::value::Error>::new(name)).ok()
    }

    /// Whether time or an operator's hand may mend it, so that slow retries come before the letter.
    ///
    /// A role assignment alone may take 30 minutes to reach every node of Azure.
    #[must_use]
    pub const fn may_be_mended(self) -> bool {
        matches!(
            self,
            Self::AccessDenied | Self::Unauthorized | Self::Forbidden | Self::Misconfigured | Self::Crashed
        )
    }
}

/// What a letter is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An object or a range of its records: a pointer is enough.
    Task(Task),
    /// The original event, since it can't be read again.
    Event(Box<RawValue>),
}

/// What could not be delivered, and why.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// Why.
    pub reason: Reason,
    /// The same for a reader: what happened and what to do; never log text, never a secret.
    pub message: String,
    /// The HTTP status, if one was answered.
    pub status: Option<u16>,
    /// The table that it was meant for.
    pub table: Option<&'static str>,
    /// The thing itself.
    pub subject: Subject,
}

/// So much of a hash tells letters apart.
pub const LETTER_ID_BYTES: usize = 16;
/// The schema of a dead letter.
pub const DEAD_LETTER_SCHEMA: &str = "sentinel-forwarder/dead-letter/1";

#[derive(Serialize)]
struct Letter<'a> {
    schema: &'static str,
    id: String,
    reason: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'static str>,
    failed_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'a Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
}

impl DeadLetter {
    /// The same for the same failure of the same thing, whenever it happens.
    #[must_use]
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.reason.name(), self.table.unwrap_or_default()] {
            hash.update(part);
            hash.update([0]);
        }
        match &self.subject {
            Subject::Task(task) => hash.update(task.to_json()),
            Subject::Event(event) => hash.update(event.get()),
        }
        crate::json::hex(&hash.finalize()[..LETTER_ID_BYTES])
    }

    /// The letter as it is sent.
    #[must_use]
    pub fn to_json(&self, failed_at: Timestamp) -> String {
        let (task, event) = match &self.subject {
            Subject::Task(task) => (Some(task), None),
            Subject::Event(event) => (None, Some(&**event)),
        };
        crate::json::text(&Letter {
            schema: DEAD_LETTER_SCHEMA,
            id: self.id(),
            reason: self.reason.name(),
            message: &self.message,
            status: self.status,
            table: self.table,
            failed_at: failed_at.to_string(),
            task,
            event,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ObjectRef;

    fn letter(from_record: u64) -> DeadLetter {
        DeadLetter {
            reason: Reason::Rejected,
            message: "Sentinel refused this record".to_owned(),
            status: Some(400),
            table: Some("AWSCloudTrail"),
            subject: Subject::Task(Task {
                object: ObjectRef {
                    bucket: "b".into(),
                    key: "k".into(),
                    version_id: None,
                    etag: Some("e".into()),
                },
                from_record,
                until_record: Some(from_record + 1),
            }),
        }
    }

    #[test]
    fn a_letter_about_an_object_points_to_it() {
        insta::assert_snapshot!(letter(7).to_json(Timestamp::UNIX_EPOCH), @r#"{"schema":"sentinel-forwarder/dead-letter/1","id":"0ec42ac7db0b9360145ffc50329aacad","reason":"Rejected","message":"Sentinel refused this record","status":400,"table":"AWSCloudTrail","failed_at":"1970-01-01T00:00:00Z","task":{"schema":"sentinel-forwarder/task/1","object":{"bucket":"b","key":"k","etag":"e"},"from_record":7,"until_record":8}}"#);
    }

    #[test]
    fn the_id_tells_one_failure_from_another_and_knows_it_again() {
        assert_eq!(letter(7).id(), letter(7).id());
        assert_ne!(letter(7).id(), letter(8).id());
    }
}
