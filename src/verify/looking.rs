//! Looks and changes nothing: S3 and the keys pass through, and what would be remembered stays in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::aws::{
    Archive, KeyError, LedgerError, MOST_KEYS, Mark, Note, Notes, PublicKeys, Queue, QueueError, ReadError,
    Stored, Versions,
};
use crate::delivery::{Entry, Key};
use crate::digest::PublicKey;
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

impl<N: Notes> Counted<N> {
    /// The entries that stand under these keys.
    pub(super) async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        self.tally.ledger.fetch_add(keys.len().div_ceil(MOST_KEYS) as u64, Ordering::Relaxed);
        self.party.entries(keys).await
    }

    /// The note that stands in the ledger.
    pub(super) async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        self.tally.ledger.fetch_add(1, Ordering::Relaxed);
        self.party.note(key).await
    }
}

/// The notes of a walk: of digests, what the ledger remembers and what the walk has seen itself; of chains, only the
/// latter, since the ledger's end of a chain may lie behind the hours that are walked. Nothing is written.
pub(super) struct Overlay<N> {
    ledger: Counted<N>,
    seen: Arc<Mutex<HashMap<String, Note>>>,
}

impl<N> Clone for Overlay<N> {
    fn clone(&self) -> Self {
        Self { ledger: self.ledger.clone(), seen: Arc::clone(&self.seen) }
    }
}

impl<N: Notes> Overlay<N> {
    pub(super) fn new(ledger: Counted<N>) -> Self {
        Self { ledger, seen: Arc::default() }
    }

    /// Remembers a note for the time of the walk.
    pub(super) fn keep(&self, key: &Key, note: &Note) {
        let note = Note { version: note.version + 1, content: note.content.clone() };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(key.as_str().to_owned(), note);
    }

    /// Remembers a note no more.
    pub(super) fn forget(&self, key: &Key) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(key.as_str());
    }
}

impl<N: Notes> Notes for Overlay<N> {
    async fn entries(&self, keys: &[Key]) -> Result<HashMap<String, Entry>, LedgerError> {
        self.ledger.entries(keys).await
    }

    async fn notes(&self, keys: &[Key]) -> Result<HashMap<String, Note>, LedgerError> {
        let mut notes = HashMap::new();
        for key in keys {
            notes.insert(key.as_str().to_owned(), self.note(key).await?);
        }
        Ok(notes)
    }

    async fn note(&self, key: &Key) -> Result<Note, LedgerError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(key.as_str()).cloned();
        match seen {
            Some(note) => Ok(note),
            None if key.is_link() => self.ledger.note(key).await,
            None => Ok(Note::default()),
        }
    }

    async fn write_note(&self, key: &Key, note: &Note) -> Result<(), LedgerError> {
        if !key.is_hour() {
            self.keep(key, note);
        }
        Ok(())
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
