//! What is remembered of digests: a link for each, the head of each chain, which chains there are, and the account of
//! each hour.
//!
//! Everything is written as often as a digest is looked at, and comes to the same.

use serde_json::Value;

use super::{Notary, Opened};
use crate::aws::{Archive, LedgerError, Note, Notes, PublicKeys, Queue, update_note};
use crate::delivery::Key;
use crate::digest::{Account, Chain, Head, Link, Place, hour_of};

impl<A: Archive, K: PublicKeys, N: Notes, Q: Queue> Notary<A, K, N, Q> {
    /// What is remembered of the digest in a place.
    pub(super) async fn link(&self, place: &Place) -> Result<Option<Link>, LedgerError> {
        Ok(self.notes.note(&link_key(place)).await?.read())
    }

    /// What is remembered of a chain.
    pub(super) async fn head(&self, chain: &Chain) -> Result<Option<Head>, LedgerError> {
        Ok(self.notes.note(&chain_key(chain)).await?.read())
    }

    pub(super) async fn remember_all(&self, opened: &Opened, account: &Account) -> Result<(), LedgerError> {
        let (Ok(document), Some(signature)) = (&opened.document, &opened.signature) else { return Ok(()) };
        let Place { key, .. } = &document.place;
        let (chain, is_backfill) = (&opened.key.chain, opened.key.is_backfill);
        let hour = hour_of(document).strftime("%Y-%m-%dT%H").to_string();
        let name = key.rsplit('/').next().unwrap_or(key);
        update_note(&self.notes, &Key::hour(&chain.account, &chain.region, &hour), &|known| {
            Some(account.into_hour(known.map(|note| note.content), name))
        })
        .await?;
        // Before the head, which decides how it is judged as long as it is not known itself.
        let head = self.head(chain).await?;
        update_note(&self.notes, &link_key(&document.place), &|known| {
            Note::content_of(&Link::of(
                known.as_ref().and_then(Note::read),
                document,
                signature,
                head.as_ref(),
            ))
        })
        .await?;
        // A backfill stands beside the chain: what follows it in time does not follow it in the chain.
        if is_backfill {
            return Ok(());
        }
        let chain_key = chain_key(chain);
        if head.is_none() {
            // Before the head, so that no chain has one and is listed nowhere. The lists are written for this alone.
            let (list, name) = (Key::chains(chain_key.list()), chain_key.as_str());
            update_note(&self.notes, &list, &|known| {
                let mut chains = known.map(|note| note.content).unwrap_or_default();
                chains.entry(name).or_insert(Value::Bool(true));
                Some(chains)
            })
            .await?;
        }
        update_note(&self.notes, &chain_key, &|known| {
            Note::content_of(&Head::with(known.as_ref().and_then(Note::read), document))
        })
        .await?;
        let Some(previous) = &document.previous else { return Ok(()) };
        update_note(&self.notes, &link_key(&previous.place), &|known| {
            let link = known?.read::<Link>().filter(|link| link.next.is_none())?;
            Note::content_of(&Link { next: Some(document.place.clone()), ..link })
        })
        .await
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
