//! Writes one row: JSON text, column by column, every value carried as it came.
//!
//! A field holds at most 64 KB (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>);
//! the service would cut a longer one into broken JSON, so it is cut here into text that can still be read.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use sha2::{Digest, Sha256};

use crate::json;

/// The most bytes of UTF-8 that one field holds.
pub const MAX_FIELD_BYTES: usize = 65_536;

/// The year 1, with which the service's times begin
/// (<https://learn.microsoft.com/kusto/query/scalar-data-types/datetime>).
const FIRST_TIME: Timestamp = Timestamp::constant(-62_135_596_800, 0);

const ELLIPSIS: &str = "…";
/// Two halves of a surrogate pair.
const LONGEST_ESCAPE_BYTES: usize = 12;

/// A row that is being written.
pub(super) struct RowWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    /// How many values were cut.
    pub(super) truncated: u32,
}

impl<'a> RowWriter<'a> {
    /// Begins a row at the end of `out`.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'{');
        Self { out, start, truncated: 0 }
    }

    /// Ends the row.
    pub(super) fn end(self) -> u32 {
        self.out.push(b'}');
        self.truncated
    }

    /// Whether no column is written yet.
    pub(super) fn is_empty(&self) -> bool {
        self.out.len() == self.start + 1
    }

    fn name(&mut self, column: &str) {
        if !self.is_empty() {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(column.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Text: a JSON string stays that string, anything else becomes its compact JSON text.
    pub(super) fn text(&mut self, column: &str, value: &str) {
        if !value.starts_with('"') {
            return self.json_text(column, value);
        }
        // The escapes only shorten: a token that fits is a value that fits.
        if value.len() - 2 > MAX_FIELD_BYTES
            && let Some(string) = beginning(value).filter(|string| string.len() > MAX_FIELD_BYTES)
        {
            self.name(column);
            self.out.push(b'"');
            let end = string.floor_char_boundary(MAX_FIELD_BYTES - ELLIPSIS.len());
            escape_fully(&string[..end], self.out);
            self.out.extend_from_slice(ELLIPSIS.as_bytes());
            self.out.push(b'"');
            self.truncated += 1;
            return;
        }
        self.name(column);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// JSON as text: a JSON string stays that string.
    pub(super) fn json_text(&mut self, column: &str, value: &str) {
        if value.starts_with('"') {
            return self.text(column, value);
        }
        self.name(column);
        self.out.push(b'"');
        match cut_json(value) {
            None => json::compact_escaped(value, self.out),
            Some(cut) => {
                json::escape(&cut, self.out);
                self.truncated += 1;
            }
        }
        self.out.push(b'"');
    }

    /// JSON as a value of its own.
    pub(super) fn dynamic(&mut self, column: &str, value: &str) {
        self.name(column);
        match cut_json(value) {
            None => json::compact(value, self.out),
            Some(cut) => {
                self.out.extend_from_slice(cut.as_bytes());
                self.truncated += 1;
            }
        }
    }

    /// A value that is JSON already and short: a boolean, a number, a checked string.
    pub(super) fn literal(&mut self, column: &str, value: &str) {
        self.name(column);
        self.out.extend_from_slice(value.as_bytes());
    }

    /// A time, RFC 3339 in UTC.
    pub(super) fn time(&mut self, column: &str, time: Timestamp) {
        self.plain(column, &time.to_string());
    }

    /// Text that needs no escapes.
    pub(super) fn plain(&mut self, column: &str, text: &str) {
        self.name(column);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }
}

/// What a JSON string says; of one that is certainly too long no more than that shows.
fn beginning(value: &str) -> Option<Cow<'_, str>> {
    /// An escape stands for a byte at least.
    const MAX_ESCAPED_BYTES: usize = "\\u0000".len() * (MAX_FIELD_BYTES + 1);
    if value.len() - 2 <= MAX_ESCAPED_BYTES + LONGEST_ESCAPE_BYTES {
        return json::string(value);
    }
    // Cut at the border of a character and of an escape.
    let end = value.floor_char_boundary(1 + MAX_ESCAPED_BYTES + LONGEST_ESCAPE_BYTES);
    (end - LONGEST_ESCAPE_BYTES..=end).rev().filter(|end| value.is_char_boundary(*end)).find_map(|end| {
        let beginning = json::string(&[&value[..end], "\""].concat())?.into_owned();
        Some(Cow::Owned(beginning))
    })
}

/// What stands for a JSON text that is too long; none if it is not. The text is read as it stands, never copied whole.
fn cut_json(value: &str) -> Option<String> {
    if value.len() <= MAX_FIELD_BYTES {
        return None;
    }
    let (mut bytes, mut hash, mut compact) = (0, Sha256::new(), String::with_capacity(MAX_FIELD_BYTES));
    json::spans_of_compact(value, |span| {
        bytes += span.len();
        hash.update(span);
        let room = MAX_FIELD_BYTES - compact.len();
        compact.push_str(&span[..span.floor_char_boundary(room)]);
    });
    if bytes <= MAX_FIELD_BYTES {
        return None;
    }
    let sha256 = json::hex(&hash.finalize());
    let mut cut = format!(r#"{{"truncated":true,"bytes":{bytes},"sha256":"{sha256}","head":""#).into_bytes();
    let room = MAX_FIELD_BYTES - cut.len() - "\"}".len();
    let mut head = Vec::with_capacity(room);
    let mut end = compact.floor_char_boundary(room);
    loop {
        head.clear();
        escape_fully(&compact[..end], &mut head);
        let Some(excess) = head.len().checked_sub(room + 1) else { break };
        end = compact.floor_char_boundary(end - (excess + 1).div_ceil(2).min(end));
    }
    cut.append(&mut head);
    cut.extend_from_slice(b"\"}");
    Some(String::from_utf8_lossy(&cut).into_owned())
}

/// Escapes what may hold control characters.
fn escape_fully(text: &str, out: &mut Vec<u8>) {
    let quoted = json::text(&text);
    out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
}

/// The time that a JSON string names, and the string itself where it already has the form that is sent.
pub(super) fn time_of(value: &str) -> Option<(Timestamp, Cow<'_, str>)> {
    if let Some(time) = value.as_bytes().as_array().and_then(usual_time) {
        return Some((time, value[1..value.len() - 1].into()));
    }
    let text = json::string(value)?;
    let time: Timestamp = text.parse().ok()?;
    if time < FIRST_TIME {
        return None;
    }
    Some((time, if is_canonical(&text) { text } else { time.to_string().into() }))
}

/// The time that a JSON string names in the form that AWS's times have: `"2026-01-02T03:04:05Z"`.
pub(super) fn usual_time(value: &[u8; 22]) -> Option<Timestamp> {
    const FORM: &[u8; 22] = b"\"dddd-dd-ddTdd:dd:ddZ\"";
    let mut fits = true;
    for (byte, form) in value.iter().zip(FORM) {
        fits &= if *form == b'd' { byte.is_ascii_digit() } else { byte == form };
    }
    if !fits {
        return None;
    }
    let digit = |place: usize| value[place].wrapping_sub(b'0').cast_signed();
    let two = |place: usize| digit(place) * 10 + digit(place + 1);
    let year = i16::from(two(1)) * 100 + i16::from(two(3));
    let time = DateTime::new(year, two(6), two(9), two(12), two(15), two(18), 0).ok()?;
    Offset::UTC.to_timestamp(time).ok().filter(|time| *time >= FIRST_TIME)
}

/// `2026-01-02T03:04:05[.6]Z`.
fn is_canonical(text: &str) -> bool {
    let Some((seconds, rest)) = text.split_at_checked(19) else { return false };
    let shape = seconds.bytes().zip(*b"dddd-dd-ddTdd:dd:dd").all(|(byte, form)| match form {
        b'd' => byte.is_ascii_digit(),
        _ => byte == form,
    });
    let fraction = rest.strip_suffix('Z').map(|rest| rest.strip_prefix('.').unwrap_or(rest));
    // A leap second is a time, but not to every reader.
    shape
        && !seconds.ends_with(":60")
        && fraction
            .is_some_and(|digits| digits.len() <= 9 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        && rest != ".Z"
}

/// Whether the JSON string is a guid in its usual form.
pub(super) fn is_guid(value: &[u8; 38]) -> bool {
    const FORM: &[u8; 38] = b"\"hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh\"";
    let mut fits = true;
    // Without a branch for each byte, so that the compiler looks at many at a time.
    for (byte, form) in value.iter().zip(FORM) {
        let is_hex = (byte.wrapping_sub(b'0') < 10) | ((byte | 0x20).wrapping_sub(b'a') < 6);
        fits &= if *form == b'h' { is_hex } else { byte == form };
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut RowWriter<'_>)) -> (serde_json::Value, u32) {
        let mut out = Vec::new();
        let mut row = RowWriter::new(&mut out);
        write(&mut row);
        let truncated = row.end();
        (serde_json::from_slice(&out).unwrap(), truncated)
    }

    #[test]
    fn text_is_cut_at_a_character_border_one_byte_over_the_limit() {
        for (text, fits) in [
            ("x".repeat(MAX_FIELD_BYTES), true),
            ("x".repeat(MAX_FIELD_BYTES + 1), false),
            ("é".repeat(MAX_FIELD_BYTES / 2), true),
            ("é".repeat(MAX_FIELD_BYTES / 2 + 1), false),
            ("\u{1}".repeat(3_000_000), false),
            ("é\\\u{1}\u{10348}".repeat(300_000), false),
            ("\\\"\n".repeat(MAX_FIELD_BYTES / 3), true),
            ("\\\"\n".repeat(MAX_FIELD_BYTES / 3 + 1), false),
        ] {
            let (row, truncated) = written(|row| row.text("C", &json::text(&text)));
            let value = row["C"].as_str().unwrap();
            assert_eq!((value == text, truncated), (fits, u32::from(!fits)));
            if !fits {
                assert!(value.len() <= MAX_FIELD_BYTES && value.len() > MAX_FIELD_BYTES - 8);
                assert!(text.starts_with(value.strip_suffix(ELLIPSIS).unwrap()));
            }
        }
    }

    #[test]
    fn json_is_cut_into_json_that_tells_what_it_was() {
        for inner in ["y", "\\\"", "\\\\\\\"", "ü"] {
            let long = format!("{{ \"a\" : \"{}\" }}", inner.repeat(MAX_FIELD_BYTES / inner.len() + 1));
            let mut compact = Vec::new();
            json::compact(&long, &mut compact);
            let (as_text, one) = written(|row| row.json_text("C", &long));
            let (as_value, two) = written(|row| row.dynamic("C", &long));
            let cut: serde_json::Value = serde_json::from_str(as_text["C"].as_str().unwrap()).unwrap();
            assert_eq!((one, two, &as_value["C"]), (1, 1, &cut));
            assert!(as_text["C"].as_str().unwrap().len() <= MAX_FIELD_BYTES);
            assert_eq!(cut["bytes"], compact.len());
            assert_eq!(cut["sha256"], json::hex(&Sha256::digest(&compact)));
            assert!(compact.starts_with(cut["head"].as_str().unwrap().as_bytes()));
            assert!(cut["head"].as_str().unwrap().len() > 15_000);
        }
        let fits = format!("[\"{}\"]", "z".repeat(MAX_FIELD_BYTES - 4));
        assert_eq!(written(|row| row.json_text("C", &fits)).1, 0);
        let escaped_only = format!("[\"{}\"]", "\\\"".repeat(MAX_FIELD_BYTES / 2 - 2));
        assert_eq!(written(|row| row.json_text("C", &escaped_only)).1, 0);
    }

    #[test]
    fn times_of_other_forms_are_brought_into_the_one_that_is_sent() {
        for (text, sent) in [
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05.670Z", Some("2026-01-02T03:04:05.670Z")),
            ("2026-01-02T05:04:05+02:00", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02t03:04:05z", Some("2026-01-02T03:04:05Z")),
            ("2016-12-31T23:59:60Z", Some("2016-12-31T23:59:59Z")),
            ("0000-01-02T03:04:05Z", None),
            ("2026-13-02T03:04:05Z", None),
            ("2026-01-02", None),
            ("", None),
        ] {
            assert_eq!(
                time_of(&json::text(&text)).map(|(_, sent)| sent.into_owned()).as_deref(),
                sent,
                "{text}"
            );
        }
    }
}
