//! JSON lines: one value a line, as `GuardDuty` exports its findings.
//!
//! <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_exportfindings.html>. A broken line is that line's fault
//! alone; blank lines and the empty list that `GuardDuty` writes to try an export are no records.

use super::{Cursor, DecodeError, Flaw, Frame};

/// Finds the lines of a file.
#[derive(Debug)]
pub(super) struct Framer;

impl Framer {
    /// The next line from the cursor on.
    #[expect(clippy::unused_self, reason = "the framers of all formats are called alike")]
    pub(super) fn next(&self, window: &[u8], cursor: &mut Cursor, ended: bool) -> Result<Frame, DecodeError> {
        loop {
            if !cursor.in_unit() {
                if cursor.next_token(window).is_none() {
                    return Ok(if ended { Frame::End } else { Frame::Starved });
                }
                cursor.begin_unit();
            }
            let line = cursor.end_of_unit(window, |bytes| {
                memchr::memchr(b'\n', bytes).map(|place| place + 1).or_else(|| ended.then_some(bytes.len()))
            });
            return Ok(match line {
                None => Frame::Starved,
                Some(None) => Frame::Flawed(Flaw::TooLong),
                Some(Some(line)) if is_empty_list(&window[line.clone()]) => continue,
                Some(Some(line)) if window[line.start] != b'{' => Frame::Flawed(Flaw::NotAnObject),
                Some(Some(line)) => Frame::Record(line),
            });
        }
    }
}

fn is_empty_list(line: &[u8]) -> bool {
    const EMPTY_LIST: &[u8] = br#"{"findings":[]}"#;
    line.iter().filter(|byte| !byte.is_ascii_whitespace()).take(EMPTY_LIST.len() + 1).eq(EMPTY_LIST)
}
