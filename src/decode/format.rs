//! Which format an object has: by AWS's key layout, and where the key says nothing by its first bytes.

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

/// The format that the first bytes of a decoded file show, if it is one of ours.
#[must_use]
pub(super) fn sniff(bytes: &[u8]) -> Option<Format> {
    let mut names = Names::of(bytes)?;
    let (mut service, mut resource) = (false, false);
    names.find_map(|name| {
        match name {
            b"\"Records\"" => return Some(Format::CloudTrail),
            b"\"findings\"" => return Some(Format::GuardDuty),
            b"\"service\"" | b"\"Service\"" => service = true,
            b"\"resource\"" | b"\"Resource\"" => resource = true,
            _ => {}
        }
        (service && resource).then_some(Format::GuardDuty)
    })
}

/// The names of the first object's members, with their quotes, as far as they are there whole.
struct Names<'a> {
    rest: &'a [u8],
}

impl<'a> Names<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
        bytes.strip_prefix(b"{").map(|rest| Self { rest })
    }

    fn value(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.trim_ascii_start();
        let end = ValueScanner::new(*rest.first()?).end(rest)?;
        self.rest = rest[end..].trim_ascii_start();
        Some(&rest[..end])
    }
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if let Some(rest) = self.rest.strip_prefix(b":") {
            self.rest = rest;
            self.value()?;
            self.rest = self.rest.strip_prefix(b",")?;
        }
        self.value().filter(|name| name.starts_with(b"\""))
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
    fn the_first_bytes_tell_what_the_key_does_not() {
        for (bytes, format) in [
            (&br#"{"Records":[{"eventVers"#[..], Some(Format::CloudTrail)),
            (b"\xef\xbb\xbf { \"x\" : {\"Records\":1} , \"Records\" : [", Some(Format::CloudTrail)),
            (br#"{"schemaVersion":"2.0","resource":{},"service":{"a":1}}"#, Some(Format::GuardDuty)),
            (br#"{"findings":[]}"#, Some(Format::GuardDuty)),
            (br#"{"x":{"Records":[]}}"#, None),
            (br#"{"a":"Records"}"#, None),
            (b"2 111122223333 eni-1 accept", None),
            (b"[1]", None),
            (b"", None),
        ] {
            assert_eq!(sniff(bytes), format, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
