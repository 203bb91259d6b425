//! `CloudTrail` files: one JSON object whose member `Records` is the array of records; other documents of that form too.
//!
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-examples.html>. Other members are
//! passed over wherever they stand. The inside of a record is not judged here.

use super::lines::is_named;
use super::value::ValueScanner;
use super::{Cursor, DecodeError, Flaw, Frame};

#[derive(Clone, Copy, Debug)]
enum State {
    BeforeDocument,
    /// In the document's object, where a name or the end may stand.
    BeforeName,
    InName(ValueScanner),
    AfterName,
    BeforeValue,
    InValue(ValueScanner),
    AfterValue,
    /// In the array of records, where a record or the end may stand.
    BeforeRecord,
    /// In a record; whether it did not stand whole in the window when it began.
    InRecord(ValueScanner, bool),
    /// An element of the array that is no object.
    InElement(ValueScanner),
    AfterRecord,
    AfterDocument,
}

/// Finds the records of a document.
#[derive(Debug)]
pub(super) struct Framer {
    /// The names of the member that holds the records.
    lists: &'static [&'static str],
    state: State,
    /// The name last read was one of those.
    at_records: bool,
    records_seen: bool,
    /// A comma has just been read, so that no end may follow.
    after_comma: bool,
}

impl Framer {
    pub(super) const fn new(lists: &'static [&'static str]) -> Self {
        Self {
            lists,
            state: State::BeforeDocument,
            at_records: false,
            records_seen: false,
            after_comma: false,
        }
    }

    /// The next record from the cursor on, unless it is taken at once.
    pub(super) fn next(
        &mut self,
        window: &[u8],
        cursor: &mut Cursor,
        ended: bool,
        mut take: impl FnMut(&[u8]) -> Option<usize>,
    ) -> Result<Frame, DecodeError> {
        loop {
            match &mut self.state {
                State::InName(scanner) => {
                    let Some(name) = cursor.end_of_unit(window, |bytes| scanner.end(bytes)) else {
                        return Self::starved(ended);
                    };
                    self.at_records = name.is_some_and(|name| is_named(&window[name], self.lists));
                    self.state = State::AfterName;
                }
                State::InValue(scanner) => {
                    let Some(end) = scanner.end(&window[cursor.at..]) else {
                        cursor.at = window.len();
                        return Self::starved(ended);
                    };
                    cursor.at += end;
                    self.state = State::AfterValue;
                }
                State::InRecord(scanner, was_cut) => {
                    let Some(record) = cursor.end_of_unit(window, |bytes| scanner.end(bytes)) else {
                        *was_cut = true;
                        return Self::starved(ended);
                    };
                    let was_cut = *was_cut;
                    self.state = State::AfterRecord;
                    return Ok(match record {
                        Some(record) if was_cut && take(&window[record.start..]).is_some() => Frame::Taken,
                        Some(record) => Frame::Record(record),
                        None => Frame::Flawed(Flaw::TooLong),
                    });
                }
                State::InElement(scanner) => {
                    let Some(end) = scanner.end(&window[cursor.at..]) else {
                        cursor.at = window.len();
                        return Self::starved(ended);
                    };
                    cursor.at += end;
                    self.state = State::AfterRecord;
                    return Ok(Frame::Flawed(Flaw::NotAnObject));
                }
                _ => {
                    let Some(byte) = cursor.next_token(window) else {
                        return match (self.state, ended) {
                            (State::AfterDocument, true) if self.records_seen => Ok(Frame::End),
                            (State::AfterDocument, true) => Err(DecodeError::NoRecords),
                            (State::BeforeDocument, true) => Ok(Frame::End),
                            _ => Self::starved(ended),
                        };
                    };
                    if let (State::BeforeRecord, b'{') = (self.state, byte)
                        && let Some(length) = take(&window[cursor.at..])
                    {
                        cursor.at += length;
                        self.after_comma = false;
                        self.state = State::AfterRecord;
                        return Ok(Frame::Taken);
                    }
                    self.step(byte, cursor)?;
                }
            }
        }
    }

    const fn starved(ended: bool) -> Result<Frame, DecodeError> {
        if ended { Err(DecodeError::CutOff) } else { Ok(Frame::Starved) }
    }

    /// Moves over one byte that stands between values, or into the value that it begins.
    fn step(&mut self, byte: u8, cursor: &mut Cursor) -> Result<(), DecodeError> {
        let after_comma = std::mem::take(&mut self.after_comma);
        self.state = match (self.state, byte) {
            (State::BeforeDocument, b'{') => State::BeforeName,
            // A byte order mark.
            (State::BeforeDocument, 0xef | 0xbb | 0xbf) => State::BeforeDocument,
            (State::BeforeName, b'"') => {
                cursor.begin_unit();
                self.state = State::InName(ValueScanner::new(byte));
                return Ok(());
            }
            (State::BeforeName | State::AfterValue, b'}') if !after_comma => State::AfterDocument,
            (State::AfterName, b':') => State::BeforeValue,
            (State::BeforeValue, b'[') if self.at_records => {
                self.records_seen = true;
                State::BeforeRecord
            }
            (State::BeforeValue, _) if self.at_records => return Err(DecodeError::RecordsNoArray),
            (State::BeforeValue, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                self.state = State::InValue(ValueScanner::new(byte));
                return Ok(());
            }
            (State::AfterValue, b',') => {
                self.after_comma = true;
                State::BeforeName
            }
            (State::BeforeRecord, b'{') => {
                cursor.begin_unit();
                self.state = State::InRecord(ValueScanner::new(byte), false);
                return Ok(());
            }
            (State::BeforeRecord | State::AfterRecord, b']') if !after_comma => State::AfterValue,
            (State::BeforeRecord, b'[' | b'"' | b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                self.state = State::InElement(ValueScanner::new(byte));
                return Ok(());
            }
            (State::AfterRecord, b',') => {
                self.after_comma = true;
                State::BeforeRecord
            }
            (State::AfterDocument, _) => return Err(DecodeError::BytesAfterDocument),
            (State::BeforeDocument, _) => return Err(DecodeError::NoDocument),
            _ => return Err(DecodeError::Syntax),
        };
        cursor.at += 1;
        Ok(())
    }
}
