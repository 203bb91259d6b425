//! What is remembered of digests: a link for each, the head of each chain, and the account of each hour.
//!
//! Everything is written as often as a digest is looked at, and comes to the same.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Notary, Opened};
use crate::aws::{Archive, LedgerError, Note, Notes, PublicKeys, Queue};
use crate::delivery::Key;
use crate::digest::{Account, Chain, Head, Link, Place, hour_of};

/// How often a note is written anew when others write it at the same time.
const TRIES: u32 = 8;

impl<A: Archive, K: PublicKeys, N: Notes, Q: Queue> Notary<A, K, N, Q> {
    /// What is remembered of the digest in a place.
    pub(super) async fn link(&self, place: &Place) -> Result<Option<Link>, LedgerError> {
        Ok(read(&self.notes.note(&link_key(place)).await?))
    }

    /// What is remembered of a chain.
    pub(super) async fn head(&self, chain: &Chain) -> Result<Option<Head>, LedgerError> {
        Ok(read(&self.notes.note(&chain_key(chain)).await?))
    }

    pub(super) async fn remember_all(&self, opened: &Opened, account: &Account) -> Result<(), LedgerError> {
        let (Ok(document), Some(signature)) = (&opened.document, &opened.signature) else { return Ok(()) };
        let Place { key, .. } = &document.place;
        let (chain, is_backfill) = (&opened.key.chain, opened.key.is_backfill);
        let hour = hour_of(document).strftime("%Y-%m-%dT%H").to_string();
        let name = key.rsplit('/').next().unwrap_or(key);
        self.update(&Key::hour(&chain.account, &chain.region, &hour), |known| {
            Some(account.into_hour(known.map(|note| note.content), name))
        })
        .await?;
        // Before the head, which decides how it is judged as long as it is not known itself.
        let head = self.head(chain).await?;
        self.update(&link_key(&document.place), |known| {
            write(&Link::of(known.as_ref().and_then(read), document, signature, head.as_ref()))
        })
        .await?;
        // A backfill stands beside the chain: what follows it in time does not follow it in the chain.
        if is_backfill {
            return Ok(());
        }
        self.update(&chain_key(chain), |known| write(&Head::with(known.as_ref().and_then(read), document)))
            .await?;
        let Some(previous) = &document.previous else { return Ok(()) };
        self.update(&link_key(&previous.place), |known| {
            let link = read::<Link>(&known?).filter(|link| link.next.is_none())?;
            write(&Link { next: Some(key.clone()), ..link })
        })
        .await
    }

    /// Makes a note's next content out of the one that stands there; none, and it stays.
    async fn update(
        &self,
        key: &Key,
        next: impl Fn(Option<Note>) -> Option<Map<String, Value>>,
    ) -> Result<(), LedgerError> {
        let mut tries = 0;
        loop {
            let known = self.notes.note(key).await?;
            let version = known.version;
            let before = known.content.clone();
            let Some(content) = next((version > 0).then_some(known)) else { return Ok(()) };
            if content == before {
                return Ok(());
            }
            tries += 1;
            match self.notes.write_note(key, &Note { version, content }).await {
                Err(LedgerError::Conflict(_)) if tries < TRIES => {}
                written => return written,
            }
        }
    }
}

fn link_key(place: &Place) -> Key {
    Key::link(&place.bucket, &place.key)
}

/// By what a chain is remembered.
#[must_use]
pub fn chain_key(chain: &Chain) -> Key {
    let Chain { organization, account, region, trail, home_region } = chain;
    Key::chain(account, region, home_region, trail, organization.as_deref())
}

fn read<T: DeserializeOwned>(note: &Note) -> Option<T> {
    serde_json::from_value(Value::Object(note.content.clone())).ok()
}

fn write(content: &impl Serialize) -> Option<Map<String, Value>> {
    match serde_json::to_value(content) {
        Ok(Value::Object(content)) => Some(content),
        _ => None,
    }
}
