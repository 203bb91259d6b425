//! Walks JSON text at speed: where strings, values and members end, with everything checked on the way.
//!
//! <https://www.rfc-editor.org/rfc/rfc8259>. What this won't take (names written with escapes, more than 64 levels,
//! anything broken) is left to the ordinary parser, which decides.

/// How many levels of nesting are followed here: one bit of a word each.
const MOST_LEVELS: u32 = u64::BITS;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The place, from `at` on, of the next byte that ends or interrupts a string: a quote, a backslash, a control
/// character; the length if there is none.
///
/// Eight bytes at a time (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>): a wrong hit can only
/// stand behind a right one, and the first counts.
#[inline]
pub(crate) fn string_stop(bytes: &[u8], mut at: usize) -> usize {
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let stops = (quotes | backslashes | controls) & HIGHS;
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

/// Walks the object that begins at `at`: `each` gets a member's name and the place of its value, and says where the
/// value ends. One past the object; none if it is not taken here, or `each` says so.
#[inline]
pub(crate) fn object<'a>(
    text: &'a str,
    at: usize,
    mut each: impl FnMut(&'a str, usize) -> Option<usize>,
) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = after(bytes, at, b'{')?;
    if bytes.get(at) != Some(&b'}') {
        loop {
            let (name_end, value) = name_and_colon(bytes, at)?;
            // Quotes are ASCII, so these are borders of characters.
            let value_end = each(text.get(at + 1..name_end)?, value)?;
            at = blanks(bytes, value_end);
            if bytes.get(at) != Some(&b',') {
                break;
            }
            at = blanks(bytes, at + 1);
        }
    }
    (bytes.get(at) == Some(&b'}')).then_some(at + 1)
}

/// Walks a text that is one object and nothing else.
#[inline]
pub(crate) fn whole_object<'a>(
    text: &'a str,
    each: impl FnMut(&'a str, usize) -> Option<usize>,
) -> Option<()> {
    let end = object(text, blanks(text.as_bytes(), 0), each)?;
    (blanks(text.as_bytes(), end) == text.len()).then_some(())
}

/// Calls `each` with the name and the text of every member of the object, in order, duplicates too; none if the text
/// is not taken here. Then `each` may have been called for some of them.
pub(super) fn members<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<()> {
    whole_object(text, |name, at| {
        let value = value(text, at)?;
        each(name, value);
        Some(at + value.len())
    })
}

/// The value that begins at `at`.
#[inline]
pub(crate) fn value(text: &str, at: usize) -> Option<&str> {
    text.get(at..skip_value(text.as_bytes(), at)?)
}

/// One past this byte and the blanks that follow, if it stands here.
#[inline]
fn after(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    (bytes.get(at) == Some(&byte)).then(|| blanks(bytes, at + 1))
}

/// The place, from `at` on, of the next byte that is no blank.
#[inline]
fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The end of the name whose quote opens here, and the place of its value; none if the name has escapes.
#[inline]
fn name_and_colon(bytes: &[u8], open: usize) -> Option<(usize, usize)> {
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let end = string_stop(bytes, open + 1);
    Some((end, after(bytes, after(bytes, end, b'"')?, b':')?))
}

/// One past the value that begins here.
#[inline]
fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => skip_string(bytes, at),
        b'{' | b'[' => skip_nested(bytes, at),
        _ => skip_scalar(bytes, at),
    }
}

#[inline]
fn skip_string(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at = string_stop(bytes, at);
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = skip_escape(bytes, at)?,
            _ => return None,
        }
    }
}

fn skip_escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 6),
        _ => None,
    }
}

fn skip_scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    match rest.first()? {
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        _ => skip_number(bytes, at),
    }
}

fn skip_number(bytes: &[u8], mut at: usize) -> Option<usize> {
    let digits = |mut at: usize| {
        let start = at;
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        (at > start).then_some(at)
    };
    if bytes[at] == b'-' {
        at += 1;
    }
    at = if bytes.get(at) == Some(&b'0') { at + 1 } else { digits(at)? };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        at = digits(at)?;
    }
    Some(at)
}

/// One past the object or array that opens here.
fn skip_nested(bytes: &[u8], open: usize) -> Option<usize> {
    // The lowest bit stands for the innermost level: set for an object.
    let (mut levels, mut depth) = (0_u64, 0);
    let mut at = open;
    loop {
        match bytes.get(at)? {
            open @ (b'{' | b'[') => {
                if depth == MOST_LEVELS {
                    return None;
                }
                depth += 1;
                levels = levels << 1 | u64::from(*open == b'{');
                at = blanks(bytes, at + 1);
                match bytes.get(at)? {
                    b'}' | b']' => {}
                    _ if levels & 1 == 0 => continue,
                    _ => {
                        at = name_and_colon_of_any(bytes, at)?;
                        continue;
                    }
                }
            }
            b'"' => at = skip_string(bytes, at)?,
            _ => at = skip_scalar(bytes, at)?,
        }
        loop {
            at = blanks(bytes, at);
            match (bytes.get(at)?, levels & 1) {
                (b',', 0) => {
                    at = blanks(bytes, at + 1);
                    break;
                }
                (b',', _) => {
                    at = name_and_colon_of_any(bytes, blanks(bytes, at + 1))?;
                    break;
                }
                (b'}', 1) | (b']', 0) => {
                    at += 1;
                    depth -= 1;
                    levels >>= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => return None,
            }
        }
    }
}

/// The place of the value whose name's quote opens here; the name may have escapes.
#[inline]
fn name_and_colon_of_any(bytes: &[u8], open: usize) -> Option<usize> {
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    after(bytes, blanks(bytes, skip_string(bytes, open)?), b':')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_string_stops_at_the_first_byte_that_interrupts_it() {
        for (stop, byte) in [b'"', b'\\', 0, b'\n', 0x1f]
            .into_iter()
            .enumerate()
            .flat_map(|(shift, byte)| (0..40).map(move |place| (place + shift, byte)))
        {
            let mut bytes = "aé\u{7f}\u{ff}!#[]~x".repeat(8).into_bytes();
            bytes.truncate(60);
            assert_eq!(string_stop(&bytes, 0), 60);
            bytes[stop] = byte;
            bytes[stop + 2] = b'"';
            assert_eq!(
                (0..=stop).map(|at| string_stop(&bytes, at)).collect::<Vec<_>>(),
                vec![stop; stop + 1]
            );
        }
    }

    /// JSON, and what looks like it.
    fn texts() -> impl Strategy<Value = String> {
        let token = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\\"",
            "\\u12aF",
            "\\ud8",
            " ",
            "\n",
            "a",
            "é",
            "\"a\"",
            "\"b\":",
            "{\"a\":1}",
            "[1,2]",
            "true",
            "false",
            "null",
            "nul",
            "-0",
            "01",
            "1.5e-3",
            "1.",
            "-",
            "\u{1}",
            "{}",
            "[]",
            "/",
        ]);
        let nonsense =
            prop::collection::vec(token.clone(), 0..12).prop_map(|tokens| format!("{{{}}}", tokens.concat()));
        let sound = prop::collection::vec(("[a-c]{0,2}", values()), 0..5)
            .prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(name, value)| format!("\"{name}\" :{value}")).collect();
                format!(" {{{} }}\n", members.join(" , "))
            })
            .boxed();
        // A sound text with one piece put in somewhere is where a sloppy reader shows.
        let spoilt =
            (sound.clone(), token, any::<prop::sample::Index>()).prop_map(|(mut text, token, place)| {
                text.insert_str(text.floor_char_boundary(place.index(text.len())), token);
                text
            });
        prop_oneof![nonsense, sound, spoilt]
    }

    fn values() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            prop::sample::select(vec!["true", "false", "null", "{ }", "[\t]"]).prop_map(str::to_owned),
            any::<String>().prop_map(|text| crate::json::text(&text)),
        ];
        leaf.prop_recursive(4, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| format!("[{}]", values.join(" , "))),
                prop::collection::vec(inner, 0..4).prop_map(|values| {
                    let members: Vec<_> = values.iter().map(|value| format!("\"n\\n\":{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_taken_is_read_as_the_ordinary_parser_reads_it(text in texts()) {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let taken = members(&text, |name, value| ours.push((name.to_owned(), value))).is_some();
            let sound = crate::json::parse_members(&text, |name, value| theirs.push((name.into_owned(), value))).is_ok();
            if taken {
                prop_assert!(sound);
                prop_assert_eq!(&ours, &theirs);
            } else if sound {
                prop_assert!(text.contains('\\'), "left to the ordinary parser without need");
            }
        }
    }

    #[test]
    fn deep_nesting_is_left_to_the_ordinary_parser() {
        let deep = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(members(&deep(64), |_, _| ()).is_some());
        assert!(members(&deep(65), |_, _| ()).is_none());
    }
}
