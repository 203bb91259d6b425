//! Rows → batches under the limit of one request, counted in bytes of the body as it is posted.
//!
//! Brackets and commas count; the limit is tested before a row is appended; a batch is never empty.

mod buffer;

use std::ops::Range;

use jiff::Timestamp;
use thiserror::Error;

use self::buffer::Buffer;
pub use self::buffer::Buffers;

/// The service's own limit of one call
/// (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>).
pub const MAX_REQUEST_BYTES: usize = 1_048_576;

/// The row alone is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the row has {bytes} bytes and one request carries {limit}")]
pub struct RowTooLarge {
    /// The row's bytes.
    pub bytes: usize,
    /// The bytes of a body that the limit allows.
    pub limit: usize,
}

/// Room behind a full body, so that a row can be written before it is known whether it fits.
const ROOM_BYTES: usize = 128 * 1024;

/// Rows that are posted together.
#[derive(Debug)]
pub struct Batch {
    /// The body, and room behind it.
    buffer: Buffer,
    body_bytes: usize,
    rows: Vec<Place>,
    /// The oldest time among the rows, for the lag.
    pub oldest: Option<Timestamp>,
    /// The newest.
    pub newest: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    record: u64,
    /// One past the row's last byte in the body.
    end: usize,
}

impl Batch {
    const fn empty() -> Self {
        Self { buffer: Buffer::of(Vec::new()), body_bytes: 0, rows: Vec::new(), oldest: None, newest: None }
    }

    /// The body: a JSON array.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.buffer[..self.body_bytes]
    }

    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never true of a batch that came out of a [`Batcher`].
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives back the memory that it has no use for: it may have to wait.
    pub fn shrink(&mut self) {
        self.buffer = Buffer::of(self.body().to_vec());
    }

    /// The range of records that the rows came from.
    #[must_use]
    pub fn records(&self) -> Range<u64> {
        match (self.rows.first(), self.rows.last()) {
            (Some(first), Some(last)) => first.record..last.record + 1,
            _ => 0..0,
        }
    }

    /// Two batches of half the rows each; none if there is but one row.
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        (self.len() > 1).then(|| {
            let middle = self.len() / 2;
            (self.part(0..middle), self.part(middle..self.len()))
        })
    }

    fn part(&self, rows: Range<usize>) -> Self {
        let start = rows.start.checked_sub(1).map_or(0, |before| self.rows[before].end);
        let rows = &self.rows[rows];
        let end = rows.last().map_or(start, |place| place.end);
        // The byte before the first row is the bracket or the comma.
        let buffer = Buffer::of([b"[", &self.buffer[start + 1..end], b"]"].concat());
        let rows = rows.iter().map(|place| Place { end: place.end - start, ..*place }).collect();
        Self { body_bytes: buffer.len(), buffer, rows, oldest: self.oldest, newest: self.newest }
    }
}

/// Fills one batch after the other.
#[derive(Debug)]
pub struct Batcher {
    limit: usize,
    buffers: Buffers,
    filling: Batch,
}

impl Batcher {
    /// A batcher whose bodies have at most `limit` bytes, in the memory of these buffers.
    #[must_use]
    pub const fn new(limit: usize, buffers: Buffers) -> Self {
        Self { limit, buffers, filling: Batch::empty() }
    }

    /// Appends a row; the batch that it did not fit into comes back full.
    ///
    /// # Errors
    /// If the row alone is over the limit; the batch is as before then.
    pub fn push(
        &mut self,
        record: u64,
        row: &[u8],
        time: Option<Timestamp>,
    ) -> Result<Option<Batch>, RowTooLarge> {
        self.check(row.len())?;
        let full = if self.fits(row.len()) { None } else { self.take() };
        self.room()[..row.len()].copy_from_slice(row);
        self.note(record, row.len(), time);
        Ok(full)
    }

    /// Where the next row may be written, to be appended by [`Self::push_written`].
    pub fn room(&mut self) -> &mut [u8] {
        let batch = &mut self.filling;
        if batch.buffer.is_empty() {
            batch.buffer = self.buffers.take(self.limit + ROOM_BYTES);
        }
        &mut batch.buffer[batch.body_bytes + 1..]
    }

    /// Appends the row that was written into the room.
    ///
    /// # Errors
    /// As for [`Self::push`].
    pub fn push_written(
        &mut self,
        record: u64,
        row_bytes: usize,
        time: Option<Timestamp>,
    ) -> Result<Option<Batch>, RowTooLarge> {
        self.check(row_bytes)?;
        let mut full = None;
        if !self.fits(row_bytes) {
            let row_start = self.filling.body_bytes + 1;
            full = self.take();
            if let Some(full) = &mut full {
                // The end of the full body has been written over the comma's place, in front of the row.
                let row = row_start..row_start + row_bytes;
                self.room()[..row_bytes].copy_from_slice(&full.buffer[row]);
            }
        }
        self.note(record, row_bytes, time);
        Ok(full)
    }

    const fn check(&self, row_bytes: usize) -> Result<(), RowTooLarge> {
        if row_bytes + 2 > self.limit {
            return Err(RowTooLarge { bytes: row_bytes, limit: self.limit - 2 });
        }
        Ok(())
    }

    const fn fits(&self, row_bytes: usize) -> bool {
        self.filling.body_bytes + 1 + row_bytes < self.limit
    }

    /// Notes the row that stands in the room.
    fn note(&mut self, record: u64, row_bytes: usize, time: Option<Timestamp>) {
        let batch = &mut self.filling;
        batch.buffer[batch.body_bytes] = if batch.rows.is_empty() { b'[' } else { b',' };
        batch.body_bytes += 1 + row_bytes;
        batch.rows.push(Place { record, end: batch.body_bytes });
        batch.oldest = batch.oldest.into_iter().chain(time).min();
        batch.newest = batch.newest.into_iter().chain(time).max();
    }

    /// Takes the last batch, if it has rows.
    pub fn take(&mut self) -> Option<Batch> {
        if self.filling.is_empty() {
            return None;
        }
        let mut batch = std::mem::replace(&mut self.filling, Batch::empty());
        batch.buffer[batch.body_bytes] = b']';
        batch.body_bytes += 1;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batches(limit: usize, rows: &[String]) -> (Vec<Batch>, Vec<u64>) {
        let (mut batcher, mut full, mut refused) =
            (Batcher::new(limit, Buffers::default()), Vec::new(), Vec::new());
        for (record, row) in rows.iter().enumerate() {
            match batcher.push(record as u64, row.as_bytes(), None) {
                Ok(batch) => full.extend(batch),
                Err(_) => refused.push(record as u64),
            }
        }
        full.extend(batcher.take());
        (full, refused)
    }

    #[test]
    fn the_limit_is_met_to_the_byte() {
        // [aaa,bbb] has 9 bytes.
        let rows = ["123".to_owned(), "456".to_owned()];
        assert_eq!(batches(9, &rows).0.len(), 1);
        assert_eq!(batches(8, &rows).0.len(), 2);
        assert_eq!(batches(5, &rows).1, [0; 0]);
        assert_eq!(batches(4, &rows).1, [0, 1]);
    }

    proptest! {
        #[test]
        fn no_limit_is_passed_and_no_row_dropped(
            sizes in proptest::collection::vec(1usize..60, 0..80),
            limit in 10usize..120,
        ) {
            let rows: Vec<String> = sizes.iter().enumerate().map(|(i, n)| format!("{:>n$}", i + 1, n = *n)).collect();
            let (full, refused) = batches(limit, &rows);
            let mut seen = Vec::new();
            for batch in &full {
                prop_assert!(batch.body().len() <= limit && !batch.is_empty());
                let numbers: Vec<u64> = serde_json::from_slice(batch.body()).unwrap();
                prop_assert_eq!(numbers.len(), batch.len());
                prop_assert_eq!(batch.records(), numbers[0] - 1..*numbers.last().unwrap());
                if let Some((left, right)) = batch.halves() {
                    let mut both: Vec<u64> = serde_json::from_slice(left.body()).unwrap();
                    both.extend(serde_json::from_slice::<Vec<u64>>(right.body()).unwrap());
                    prop_assert_eq!(&both, &numbers);
                    prop_assert_eq!(left.records().end - 1, numbers[left.len() - 1] - 1);
                    let again = right.halves().map_or(right.len(), |(a, b)| a.len() + b.len());
                    prop_assert_eq!(again, right.len());
                }
                seen.extend(numbers.iter().map(|n| n - 1));
            }
            seen.extend(&refused);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..rows.len() as u64).collect::<Vec<_>>());
        }
    }
}
