//! How a message is shown: as cells of a table, and as JSON.

use jiff::Timestamp;
use sentinel_forwarder::dlq::{Found, ID_CHARACTERS};
use sentinel_forwarder::task::Task;
use serde::Serialize;

use crate::table::Fit;

/// The columns of a list.
pub(super) const COLUMNS: [(&str, Fit); 7] = [
    ("ID", Fit::Whole),
    ("REASON", Fit::Whole),
    ("TABLE", Fit::Whole),
    ("OBJECT", Fit::Middle),
    ("RANGE", Fit::Whole),
    ("AGE", Fit::Right),
    ("MESSAGE", Fit::End),
];

/// A row of a list.
pub(super) fn row(found: &Found, now: Timestamp) -> Vec<String> {
    vec![
        short_id(found),
        found.reason.clone(),
        found.table.clone().unwrap_or_default(),
        object(found),
        found.tasks.first().map(range).unwrap_or_default(),
        age(found.failed_at, now),
        found.message.clone(),
    ]
}

pub(super) fn short_id(found: &Found) -> String {
    found.id.chars().take(ID_CHARACTERS).collect()
}

/// The object, and how many more there are.
pub(super) fn object(found: &Found) -> String {
    let Some(task) = found.tasks.first() else { return String::new() };
    let more = match found.tasks.len() {
        1 => String::new(),
        count => format!(" (+{})", count - 1),
    };
    format!("{}/{}{more}", task.object.bucket, task.object.key)
}

/// The records, from the first to before the last; none named means all.
pub(super) fn range(task: &Task) -> String {
    match (task.from_record, task.until_record) {
        (0, None) => "all".to_owned(),
        (from, None) => format!("{from}.."),
        (from, Some(until)) => format!("{from}..{until}"),
    }
}

/// How long ago, in one unit.
pub(super) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minute, hour, day) = (60, 60 * 60, 24 * 60 * 60);
    match seconds {
        _ if seconds < 2 * minute => format!("{seconds}s"),
        _ if seconds < 2 * hour => format!("{}m", seconds / minute),
        _ if seconds < 2 * day => format!("{}h", seconds / hour),
        _ => format!("{}d", seconds / day),
    }
}

/// A message in JSON.
#[derive(Serialize)]
pub(super) struct View<'a> {
    id: &'a str,
    message_id: &'a str,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    tasks: &'a [Task],
    failed_at: String,
    age_seconds: i64,
}

impl<'a> View<'a> {
    pub(super) fn of(found: &'a Found, now: Timestamp) -> Self {
        Self {
            id: &found.id,
            message_id: &found.message_id,
            reason: &found.reason,
            message: &found.message,
            status: found.status,
            table: found.table.as_deref(),
            tasks: &found.tasks,
            failed_at: found.failed_at.to_string(),
            age_seconds: now.duration_since(found.failed_at).as_secs().max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_the_unit_that_says_most() {
        for (seconds, text) in [
            (-5, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7199, "119m"),
            (7200, "2h"),
            (172_799, "47h"),
            (172_800, "2d"),
        ] {
            let now = Timestamp::from_second(1_000_000).unwrap();
            let then = Timestamp::from_second(1_000_000 - seconds).unwrap();
            assert_eq!(age(then, now), text);
        }
    }
}
