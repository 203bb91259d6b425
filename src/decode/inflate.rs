//! Gzip or plain bytes in, plain bytes out, a bounded piece at a time.
//!
//! <https://www.rfc-editor.org/rfc/rfc1952>: several members are one document. What follows a member and is
//! no member is an error: AWS never writes it, and a reader that passed over it would hide an attack.

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use sha2::{Digest, Sha256};

use super::DecodeError;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The largest window of deflate, as zlib counts it.
const WINDOW_BITS: u8 = 15;

/// How far one step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inflated {
    /// Bytes were appended.
    Some,
    /// More input is needed.
    Starved,
    /// The input has ended, and ended well.
    End,
}

enum Mode {
    /// Too few bytes have been seen to tell.
    Unknown,
    Plain,
    Gzip(Decompress),
    /// A member has ended; another may follow.
    BetweenMembers,
}

/// Undoes gzip where its magic bytes stand first, and passes other bytes through.
pub(super) struct Inflater {
    mode: Mode,
    input: Bytes,
    input_ended: bool,
}

impl Inflater {
    pub(super) const fn new() -> Self {
        Self { mode: Mode::Unknown, input: Bytes::new(), input_ended: false }
    }

    /// Takes the next bytes as they were read, after those that are still unused.
    pub(super) fn push(&mut self, chunk: Bytes) {
        self.input = if self.input.is_empty() { chunk } else { [&self.input[..], &chunk].concat().into() };
    }

    /// Says that no more bytes will come.
    pub(super) const fn end_input(&mut self) {
        self.input_ended = true;
    }

    /// Appends to `output` what fits into its spare capacity.
    ///
    /// On an error, what came before the fault has been appended.
    pub(super) fn inflate(&mut self, output: &mut Vec<u8>) -> Result<Inflated, DecodeError> {
        loop {
            match &mut self.mode {
                Mode::Unknown | Mode::BetweenMembers => {
                    if self.input.is_empty() && self.input_ended {
                        return Ok(Inflated::End);
                    }
                    if self.input.len() < MAGIC.len() && !self.input_ended {
                        return Ok(Inflated::Starved);
                    }
                    self.mode = if self.input.starts_with(&MAGIC) {
                        Mode::Gzip(Decompress::new_gzip(WINDOW_BITS))
                    } else if matches!(self.mode, Mode::Unknown) {
                        Mode::Plain
                    } else {
                        return Err(DecodeError::BytesAfterGzip);
                    };
                }
                Mode::Plain => {
                    let count = self.input.len().min(output.capacity() - output.len());
                    output.extend_from_slice(&self.input[..count]);
                    self.input.advance(count);
                    return Ok(match (count, self.input_ended) {
                        (0, false) => Inflated::Starved,
                        (0, true) => Inflated::End,
                        _ => Inflated::Some,
                    });
                }
                Mode::Gzip(inflater) => {
                    let (read_before, written_before) = (inflater.total_in(), output.len());
                    let status = inflater
                        .decompress_vec(&self.input, output, FlushDecompress::None)
                        .map_err(|_| DecodeError::Gzip)?;
                    let read = usize::try_from(inflater.total_in() - read_before).unwrap_or(self.input.len());
                    self.input.advance(read);
                    if status == Status::StreamEnd {
                        self.mode = Mode::BetweenMembers;
                    }
                    if output.len() > written_before {
                        return Ok(Inflated::Some);
                    }
                    if status != Status::StreamEnd && self.input.is_empty() {
                        return if self.input_ended {
                            Err(DecodeError::GzipCutOff)
                        } else {
                            Ok(Inflated::Starved)
                        };
                    }
                    if status != Status::StreamEnd && read == 0 {
                        return Err(DecodeError::Gzip);
                    }
                }
            }
        }
    }
}

/// How much of a content is inflated at once while it is hashed.
const PIECE_BYTES: usize = 64 * 1024;

/// Computes the SHA-256 of an object's uncompressed content; nothing of it is kept.
pub struct ContentHash {
    inflater: Inflater,
    hash: Sha256,
    piece: Vec<u8>,
}

impl Default for ContentHash {
    fn default() -> Self {
        Self { inflater: Inflater::new(), hash: Sha256::new(), piece: Vec::with_capacity(PIECE_BYTES) }
    }
}

impl ContentHash {
    /// Takes the next bytes of the object.
    ///
    /// # Errors
    /// If they are no gzip stream, though it began as one.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), DecodeError> {
        self.inflater.push(chunk);
        self.drain()
    }

    /// The hash, once all bytes were taken.
    ///
    /// # Errors
    /// If the gzip stream is cut off, or followed by something else.
    pub fn end(mut self) -> Result<[u8; 32], DecodeError> {
        self.inflater.end_input();
        self.drain()?;
        Ok(self.hash.finalize().into())
    }

    fn drain(&mut self) -> Result<(), DecodeError> {
        loop {
            self.piece.clear();
            let inflated = self.inflater.inflate(&mut self.piece)?;
            self.hash.update(&self.piece);
            if inflated != Inflated::Some {
                return Ok(());
            }
        }
    }
}
