//! JSON as text: its members, its compact form, its escapes; never a tree, never a float.
//!
//! <https://www.rfc-editor.org/rfc/rfc8259>. Nothing here recurses, so no depth of nesting can overflow the stack.

mod copy;
mod repair;
mod stop;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

pub(crate) use self::copy::{Copier, Cursor};
pub use self::repair::{readable, repair};
pub(crate) use self::stop::string_stop;

/// Writes a value of ours as JSON text.
pub(crate) fn text(value: &impl Serialize) -> String {
    // Only maps with keys that are no strings and failing Serialize impls make this an error: we have neither.
    serde_json::to_string(value).unwrap_or_default()
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// A member's name; borrowed unless it is written with escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a member's name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Calls `each` with the name and the text of every member of the object, in order, duplicates too.
///
/// # Errors
/// If the text is not one JSON object.
pub fn for_each_member<'a>(
    text: &'a str,
    each: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), serde_json::Error> {
    struct Members<F>(F);
    impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
        type Value = ();
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }
        fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<(), M::Error> {
            while let Some(Name(name)) = map.next_key()? {
                (self.0)(name, map.next_value::<&RawValue>()?.get());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Members(each))?;
    deserializer.end()
}

/// The members of an object that bear one of the names; of duplicates the last.
///
/// # Errors
/// If the text is not one JSON object.
pub fn pick<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], serde_json::Error> {
    let mut found = [None; N];
    for_each_member(text, |name, value| {
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            found[place] = Some(value);
        }
    })?;
    Ok(found)
}

/// Calls `each` with the text of every element of the array.
///
/// # Errors
/// If the text is not one JSON array.
pub fn for_each_element<'a>(text: &'a str, each: impl FnMut(&'a str)) -> Result<(), serde_json::Error> {
    struct Elements<F>(F);
    impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
        type Value = ();
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an array")
        }
        fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<(), S::Error> {
            while let Some(element) = seq.next_element::<&RawValue>()? {
                (self.0)(element.get());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Elements(each))?;
    deserializer.end()
}

/// The first element of the array, if the text is an array that has one.
#[must_use]
pub fn first_element(text: &str) -> Option<&str> {
    let mut first = None;
    for_each_element(text, |element| {
        first.get_or_insert(element);
    })
    .ok()?;
    first
}

/// The value of a JSON string; borrowed unless it has escapes. None if the text is no string.
#[must_use]
pub fn string(text: &str) -> Option<Cow<'_, str>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Name(value) = std::marker::PhantomData.deserialize(&mut deserializer).ok()?;
    Some(value)
}

/// Whether the value is null or the empty string: what is never sent.
#[must_use]
pub fn is_empty(text: &str) -> bool {
    matches!(text, "null" | "\"\"")
}

/// Whether the value is an object or array with nothing in it.
#[must_use]
pub fn is_hollow(text: &str) -> bool {
    let inside = |open, close| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    inside('{', '}').or_else(|| inside('[', ']')).is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Appends the text without the blanks between its tokens.
pub fn compact(text: &str, out: &mut Vec<u8>) {
    spans_of_compact(text, |span| out.extend_from_slice(span.as_bytes()));
}

/// Appends the compact text as the inside of a JSON string: quotes and backslashes escaped.
pub fn compact_escaped(text: &str, out: &mut Vec<u8>) {
    spans_of_compact(text, |span| escape(span, out));
}

/// Appends the text as the inside of a JSON string.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let (mut start, mut place) = (0, 0);
    loop {
        place = string_stop(bytes, place);
        match bytes.get(place) {
            None => break,
            Some(b'"' | b'\\') => {
                out.extend_from_slice(&bytes[start..place]);
                out.push(b'\\');
                start = place;
            }
            Some(_) => {}
        }
        place += 1;
    }
    out.extend_from_slice(&bytes[start..]);
}

/// Calls `each` with the stretches of a JSON text that lie between blanks outside of strings.
pub(crate) fn spans_of_compact<'a>(text: &'a str, mut each: impl FnMut(&'a str)) {
    let bytes = text.as_bytes();
    if memchr::memchr3(b' ', b'\n', b'\t', bytes).is_none() && memchr::memchr(b'\r', bytes).is_none() {
        return each(text);
    }
    let (mut start, mut place) = (0, 0);
    while place < bytes.len() {
        match bytes[place] {
            b'"' => place = end_of_string(bytes, place),
            b' ' | b'\t' | b'\n' | b'\r' => {
                if start < place {
                    each(&text[start..place]);
                }
                place += 1;
                start = place;
            }
            _ => place += 1,
        }
    }
    if start < bytes.len() {
        each(&text[start..]);
    }
}

/// One past the closing quote of the string that opens at `open`; the end of the bytes if it never closes.
#[must_use]
pub fn end_of_string(bytes: &[u8], open: usize) -> usize {
    let mut place = open + 1;
    loop {
        place = string_stop(bytes, place);
        match bytes.get(place) {
            None => return bytes.len(),
            Some(b'"') => return place + 1,
            Some(b'\\') => place += 2,
            Some(_) => place += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read_and_duplicates_end_with_the_last() {
        let text = r#"{"a\u0062":1,"ab": {"x" : 2} , "c":3}"#;
        assert_eq!(pick(text, ["ab", "c", "d"]).unwrap(), [Some(r#"{"x" : 2}"#), Some("3"), None]);
    }

    #[test]
    fn compact_keeps_strings_and_numbers_as_they_came() {
        let mut out = Vec::new();
        compact(" { \"a b\" : [ 1.50 , 12345678901234567890123 ] , \"q\\\" \" : \" x \" } ", &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a b":[1.50,12345678901234567890123],"q\" ":" x "}"#);
    }

    #[test]
    fn compact_escaped_reads_back_as_the_compact_text() {
        let text = r#"{ "path" : "C:\\x\u0041", "quote" : "\"" }"#;
        let (mut plain, mut escaped) = (Vec::new(), b"\"".to_vec());
        compact(text, &mut plain);
        compact_escaped(text, &mut escaped);
        escaped.push(b'"');
        let read: String = serde_json::from_slice(&escaped).unwrap();
        assert_eq!(read.as_bytes(), plain);
    }

    #[test]
    fn two_hundred_thousand_levels_are_read_without_recursion() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
        let [value] = pick(&deep, ["a"]).unwrap();
        assert_eq!(value.unwrap().len(), 400_001);
    }

    #[test]
    fn what_follows_the_object_is_an_error() {
        assert!(pick("{} x", ["a"]).is_err());
        assert!(pick("[]", ["a"]).is_err());
    }
}
