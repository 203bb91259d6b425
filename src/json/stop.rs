//! Finds what ends or interrupts a JSON string, sixteen bytes at a time.
//!
//! SSE2 and NEON, which all of Lambda's processors have, and plain code elsewhere, by the crate `wide`; nothing is
//! unsafe here.

use wide::u8x16;

/// So many bytes are looked at together.
pub(crate) const CHUNK_BYTES: usize = 16;

/// Which bytes are a quote, a backslash or a control character; the first has the lowest bit.
#[inline]
pub(super) fn stops(chunk: [u8; CHUNK_BYTES]) -> u32 {
    let bytes = u8x16::new(chunk);
    let quotes = bytes.simd_eq(u8x16::splat(b'"'));
    let backslashes = bytes.simd_eq(u8x16::splat(b'\\'));
    let controls = bytes.simd_lt(u8x16::splat(0x20));
    (quotes | backslashes | controls).to_bitmask()
}

/// The place, from `at` on, of the next byte that ends or interrupts a string: a quote, a backslash, a control
/// character; the length if there is none.
#[inline]
pub(crate) fn string_stop(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let stops = stops(*chunk);
        if stops != 0 {
            return at + stops.trailing_zeros() as usize;
        }
        at += CHUNK_BYTES;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_stops_at_the_first_byte_that_interrupts_it() {
        for (stop, byte) in [b'"', b'\\', 0, b'\n', 0x1f]
            .into_iter()
            .enumerate()
            .flat_map(|(shift, byte)| (0..40).map(move |place| (place + shift, byte)))
        {
            let mut bytes = "aé\u{7f}\u{ff}!#[]~x".repeat(8).into_bytes();
            bytes.truncate(60);
            assert_eq!(string_stop(&bytes, 0), 60);
            bytes[stop] = byte;
            bytes[stop + 2] = b'"';
            assert_eq!(
                (0..=stop).map(|at| string_stop(&bytes, at)).collect::<Vec<_>>(),
                vec![stop; stop + 1]
            );
        }
    }
}
