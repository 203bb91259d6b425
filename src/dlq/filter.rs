//! Which messages an operator means. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::found::Found;

/// An id is given whole, or by so many of its first characters at least: two of a million letters share them once in
/// 500 queues.
pub const ID_CHARACTERS: usize = 12;

/// Which messages are meant: those that meet all that is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Ids, or beginnings of them; any one.
    pub ids: Vec<String>,
    /// Reasons; any one.
    pub reasons: Vec<String>,
    /// Tables; any one.
    pub tables: Vec<String>,
    /// The bucket of one of its objects.
    pub bucket: Option<String>,
    /// What the key of one of its objects begins with.
    pub key_prefix: Option<String>,
    /// How long ago it failed at least.
    pub older_than: Option<Duration>,
}

impl Filter {
    /// Whether it asks for anything at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a message is meant.
    #[must_use]
    pub fn takes(&self, found: &Found, now: Timestamp) -> bool {
        let any = |wanted: &[String], has: Option<&str>| {
            wanted.is_empty()
                || has.is_some_and(|has| wanted.iter().any(|name| name.eq_ignore_ascii_case(has)))
        };
        (self.ids.is_empty() || self.ids.iter().any(|id| is_meant(id, &found.id)))
            && any(&self.reasons, Some(&found.reason))
            && any(&self.tables, found.table.as_deref())
            && (self.bucket.is_none() && self.key_prefix.is_none() || self.takes_an_object(found))
            && self.older_than.is_none_or(|least| {
                SignedDuration::try_from(least).is_ok_and(|least| now.duration_since(found.failed_at) > least)
            })
    }

    /// The ids that none of these messages has.
    pub fn missing<'a>(&'a self, seen: &'a [String]) -> impl Iterator<Item = &'a str> {
        self.ids.iter().filter(|id| !seen.iter().any(|seen| is_meant(id, seen))).map(String::as_str)
    }

    fn takes_an_object(&self, found: &Found) -> bool {
        found.tasks.iter().any(|task| {
            self.bucket.as_ref().is_none_or(|bucket| *bucket == task.object.bucket)
                && self.key_prefix.as_ref().is_none_or(|prefix| task.object.key.starts_with(prefix))
        })
    }
}

fn is_meant(given: &str, id: &str) -> bool {
    id == given || given.len() >= ID_CHARACTERS && id.starts_with(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Received;

    fn found() -> Found {
        let body = r#"{"schema":"sentinel-forwarder/dead-letter/1","id":"0123456789abcdef","reason":"Rejected","table":"AWSCloudTrail","failed_at":"1970-01-01T00:01:40Z","task":{"schema":"sentinel-forwarder/task/1","object":{"bucket":"b","key":"k/1"}}}"#;
        Found::read(&Received {
            message_id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: body.to_owned(),
            sent_at: Timestamp::UNIX_EPOCH,
            attributes: [].into(),
        })
    }

    #[test]
    fn a_message_is_meant_if_it_meets_all_that_is_asked() {
        let text = |text: &str| text.to_owned();
        let one = |text: &str| vec![text.to_owned()];
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let any = Filter::default;
        for (filter, takes) in [
            (any(), true),
            (Filter { ids: one("0123456789abcdef"), ..any() }, true),
            (Filter { ids: one("0123456789ab"), ..any() }, true),
            (Filter { ids: one("0123456789a"), ..any() }, false),
            (Filter { ids: one("0123456789abcdef0"), ..any() }, false),
            (Filter { ids: vec![text("another"), text("0123456789ab")], ..any() }, true),
            (Filter { reasons: one("rejected"), ..any() }, true),
            (Filter { reasons: one("Corrupt"), ..any() }, false),
            (Filter { reasons: vec![text("Corrupt"), text("Rejected")], ..any() }, true),
            (Filter { tables: one("AWSCloudTrail"), ..any() }, true),
            (Filter { tables: one("AWSGuardDuty"), ..any() }, false),
            (Filter { bucket: Some(text("b")), ..any() }, true),
            (Filter { bucket: Some(text("B")), ..any() }, false),
            (Filter { key_prefix: Some(text("k/")), ..any() }, true),
            (Filter { key_prefix: Some(text("/")), ..any() }, false),
            (Filter { bucket: Some(text("c")), key_prefix: Some(text("k/")), ..any() }, false),
            (Filter { older_than: seconds(99), ..any() }, true),
            (Filter { older_than: seconds(100), ..any() }, false),
            (Filter { reasons: one("Rejected"), older_than: seconds(500), ..any() }, false),
        ] {
            let now = Timestamp::from_second(200).unwrap();
            assert_eq!(filter.takes(&found(), now), takes, "{filter:?}");
        }
    }

    #[test]
    fn an_id_that_nothing_has_is_missing() {
        let filter =
            Filter { ids: vec!["0123456789ab".to_owned(), "another".to_owned()], ..Filter::default() };
        let missing: Vec<_> = filter.missing(&["0123456789abcdef".to_owned()]).map(str::to_owned).collect();
        assert_eq!(missing, ["another"]);
    }
}
