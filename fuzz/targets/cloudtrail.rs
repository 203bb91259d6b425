//! The decoder of `CloudTrail` documents: every element of `Records` comes out, in order.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::decode::{Flaw, Format};
use sentinel_forwarder_fuzz::file::{End, File, Found};
use sentinel_forwarder_fuzz::strict;

/// Far under the longest record.
const MAX_JUDGED_BYTES: usize = 1 << 20;

fuzz_target!(|file: File<'_>| {
    let content = file.content();
    let outcome = file.decode(&content, Some(Format::CloudTrail));
    if content.len() <= MAX_JUDGED_BYTES
        && let Some(records) = strict::records(&content)
    {
        let found = records.into_iter().map(|record| {
            if record.starts_with('{') {
                Found::Record(record.into())
            } else {
                Found::Flawed(Flaw::NotAnObject)
            }
        });
        assert_eq!(outcome.found, found.collect::<Vec<_>>());
        assert_eq!(outcome.end, Ok(End::Whole));
    }
});
