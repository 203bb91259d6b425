//! Record → row by a table of rules: which member goes to which column, and what becomes of the rest.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::row::{RowWriter, is_guid, time_of};
use super::{ColumnKind, EVENT_TIME, MapError, TIME_GENERATED, Table};
use crate::json;
use crate::record::RowFacts;

/// Older than this, and the service replaces `TimeGenerated` by the time of receipt
/// (<https://learn.microsoft.com/azure/azure-monitor/reference/tables/awscloudtrail>, column `TimeGenerated`;
/// two days by the Logs Ingestion API's overview). Minutes less: a row is read some time before it is received.
const OLDEST: SignedDuration = SignedDuration::from_mins(2 * 24 * 60 - 10);
/// Further ahead than this, likewise.
const NEWEST: SignedDuration = SignedDuration::from_hours(24);

/// What a member becomes.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    /// Text.
    Text(&'static str),
    /// Compact JSON text.
    Json(&'static str),
    /// The same, and kept to be searched.
    Searched(&'static str),
    /// A JSON value.
    Dynamic(&'static str),
    /// A boolean, also from its text.
    Boolean(&'static str),
    /// Text that is a guid, else unmapped.
    Guid(&'static str),
    /// A time, else unmapped.
    Time(&'static str),
    /// `TimeGenerated`.
    EventTime,
    /// A number, rounded down to a whole one.
    Floor(&'static str),
    /// A whole number, else unmapped.
    Long(&'static str),
    /// Not written in its turn, but kept for later.
    Kept,
    /// An object whose members have rules of their own.
    Nested(&'static [Member]),
}

/// A member's name and what it becomes.
pub(super) type Member = (&'static str, Rule);

/// Stops the build unless the table has every column that the rules name, and each takes what its rule makes.
pub(super) const fn check(table: Table, members: &[Member]) {
    assert!(members.len() <= MOST_MEMBERS, "one table of rules names too many members");
    let mut at = 0;
    while at < members.len() {
        match members[at].1 {
            Rule::Text(name) | Rule::Json(name) | Rule::Searched(name) => check_text(table, name),
            Rule::Dynamic(name) => assert!(matches!(table.kind_of(name), Some(ColumnKind::Dynamic))),
            Rule::Boolean(name) => assert!(matches!(table.kind_of(name), Some(ColumnKind::Boolean))),
            Rule::Guid(name) => assert!(matches!(table.kind_of(name), Some(ColumnKind::Guid))),
            Rule::Time(name) => assert!(matches!(table.kind_of(name), Some(ColumnKind::Datetime))),
            Rule::EventTime => assert!(matches!(table.kind_of(TIME_GENERATED), Some(ColumnKind::Datetime))),
            Rule::Floor(name) => assert!(matches!(table.kind_of(name), Some(ColumnKind::Int))),
            Rule::Long(name) => assert!(matches!(table.kind_of(name), Some(ColumnKind::Long))),
            Rule::Kept => {}
            Rule::Nested(members) => check(table, members),
        }
        at += 1;
    }
}

/// Stops the build unless the table has this column, and it takes text.
pub(super) const fn check_text(table: Table, name: &str) {
    assert!(matches!(table.kind_of(name), Some(ColumnKind::String)), "no such column, or it takes no text");
}

/// The member that holds what has no column.
const UNMAPPED: &str = "unmapped";

/// The most members that one table of rules names: one bit of a word each.
const MOST_MEMBERS: usize = 32;

/// The most members that an object with rules may have: `CloudTrail` and `GuardDuty` write some dozens. What stands in a
/// column is not counted.
pub(super) const MAX_MEMBERS: usize = 4096;

/// Maps one record.
pub(super) struct Mapper<'r, 'o> {
    pub(super) row: RowWriter<'o>,
    pub(super) facts: RowFacts,
    /// The members without a column, as `"name":value,` under their path.
    pub(super) unmapped: Vec<u8>,
    /// The member whose rule says that it is kept.
    pub(super) kept: Option<&'r str>,
    /// The member whose rule says that it is searched.
    pub(super) searched: Option<&'r str>,
    /// Whether any member has a rule.
    is_known: bool,
}

impl<'r, 'o> Mapper<'r, 'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self {
            row: RowWriter::new(out),
            facts: RowFacts::default(),
            unmapped: Vec::new(),
            kept: None,
            searched: None,
            is_known: false,
        }
    }

    /// Writes the columns of an object's members, in their order; of duplicates the last counts, in the first's place.
    pub(super) fn object(&mut self, members: &'static [Member], text: &'r str) -> Result<(), MapError> {
        let (mut found, mut places) = (Vec::new(), HashMap::new());
        let mut is_over = false;
        json::for_each_member(text, |name, value| match places.entry(name) {
            Entry::Occupied(place) => {
                let (_, found): &mut (Cow<'r, str>, &'r str) = &mut found[*place.get()];
                *found = value;
            }
            Entry::Vacant(_) if found.len() == MAX_MEMBERS => is_over = true,
            Entry::Vacant(place) => {
                found.push((place.key().clone(), value));
                place.insert(found.len() - 1);
            }
        })?;
        if is_over {
            return Err(MapError::TooManyMembers);
        }
        for (name, value) in found.into_iter().filter(|(_, value)| !json::is_empty(value)) {
            match members.iter().find(|(known, _)| *known == name) {
                Some((name, rule)) => self.member(name, *rule, value)?,
                None => self.leave(&name, value),
            }
        }
        Ok(())
    }

    fn member(&mut self, name: &'static str, rule: Rule, value: &'r str) -> Result<(), MapError> {
        self.is_known = true;
        match rule {
            Rule::Text(column) => self.row.text(column, value),
            Rule::Json(column) => self.row.json_text(column, value),
            Rule::Searched(column) => {
                self.searched = Some(value);
                self.row.json_text(column, value);
            }
            Rule::Dynamic(column) => self.row.dynamic(column, value),
            Rule::Boolean(column) => match value {
                "true" | "\"true\"" => self.row.literal(column, "true"),
                "false" | "\"false\"" => self.row.literal(column, "false"),
                _ => self.leave(name, value),
            },
            Rule::Guid(column) if value.as_bytes().as_array().is_some_and(is_guid) => {
                self.row.literal(column, value);
            }
            Rule::Guid(_) => self.leave(name, value),
            Rule::Time(column) => match time_of(value) {
                Some((_, text)) => self.row.plain(column, &text),
                None => self.leave(name, value),
            },
            Rule::EventTime => match time_of(value) {
                Some((time, text)) => {
                    self.facts.event_time = Some(time);
                    self.row.plain(TIME_GENERATED, &text);
                }
                None => self.leave(name, value),
            },
            Rule::Floor(column) => match floor(value) {
                Some(number) => self.row.literal(column, &number.to_string()),
                None => self.leave(name, value),
            },
            Rule::Long(column) => match value.parse::<i64>() {
                Ok(_) => self.row.literal(column, value),
                Err(_) => self.leave(name, value),
            },
            Rule::Kept => self.kept = Some(value),
            Rule::Nested(members) => {
                let opened = self.open_unmapped(name);
                match self.object(members, value) {
                    Ok(()) => self.close_unmapped(opened),
                    Err(MapError::TooManyMembers) => return Err(MapError::TooManyMembers),
                    Err(_) => {
                        self.unmapped.truncate(opened.start);
                        self.leave(name, value);
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins the object under `unmapped` for what a nested object leaves.
    fn open_unmapped(&mut self, name: &str) -> Range<usize> {
        let start = self.unmapped.len();
        for part in ["\"", name, "\":{"] {
            self.unmapped.extend_from_slice(part.as_bytes());
        }
        start..self.unmapped.len()
    }

    /// Ends it, or takes it back if nothing was left.
    fn close_unmapped(&mut self, opened: Range<usize>) {
        if self.unmapped.len() == opened.end {
            self.unmapped.truncate(opened.start);
        } else {
            self.unmapped.pop();
            self.unmapped.extend_from_slice(b"},");
        }
    }

    /// Puts a member without a column under `unmapped`, unless it holds nothing.
    fn leave(&mut self, name: &str, value: &str) {
        if json::is_hollow(value) {
            return;
        }
        self.unmapped.extend_from_slice(json::text(&name).as_bytes());
        self.unmapped.push(b':');
        json::compact(value, &mut self.unmapped);
        self.unmapped.push(b',');
    }

    /// The member that was kept, with what has no column under `unmapped`; none if there is neither.
    ///
    /// A member of that name that stands there already is renamed: it gets more underscores than any other has.
    ///
    /// # Errors
    /// If nothing of the record is known.
    pub(super) fn kept_with_unmapped(&mut self) -> Result<Option<Cow<'r, str>>, MapError> {
        if !self.is_known {
            return Err(MapError::NothingKnown);
        }
        if self.unmapped.pop().is_none() {
            return Ok(self.kept.map(Cow::Borrowed));
        }
        self.facts.unmapped = true;
        let mut text = Vec::with_capacity(self.unmapped.len() + 64);
        match self.kept {
            Some(object) if object.starts_with('{') => {
                let underscores = |name: &str| {
                    let rest = name.strip_prefix(UNMAPPED)?;
                    rest.bytes().all(|byte| byte == b'_').then_some(rest.len())
                };
                let (mut is_taken, mut most) = (false, 0);
                json::for_each_member(object, |name, _| {
                    let count = underscores(&name);
                    is_taken |= count == Some(0);
                    most = most.max(count.unwrap_or(0));
                })?;
                text.push(b'{');
                json::for_each_member(object, |name, value| {
                    let rename = is_taken && name == UNMAPPED;
                    let name = if rename { format!("{name}{}", "_".repeat(most + 1)).into() } else { name };
                    text.extend_from_slice(json::text(&name).as_bytes());
                    text.push(b':');
                    json::compact(value, &mut text);
                    text.push(b',');
                })?;
            }
            Some(value) => {
                text.extend_from_slice(b"{\"value\":");
                json::compact(value, &mut text);
                text.push(b',');
            }
            None => text.push(b'{'),
        }
        text.extend_from_slice(b"\"unmapped\":{");
        text.append(&mut self.unmapped);
        text.extend_from_slice(b"}}");
        Ok(Some(String::from_utf8(text).map_err(|_| MapError::Invalid)?.into()))
    }

    /// Ends the row: the time of reading where the record has none, the true time where the service would replace it.
    pub(super) fn end(mut self, now: Timestamp) -> RowFacts {
        if let Some((column, time)) = stands_beside(self.facts.event_time, now) {
            self.row.time(column, time);
        }
        self.facts.values_truncated = self.row.end();
        self.facts
    }
}

/// The time that is written besides the record's own: that of reading where it has none, its own once more where the
/// service would replace it.
pub(super) fn stands_beside(time: Option<Timestamp>, now: Timestamp) -> Option<(&'static str, Timestamp)> {
    match time {
        None => Some((TIME_GENERATED, now)),
        Some(time) if now.duration_since(time) > OLDEST || time.duration_since(now) > NEWEST => {
            Some((EVENT_TIME, time))
        }
        Some(_) => None,
    }
}

/// A JSON number, or text of one, rounded down, if it fits a column of type int. No float is made of it.
fn floor(value: &str) -> Option<i32> {
    let text = value.trim_matches('"');
    let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits.clone().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let before_point = i64::try_from(whole.len()).ok()?.checked_add(exponent.parse().ok()?)?;
    let mut number = 0_i64;
    // Zeros before the point add nothing but length; after ten other digits the number fits no int.
    for _ in 0..before_point {
        match digits.next() {
            Some(digit) => number = number * 10 + i64::from(digit - b'0'),
            None if number == 0 => break,
            None => number *= 10,
        }
        if number > 1 << 32 {
            return None;
        }
    }
    let has_fraction = digits.any(|digit| digit != b'0');
    i32::try_from(if is_negative { -number - i64::from(has_fraction) } else { number }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_rounded_down_by_its_digits() {
        for (text, whole) in [
            ("6.9999999999999999", Some(6)),
            ("\"6.9\"", Some(6)),
            ("8", Some(8)),
            ("0.99e1", Some(9)),
            ("123E-2", Some(1)),
            ("5e-1", Some(0)),
            ("2e3", Some(2000)),
            ("0e999999999", Some(0)),
            ("-0.5", Some(-1)),
            ("-2.0", Some(-2)),
            ("2147483647.9", Some(i32::MAX)),
            ("2147483648", None),
            ("1e999999999", None),
            ("high", None),
            ("\"\"", None),
            ("[6]", None),
            ("1e", None),
            ("true", None),
        ] {
            assert_eq!(floor(text), whole, "{text}");
        }
    }
}
