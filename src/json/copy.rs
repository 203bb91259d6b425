//! Copies JSON in one pass: every byte is checked on the way, blanks between tokens are left out.
//!
//! <https://www.rfc-editor.org/rfc/rfc8259>. Bytes go over in chunks, so that up to a chunk of what comes next may be
//! copied too; what counts ends where the cursor says. Whatever is not plain (the end of what can be seen, too little
//! room, more than 64 levels, halves of surrogate pairs, anything broken) gives none, and the ordinary parser decides.

use super::stop::{CHUNK_BYTES, stops};

/// How many levels of nesting are followed here: one bit of a word each.
const MOST_LEVELS: u32 = u64::BITS;

/// How far reading and writing have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The next byte that is read.
    pub(crate) at: usize,
    /// Where the next byte is written.
    pub(crate) to: usize,
}

/// Text and the room that it is copied to.
pub(crate) struct Copier<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) out: &'a mut [u8],
}

impl Copier<'_> {
    /// The byte at the cursor.
    #[inline]
    pub(crate) fn byte(&self, at: usize) -> Option<u8> {
        self.from.get(at).copied()
    }

    /// The place, from `at` on, of the next byte that is no blank.
    #[inline]
    pub(crate) fn blanks(&self, mut at: usize) -> usize {
        while matches!(self.from.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        at
    }

    /// Behind this byte and the blanks around it, if it comes next.
    #[inline]
    pub(crate) fn after(&self, at: usize, byte: u8) -> Option<usize> {
        let at = self.blanks(at);
        (self.byte(at)? == byte).then(|| self.blanks(at + 1))
    }

    /// Writes bytes of which the first `count` are meant.
    #[inline]
    pub(crate) fn put<const N: usize>(&mut self, to: usize, bytes: [u8; N], count: usize) -> Option<usize> {
        *self.out.get_mut(to..)?.first_chunk_mut()? = bytes;
        Some(to + count)
    }

    /// Writes bytes.
    #[inline]
    pub(crate) fn put_all(&mut self, to: usize, bytes: &[u8]) -> Option<usize> {
        let end = to + bytes.len();
        self.out.get_mut(to..end)?.copy_from_slice(bytes);
        Some(end)
    }

    /// Copies the inside of a string, up to its closing quote; that quote stands behind the copy. Escaped: as the
    /// inside of a string that is itself inside a string.
    #[inline]
    pub(crate) fn inside<const ESCAPED: bool>(&mut self, mut cursor: Cursor) -> Option<Cursor> {
        loop {
            let chunk: [u8; CHUNK_BYTES] = *self.from.get(cursor.at..)?.first_chunk()?;
            self.put(cursor.to, chunk, 0)?;
            let stops = stops(chunk);
            if stops == 0 {
                cursor = Cursor { at: cursor.at + CHUNK_BYTES, to: cursor.to + CHUNK_BYTES };
                continue;
            }
            let step = stops.trailing_zeros() as usize % CHUNK_BYTES;
            cursor = Cursor { at: cursor.at + step, to: cursor.to + step };
            match chunk[step] {
                b'"' => return Some(cursor),
                b'\\' => cursor = self.escape::<ESCAPED>(cursor)?,
                _ => return None,
            }
        }
    }

    #[inline]
    fn escape<const ESCAPED: bool>(&mut self, cursor: Cursor) -> Option<Cursor> {
        let Cursor { at, to } = cursor;
        let escaped = self.byte(at + 1)?;
        match escaped {
            b'"' | b'\\' if ESCAPED => {
                Some(Cursor { at: at + 2, to: self.put(to, [b'\\', b'\\', b'\\', escaped], 4)? })
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                Some(Cursor { at: at + 2, to: self.put_escape::<ESCAPED>(to, escaped)? })
            }
            b'u' => {
                let digits: [u8; 4] = *self.from.get(at + 2..)?.first_chunk()?;
                let is_surrogate =
                    matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                if is_surrogate || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                let to = self.put_escape::<ESCAPED>(to, escaped)?;
                Some(Cursor { at: at + 6, to: self.put(to, digits, 4)? })
            }
            _ => None,
        }
    }

    #[inline]
    fn put_escape<const ESCAPED: bool>(&mut self, to: usize, escaped: u8) -> Option<usize> {
        if ESCAPED { self.put(to, [b'\\', b'\\', escaped], 3) } else { self.put(to, [b'\\', escaped], 2) }
    }

    /// Copies a string, quotes and all.
    #[inline]
    fn string<const ESCAPED: bool>(&mut self, cursor: Cursor) -> Option<Cursor> {
        let to = self.quote::<ESCAPED>(cursor.to)?;
        let end = self.inside::<ESCAPED>(Cursor { at: cursor.at + 1, to })?;
        Some(Cursor { at: end.at + 1, to: self.quote::<ESCAPED>(end.to)? })
    }

    #[inline]
    fn quote<const ESCAPED: bool>(&mut self, to: usize) -> Option<usize> {
        if ESCAPED { self.put(to, *b"\\\"", 2) } else { self.put(to, *b"\"", 1) }
    }

    /// Copies any value. Escaped: as the inside of a string.
    #[inline]
    pub(crate) fn value<const ESCAPED: bool>(&mut self, cursor: Cursor) -> Option<Cursor> {
        match self.byte(cursor.at)? {
            b'"' => self.string::<ESCAPED>(cursor),
            b'{' | b'[' => self.nested::<ESCAPED>(cursor),
            _ => self.scalar(cursor),
        }
    }

    /// Copies a number or a word.
    #[inline]
    pub(crate) fn scalar(&mut self, cursor: Cursor) -> Option<Cursor> {
        let Cursor { at, to } = cursor;
        let chunk: [u8; 8] = *self.from.get(at..)?.first_chunk()?;
        let count = match chunk {
            [b't', b'r', b'u', b'e', ..] | [b'n', b'u', b'l', b'l', ..] => 4,
            [b'f', b'a', b'l', b's', b'e', ..] => 5,
            [b'-' | b'0'..=b'9', ..] => return self.number(cursor),
            _ => return None,
        };
        Some(Cursor { at: at + count, to: self.put(to, chunk, count)? })
    }

    fn number(&mut self, cursor: Cursor) -> Option<Cursor> {
        let end = self.end_of_number(cursor.at)?;
        let number = self.from.get(cursor.at..end)?;
        Some(Cursor { at: end, to: self.put_all(cursor.to, number)? })
    }

    fn end_of_number(&self, mut at: usize) -> Option<usize> {
        let digits = |mut at: usize| {
            let start = at;
            while self.from.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            (at > start).then_some(at)
        };
        if self.byte(at)? == b'-' {
            at += 1;
        }
        at = if self.byte(at)? == b'0' { at + 1 } else { digits(at)? };
        if self.byte(at)? == b'.' {
            at = digits(at + 1)?;
        }
        if matches!(self.byte(at)?, b'e' | b'E') {
            at += 1;
            if matches!(self.byte(at)?, b'+' | b'-') {
                at += 1;
            }
            at = digits(at)?;
        }
        // What can't be seen may be one more digit.
        self.byte(at).map(|_| at)
    }

    /// Copies the object or array that opens here.
    pub(crate) fn nested<const ESCAPED: bool>(&mut self, mut cursor: Cursor) -> Option<Cursor> {
        // The lowest bit stands for the innermost level: set for an object.
        let (mut levels, mut depth) = (0_u64, 0);
        loop {
            match self.byte(cursor.at)? {
                open @ (b'{' | b'[') => {
                    if depth == MOST_LEVELS {
                        return None;
                    }
                    depth += 1;
                    levels = levels << 1 | u64::from(open == b'{');
                    cursor.to = self.put(cursor.to, [open], 1)?;
                    cursor.at = self.blanks(cursor.at + 1);
                    match self.byte(cursor.at)? {
                        b'}' | b']' => {}
                        _ if levels & 1 == 0 => continue,
                        _ => {
                            cursor = self.name::<ESCAPED>(cursor)?;
                            continue;
                        }
                    }
                }
                b'"' => cursor = self.string::<ESCAPED>(cursor)?,
                _ => cursor = self.scalar(cursor)?,
            }
            loop {
                cursor.at = self.blanks(cursor.at);
                let byte = self.byte(cursor.at)?;
                cursor = Cursor { at: cursor.at + 1, to: self.put(cursor.to, [byte], 1)? };
                match (byte, levels & 1) {
                    (b',', level) => {
                        cursor.at = self.blanks(cursor.at);
                        if level == 1 {
                            cursor = self.name::<ESCAPED>(cursor)?;
                        }
                        break;
                    }
                    (b'}', 1) | (b']', 0) => {
                        depth -= 1;
                        levels >>= 1;
                        if depth == 0 {
                            return Some(cursor);
                        }
                    }
                    _ => return None,
                }
            }
        }
    }

    /// Copies a member's name and its colon.
    #[inline]
    fn name<const ESCAPED: bool>(&mut self, cursor: Cursor) -> Option<Cursor> {
        if self.byte(cursor.at)? != b'"' {
            return None;
        }
        let end = self.string::<ESCAPED>(cursor)?;
        Some(Cursor { at: self.after(end.at, b':')?, to: self.put(end.to, [b':'], 1)? })
    }
}
