//! Files whose key tells no format: once one is recognised, the file is read as that format is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_forwarder_fuzz::file::{End, File};
use sentinel_forwarder_fuzz::strict;

/// Less than what tells a file's format.
const MAX_JUDGED_BYTES: usize = 60_000;

fuzz_target!(|file: File<'_>| {
    let content = file.content();
    let outcome = file.decode(&content, None);
    if let Some(format) = outcome.recognised {
        let known = file.decode(&content, Some(format));
        assert_eq!((outcome.found, outcome.end), (known.found, known.end));
    } else {
        assert!(outcome.found.is_empty() && outcome.end != Ok(End::Whole));
        // Names with escapes tell nothing: nobody writes them.
        let plain = content.len() <= MAX_JUDGED_BYTES && !content.contains(&b'\\');
        assert!(!plain || strict::records(&content).is_none());
    }
});
