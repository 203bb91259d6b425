//! The memory of bodies, used again: fresh memory costs the kernel more than filling it costs us.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers of one size that lie idle.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// One of so many bytes, whatever stands in them.
    pub(super) fn take(&self, bytes: usize) -> Buffer {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = idle.filter(|idle| idle.len() == bytes).unwrap_or_else(|| vec![0; bytes]);
        Buffer { bytes, home: Some(self.clone()) }
    }
}

/// A buffer that goes back to where it was taken from.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Option<Buffers>,
}

impl Buffer {
    /// One that belongs nowhere.
    pub(super) const fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, home: None }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.0.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_if_it_is_as_long() {
        let buffers = Buffers::default();
        let mut first = buffers.take(4);
        let second = buffers.take(4);
        first.copy_from_slice(b"abcd");
        drop(first);
        assert_eq!(&buffers.take(4)[..], b"abcd");
        assert_eq!(&buffers.take(5)[..], [0; 5]);
        assert_eq!(&second[..], [0; 4]);
    }
}
