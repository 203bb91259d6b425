//! Which format an object has: by AWS's key layout, and where the key says nothing by its first bytes.

use super::lines::{LISTS, is_named};
use super::value::ValueScanner;
use crate::table::Table;

/// A format that can be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A `CloudTrail` document, gzipped or plain.
    CloudTrail,
    /// `GuardDuty` findings as JSON lines.
    GuardDuty,
}

impl Format {
    /// The table that its records belong to.
    #[must_use]
    pub const fn table(self) -> Table {
        match self {
            Self::CloudTrail => Table::AwsCloudTrail,
            Self::GuardDuty => Table::AwsGuardDuty,
        }
    }
}

/// What a key tells of the object's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTells {
    /// It has this format.
    Format(Format),
    /// It belongs to a service or kind of file that is not forwarded.
    Other,
    /// Nothing: its bytes must be looked at.
    Nothing,
}

impl KeyTells {
    /// Reads a key: `…/AWSLogs/[o-…/]<account>/<service>/…` wherever it stands.
    #[must_use]
    pub fn of(key: &str) -> Self {
        let segments: Vec<&str> = key.split('/').collect();
        for (place, _) in segments.iter().enumerate().filter(|(_, segment)| **segment == "AWSLogs") {
            let mut rest = segments[place + 1..].iter().copied();
            let account = match rest.next() {
                Some(organization) if organization.starts_with("o-") => rest.next(),
                other => other,
            };
            let is_account =
                account.is_some_and(|text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()));
            // A service is a folder: something must follow it.
            if let (true, Some(service), Some(_)) = (is_account, rest.next(), rest.next()) {
                return match service {
                    "CloudTrail" | "CloudTrail-Insight" | "CloudTrail-NetworkActivity" => {
                        Self::Format(Format::CloudTrail)
                    }
                    "GuardDuty" => Self::Format(Format::GuardDuty),
                    _ => Self::Other,
                };
            }
        }
        Self::Nothing
    }
}

/// What the first object of a file shows so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// More bytes are needed.
    Undecided,
    /// This format.
    Format(Format),
    /// None of ours.
    None,
}

/// Reads the names of the first object's members until they tell the format, each byte once.
#[derive(Debug)]
pub(super) struct Sniffer {
    at: usize,
    place: Place,
    /// Where the name begins that is read or was read last.
    name_start: usize,
    name_end: usize,
    has_service: bool,
    has_resource: bool,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// Where an object must open.
    Object,
    /// Where a list's first object may open.
    List,
    BeforeName,
    InName(ValueScanner),
    AfterName,
    BeforeValue,
    InValue(ValueScanner),
    AfterValue,
}

impl Sniffer {
    pub(super) const fn new() -> Self {
        let place = Place::Object;
        Self { at: 0, place, name_start: 0, name_end: 0, has_service: false, has_resource: false }
    }

    /// Looks at what has come since; the bytes are all from the file's first on.
    pub(super) fn sniff(&mut self, bytes: &[u8]) -> Sniffed {
        loop {
            let rest = &bytes[self.at..];
            if let Place::InName(scanner) | Place::InValue(scanner) = &mut self.place {
                let Some(length) = scanner.end(rest) else {
                    self.at = bytes.len();
                    return Sniffed::Undecided;
                };
                self.at += length;
                if matches!(self.place, Place::InValue(_)) {
                    self.place = Place::AfterValue;
                    continue;
                }
                self.name_end = self.at;
                self.place = Place::AfterName;
                let is = |names: &[&str]| is_named(&bytes[self.name_start..self.name_end], names);
                self.has_service |= is(&["service", "Service"]);
                self.has_resource |= is(&["resource", "Resource"]);
                if self.has_service && self.has_resource {
                    return Sniffed::Format(Format::GuardDuty);
                }
                continue;
            }
            let blanks = rest.len() - rest.trim_ascii_start().len();
            self.at += blanks;
            let Some(&byte) = rest.get(blanks) else { return Sniffed::Undecided };
            let name = &bytes[self.name_start..self.name_end];
            self.place = match (self.place, byte) {
                // A byte order mark.
                (Place::Object, 0xef | 0xbb | 0xbf) => Place::Object,
                (Place::Object | Place::List, b'{') | (Place::AfterValue, b',') => Place::BeforeName,
                (Place::List, b']') => return Sniffed::Format(Format::GuardDuty),
                (Place::BeforeName, b'"') => {
                    self.name_start = self.at;
                    self.place = Place::InName(ValueScanner::new(byte));
                    continue;
                }
                (Place::AfterName, b':') => Place::BeforeValue,
                (Place::BeforeValue, b'[') if is_named(name, &["Records"]) => {
                    return Sniffed::Format(Format::CloudTrail);
                }
                (Place::BeforeValue, b'[') if is_named(name, &LISTS) => Place::List,
                (Place::BeforeValue, _) => {
                    self.place = Place::InValue(ValueScanner::new(byte));
                    continue;
                }
                _ => return Sniffed::None,
            };
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_layout_tells_the_format_wherever_it_stands() {
        let (trail, findings) = (KeyTells::Format(Format::CloudTrail), KeyTells::Format(Format::GuardDuty));
        for (key, tells) in [
            ("AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/x.json.gz", trail),
            ("a/b/AWSLogs/o-abc123/111122223333/CloudTrail/eu-west-1/x.json.gz", trail),
            ("AWSLogs/me/AWSLogs/111122223333/CloudTrail-Insight/us-east-1/x.json.gz", trail),
            ("AWSLogs/111122223333/CloudTrail-NetworkActivity/us-east-1/x.json.gz", trail),
            ("p/AWSLogs/111122223333/GuardDuty/us-east-1/2026/x.jsonl.gz", findings),
            ("AWSLogs/111122223333/CloudTrail-Digest/us-east-1/x.json.gz", KeyTells::Other),
            ("AWSLogs/111122223333/vpcflowlogs/us-east-1/x.log.gz", KeyTells::Other),
            ("AWSLogs/111122223333/CloudTrail", KeyTells::Nothing),
            ("AWSLogs/1111/CloudTrail/x", KeyTells::Nothing),
            ("CloudTrail/x.json", KeyTells::Nothing),
            ("", KeyTells::Nothing),
        ] {
            assert_eq!(KeyTells::of(key), tells, "{key}");
        }
    }

    #[test]
    fn the_first_object_tells_what_the_key_does_not_however_it_is_cut() {
        let (trail, findings) = (Sniffed::Format(Format::CloudTrail), Sniffed::Format(Format::GuardDuty));
        for (bytes, expected) in [
            (&br#"{"Records":[{"eventVers"#[..], trail),
            (br#"{"\u0052ecords":["#, trail),
            (b"\xef\xbb\xbf { \"x\" : {\"Records\":[1]} , \"Records\" : [", trail),
            (br#"{"schemaVersion":"2.0","resource":{},"service":{"a":1}}"#, findings),
            (br#"{"Id":"1","\u0053ervice":{},"Resource":{}}"#, findings),
            (br#"{"findings":[]}"#, findings),
            (b"{ \"Findings\" : [ {\"Service\":{},\"Resource\":", findings),
            (br#"{"Findings":[{"ProductArn":"a","Resources":[]}]}"#, Sniffed::None),
            (br#"{"findings":[1]}"#, Sniffed::None),
            (br#"{"Records":1}"#, Sniffed::None),
            (br#"{"x":{"Records":[]}}"#, Sniffed::None),
            (br#"{"a":"Records"}"#, Sniffed::None),
            (br#"{"a":"Records""#, Sniffed::Undecided),
            (b"2 111122223333 eni-1 accept", Sniffed::None),
            (b"[1]", Sniffed::None),
            (b"", Sniffed::Undecided),
        ] {
            for step in [1, 3, 1000] {
                let (mut sniffer, mut result) = (Sniffer::new(), Sniffed::Undecided);
                for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
                    if result == Sniffed::Undecided {
                        result = sniffer.sniff(&bytes[..end]);
                    }
                }
                assert_eq!(result, expected, "{} by {step}", String::from_utf8_lossy(bytes));
            }
        }
    }
}
