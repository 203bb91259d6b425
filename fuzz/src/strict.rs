//! JSON by the ordinary parser alone, so that what the package reads by its own means is checked by other means.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of an object in order, duplicates too, each with its value's text.
pub type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

struct Object<'a>(Members<'a>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// The members of the object that the text is; none if it is no object.
#[must_use]
pub fn members(text: &str) -> Option<Members<'_>> {
    serde_json::from_str(text).ok().map(|Object(members)| members)
}

/// The elements of a document's `Records`; none if it is no document with just one list of them.
#[must_use]
pub fn records(content: &[u8]) -> Option<Vec<&str>> {
    let mut lists = members(str::from_utf8(content).ok()?)?;
    lists.retain(|(name, _)| name == "Records");
    let [(_, list)] = lists[..] else { return None };
    let records: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    Some(records.into_iter().map(RawValue::get).collect())
}

/// The text without the blanks between its tokens.
#[must_use]
pub fn compact(text: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    text.chars()
        .filter(|char| {
            let blank = !in_string && matches!(char, ' ' | '\t' | '\n' | '\r');
            match char {
                _ if escaped => escaped = false,
                '\\' => escaped = in_string,
                '"' => in_string = !in_string,
                _ => {}
            }
            !blank
        })
        .collect()
}
