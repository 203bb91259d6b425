//! Makes text that .NET would refuse readable: bytes that are no UTF-8, raw control characters, halves of surrogates.
//!
//! Sentinel reads strictly (<https://www.rfc-editor.org/rfc/rfc8259#section-8>); what is wrong becomes U+FFFD, the rest
//! stays to the letter.

use std::borrow::Cow;
use std::fmt::Write;

/// The text as it is, unless its bytes show that it must be repaired; none if it would grow beyond so many bytes.
#[must_use]
pub fn readable(json: &[u8], most_bytes: usize) -> Option<Cow<'_, str>> {
    match std::str::from_utf8(json) {
        Ok(text) if !has_surrogates(json) => Some(Cow::Borrowed(text)),
        _ => repair(json, most_bytes).map(Cow::Owned),
    }
}

fn has_surrogates(json: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', json)
        .any(|place| matches!(json.get(place + 1..place + 3), Some(br"ud" | br"uD")))
}

/// The text with everything repaired that can be; none if it would grow beyond so many bytes.
#[must_use]
pub fn repair(json: &[u8], most_bytes: usize) -> Option<String> {
    let mut repaired = String::with_capacity(json.len());
    let mut in_string = false;
    for chunk in json.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(char) = rest.chars().next() {
            if repaired.len() > most_bytes {
                return None;
            }
            let mut length = char.len_utf8();
            match char {
                '"' => in_string = !in_string,
                '\\' if in_string => match surrogate(rest) {
                    Some(0xd800..=0xdbff)
                        if matches!(rest.get(6..).and_then(surrogate), Some(0xdc00..=0xdfff)) =>
                    {
                        length = 12;
                    }
                    Some(_) => {
                        repaired.push_str("\\ufffd");
                        rest = &rest[6..];
                        continue;
                    }
                    None => length += rest[1..].chars().next().map_or(0, char::len_utf8),
                },
                '\0'..='\x1f' if in_string => {
                    // Writing to a String can't fail.
                    let _ = write!(repaired, "\\u{:04x}", u32::from(char));
                    rest = &rest[length..];
                    continue;
                }
                _ => {}
            }
            repaired.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        if !chunk.invalid().is_empty() {
            repaired.push(char::REPLACEMENT_CHARACTER);
        }
    }
    (repaired.len() <= most_bytes).then_some(repaired)
}

/// The half of a surrogate pair whose escape the text begins with.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok().filter(|unit| (0xd800..=0xdfff).contains(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_replaced_and_the_rest_stays() {
        for (bytes, text) in [
            (&br#"{"a":"\ud83d\ude00 \u0041"}"#[..], r#"{"a":"\ud83d\ude00 \u0041"}"#),
            (br#"{"a":"\ud83d x \uDC00"}"#, r#"{"a":"\ufffd x \ufffd"}"#),
            (br#"{"a":"\\ud83d"}"#, r#"{"a":"\\ud83d"}"#),
            (b"{\"a\":\"x\ty\"\t}", "{\"a\":\"x\\u0009y\"\t}"),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
            (br#"{"a":"\ud83"#, r#"{"a":"\ud83"#),
            (b"{\"a\":\"\\", "{\"a\":\"\\"),
        ] {
            assert_eq!(repair(bytes, 100).as_deref(), Some(text));
        }
    }

    #[test]
    fn sound_text_is_not_copied() {
        assert!(matches!(readable("{\"a\":\"é \\u00e9\"}".as_bytes(), 0), Some(Cow::Borrowed(_))));
        assert_eq!(readable(br#""\ud83d""#, 100).as_deref(), Some(r#""\ufffd""#));
    }

    #[test]
    fn a_text_that_would_grow_beyond_its_bound_is_not_repaired() {
        for (bytes, repaired_bytes) in [(&b"\"\x01\x02\""[..], 14), (b"\"\xff\xff\xff\"", 11)] {
            assert_eq!(repair(bytes, repaired_bytes).map(|text| text.len()), Some(repaired_bytes));
            assert_eq!(repair(bytes, repaired_bytes - 1), None);
        }
    }
}
