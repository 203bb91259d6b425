//! What is to be forwarded: an object of S3, or a range of its records.
//!
//! The JSON form is public interface: continuations, retries and dead letters carry it.

use serde::{Deserialize, Serialize};

/// The schema of a task.
pub const TASK_SCHEMA: &str = "sentinel-forwarder/task/1";

/// One version of one object, its key decoded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// The bucket's name.
    pub bucket: String,
    /// The key as S3 knows it.
    pub key: String,
    /// The version, where the bucket keeps versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The entity tag without quotes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl ObjectRef {
    /// What tells this content from another under the same key: the version, or else the entity tag.
    ///
    /// A bucket whose versioning is suspended writes the version `null` over and over.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.version_id.as_deref().filter(|version| *version != "null").or(self.etag.as_deref())
    }
}

/// An object and which of its records to forward, counted from 0 in the decoded file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// The object.
    pub object: ObjectRef,
    /// The first record.
    pub from_record: u64,
    /// One past the last record; to the end if none.
    pub until_record: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    schema: String,
    object: ObjectRef,
    #[serde(default, skip_serializing_if = "is_zero")]
    from_record: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_record: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Task {
    /// The whole of an object.
    #[must_use]
    pub const fn whole(object: ObjectRef) -> Self {
        Self { object, from_record: 0, until_record: None }
    }

    /// Whether it asks for less than the whole object.
    #[must_use]
    pub const fn is_part(&self) -> bool {
        self.from_record > 0 || self.until_record.is_some()
    }

    /// Reads a task's JSON; none if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let wire: Wire = serde_json::from_str(text).ok()?;
        (wire.schema == TASK_SCHEMA).then_some(Self {
            object: wire.object,
            from_record: wire.from_record,
            until_record: wire.until_record,
        })
    }

    /// The task as it is sent.
    #[must_use]
    pub fn to_json(&self) -> String {
        crate::json::text(self)
    }
}

impl Serialize for Task {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire {
            schema: TASK_SCHEMA.to_owned(),
            object: self.object.clone(),
            from_record: self.from_record,
            until_record: self.until_record,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_what_it_writes() {
        let object =
            ObjectRef {
                bucket: "b".into(), key: "a key/ü".into(), version_id: Some("v".into()), etag: None
            };
        for (from_record, until_record) in [(0, None), (3, None), (3, Some(9))] {
            let task = Task { object: object.clone(), from_record, until_record };
            assert_eq!(Task::parse(&task.to_json()), Some(task));
        }
    }

    #[test]
    fn another_schema_is_no_task() {
        assert_eq!(Task::parse(r#"{"schema":"other","object":{"bucket":"b","key":"k"}}"#), None);
    }
}
