//! Judges one row, as raw JSON text, against the columns of its table.
//!
//! The text is never turned into a tree: depth costs no stack, and numbers stay as they were written.

use super::refusal::Flaw;
use crate::table::{Column, ColumnKind, EVENT_TIME, Table};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// Older than this, `TimeGenerated` is replaced:
/// <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>.
const OLDEST: SignedDuration = SignedDuration::from_hours(48);
/// Further ahead than this, it is replaced too.
const FURTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// What a row is judged by.
pub(super) struct Terms<'a> {
    /// The table whose columns are declared; without one, any member is.
    pub(super) table: Option<Table>,
    /// The member that holds the row's time; without one, the time of receipt is taken.
    pub(super) time_column: Option<&'a str>,
    /// The most bytes of UTF-8 of one value.
    pub(super) value_bytes: usize,
    /// A member name that the API keeps for itself.
    pub(super) reserved: Option<&'static str>,
    /// The time of receipt.
    pub(super) now: Timestamp,
}

/// A row that passed.
pub(super) struct Judged {
    pub(super) text: String,
    pub(super) time_generated: Timestamp,
    pub(super) time_replaced: bool,
}

/// Judges one row.
pub(super) fn judge(raw: &str, terms: &Terms<'_>) -> Result<Judged, Flaw> {
    if !raw.starts_with('{') {
        return Err(Flaw::bad("InvalidRow", "An element of the array is no object."));
    }
    if has_lone_surrogate(raw) {
        return Err(Flaw::bad("LoneSurrogate", "A string holds half of a surrogate pair."));
    }
    let members: Members<'_> = serde_json::from_str(raw)
        .map_err(|error| Flaw::bad("InvalidRow", format!("The row can't be read: {error}")))?;
    let mut seen = HashSet::new();
    let mut time = None;
    let mut has_event_time = false;
    for (name, value) in &members.0 {
        if !seen.insert(name.as_str()) {
            return Err(flaw("DuplicateColumn", name, "is given twice"));
        }
        if terms.reserved == Some(name.as_str()) {
            return Err(flaw("ReservedColumn", name, "is reserved"));
        }
        let column = match terms.table {
            None => None,
            Some(table) => Some(
                table
                    .column(name)
                    .ok_or_else(|| flaw("UnknownColumn", name, "is no declared column of the table"))?,
            ),
        };
        check_value(name, value, column, terms.value_bytes)?;
        has_event_time |= name == EVENT_TIME;
        if terms.time_column == Some(name.as_str()) {
            time = Some((*value, text_of(value).and_then(|text| utc(&text))));
        }
    }
    let Some(time_column) = terms.time_column else {
        return Ok(Judged { text: raw.to_owned(), time_generated: terms.now, time_replaced: true });
    };
    let (value, time) = match time {
        Some((value, Some(time))) => (value, time),
        Some((_, None)) => return Err(wrong_type(time_column, "an RFC 3339 time in UTC, ending in Z")),
        None => return Err(flaw("MissingTimeGenerated", time_column, "is missing")),
    };
    let age = terms.now.duration_since(time);
    if age <= OLDEST && age >= -FURTHEST_AHEAD {
        return Ok(Judged { text: raw.to_owned(), time_generated: time, time_replaced: false });
    }
    if !has_event_time {
        let message =
            format!("is missing, and {time_column} ({time}) would be replaced by the time of receipt");
        return Err(flaw("MissingEventTime", EVENT_TIME, &message));
    }
    // `value` is a slice of `raw`, so its place in it is the difference of the two addresses.
    let start = value.as_ptr().addr() - raw.as_ptr().addr();
    let text = format!("{}\"{}\"{}", &raw[..start], terms.now, &raw[start + value.len()..]);
    Ok(Judged { text, time_generated: terms.now, time_replaced: true })
}

fn check_value(
    name: &str,
    value: &str,
    column: Option<&'static Column>,
    value_bytes: usize,
) -> Result<(), Flaw> {
    if matches!(value, "null" | "\"\"") {
        return Err(flaw("EmptyValue", name, "is empty: it is to be left out"));
    }
    let text = text_of(value);
    let bytes = text.as_ref().map_or(value.len(), String::len);
    if bytes > value_bytes {
        let message = format!("holds {bytes} bytes, and the service cuts a value at {value_bytes}");
        return Err(flaw("ValueTooLong", name, &message));
    }
    let Some(column) = column else { return Ok(()) };
    let expected = match (column.kind, text.as_deref()) {
        (ColumnKind::String, None) => "a string",
        (ColumnKind::Guid, text) if !text.is_some_and(is_guid) => "a GUID as text",
        (ColumnKind::Datetime, text) if text.is_none_or(|text| utc(text).is_none()) => {
            "an RFC 3339 time in UTC, ending in Z"
        }
        (ColumnKind::Int, _) if value.parse::<i32>().is_err() => "a 32-bit whole number",
        (ColumnKind::Long, _) if value.parse::<i64>().is_err() => "a 64-bit whole number",
        (ColumnKind::Boolean, _) if !matches!(value, "true" | "false") => "true or false",
        _ => return Ok(()),
    };
    Err(wrong_type(name, expected))
}

fn wrong_type(column: &str, expected: &str) -> Flaw {
    flaw("WrongType", column, &format!("must be {expected}"))
}

fn flaw(code: &'static str, column: &str, message: &str) -> Flaw {
    Flaw::bad(code, format!("Column {column} {message}.")).in_column(column)
}

/// The string that a raw JSON value is, if it is one.
fn text_of(value: &str) -> Option<String> {
    if value.starts_with('"') { serde_json::from_str(value).ok() } else { None }
}

/// Whether a text is a GUID in its plain form, 8-4-4-4-12.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The time that an RFC 3339 text in UTC names; no other offset, no blank for the `T`, no leap second.
pub(super) fn utc(text: &str) -> Option<Timestamp> {
    let (seconds, rest) = text.split_at_checked(19)?;
    let shaped = seconds.bytes().zip(*b"0000-00-00T00:00:00").all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    });
    let fraction = rest.strip_suffix('Z')?;
    let fraction_shaped = fraction.is_empty()
        || fraction.strip_prefix('.').is_some_and(|digits| {
            (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        });
    if !shaped || !fraction_shaped || seconds.ends_with(":60") {
        return None;
    }
    text.parse().ok()
}

/// Whether valid JSON text escapes half of a surrogate pair: .NET can't hold such a string.
fn has_lone_surrogate(json: &str) -> bool {
    // A backslash occurs only within strings, so no string needs to be found first.
    let bytes = json.as_bytes();
    let unit = |at: usize| -> Option<u16> {
        let escape = bytes.get(at..at + 6)?;
        let digits = str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &bytes[at..]) {
        at += found;
        at += match unit(at) {
            Some(0xD800..=0xDBFF) => match unit(at + 6) {
                Some(0xDC00..=0xDFFF) => 12,
                _ => return true,
            },
            Some(0xDC00..=0xDFFF) => return true,
            Some(_) => 6,
            None => 2,
        };
    }
    false
}

/// The members of an object in order, repeated names included, each value as its raw text.
struct Members<'a>(Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_surrogate_pairs_pass() {
        for (json, lone) in [
            (r#""plain \n A é""#, false),
            (r#""\ud83d\ude00""#, false),
            (r#""\\ud83d""#, false),
            (r#""\ud83d""#, true),
            (r#""\ud83dx""#, true),
            (r#""\ud83d\u0041""#, true),
            (r#""\ude00""#, true),
            (r#"{"a":[{"\uD83D\uDE00":"\\\ude00"}]}"#, true),
        ] {
            assert_eq!(has_lone_surrogate(json), lone, "{json}");
        }
    }

    #[test]
    fn only_utc_times_of_rfc_3339_pass() {
        for (text, passes) in [
            ("2024-02-29T23:59:59Z", true),
            ("2024-02-29T23:59:59.123456789Z", true),
            ("2023-02-29T23:59:59Z", false),
            ("2024-02-29T23:59:60Z", false),
            ("2024-02-29T24:00:00Z", false),
            ("2024-02-29t23:59:59Z", false),
            ("2024-02-29 23:59:59Z", false),
            ("2024-02-29T23:59:59z", false),
            ("2024-02-29T23:59:59.Z", false),
            ("2024-02-29T23:59:59.1234567890Z", false),
            ("2024-02-29T23:59:59+00:00", false),
            ("2024-02-29T23:59Z", false),
            ("2024-02-29T23:59:59", false),
            ("2024-02-29", false),
            ("é024-02-29T23:59:59Z", false),
            ("", false),
        ] {
            assert_eq!(utc(text).is_some(), passes, "{text}");
        }
    }
}
