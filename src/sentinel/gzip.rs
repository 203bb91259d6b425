//! Packs bodies; the compressors' memory is kept from one upload to the next.

use std::sync::{Mutex, PoisonError};

use libdeflater::{CompressionLvl, Compressor};

/// Compressors of one level.
pub(super) struct Gzip {
    level: CompressionLvl,
    /// Each with the memory that it packs into.
    idle: Mutex<Vec<(Compressor, Vec<u8>)>>,
}

impl Gzip {
    /// For a level from 1 to 12.
    pub(super) fn new(level: u8) -> Self {
        Self { level: CompressionLvl::new(level.into()).unwrap_or_default(), idle: Mutex::default() }
    }

    /// The bytes as one gzip member; none if they can't be packed, which only a bound that lies would bring about.
    pub(super) fn pack(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let (mut compressor, mut packed) = idle.unwrap_or_else(|| (Compressor::new(self.level), Vec::new()));
        let bound = compressor.gzip_compress_bound(bytes.len());
        if packed.len() < bound {
            packed.resize(bound, 0);
        }
        let member =
            compressor.gzip_compress(bytes, &mut packed).ok().map(|length| packed[..length].to_vec());
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((compressor, packed));
        member
    }
}
