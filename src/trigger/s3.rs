//! Objects announced by S3 itself, and by `CloudTrail` through SNS.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>: keys are URL-encoded
//! in notifications, and in no other announcement.

use percent_encoding::percent_decode_str;

use super::{Item, some_string, string};
use crate::json;
use crate::task::{ObjectRef, Task};

/// One record of a notification; none if it names no object.
pub(super) fn notified(record: &str) -> Option<Item> {
    let [name, s3] = json::pick(record, ["eventName", "s3"]).ok()?;
    let name = string(name);
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Some(Item::Ignored("the object was not created"));
    }
    let [bucket, object] = json::pick(s3?, ["bucket", "object"]).ok()?;
    let [bucket] = json::pick(bucket?, ["name"]).ok()?;
    let [key, version_id, etag] = json::pick(object?, ["key", "versionId", "eTag"]).ok()?;
    Some(Item::object(Task::whole(ObjectRef {
        bucket: some_string(bucket)?,
        key: decode_key(&some_string(key)?)?,
        version_id: some_string(version_id),
        etag: some_string(etag),
    })))
}

/// `CloudTrail`'s own message, which names keys as they are.
pub(super) fn announced_by_cloudtrail(bucket: &str, keys: &str, items: &mut Vec<Item>) -> bool {
    let Some(bucket) = some_string(Some(bucket)) else { return false };
    let mut found = Vec::new();
    let read = json::for_each_element(keys, |key| found.push(some_string(Some(key))));
    let Some(found) = found.into_iter().collect::<Option<Vec<_>>>().filter(|_| read.is_ok()) else {
        return false;
    };
    if found.is_empty() {
        items.push(Item::Ignored("the list of objects is empty"));
    }
    items.extend(found.into_iter().map(|key| {
        Item::object(Task::whole(ObjectRef { bucket: bucket.clone(), key, version_id: None, etag: None }))
    }));
    true
}

/// Undoes S3's URL-encoding: `+` is a blank, `%XX` a byte; none if the bytes are no UTF-8.
#[must_use]
pub fn decode_key(key: &str) -> Option<String> {
    let blanks = key.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_decoded_as_s3_encodes_them() {
        for (encoded, key) in [
            ("a+b%2Bc", Some("a b+c")),
            ("100%25/%C3%BC%20x", Some("100%/ü x")),
            ("plain/key-_.json.gz", Some("plain/key-_.json.gz")),
            ("%zz", Some("%zz")),
            ("%ff", None),
        ] {
            assert_eq!(decode_key(encoded).as_deref(), key);
        }
    }

    proptest! {
        #[test]
        fn every_key_comes_back(key in ".*") {
            let set = percent_encoding::NON_ALPHANUMERIC;
            let encoded = percent_encoding::utf8_percent_encode(&key, set).to_string().replace("%20", "+");
            prop_assert_eq!(decode_key(&encoded), Some(key));
        }
    }
}
