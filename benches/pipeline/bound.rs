//! The bound: inflate the file and deflate the same bytes, as the product would, with no work in between.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor};

use super::Failure;
use super::cost::Cost;
use super::ours::CHUNK_BYTES;
use super::stages::BODY_BYTES;

pub(super) fn run(path: &Path, level: u32) -> Result<Cost, Failure> {
    let began = Instant::now();
    let mut inflated = MultiGzDecoder::new(std::io::BufReader::with_capacity(CHUNK_BYTES, File::open(path)?));
    let mut compressor =
        Compressor::new(CompressionLvl::new(i32::try_from(level)?).map_err(|_| "no such compression level")?);
    let mut body = vec![0; BODY_BYTES];
    let mut packed = vec![0; compressor.gzip_compress_bound(BODY_BYTES)];
    let (mut bytes_in, mut bytes_out) = (0, 0);
    loop {
        let mut filled = 0;
        while filled < body.len() {
            match inflated.read(&mut body[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if filled == 0 {
            return Cost::since(began, 0, bytes_in, bytes_out);
        }
        bytes_in += filled as u64;
        bytes_out += compressor.gzip_compress(&body[..filled], &mut packed)? as u64;
    }
}
