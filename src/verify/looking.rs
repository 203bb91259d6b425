//! Looks and changes nothing: calls to S3 and the ledger are counted, and nothing is written or sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::aws::{
    Archive, KeyError, LedgerError, MOST_KEYS, Mark, Note, Notes, PublicKeys, Queue, QueueError, ReadError,
    Stored, Versions,
};
use crate::delivery::{Entry, Key};
use crate::digest::{Hash, PublicKey};
use crate::task::ObjectRef;

/// How many calls were made.
#[derive(Debug, Default)]
pub(super) struct Tally {
    s3: AtomicU64,
    ledger: AtomicU64,
}

impl Tally {
    /// Those to S3 and to the ledger.
    pub(super) fn calls(&self) -> (u64, u64) {
        (self.s3.load(Ordering::Relaxed), self.ledger.load(Ordering::Relaxed))
    }
}

/// A party whose calls are counted.
pub(super) struct Counted<T> {
    party: Arc<T>,
    tally: Arc<Tally>,
}

impl<T> Counted<T> {
    pub(super) fn new(party: &Arc<T>, tally: &Arc<Tally>) -> Self {
        Self { party: Arc::clone(party), tally: Arc::clone(tally) }
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        Self::new(&self.party, &self.tally)
    }
}

impl<A: Archive> Archive for Counted<A> {
    async fn read(&self, object: &ObjectRef, most_bytes: usize) -> Result<Stored, ReadError> {
        self.tally.s3.fetch_add(1, Ordering::Relaxed);
        self.party.read(object, most_bytes).await
    }

    async fn content_hash(&self, object: &ObjectRef) -> Result<Option<Hash>, ReadError> {
        self.tally.s3.fetch_add(1, Ordering::Relaxed);
        self.party.content_hash(object).await
    }

    async fn versions(&self, bucket: &str, prefix: &str, behind: &Mark) -> Result<Versions, ReadError> {
        self.tally.s3.fetch_add(1, Ordering::Relaxed);
        self.party.versions(bucket, prefix, behind).await
    }
}

impl<K: PublicKeys> PublicKeys for Counted<K> {
    async fn find(
        &self,
        region: &str,
        fingerprint: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Option<PublicKey>, KeyError> {
        self.party.find(region, fingerprint, from, until).await
    }
}

impl<N: Notes> Notes for Counted<N> {
    async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        self.tally.ledger.fetch_add(keys.len().div_ceil(MOST_KEYS) as u64, Ordering::Relaxed);
        self.party.entries(keys).await
    }

    async fn notes(&self, keys: &[Key]) -> Result<HashMap<String, Note>, LedgerError> {
        self.tally.ledger.fetch_add(keys.len().div_ceil(MOST_KEYS) as u64, Ordering::Relaxed);
        self.party.notes(keys).await
    }

    async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        self.tally.ledger.fetch_add(1, Ordering::Relaxed);
        self.party.note(key).await
    }

    async fn scan(&self, take: &(dyn Fn(&str, Note) + Sync)) -> Result<u64, LedgerError> {
        let calls = self.party.scan(take).await?;
        self.tally.ledger.fetch_add(calls, Ordering::Relaxed);
        Ok(calls)
    }

    async fn write_note(&self, _: &Key, _: &Note) -> Result<(), LedgerError> {
        Err(LedgerError::Unavailable { code: "nothing is written".to_owned() })
    }
}

/// Takes nothing: what is missing stays so.
pub(super) struct NoQueue;

impl Queue for NoQueue {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        bodies.iter().map(|_| Err(QueueError { code: "nothing is sent".to_owned() })).collect()
    }

    async fn hide_all(&self, _: &[(&str, Duration)]) -> Result<(), QueueError> {
        Ok(())
    }

    fn is(&self, _: &str) -> bool {
        false
    }
}
