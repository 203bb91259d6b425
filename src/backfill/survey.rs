//! Counts what is selected, and reads a few of the files to see what they become.

use std::cell::RefCell;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;

use super::layout::Range;
use super::listing::{LISTINGS_AT_ONCE, walk};
use super::plan::{Found, Sample};
use super::selection::Selection;
use crate::aws::{Bucket, BucketError, Chunks, ObjectReader, ReadError};
use crate::decode::{Decoder, Format, KeyTells, Step};
use crate::table::Table;
use crate::task::ObjectRef;

/// How many files are read: enough to see their kind, in a few seconds.
const SAMPLED_FILES: usize = 20;
/// How much of one is read at most.
const SAMPLED_BYTES: u64 = 4 * 1024 * 1024;

/// Some of the keys, each with the same chance whatever their number.
#[derive(Default)]
struct Reservoir {
    seen: usize,
    keys: Vec<String>,
}

impl Reservoir {
    fn offer(&mut self, key: String) {
        self.seen += 1;
        if self.keys.len() < SAMPLED_FILES {
            self.keys.push(key);
        } else if let Some(place) = self.keys.get_mut(fastrand::usize(..self.seen)) {
            *place = key;
        }
    }
}

/// Lists all that is selected, and tells now and then how much that is so far.
///
/// # Errors
/// If S3 refuses to list. What can't be read is left out of the sample.
pub async fn survey<O: ObjectReader>(
    bucket: &Bucket,
    objects: &O,
    selection: &Selection,
    ranges: &[Range],
    tell: impl Fn(Found),
) -> Result<(Found, Sample), BucketError> {
    let some = RefCell::new(Reservoir::default());
    let so_far = RefCell::new(Found::default());
    let mut listings = stream::iter(ranges)
        .map(|range| {
            walk(bucket, selection, range, async |object| {
                let mut sum = so_far.borrow_mut();
                sum.files += 1;
                sum.bytes += object.bytes;
                if sum.files.is_multiple_of(1000) {
                    tell(*sum);
                }
                some.borrow_mut().offer(object.key);
                true
            })
        })
        .buffer_unordered(LISTINGS_AT_ONCE);
    let mut found = Found::default();
    while let Some(listed) = listings.next().await {
        found.add(listed?);
    }
    drop(listings);
    let keys = some.into_inner().keys;
    let mut read = stream::iter(keys)
        .map(|key| async {
            let bucket = selection.source.bucket.clone();
            sample(objects, ObjectRef { bucket, key, version_id: None, etag: None }).await
        })
        .buffer_unordered(LISTINGS_AT_ONCE);
    let mut sum = Sample::default();
    while let Some(sample) = read.next().await {
        sum.add(sample.unwrap_or_default());
    }
    Ok((found, sum))
}

/// Reads the beginning of a file as the function does, and counts the rows that it would send.
async fn sample<O: ObjectReader>(objects: &O, object: ObjectRef) -> Result<Sample, ReadError> {
    let format = match KeyTells::of(&object.key) {
        KeyTells::Format(format) => Some(format),
        KeyTells::Other | KeyTells::Nothing => None,
    };
    let (mut decoder, mut table) = (Decoder::new(format), format.map(Format::table));
    let (_, mut chunks) = objects.open(&object).await?;
    let (mut sample, mut row) = (Sample { files: 1, ..Sample::default() }, Vec::new());
    loop {
        match decoder.next() {
            Ok(Step::Record(record)) => {
                row.clear();
                let mapped =
                    table.unwrap_or(Table::AwsCloudTrail).map(record.json, Timestamp::now(), &mut row);
                sample.records += 1;
                sample.row_bytes += if mapped.is_ok() { row.len() as u64 } else { 0 };
            }
            Ok(Step::Recognised(format)) => table = Some(format.table()),
            Ok(Step::Taken | Step::Flawed { .. }) => {}
            Ok(Step::Starved) if sample.bytes > SAMPLED_BYTES => return Ok(sample),
            Ok(Step::Starved) => match chunks.next().await? {
                Some(chunk) => {
                    sample.bytes += chunk.len() as u64;
                    decoder.push(chunk);
                }
                None => decoder.end_input(),
            },
            Ok(Step::End | Step::Unclaimed) | Err(_) => return Ok(sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_chance_and_no_more_are_kept_than_are_read() {
        let mut last_kept = 0;
        for _ in 0..200 {
            let mut some = Reservoir::default();
            for number in 0..100 {
                some.offer(number.to_string());
            }
            assert_eq!(some.keys.len(), SAMPLED_FILES);
            last_kept += usize::from(some.keys.contains(&"99".to_owned()));
        }
        // One in five is expected; that none or all of 200 are has a chance below 1e-19.
        assert!((1..200).contains(&last_kept), "{last_kept}");
    }
}
