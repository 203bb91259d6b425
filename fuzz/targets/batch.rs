//! Rows into batches: no limit is passed, the order is kept, nothing is dropped, every body is a JSON array.

#![no_main]

use arbitrary::Arbitrary;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::batch::{Batch, Batcher, Buffers};

#[derive(Arbitrary, Debug)]
struct Input {
    limit: u16,
    rows: Vec<Row>,
}

#[derive(Arbitrary, Debug)]
struct Row {
    /// How many records before it made no row.
    filtered: u8,
    padding: u16,
    second: Option<i32>,
}

/// A row as it was given.
struct Given {
    record: u64,
    text: String,
    time: Option<Timestamp>,
}

fuzz_target!(|input: Input| {
    let limit = usize::from(input.limit) + 2;
    let mut next_record = 0;
    let mut batcher = Batcher::new(limit, Buffers::default());
    let (mut given, mut full): (Vec<Given>, Vec<Batch>) = (Vec::new(), Vec::new());
    for Row { filtered, padding, second } in input.rows {
        let record = next_record + u64::from(filtered);
        next_record = record + 1;
        let text = format!("\"{record}{}\"", ",]".repeat(usize::from(padding) / 32));
        let time = second.and_then(|second| Timestamp::from_second(second.into()).ok());
        match batcher.push(record, text.as_bytes(), time) {
            Ok(batch) => {
                if let Some(batch) = &batch {
                    assert!(batch.body().len() + 1 + text.len() > limit, "closed before it was full");
                }
                full.extend(batch);
                given.push(Given { record, text, time });
            }
            Err(error) => {
                assert!(text.len() + 2 > limit);
                assert_eq!((error.bytes, error.limit), (text.len(), limit - 2));
            }
        }
    }
    full.extend(batcher.take());
    assert!(batcher.take().is_none());

    let mut rest = &given[..];
    for batch in &full {
        let rows = rest.split_off(..batch.len()).expect("no row comes from nowhere");
        assert!(batch.body().len() <= limit);
        check(batch, rows);
        assert_eq!(batch.oldest, rows.iter().filter_map(|row| row.time).min());
        assert_eq!(batch.newest, rows.iter().filter_map(|row| row.time).max());
    }
    assert!(rest.is_empty(), "a row was dropped");
});

/// Checks that the batch has these rows and no others, and so its halves, down to single rows.
fn check(batch: &Batch, rows: &[Given]) {
    let body = format!("[{}]", rows.iter().map(|row| &*row.text).collect::<Vec<_>>().join(","));
    assert_eq!(batch.body(), body.as_bytes());
    let texts: Vec<&str> = serde_json::from_slice(batch.body()).expect("a body is a JSON array");
    assert_eq!(texts.len(), batch.len());
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { panic!("an empty batch") };
    assert_eq!(batch.records(), first.record..last.record + 1);
    match batch.halves() {
        Some((left, right)) => {
            let (left_rows, right_rows) = rows.split_at(left.len());
            assert!(left.len().abs_diff(right.len()) <= 1);
            check(&left, left_rows);
            check(&right, right_rows);
        }
        None => assert_eq!(rows.len(), 1),
    }
}
