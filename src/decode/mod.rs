//! Bytes of a log file → its records, one at a time, in a window that does not grow with the file.
//!
//! One file a format: `cloudtrail`, `lines` (`GuardDuty`). Bytes are pushed as they are read; records come out as soon
//! as they are whole. Nothing here knows where the bytes come from.

mod cloudtrail;
mod format;
mod inflate;
mod lines;
mod value;

use std::ops::Range;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::format::{Format, KeyTells};
use self::format::{Sniffed, Sniffer};
pub use self::inflate::ContentHash;
use self::inflate::{Inflated, Inflater};
use crate::record::Record;

/// The window's usual size: several inflated blocks, small beside the smallest function.
const WINDOW_BYTES: usize = 256 * 1024;
/// The longest record that is looked at; the window grows up to this for one. `CloudTrail` limits its events to 256 KB
/// (<https://docs.aws.amazon.com/awscloudtrail/latest/userguide/WhatIsCloudTrail-Limits.html>).
pub const MAX_RECORD_BYTES: usize = 4 * 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a file can't be read on; the records before that were whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The gzip stream is damaged, or its checksum is wrong.
    #[error("the gzip stream is damaged")]
    Gzip,
    /// The gzip stream ends too early.
    #[error("the gzip stream is cut off")]
    GzipCutOff,
    /// Something that is no gzip member follows one.
    #[error("bytes follow the end of the gzip stream")]
    BytesAfterGzip,
    /// The file does not begin with a JSON object.
    #[error("the file is no CloudTrail document: it does not begin with a JSON object")]
    NoDocument,
    /// The JSON between records is broken.
    #[error("the JSON between records is broken")]
    Syntax,
    /// The JSON ends too early.
    #[error("the JSON is cut off")]
    CutOff,
    /// The document has no member `Records`.
    #[error("the document has no member \"Records\"")]
    NoRecords,
    /// The member `Records` is no array.
    #[error("the member \"Records\" is no array")]
    RecordsNoArray,
    /// Something follows the document's end.
    #[error("bytes follow the end of the JSON document")]
    BytesAfterDocument,
}

/// Why one record is passed over; those after it are not touched by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Flaw {
    /// It is no JSON object.
    #[error("the record is no JSON object")]
    NotAnObject,
    /// It is longer than [`MAX_RECORD_BYTES`].
    #[error("the record is longer than {MAX_RECORD_BYTES} bytes")]
    TooLong,
}

/// What comes next out of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A record.
    Record(Record<'a>),
    /// A record that was taken where it stood.
    Taken,
    /// A record that can't be used.
    Flawed {
        /// Its place in the file.
        index: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The first bytes show this format; said once, before any record, and only where no format was given.
    Recognised(Format),
    /// No record is whole yet: more bytes are needed.
    Starved,
    /// The file has ended, and ended well.
    End,
    /// The file has none of our formats.
    Unclaimed,
}

/// What a framer finds in the window.
enum Frame {
    Record(Range<usize>),
    Taken,
    Flawed(Flaw),
    Starved,
    End,
}

/// The place in the window, and where what must be kept of it begins.
#[derive(Debug, Default)]
struct Cursor {
    at: usize,
    unit: Unit,
}

/// The record or name that is being read.
#[derive(Clone, Copy, Debug, Default)]
enum Unit {
    #[default]
    None,
    Since(usize),
    /// Its bytes were too many and have been let go.
    TooLong,
}

impl Cursor {
    const fn begin_unit(&mut self) {
        self.unit = Unit::Since(self.at);
    }

    /// Lets go of what was kept of the unit.
    const fn end_unit(&mut self) {
        self.unit = Unit::None;
    }

    /// The next byte that is no blank; the cursor stands on it.
    fn next_token(&mut self, window: &[u8]) -> Option<u8> {
        let rest = &window[self.at..];
        let blanks = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blanks.unwrap_or(rest.len());
        window.get(self.at).copied()
    }

    /// Moves to the unit's end, if `find_end` finds it; its range, or none if it was too long.
    #[expect(clippy::option_option, reason = "not ended yet, and ended but too long, are two things")]
    fn end_of_unit(
        &mut self,
        window: &[u8],
        find_end: impl FnOnce(&[u8]) -> Option<usize>,
    ) -> Option<Option<Range<usize>>> {
        let Some(end) = find_end(&window[self.at..]) else {
            self.at = window.len();
            return None;
        };
        self.at += end;
        Some(match std::mem::take(&mut self.unit) {
            Unit::Since(start) => Some(start..self.at),
            Unit::None | Unit::TooLong => None,
        })
    }

    /// How many bytes at the window's start are no longer needed.
    const fn spent(&self) -> usize {
        match self.unit {
            Unit::Since(start) => start,
            Unit::None | Unit::TooLong => self.at,
        }
    }
}

enum Framer {
    CloudTrail(cloudtrail::Framer),
    Lines(lines::Framer),
    /// Not known yet.
    Sniffing(Sniffer),
}

impl Framer {
    const fn new(format: Option<Format>) -> Self {
        match format {
            Some(Format::CloudTrail) => Self::CloudTrail(cloudtrail::Framer::new(&["Records"])),
            Some(Format::GuardDuty) => Self::Lines(lines::Framer::Start),
            None => Self::Sniffing(Sniffer::new()),
        }
    }
}

/// Decodes one file.
pub struct Decoder {
    inflater: Inflater,
    window: Vec<u8>,
    cursor: Cursor,
    framer: Framer,
    next_index: u64,
    bytes_inflated: u64,
    ended: bool,
    /// Found while inflating; told once the records before it have come out.
    error: Option<DecodeError>,
    hash: Option<Sha256>,
}

impl Decoder {
    /// A decoder for a file of this format, or of whichever its first bytes show.
    #[must_use]
    pub fn new(format: Option<Format>) -> Self {
        Self {
            inflater: Inflater::new(),
            window: Vec::with_capacity(WINDOW_BYTES),
            cursor: Cursor::default(),
            framer: Framer::new(format),
            next_index: 0,
            bytes_inflated: 0,
            ended: false,
            error: None,
            hash: None,
        }
    }

    /// Computes the SHA-256 of the inflated bytes on the way.
    #[must_use]
    pub fn hashing(self) -> Self {
        Self { hash: Some(Sha256::new()), ..self }
    }

    /// The SHA-256 of the whole content in hexadecimal digits, once it has ended well, if it was asked for.
    #[must_use]
    pub fn sha256(self) -> Option<String> {
        self.hash
            .filter(|_| self.ended && self.error.is_none())
            .map(|hash| crate::json::hex(&hash.finalize()))
    }

    /// The index of the record that comes next: after an error, of the first that did not come out.
    #[must_use]
    pub const fn next_index(&self) -> u64 {
        self.next_index
    }

    /// How many bytes the file had so far when inflated.
    #[must_use]
    pub const fn bytes_inflated(&self) -> u64 {
        self.bytes_inflated
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, chunk: Bytes) {
        self.inflater.push(chunk);
    }

    /// Says that the file has no more bytes.
    pub const fn end_input(&mut self) {
        self.inflater.end_input();
    }

    /// What comes next.
    ///
    /// # Errors
    /// If the file can't be read on.
    #[expect(
        clippy::should_implement_trait,
        reason = "a record borrows from the decoder; an Iterator can't lend"
    )]
    pub fn next(&mut self) -> Result<Step<'_>, DecodeError> {
        self.next_or_taken(|_, _| None)
    }

    /// What comes next. A record of a document is first offered where it stands, by its index and with all that is
    /// decoded of what follows it; who takes it says how long it is, and spares it from being framed.
    ///
    /// # Errors
    /// If the file can't be read on.
    pub fn next_or_taken(
        &mut self,
        mut take: impl FnMut(u64, &[u8]) -> Option<usize>,
    ) -> Result<Step<'_>, DecodeError> {
        loop {
            let index = self.next_index;
            let frame = match &mut self.framer {
                Framer::CloudTrail(framer) => {
                    framer.next(&self.window, &mut self.cursor, self.ended, |text| take(index, text))?
                }
                Framer::Lines(framer) => framer.next(&self.window, &mut self.cursor, self.ended)?,
                Framer::Sniffing(sniffer) => {
                    let format = match sniffer.sniff(&self.window) {
                        Sniffed::Undecided if self.window.len() >= MAX_RECORD_BYTES || self.ended => None,
                        Sniffed::Undecided => {
                            if let Some(error) = self.error {
                                return Err(error);
                            }
                            if self.refill() {
                                continue;
                            }
                            return Ok(Step::Starved);
                        }
                        Sniffed::Format(format) => Some(format),
                        Sniffed::None => None,
                    };
                    self.framer = Framer::new(format);
                    return Ok(format.map_or(Step::Unclaimed, Step::Recognised));
                }
            };
            match frame {
                Frame::Record(range) => {
                    let index = self.count_record();
                    return Ok(Step::Record(Record { index, json: &self.window[range] }));
                }
                Frame::Taken => {
                    self.count_record();
                    return Ok(Step::Taken);
                }
                Frame::Flawed(flaw) => return Ok(Step::Flawed { index: self.count_record(), flaw }),
                Frame::End => return Ok(Step::End),
                Frame::Starved => {
                    if let Some(error) = self.error {
                        return Err(error);
                    }
                    if !self.refill() {
                        return Ok(Step::Starved);
                    }
                }
            }
        }
    }

    const fn count_record(&mut self) -> u64 {
        self.next_index += 1;
        self.next_index - 1
    }

    /// Makes room in the window and inflates into it; false if that needs more input.
    fn refill(&mut self) -> bool {
        let spent = self.cursor.spent();
        self.window.drain(..spent);
        self.cursor.at -= spent;
        if let Unit::Since(start) = &mut self.cursor.unit {
            *start -= spent;
            if self.window.len() >= MAX_RECORD_BYTES {
                self.cursor = Cursor { at: 0, unit: Unit::TooLong };
                self.window = Vec::with_capacity(WINDOW_BYTES);
            }
        }
        if self.window.len() == self.window.capacity() {
            self.window.reserve_exact(self.window.len());
        } else if self.window.capacity() > WINDOW_BYTES && self.window.len() < WINDOW_BYTES / 2 {
            self.window.shrink_to(WINDOW_BYTES);
        }
        let before = self.window.len();
        let inflated = self.inflater.inflate(&mut self.window);
        self.bytes_inflated += (self.window.len() - before) as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&self.window[before..]);
        }
        match inflated {
            Ok(Inflated::Some) => {}
            Ok(Inflated::Starved) => return false,
            Ok(Inflated::End) => self.ended = true,
            Err(error) => self.error = Some(error),
        }
        true
    }
}

#[cfg(test)]
mod tests;
