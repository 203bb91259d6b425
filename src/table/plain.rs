//! Plain record → row in one pass, straight from where it was decoded to where it is sent from.
//!
//! The members of a record are compared and copied in chunks, each byte is read once, and nothing is allocated. What is
//! not plain (names with escapes or that come twice, values that are cut, halves of surrogate pairs, anything broken,
//! the end of what can be seen) is left to `map`, which reads as the ordinary parser does; both make the same row.

use std::ops::Range;
use std::sync::LazyLock;

use jiff::Timestamp;
use memchr::memmem::Finder;

use super::map::{Member, Rule, stands_beside};
use super::row::{is_guid, usual_time};
use super::{EVENT_TIME, MAX_FIELD_BYTES, TIME_GENERATED};
use crate::json::{Copier, Cursor, string_stop};
use crate::record::RowFacts;

/// The longest name of a member or column, with what is put around it.
const MOST_NAME_BYTES: usize = 32;
/// What is put around one at most: `\"` before it and `\":{` behind it.
const MOST_AROUND_BYTES: usize = 6;
/// The most members without a rule that an object of a plain record has.
const MOST_OTHERS: usize = 8;

/// Stops the build unless all names of these rules have room with what is put around them.
pub(super) const fn check(members: &[Member]) {
    let mut at = 0;
    while at < members.len() {
        check_name(members[at].0);
        match members[at].1 {
            Rule::Text(column)
            | Rule::Json(column)
            | Rule::Searched(column)
            | Rule::Boolean(column)
            | Rule::Guid(column)
            | Rule::Time(column) => check_name(column),
            Rule::Nested(members) => check(members),
            Rule::EventTime | Rule::Kept | Rule::Dynamic(_) | Rule::Floor(_) | Rule::Long(_) => {}
        }
        at += 1;
    }
}

/// Stops the build unless a name has room.
pub(super) const fn check_name(name: &str) {
    assert!(name.len() + MOST_AROUND_BYTES <= MOST_NAME_BYTES, "a name is too long for a plain record");
}

const _: () = {
    check_name(TIME_GENERATED);
    check_name(EVENT_TIME);
};

/// The rules of an object, laid out for that.
pub(super) struct Plan(Vec<Planned>);

/// What is put around a name, and how much of it counts.
#[derive(Clone, Copy)]
pub(super) struct Head {
    bytes: [u8; MOST_NAME_BYTES],
    count: usize,
}

impl Head {
    /// What stands before a column's text: `,"Column":"`.
    pub(super) fn new(column: &str) -> Self {
        Self::of([",\"", column, "\":\""])
    }

    /// What begins an object under `unmapped`.
    fn opening(name: &str) -> Self {
        Self::of(["\\\"", name, "\\\":{"])
    }

    fn of(parts: [&str; 3]) -> Self {
        let text = parts.concat();
        let mut bytes = [0; MOST_NAME_BYTES];
        let count = text.len().min(MOST_NAME_BYTES);
        bytes[..count].copy_from_slice(&text.as_bytes()[..count]);
        Self { bytes, count }
    }
}

/// What tells that data may have a member of the name that is ours: the name, or an escape in any name.
static NAMED_UNMAPPED: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"\"unmapped\""), Finder::new(b"\\u00")]);
static EVENT_TIME_HEAD: LazyLock<Head> = LazyLock::new(|| Head::new(EVENT_TIME));

struct Planned {
    name: &'static str,
    /// The name and its closing quote.
    token: [u128; 2],
    token_mask: [u128; 2],
    head: Head,
    rule: Rule,
    nested: Option<(Head, Plan)>,
}

impl Plan {
    /// The plan of these rules.
    pub(super) fn new(members: &'static [Member]) -> Self {
        Self(members.iter().map(|(name, rule)| Planned::new(name, *rule)).collect())
    }

    /// The place of the member whose name stands there. Records name their members in one order, so the search begins
    /// where the last one ended.
    #[inline]
    fn find(&self, token: [u128; 2], hint: usize) -> Option<usize> {
        let (before, behind) = self.0.split_at_checked(hint)?;
        let place = behind.iter().position(|member| member.is_named(token)).map(|place| hint + place);
        place.or_else(|| before.iter().position(|member| member.is_named(token)))
    }
}

impl Planned {
    fn new(name: &'static str, rule: Rule) -> Self {
        let column = match rule {
            Rule::Text(column)
            | Rule::Json(column)
            | Rule::Searched(column)
            | Rule::Boolean(column)
            | Rule::Guid(column)
            | Rule::Time(column) => column,
            Rule::EventTime => TIME_GENERATED,
            _ => "",
        };
        let token = Head::of([name, "\"", ""]);
        let mask = std::array::from_fn(|place| if place < token.count { 0xff } else { 0 });
        let nested = match rule {
            Rule::Nested(members) => Some((Head::opening(name), Plan::new(members))),
            _ => None,
        };
        Self {
            name,
            token: words(&token.bytes),
            token_mask: words(&mask),
            head: Head::new(column),
            rule,
            nested,
        }
    }

    #[inline]
    fn is_named(&self, token: [u128; 2]) -> bool {
        let differences = |half: usize| (self.token[half] ^ token[half]) & self.token_mask[half];
        differences(0) | differences(1) == 0
    }
}

/// The bytes as they are compared.
#[inline]
fn words(bytes: &[u8; MOST_NAME_BYTES]) -> [u128; 2] {
    let (halves, _) = bytes.as_chunks::<16>();
    [u128::from_ne_bytes(halves[0]), u128::from_ne_bytes(halves[1])]
}

/// A row that was made of a plain record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainRow {
    /// How many bytes the record has.
    pub read: usize,
    /// How many bytes the row has.
    pub written: usize,
    /// What is known of it.
    pub facts: RowFacts,
}

/// One record on its way.
pub(super) struct Pass<'a> {
    pub(super) row: Copier<'a>,
    /// Members without a column, as `\"name\":value,` under their path: the inside of a JSON string.
    unmapped: Copier<'a>,
    unmapped_to: usize,
    facts: RowFacts,
    /// Where the value of [`Rule::EventTime`] stands, if there is one.
    event_time_at: usize,
    /// Where the value of [`Rule::Kept`] stands.
    pub(super) kept: Option<Range<usize>>,
    /// Where the value of [`Rule::Searched`] stands.
    pub(super) searched: Option<Range<usize>>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(from: &'a [u8], row: &'a mut [u8], unmapped: &'a mut [u8]) -> Self {
        Self {
            row: Copier { from, out: row },
            unmapped: Copier { from, out: unmapped },
            unmapped_to: 0,
            facts: RowFacts::default(),
            event_time_at: 0,
            kept: None,
            searched: None,
        }
    }

    /// Writes the columns of the members of the object that opens at the cursor.
    pub(super) fn object(&mut self, plan: &Plan, cursor: Cursor) -> Option<Cursor> {
        let Cursor { at, mut to } = cursor;
        let mut at = self.row.after(at, b'{')?;
        let (mut seen, mut hint) = (0_u32, 0);
        let mut others: [&[u8]; MOST_OTHERS] = [&[]; MOST_OTHERS];
        let mut others_seen = 0;
        if self.row.byte(at)? == b'}' {
            return Some(Cursor { at: at + 1, to });
        }
        loop {
            if self.row.byte(at)? != b'"' {
                return None;
            }
            if let Some(place) = plan.find(words(self.row.from.get(at + 1..)?.first_chunk()?), hint) {
                if seen & 1 << place != 0 {
                    return None;
                }
                seen |= 1 << place;
                hint = place + 1;
                let member = &plan.0[place];
                at = self.row.after(at + member.name.len() + 2, b':')?;
                Cursor { at, to } = self.member(member, Cursor { at, to })?;
            } else {
                let from = self.row.from;
                let end = string_stop(from, at + 1);
                let name = from.get(at + 1..end)?;
                if others[..others_seen].contains(&name) || self.row.byte(end)? != b'"' {
                    return None;
                }
                *others.get_mut(others_seen)? = name;
                others_seen += 1;
                at = self.leave(name, self.row.after(end + 1, b':')?)?;
            }
            at = self.row.blanks(at);
            match self.row.byte(at)? {
                b',' => at = self.row.blanks(at + 1),
                b'}' => return Some(Cursor { at: at + 1, to }),
                _ => return None,
            }
        }
    }

    #[inline]
    fn member(&mut self, member: &Planned, cursor: Cursor) -> Option<Cursor> {
        match member.rule {
            Rule::Text(_) | Rule::Json(_) => self.text(&member.head, cursor),
            Rule::Searched(_) => {
                let end = self.text(&member.head, cursor)?;
                self.searched = Some(cursor.at..end.at);
                Some(end)
            }
            Rule::Boolean(_) => {
                let chunk: &[u8; 8] = self.row.from.get(cursor.at..)?.first_chunk()?;
                let (read, value, bytes) = match chunk {
                    [b't', b'r', b'u', b'e', ..] => (4, *b"true\0", 4),
                    [b'f', b'a', b'l', b's', b'e', ..] => (5, *b"false", 5),
                    [b'"', b't', b'r', b'u', b'e', b'"', ..] => (6, *b"true\0", 4),
                    [b'"', b'f', b'a', b'l', b's', b'e', b'"', ..] => (7, *b"false", 5),
                    _ => return None,
                };
                let to = self.row.put(cursor.to, member.head.bytes, member.head.count - 1)?;
                Some(Cursor { at: cursor.at + read, to: self.row.put(to, value, bytes)? })
            }
            Rule::Guid(_) => {
                let value: &[u8; 38] = self.row.from.get(cursor.at..)?.first_chunk()?;
                if !is_guid(value) {
                    return None;
                }
                let to = self.row.put(cursor.to, member.head.bytes, member.head.count - 1)?;
                Some(Cursor { at: cursor.at + 38, to: self.row.put(to, *value, 38)? })
            }
            Rule::Time(_) | Rule::EventTime => {
                let value: &[u8; 22] = self.row.from.get(cursor.at..)?.first_chunk()?;
                let time = usual_time(value)?;
                if matches!(member.rule, Rule::EventTime) {
                    self.facts.event_time = Some(time);
                    self.event_time_at = cursor.at;
                }
                let to = self.row.put(cursor.to, member.head.bytes, member.head.count - 1)?;
                Some(Cursor { at: cursor.at + 22, to: self.row.put(to, *value, 22)? })
            }
            Rule::Kept => {
                // Copied to see where it ends; what stands there is written over.
                let end = self.row.value::<true>(cursor)?;
                if !is_empty(&self.row.from[cursor.at..end.at]) {
                    self.kept = Some(cursor.at..end.at);
                }
                Some(Cursor { at: end.at, to: cursor.to })
            }
            Rule::Nested(_) => {
                if self.row.byte(cursor.at)? != b'{' {
                    return None;
                }
                let (opening, plan) = member.nested.as_ref()?;
                let start = self.unmapped_to;
                let opened = self.unmapped.put(start, opening.bytes, opening.count)?;
                self.unmapped_to = opened;
                let end = self.object(plan, cursor)?;
                if self.unmapped_to == opened {
                    self.unmapped_to = start;
                } else {
                    self.unmapped_to -= 1;
                    self.put_unmapped(b"},")?;
                }
                Some(end)
            }
            Rule::Dynamic(_) | Rule::Floor(_) | Rule::Long(_) => None,
        }
    }

    /// Writes a column of text; a value that is no string as its compact JSON text.
    #[inline]
    pub(super) fn text(&mut self, head: &Head, cursor: Cursor) -> Option<Cursor> {
        let to = self.row.put(cursor.to, head.bytes, head.count)?;
        let end = match self.row.byte(cursor.at)? {
            b'"' => {
                let end = self.row.inside::<false>(Cursor { at: cursor.at + 1, to })?;
                Cursor { at: end.at + 1, ..end }
            }
            b'{' | b'[' => self.row.nested::<true>(Cursor { at: cursor.at, to })?,
            _ => self.row.scalar(Cursor { at: cursor.at, to })?,
        };
        let is_null = || self.row.from[cursor.at] == b'n';
        if end.to == to || is_null() {
            return Some(Cursor { at: end.at, to: cursor.to });
        }
        if end.to - to > MAX_FIELD_BYTES {
            return None;
        }
        Some(Cursor { at: end.at, to: self.row.put(end.to, *b"\"", 1)? })
    }

    fn put_unmapped(&mut self, bytes: &[u8]) -> Option<()> {
        self.unmapped_to = self.unmapped.put_all(self.unmapped_to, bytes)?;
        Some(())
    }

    /// Puts a member without a column under `unmapped`; one past it.
    fn leave(&mut self, name: &[u8], at: usize) -> Option<usize> {
        let start = self.unmapped_to;
        self.put_unmapped(b"\\\"")?;
        self.put_unmapped(name)?;
        self.put_unmapped(b"\\\":")?;
        let end = self.unmapped.value::<true>(Cursor { at, to: self.unmapped_to })?;
        let is_hollow = end.to - self.unmapped_to == 2 && matches!(self.row.from[at], b'{' | b'[');
        self.unmapped_to = end.to;
        self.put_unmapped(b",")?;
        if is_hollow || is_empty(&self.row.from[at..end.at]) {
            self.unmapped_to = start;
        }
        Some(end.at)
    }

    /// Writes what has no column into this one, with what was kept for it.
    pub(super) fn put_kept(&mut self, head: &Head, to: usize) -> Option<usize> {
        let kept = self.kept.clone();
        if self.unmapped_to == 0 {
            return match kept {
                Some(kept) => self.text(head, Cursor { at: kept.start, to }).map(|end| end.to),
                None => Some(to),
            };
        }
        self.facts.unmapped = true;
        let start = self.row.put(to, head.bytes, head.count)?;
        let to = match kept {
            // A member of the same name is renamed there.
            Some(kept)
                if NAMED_UNMAPPED.iter().any(|name| name.find(&self.row.from[kept.clone()]).is_some()) =>
            {
                return None;
            }
            Some(kept) if self.row.from[kept.start] == b'{' => {
                let end = self.row.value::<true>(Cursor { at: kept.start, to: start })?.to - 1;
                if end > start + 1 { self.row.put(end, *b",", 1)? } else { end }
            }
            Some(kept) => {
                let to = self.row.put_all(start, b"{\\\"value\\\":")?;
                let end = self.row.value::<true>(Cursor { at: kept.start, to })?.to;
                self.row.put(end, *b",", 1)?
            }
            None => self.row.put(start, *b"{", 1)?,
        };
        let to = self.row.put_all(to, b"\\\"unmapped\\\":{")?;
        // Without its last comma.
        let to = self.row.put_all(to, &self.unmapped.out[..self.unmapped_to - 1])?;
        let to = self.row.put_all(to, b"}}")?;
        if to - start > MAX_FIELD_BYTES {
            return None;
        }
        self.row.put(to, *b"\"", 1)
    }

    /// Ends the row, as [`super::map::Mapper::end`] does.
    pub(super) fn end(mut self, now: Timestamp, cursor: Cursor) -> Option<PlainRow> {
        let text = &self.row.from[..cursor.at];
        if !text.is_ascii() && std::str::from_utf8(text).is_err() {
            return None;
        }
        let mut to = cursor.to;
        match stands_beside(self.facts.event_time, now) {
            Some((EVENT_TIME, _)) => {
                to = self.text(&EVENT_TIME_HEAD, Cursor { at: self.event_time_at, to })?.to;
            }
            Some((column, time)) => {
                to = self.row.put_all(to, format!(",\"{column}\":\"{time}\"").as_bytes())?;
            }
            None => {}
        }
        to = self.row.put(to, *b"}", 1)?;
        // Every column begins with a comma, the first one too.
        *self.row.out.first_mut()? = b'{';
        Some(PlainRow { read: cursor.at, written: to, facts: self.facts })
    }
}

fn is_empty(value: &[u8]) -> bool {
    matches!(value, b"null" | b"\"\"")
}
