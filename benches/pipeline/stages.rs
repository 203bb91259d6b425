//! The pipeline stage by stage, each with those before it that it needs.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use jiff::Timestamp;
use libdeflater::{CompressionLvl, Compressor};
use sentinel_forwarder::batch::{Batch, Batcher, Buffers};
use sentinel_forwarder::decode::{Decoder, Format, Step};
use sentinel_forwarder::table::{PlainMapper, Table};

use super::Failure;
use super::cost::Cost;
use super::ours::CHUNK_BYTES;

/// The default of `SENTINEL_MAX_REQUEST_BYTES`.
pub(super) const BODY_BYTES: usize = 1_000_000;

/// Inflates, and looks at nothing.
pub(super) fn inflate(path: &Path) -> Result<Cost, Failure> {
    let began = Instant::now();
    let mut inflated = MultiGzDecoder::new(BufReader::with_capacity(CHUNK_BYTES, File::open(path)?));
    let (mut piece, mut bytes) = (vec![0; 256 * 1024], 0);
    loop {
        match inflated.read(&mut piece)? {
            0 => return Cost::since(began, 0, bytes, bytes),
            count => bytes += count as u64,
        }
    }
}

/// Inflates, and finds where records end.
pub(super) fn frame(path: &Path) -> Result<Cost, Failure> {
    decode(path, |_, _| None, |_, _, _| Ok(0))
}

/// Inflates, and makes batches of rows as the function does.
pub(super) fn rows(path: &Path) -> Result<Cost, Failure> {
    let (mapper, batcher) =
        (&mut PlainMapper::default(), std::cell::RefCell::new(Batcher::new(BODY_BYTES, Buffers::default())));
    let mut full = 0;
    let mut count = |batch: Option<Batch>| full += batch.map_or(0, |batch| batch.body().len() as u64);
    let now = Timestamp::now();
    let cost = decode(
        path,
        |index, text| {
            let mut batcher = batcher.borrow_mut();
            let row = mapper.map(text, now, batcher.room())?;
            count(batcher.push_written(index, row.written, row.facts.event_time).ok()?);
            Some(row.read)
        },
        |index, json, row| {
            let facts = Table::AwsCloudTrail.map(json, now, row)?;
            let full = batcher.borrow_mut().push(index, row, facts.event_time)?;
            Ok(full.map_or(0, |batch| batch.body().len() as u64))
        },
    )?;
    Ok(Cost { bytes_out: cost.bytes_out + full, ..cost })
}

/// The same by the ordinary parser alone.
pub(super) fn ordinary_rows(path: &Path) -> Result<Cost, Failure> {
    let (mut batcher, now) = (Batcher::new(BODY_BYTES, Buffers::default()), Timestamp::now());
    decode(
        path,
        |_, _| None,
        |index, json, row| {
            let facts = Table::AwsCloudTrail.map(json, now, row)?;
            let full = batcher.push(index, row, facts.event_time)?;
            Ok(full.map_or(0, |batch| batch.body().len() as u64))
        },
    )
}

/// Only deflates what [`rows`] makes; making it is not counted.
pub(super) fn deflate(path: &Path, level: u32) -> Result<Cost, Failure> {
    let (mut batcher, now) = (Batcher::new(BODY_BYTES, Buffers::default()), Timestamp::now());
    let (mut bodies, mut bytes) = (Vec::new(), 0);
    decode(
        path,
        |_, _| None,
        |index, json, row| {
            let facts = Table::AwsCloudTrail.map(json, now, row)?;
            if let Some(full) = batcher.push(index, row, facts.event_time)? {
                bytes += full.body().len() as u64;
                // The first ones stand for all, which memory may not hold.
                if bodies.len() < 100 {
                    bodies.push(full);
                }
            }
            Ok(0)
        },
    )?;
    let before = Cost::since(Instant::now(), 0, 0, 0)?.cpu_seconds;
    let began = Instant::now();
    let level = CompressionLvl::new(i32::try_from(level)?).map_err(|_| "no such compression level")?;
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(BODY_BYTES)];
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for body in bodies.iter().cycle() {
        if bytes_in >= bytes {
            break;
        }
        bytes_in += body.body().len() as u64;
        bytes_out += compressor.gzip_compress(body.body(), &mut packed)? as u64;
    }
    let cost = Cost::since(began, 0, bytes_in, bytes_out)?;
    Ok(Cost { cpu_seconds: cost.cpu_seconds - before, ..cost })
}

/// Decodes a file: records are offered to `take`, and those that it leaves are given to `each`, which says how many
/// bytes of bodies they completed.
fn decode(
    path: &Path,
    mut take: impl FnMut(u64, &[u8]) -> Option<usize>,
    mut each: impl FnMut(u64, &[u8], &mut Vec<u8>) -> Result<u64, Failure>,
) -> Result<Cost, Failure> {
    let began = Instant::now();
    let mut file = File::open(path)?;
    let mut decoder = Decoder::new(Some(Format::CloudTrail));
    let (mut row, mut bytes_out) = (Vec::new(), 0);
    loop {
        match decoder.next_or_taken(&mut take)? {
            Step::Record(record) => {
                row.clear();
                bytes_out += each(record.index, record.json, &mut row)?;
            }
            Step::Starved => {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = file.read(&mut chunk)?;
                chunk.truncate(read);
                if read == 0 { decoder.end_input() } else { decoder.push(chunk.into()) }
            }
            Step::End => break,
            Step::Taken | Step::Recognised(_) => {}
            other => return Err(format!("{other:?}").into()),
        }
    }
    Cost::since(began, decoder.next_index(), decoder.bytes_inflated(), bytes_out)
}
