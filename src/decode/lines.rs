//! JSON lines: one value a line, as `GuardDuty` exports its findings.
//!
//! <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_exportfindings.html>. A broken line is that line's fault
//! alone; blank lines are no records. A document that holds a list of findings, as the API answers, stands for each of
//! them, on one line or on many; `GuardDuty` itself writes an empty one to try an export.

use super::value::ValueScanner;
use super::{BYTE_ORDER_MARK, Cursor, DecodeError, Flaw, Frame, cloudtrail};
use crate::json;

/// The members that hold a list of findings: of the S3 export, and of what the API's clients print.
pub(super) const LISTS: [&str; 2] = ["findings", "Findings"];
/// So many bytes tell whether a document begins with such a list.
const LIST_HEAD_BYTES: usize = 4096;

/// Finds the lines of a file.
#[derive(Debug)]
pub(super) enum Framer {
    /// Where a line or a document may begin.
    Start,
    InLine,
    InList(cloudtrail::Framer),
    /// Behind the fault of a document, up to the next line.
    InRest,
}

impl Framer {
    /// The next finding from the cursor on.
    pub(super) fn next(
        &mut self,
        window: &[u8],
        cursor: &mut Cursor,
        ended: bool,
    ) -> Result<Frame, DecodeError> {
        loop {
            match self {
                Self::Start => {
                    let Some(byte) = cursor.next_token(window) else {
                        return Ok(if ended { Frame::End } else { Frame::Starved });
                    };
                    let rest = &window[cursor.at..];
                    if rest.starts_with(BYTE_ORDER_MARK) {
                        cursor.at += BYTE_ORDER_MARK.len();
                        continue;
                    }
                    let is_list = match byte {
                        _ if BYTE_ORDER_MARK.starts_with(rest) => None,
                        b'{' => begins_list(rest),
                        _ => Some(false),
                    };
                    match is_list {
                        None if !ended => return Ok(Frame::Starved),
                        Some(true) => *self = Self::InList(cloudtrail::Framer::new(&LISTS)),
                        _ => {
                            cursor.begin_unit();
                            *self = Self::InLine;
                        }
                    }
                }
                Self::InLine => {
                    let line = cursor.end_of_unit(window, |bytes| end_of_line(bytes, ended));
                    let frame = match line {
                        None => return Ok(Frame::Starved),
                        Some(None) => Frame::Flawed(Flaw::TooLong),
                        Some(Some(line)) if window[line.start] != b'{' => Frame::Flawed(Flaw::NotAnObject),
                        Some(Some(line)) => Frame::Record(line),
                    };
                    *self = Self::Start;
                    return Ok(frame);
                }
                Self::InList(list) => match list.next(window, cursor, ended, |_| None) {
                    Err(DecodeError::BytesAfterDocument) => *self = Self::Start,
                    Err(_) => {
                        *self = Self::InRest;
                        return Ok(Frame::Flawed(Flaw::NotAnObject));
                    }
                    frame => return frame,
                },
                Self::InRest => {
                    cursor.end_unit();
                    let rest = &window[cursor.at..];
                    let end = end_of_line(rest, ended);
                    cursor.at += end.unwrap_or(rest.len());
                    if end.is_none() {
                        return Ok(Frame::Starved);
                    }
                    *self = Self::Start;
                }
            }
        }
    }
}

fn end_of_line(bytes: &[u8], ended: bool) -> Option<usize> {
    memchr::memchr(b'\n', bytes).map(|place| place + 1).or_else(|| ended.then_some(bytes.len()))
}

/// Whether the first member of the object is a list of findings; none if that can't be seen yet.
fn begins_list(object: &[u8]) -> Option<bool> {
    let unseen = if object.len() < LIST_HEAD_BYTES { None } else { Some(false) };
    let name = object[1..].trim_ascii_start();
    match name.first() {
        None => return unseen,
        Some(b'"') => {}
        Some(_) => return Some(false),
    }
    let Some(end) = ValueScanner::new(b'"').end(name) else { return unseen };
    if !is_named(&name[..end], &LISTS) {
        return Some(false);
    }
    let mut tokens = name[end..].iter().filter(|byte| !byte.is_ascii_whitespace());
    match (tokens.next(), tokens.next()) {
        (None | Some(b':'), None) => unseen,
        tokens => Some(tokens == (Some(&b':'), Some(&b'['))),
    }
}

/// Whether a member's name, as it is written, is one of these.
pub(super) fn is_named(name: &[u8], names: &[&str]) -> bool {
    let name = std::str::from_utf8(name).ok().and_then(json::string);
    name.is_some_and(|name| names.contains(&&*name))
}
