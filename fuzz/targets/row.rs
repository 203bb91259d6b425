//! Any bytes as a record of either table: a row of declared columns or nothing, and in one pass the same row.

#![no_main]

use arbitrary::Arbitrary;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::record::RowFacts;
use sentinel_forwarder::table::{ColumnKind, MAX_FIELD_BYTES, PlainMapper, Table};
use sentinel_forwarder_fuzz::file::Runs;
use sentinel_forwarder_fuzz::strict::{self, Members};

/// 2026-03-10T12:00:00Z, near the times of `events/`.
const NOW: i64 = 1_773_144_000;

/// Members that are carried as their compact text.
const TO_THE_LETTER: [(&str, &str); 4] = [
    ("requestParameters", "RequestParameters"),
    ("responseElements", "ResponseElements"),
    ("resources", "Resources"),
    ("serviceEventDetails", "ServiceEventDetails"),
];

/// Room for two values that are too long.
const MAX_RECORD_BYTES: usize = 150_000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    with_runs: bool,
    record: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let runs = if input.with_runs { Runs::Long } else { Runs::None };
    let record = runs.write_out(input.record, MAX_RECORD_BYTES);
    check_plain(&record);
    let members = str::from_utf8(&record).ok().and_then(strict::members);
    for table in Table::ALL {
        let mapped = map(table, &record);
        // The ordinary parser takes no half of a surrogate pair in a name; elsewhere it is mended here.
        let (Some(members), Some((row, facts))) = (&members, &mapped) else {
            assert!(members.is_none(), "a sound record was refused");
            assert!(mapped.is_none_or(|(_, facts)| facts.repaired), "what was not sound was not mended");
            continue;
        };
        check(table, row, *facts);
        if facts.repaired {
            continue;
        }
        if table == Table::AwsCloudTrail {
            check_letters(members, row, *facts);
        }
    }
});

/// The record's row; nothing else may have been touched.
fn map(table: Table, record: &[u8]) -> Option<(String, RowFacts)> {
    const BEFORE: &[u8] = b"before";
    let now = Timestamp::from_second(NOW).expect("a time");
    let mut out = BEFORE.to_vec();
    let facts = table.map(record, now, &mut out);
    let row = out.split_off(BEFORE.len());
    assert_eq!(out, BEFORE);
    assert!(facts.is_ok() || row.is_empty());
    Some((String::from_utf8(row).expect("a row is UTF-8"), facts.ok()?))
}

/// Checks that each column is declared, comes once, and holds what it is declared to hold.
fn check(table: Table, row: &str, facts: RowFacts) {
    let columns = strict::members(row).expect("a row is one JSON object");
    assert!(columns.iter().any(|(name, _)| name == "TimeGenerated"));
    for (place, (name, value)) in columns.iter().enumerate() {
        assert!(columns[..place].iter().all(|(other, _)| other != name), "{name} comes twice");
        let kind = table.column(name).expect("a row holds declared columns only").kind;
        assert!(!matches!(*value, "null" | "\"\""), "{name} is empty");
        match kind {
            ColumnKind::Boolean => assert!(matches!(*value, "true" | "false"), "{name} is {value}"),
            ColumnKind::Int => assert!(value.parse::<i32>().is_ok(), "{name} is {value}"),
            ColumnKind::Long => assert!(value.parse::<i64>().is_ok(), "{name} is {value}"),
            ColumnKind::Dynamic => {
                assert!(value.len() <= MAX_FIELD_BYTES);
                assert_eq!(**value, strict::compact(value));
                if let Err(error) = serde_json::from_str::<serde_json::Value>(value) {
                    assert!(error.to_string().starts_with("recursion limit exceeded"), "{name}: {error}");
                }
            }
            ColumnKind::String | ColumnKind::Guid | ColumnKind::Datetime => {
                let text: String = serde_json::from_str(value).expect("text without halves of surrogates");
                assert!(text.len() <= MAX_FIELD_BYTES, "{name} is too long");
                assert!(kind != ColumnKind::Guid || text.len() == 36, "{name} is {text}");
                assert!(kind != ColumnKind::Datetime || is_utc(&text), "{name} is {text}");
            }
        }
    }
    assert!(facts.values_truncated as usize <= columns.len());
}

/// Whether the text is a time of RFC 3339 in UTC.
fn is_utc(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok()
        && text.ends_with('Z')
        && text.bytes().zip(*b"dddd-dd-ddTdd:dd:dd").all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

/// Checks the columns that carry JSON as it came.
fn check_letters(members: &Members<'_>, row: &str, facts: RowFacts) {
    let columns = strict::members(row).expect("a row is one JSON object");
    let last = |members: &Members<'_>, name: &str| {
        members.iter().rev().find(|(other, _)| other == name).map(|(_, value)| (*value).to_owned())
    };
    for (name, column) in TO_THE_LETTER {
        let value = last(members, name).filter(|value| !matches!(&**value, "null" | "\"\""));
        let carried = last(&columns, column);
        match value {
            Some(value) if facts.values_truncated == 0 && value.starts_with('"') => {
                assert_eq!(carried, Some(value));
            }
            Some(value) if facts.values_truncated == 0 => {
                let text = carried.map(|text| serde_json::from_str::<String>(&text).expect("text"));
                assert_eq!(text, Some(strict::compact(&value)));
            }
            value => assert_eq!(carried.is_some(), value.is_some()),
        }
    }
}

/// Checks that in one pass the record becomes the same row, if it is plain.
fn check_plain(record: &[u8]) {
    let now = Timestamp::from_second(NOW).expect("a time");
    // What follows a record in its file.
    let text = [record, br#",{"eventVersion":"1.09","userIdentity":{"type":"Root"}}]}"#].concat();
    let mut out = vec![0; 2 * text.len() + 4096];
    if let Some(row) = PlainMapper::default().map(&text, now, &mut out) {
        let ordinary = map(Table::AwsCloudTrail, &text[..row.read]);
        let plain = String::from_utf8(out[..row.written].to_vec()).expect("a row is UTF-8");
        assert_eq!(ordinary, Some((plain, row.facts)));
    }
}
