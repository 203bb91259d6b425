//! Keys of objects: what S3 encodes comes back, in every form in which an object is announced.

#![no_main]

use std::fmt::Write as _;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::task::{ObjectRef, Task};
use sentinel_forwarder::trigger::{Item, Trigger};
use serde_json::json;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    bucket: &'a str,
    version_id: Option<&'a str>,
    etag: Option<&'a str>,
    /// Which of the bytes that may stand for themselves are encoded, by turns.
    encoded: u8,
    key: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let Input { bucket, version_id, etag, encoded, key } = input;
    let notification = |key: &str| {
        json!({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {
            "bucket": {"name": bucket},
            "object": {"key": key, "versionId": version_id, "eTag": etag},
        }}]})
    };
    let event = json!({"detail-type": "Object Created", "detail": {
        "bucket": {"name": bucket},
        "object": {"key": key, "version-id": version_id, "etag": etag},
    }});
    let by_cloudtrail = json!({"s3Bucket": bucket, "s3ObjectKey": [key]});

    // Any text may stand where an encoded key should: it names an object, or the record is kept.
    assert!(matches!(items(&notification(key))[..], [Item::Object { .. } | Item::Unknown { .. }]));

    let expected = (!bucket.is_empty() && !key.is_empty()).then(|| ObjectRef {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        version_id: version_id.filter(|text| !text.is_empty()).map(str::to_owned),
        etag: etag.filter(|text| !text.is_empty()).map(str::to_owned),
    });
    assert_eq!(object(&notification(&encode(key, encoded))), expected);
    assert_eq!(object(&event), expected);
    let without_version = expected.map(|object| ObjectRef { version_id: None, etag: None, ..object });
    assert_eq!(object(&by_cloudtrail), without_version);
});

fn items(event: &serde_json::Value) -> Vec<Item> {
    match Trigger::parse(&event.to_string()) {
        Trigger::Direct(items) => items,
        Trigger::Queue(_) | Trigger::Job(_) => panic!("nobody else brought it"),
    }
}

/// The one object that the event announces; none if it is kept as it is.
fn object(event: &serde_json::Value) -> Option<ObjectRef> {
    match &items(event)[..] {
        [Item::Object { task, letter: None }] => {
            assert_eq!(*task, Task::whole(task.object.clone()));
            Some(task.object.clone())
        }
        [Item::Unknown { .. }] => None,
        other => panic!("{other:?}"),
    }
}

/// The key as S3 may write it in a notification.
fn encode(key: &str, encoded: u8) -> String {
    let mut text = String::new();
    for (place, byte) in key.bytes().enumerate() {
        let by_choice = encoded >> (place % 8) & 1 == 1;
        match byte {
            b' ' if !by_choice => text.push('+'),
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'*'
            | b'/'
            | b'!'
            | b'('
            | b')'
                if !by_choice =>
            {
                text.push(byte.into());
            }
            // Both cases are read.
            _ if by_choice => write!(text, "%{byte:02x}").expect("a string takes all"),
            _ => write!(text, "%{byte:02X}").expect("a string takes all"),
        }
    }
    text
}
