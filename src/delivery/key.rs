//! By what the ledger knows a thing: the same one however it was announced.

use sha2::{Digest, Sha256};

use crate::task::{ObjectRef, Task};

/// The longest partition key
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-partition-sort-keys>).
const MOST_BYTES: usize = 2048;

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// How many lists of chains there are. A list of 400 KB names some 4,000 chains, and all of them together those of
    /// 17 regions of 3,700 accounts.
    pub const LISTS: u8 = 16;

    /// An object: bucket, key, and the version or else the entity tag.
    #[must_use]
    pub fn object(object: &ObjectRef) -> Self {
        // The object's key comes last, since it alone may hold the separator.
        Self::new(&["object", &object.bucket, object.identity().unwrap_or_default(), &object.key])
    }

    /// A range of an object's records.
    #[must_use]
    pub fn part(task: &Task) -> Self {
        let until = task.until_record.map(|until| until.to_string()).unwrap_or_default();
        let object = &task.object;
        let range = format!("{}-{until}", task.from_record);
        Self::new(&["part", &object.bucket, object.identity().unwrap_or_default(), &range, &object.key])
    }

    /// A finding in one of its states.
    #[must_use]
    pub fn finding(id: &str, updated_at: &str) -> Self {
        Self::new(&["finding", id, updated_at])
    }

    /// An event without an identity of its own, by its text: only its failures are remembered.
    #[must_use]
    pub fn event(text: &str) -> Self {
        Self::new(&["event", &crate::json::hex(&Sha256::digest(text))])
    }

    /// What a letter stands for.
    #[must_use]
    pub fn letter(id: &str) -> Self {
        Self::new(&["letter", id])
    }

    /// A digest that was checked.
    #[must_use]
    pub fn link(bucket: &str, key: &str) -> Self {
        Self::new(&["link", bucket, key])
    }

    /// A chain of digests; the organization is that of an organization's trail.
    #[must_use]
    pub fn chain(
        account: &str,
        region: &str,
        home_region: &str,
        trail: &str,
        organization: Option<&str>,
    ) -> Self {
        let parts = ["chain", account, region, home_region, trail].into_iter().chain(organization);
        Self::new(&parts.collect::<Vec<_>>())
    }

    /// A list of chains' keys: each stands in the one that its hash names, so that no list outgrows an item.
    #[must_use]
    pub fn chains(list: u8) -> Self {
        Self::new(&["chains", &list.to_string()])
    }

    /// The list that a chain's key stands in.
    #[must_use]
    pub fn list(&self) -> u8 {
        Sha256::digest(&self.0)[0] % Self::LISTS
    }

    /// The watch over what should have come; of findings, the one over a detector.
    #[must_use]
    pub fn watch(detector: Option<&str>) -> Self {
        let parts = ["watch"].into_iter().chain(detector);
        Self::new(&parts.collect::<Vec<_>>())
    }

    /// A key that was kept.
    #[must_use]
    pub const fn kept(key: String) -> Self {
        Self(key)
    }

    /// Whether what stands there must outlive a year without a change.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.0.starts_with("chains#")
    }

    /// The account of an hour, which is written `yyyy-mm-ddThh`.
    #[must_use]
    pub fn hour(account: &str, region: &str, hour: &str) -> Self {
        Self::new(&["hour", account, region, hour])
    }

    /// Whether it is that of a digest that was checked.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.0.starts_with("link#")
    }

    /// Whether it is that of the account of an hour.
    #[must_use]
    pub fn is_hour(&self) -> bool {
        self.0.starts_with("hour#")
    }

    /// The key as it is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn new(parts: &[&str]) -> Self {
        let text = parts.join("#");
        if text.len() <= MOST_BYTES {
            return Self(text);
        }
        Self(format!("{}#sha256#{}", parts[0], crate::json::hex(&Sha256::digest(text.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(version_id: Option<&str>, etag: Option<&str>, key: &str) -> ObjectRef {
        ObjectRef {
            bucket: "b".to_owned(),
            key: key.to_owned(),
            version_id: version_id.map(str::to_owned),
            etag: etag.map(str::to_owned),
        }
    }

    #[test]
    fn the_version_tells_objects_apart_and_else_the_entity_tag() {
        for (version_id, etag, key) in [
            (Some("v"), Some("e"), "object#b#v#k"),
            (None, Some("e"), "object#b#e#k"),
            // What suspended versioning writes over again and again.
            (Some("null"), Some("e"), "object#b#e#k"),
            (None, None, "object#b##k"),
        ] {
            assert_eq!(Key::object(&object(version_id, etag, "k")).as_str(), key);
        }
    }

    #[test]
    fn a_key_that_is_too_long_is_hashed() {
        let long = |letter: &str| Key::object(&object(Some(&"v".repeat(1024)), None, &letter.repeat(1024)));
        assert!(long("k").as_str().len() < 100);
        assert_ne!(long("k"), long("l"));
    }
}
