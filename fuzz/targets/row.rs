//! Any bytes as a record of either table: a row of declared columns or nothing, and the fast reading of plain records
//! agrees with the ordinary one.

#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::record::RowFacts;
use sentinel_forwarder::table::{ColumnKind, MAX_FIELD_BYTES, Table};
use sentinel_forwarder_fuzz::file::Runs;
use sentinel_forwarder_fuzz::strict::{self, Members};

/// 2026-03-10T12:00:00Z, near the times of `events/`.
const NOW: i64 = 1_773_144_000;

/// Where names have rules of their own; everywhere else they are the user's data and stay to the letter.
const NESTED: &[&[&str]] = &[
    &["userIdentity"],
    &["userIdentity", "sessionContext"],
    &["userIdentity", "sessionContext", "sessionIssuer"],
    &["userIdentity", "sessionContext", "attributes"],
    &["userIdentity", "onBehalfOf"],
    &["tlsDetails"],
];

/// Members that are carried as their compact text.
const TO_THE_LETTER: [(&str, &str); 4] = [
    ("requestParameters", "RequestParameters"),
    ("responseElements", "ResponseElements"),
    ("resources", "Resources"),
    ("serviceEventDetails", "ServiceEventDetails"),
];

/// Room for two values that are too long.
const MAX_RECORD_BYTES: usize = 150_000;

const UNMAPPED_COLUMN: &str = "AdditionalEventData";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    with_runs: bool,
    record: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let runs = if input.with_runs { Runs::Long } else { Runs::None };
    let record = runs.write_out(input.record, MAX_RECORD_BYTES);
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
        // Names of either casing are told apart before they are read, so only plain ones are turned.
        if let Some(rewritten) = escaped(&mut Vec::new(), members)
            && !(table == Table::AwsGuardDuty && members.iter().any(|(name, _)| name == "Id"))
        {
            let (other, other_facts) = map(table, rewritten.as_bytes()).expect("it is the same record");
            assert_eq!((*facts, comparable(row, *facts)), (other_facts, comparable(&other, other_facts)));
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

/// The same record with an escape in every name that may have a rule; none if there is none that can be so written.
fn escaped(path: &mut Vec<String>, members: &Members<'_>) -> Option<String> {
    let mut any = false;
    let texts: Vec<String> = members
        .iter()
        .map(|(name, value)| {
            path.push(name.clone().into_owned());
            let inner = is_nested(path).then(|| strict::members(value)).flatten();
            let inner = inner.and_then(|inner| escaped(path, &inner));
            path.pop();
            any |= inner.is_some();
            let quoted = serde_json::to_string(name).expect("text");
            let quoted = match name.chars().next() {
                Some(first) if first.is_ascii_alphanumeric() => {
                    any = true;
                    format!("\"\\u{:04x}{}", u32::from(first), &quoted[2..])
                }
                _ => quoted,
            };
            format!("{quoted}:{}", inner.as_deref().unwrap_or(value))
        })
        .collect();
    any.then(|| format!("{{{}}}", texts.join(",")))
}

fn is_nested(path: &[String]) -> bool {
    NESTED.contains(&&*path.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The row's columns by name: their order, and that of what has no column, is either reading's own.
fn comparable(row: &str, facts: RowFacts) -> BTreeMap<String, String> {
    let columns = strict::members(row).expect("a row is one JSON object");
    let mut columns: BTreeMap<_, _> =
        columns.into_iter().map(|(name, value)| (name.into_owned(), value.to_owned())).collect();
    if facts.values_truncated > 0 {
        // A text that is cut tells the order that it had.
        columns.remove(UNMAPPED_COLUMN);
    }
    if let Some(value) = columns.get_mut(UNMAPPED_COLUMN) {
        let text: String = serde_json::from_str(value).expect("text");
        if let Some(mut members) = strict::members(&text)
            && members.last().is_some_and(|(name, _)| name == "unmapped")
            && let Some((_, unmapped)) = members.pop()
        {
            *value = format!("{members:?} {}", sorted(&mut Vec::new(), unmapped));
        }
    }
    columns
}

fn sorted(path: &mut Vec<String>, text: &str) -> String {
    let Some(members) = strict::members(text) else { return text.to_owned() };
    let members: BTreeMap<_, _> = members
        .into_iter()
        .map(|(name, value)| {
            path.push(name.clone().into_owned());
            let value = if is_nested(path) { sorted(path, value) } else { value.to_owned() };
            path.pop();
            (name, value)
        })
        .collect();
    format!("{members:?}")
}
