//! A log file as a decoder may meet it: packed, damaged, cut into chunks of any size.
//!
//! The input is a header that says so, then the content; a header of zeros is the content as it is.

use std::cell::RefCell;
use std::io::Write as _;

use arbitrary::Arbitrary;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use peak_alloc::PeakAlloc;
use sentinel_forwarder::decode::{DecodeError, Decoder, Flaw, Format, MAX_RECORD_BYTES, Step};
use sentinel_forwarder::table::PlainMapper;
use sha2::{Digest as _, Sha256};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// What decoding may take besides the chunks: the longest record, half of it more while the window grows to that,
/// and what inflating needs.
const MAX_MEMORY_BYTES: usize = 2 * MAX_RECORD_BYTES;
/// The most bytes that runs are written out to: two of the longest, which no bounded memory holds.
const MAX_CONTENT_BYTES: usize = 2 * MAX_RECORD_BYTES + 65_536;

/// Room for the rows of most records.
const MAX_ROW_BYTES: usize = 1 << 17;

/// A log file.
#[derive(Arbitrary, Debug)]
pub struct File<'a> {
    packing: Packing,
    runs: Runs,
    /// The sizes of the chunks, over and over.
    chunks: [u16; 4],
    content: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Packing {
    Plain,
    Gzip,
    Members { first: u16 },
    CutOff { at: u16 },
    Damaged { at: u16, bit: u8 },
    Followed { by: [u8; 3] },
}

/// How long a run is written for a zero byte and the one after it: what is longer than the fuzzer's inputs.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Runs {
    /// Zero bytes stand for themselves.
    None,
    /// Longer than a field, and than what tells a file's format.
    Long,
    /// Longer than a record.
    TooLong,
}

/// What came out of a file.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// The records.
    pub found: Vec<Found>,
    /// How it ended.
    pub end: Result<End, DecodeError>,
    /// The format that was told.
    pub recognised: Option<Format>,
    next_index: u64,
    /// The length and the hash of a content that was read to its end.
    read: Option<(u64, String)>,
}

/// A record, or what was wrong with it.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// A record.
    Record(Vec<u8>),
    /// No record.
    Flawed(Flaw),
}

/// How a file ends well.
#[derive(Debug, PartialEq)]
pub enum End {
    /// As a file of its format.
    Whole,
    /// As none of ours.
    Unclaimed,
}

impl Runs {
    /// The content with its runs written out, as far as that makes no more than `limit` bytes.
    #[must_use]
    pub fn write_out(self, content: &[u8], limit: usize) -> Vec<u8> {
        let length = match self {
            Self::None => return content.to_vec(),
            Self::Long => 70_000,
            Self::TooLong => MAX_RECORD_BYTES + 1,
        };
        let mut written = Vec::with_capacity(content.len());
        let mut bytes = content.iter();
        while let Some(byte) = bytes.next() {
            match (byte, bytes.as_slice().first()) {
                (0, Some(&repeated)) if written.len() + length <= limit => {
                    bytes.next();
                    written.resize(written.len() + length, repeated);
                }
                _ => written.push(*byte),
            }
        }
        written
    }
}

impl File<'_> {
    /// The content with its runs written out.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        self.runs.write_out(self.content, MAX_CONTENT_BYTES)
    }

    /// Decodes the file and its content, and checks what holds for all formats: nothing depends on how the bytes are
    /// cut or packed, or on whether plain records are taken where they stand; records are counted from 0, memory is bounded. Returns what came out of the content.
    #[must_use]
    pub fn decode(&self, content: &[u8], format: Option<Format>) -> Outcome {
        let of_content = decode(format, [Bytes::copy_from_slice(content)], false);
        let is_gzip = content.starts_with(b"\x1f\x8b");
        if !is_gzip && let Some((bytes, sha256)) = &of_content.read {
            assert_eq!(*bytes, content.len() as u64);
            assert_eq!(*sha256, sentinel_forwarder::json::hex(&Sha256::digest(content)));
        }

        let packed = self.packed(content);
        let cut = decode(format, self.cut(&packed), true);
        if matches!(self.packing, Packing::Plain) {
            assert_eq!(cut, of_content, "cut and whole");
        } else {
            let whole = decode(format, [packed.clone()], false);
            assert_eq!(cut, whole, "cut and whole");
            if !is_gzip && matches!(self.packing, Packing::Gzip | Packing::Members { .. }) {
                assert_eq!(whole, of_content, "packed and plain");
            }
        }
        if matches!(self.runs, Runs::TooLong) {
            self.check_memory(&packed, format);
        }
        of_content
    }

    fn check_memory(&self, packed: &Bytes, format: Option<Format>) {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let largest = self.cut(packed).map(|chunk| chunk.len()).max().unwrap_or(0);
        let mut decoder = Decoder::new(format);
        let _ = run(&mut decoder, self.cut(packed), |_, _| None, |_| ());
        let used = ALLOCATOR.peak_usage() - before;
        assert!(used <= MAX_MEMORY_BYTES + 2 * largest, "{used} bytes of memory");
    }

    fn packed(&self, content: &[u8]) -> Bytes {
        let place = |at: u16, length: usize| usize::from(at) % (length + 1);
        match self.packing {
            Packing::Plain => content.to_vec(),
            Packing::Gzip => gzip(content),
            Packing::Members { first } => {
                let (first, second) = content.split_at(place(first, content.len()));
                [gzip(first), gzip(second)].concat()
            }
            Packing::CutOff { at } => {
                let mut packed = gzip(content);
                packed.truncate(place(at, packed.len()));
                packed
            }
            Packing::Damaged { at, bit } => {
                let mut packed = gzip(content);
                let at = usize::from(at) % packed.len();
                packed[at] ^= 1 << (bit % 8);
                packed
            }
            Packing::Followed { by } => [&gzip(content)[..], &by].concat(),
        }
        .into()
    }

    /// The bytes in chunks, some of them empty.
    fn cut(&self, packed: &Bytes) -> impl Iterator<Item = Bytes> {
        let least = packed.len() / 4096;
        let sizes = self.chunks.map(|size| if size == 0 { 0 } else { usize::from(size).max(least) });
        let mut sizes = if sizes == [0; 4] { [1, least, 0, 300] } else { sizes }.into_iter().cycle();
        let mut rest = packed.clone();
        std::iter::from_fn(move || {
            let size = sizes.next()?.min(rest.len());
            (!rest.is_empty()).then(|| rest.split_to(size))
        })
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("a vector takes all")
}

fn decode(format: Option<Format>, chunks: impl IntoIterator<Item = Bytes>, takes: bool) -> Outcome {
    let mut decoder = Decoder::new(format).hashing();
    let (found, mut recognised) = (RefCell::new(Vec::new()), None);
    let note = |index: u64, new: Found| {
        assert_eq!(index, found.borrow().len() as u64);
        found.borrow_mut().push(new);
    };
    let (mut mapper, mut row) = (PlainMapper::default(), vec![0; if takes { MAX_ROW_BYTES } else { 0 }]);
    let take = |index: u64, text: &[u8]| {
        let row = takes.then(|| mapper.map(text, Timestamp::UNIX_EPOCH, &mut row)).flatten()?;
        note(index, Found::Record(text[..row.read].to_vec()));
        Some(row.read)
    };
    let end = run(&mut decoder, chunks, take, |step| match step {
        Step::Record(record) => note(record.index, Found::Record(record.json.to_vec())),
        Step::Flawed { index, flaw } => note(*index, Found::Flawed(*flaw)),
        Step::Recognised(told) => {
            assert!(format.is_none() && recognised.is_none() && found.borrow().is_empty());
            recognised = Some(*told);
        }
        _ => {}
    });
    let found = found.into_inner();
    let next_index = decoder.next_index();
    assert_eq!(next_index, found.len() as u64);
    let bytes = decoder.bytes_inflated();
    let sha256 = decoder.sha256();
    let read = (end == Ok(End::Whole)).then(|| (bytes, sha256.expect("it was read to its end")));
    Outcome { found, end, recognised, next_index, read }
}

fn run(
    decoder: &mut Decoder,
    chunks: impl IntoIterator<Item = Bytes>,
    mut take: impl FnMut(u64, &[u8]) -> Option<usize>,
    mut each: impl FnMut(&Step<'_>),
) -> Result<End, DecodeError> {
    let mut chunks = chunks.into_iter();
    let mut ended = false;
    loop {
        let step = decoder.next_or_taken(&mut take)?;
        each(&step);
        match step {
            Step::Starved => {
                if let Some(chunk) = chunks.next() {
                    decoder.push(chunk);
                } else {
                    assert!(!ended, "starved after the end");
                    ended = true;
                    decoder.end_input();
                }
            }
            Step::End => return Ok(End::Whole),
            Step::Unclaimed => return Ok(End::Unclaimed),
            Step::Record(_) | Step::Taken | Step::Flawed { .. } | Step::Recognised(_) => {}
        }
    }
}
