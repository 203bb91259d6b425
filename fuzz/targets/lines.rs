//! The decoder of JSON lines: every line stands for itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::decode::{Flaw, Format};
use sentinel_forwarder_fuzz::file::{End, File, Found};

/// Far under the longest record.
const MAX_JUDGED_BYTES: usize = 1 << 20;

fuzz_target!(|file: File<'_>| {
    let content = file.content();
    let outcome = file.decode(&content, Some(Format::GuardDuty));
    if content.len() <= MAX_JUDGED_BYTES && !content.starts_with(b"\x1f\x8b") {
        assert_eq!(
            outcome.found,
            content.split_inclusive(|byte| *byte == b'\n').filter_map(found).collect::<Vec<_>>()
        );
        assert_eq!(outcome.end, Ok(End::Whole));
    }
});

fn found(line: &[u8]) -> Option<Found> {
    let start = line.iter().position(|byte| !b" \t\r\n".contains(byte))?;
    let record = &line[start..];
    let words: Vec<u8> = record.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    match words.first() {
        _ if words == br#"{"findings":[]}"# => None,
        Some(b'{') => Some(Found::Record(record.to_vec())),
        _ => Some(Found::Flawed(Flaw::NotAnObject)),
    }
}
