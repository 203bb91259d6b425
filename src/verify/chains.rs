//! The chains that a walk meets: from when on each is to be checked, what is missing in its midst, and how it ends.

use std::time::Instant;

use jiff::Timestamp;

use super::hour::State;
use super::walk::{EXAMINATION, Found, Walk, WalkError};
use super::{BESIDE, HOUR, hour_from, hour_to};
use crate::aws::{Archive, LedgerError, Note, Notes, PublicKeys};
use crate::deadline::Deadline;
use crate::delivery::Key;
use crate::digest::{Chain, DigestKey, Document, Finding, Head, Link, Place, TOLERANCE, hour_at};
use crate::notary::{Examine, Opened, chain_key};

/// The newest genuine digest of a chain.
pub(super) struct Newest {
    pub(super) place: Place,
    pub(super) end: Timestamp,
}

impl<A: Archive, K: PublicKeys, N: Notes> Walk<'_, A, K, N> {
    /// Takes in a chain's next digest; what lies between it and the one before is not vouched for.
    pub(super) async fn follow(&mut self, found: &Found, document: &Document) -> Result<(), WalkError> {
        let newest = Newest { place: found.place(), end: document.end };
        let Some(before) = self.chains.insert(found.key.chain.clone(), newest) else { return Ok(()) };
        for (_, hour) in
            self.hours.range_mut(hour_from(before.end)..hour_from(document.start).max(hour_from(before.end)))
        {
            hour.worsen(State::Unsealed);
        }
        let is_next = document.previous.as_ref().is_some_and(|previous| previous.place == before.place);
        if !is_next {
            // The last of them is named by this digest itself.
            let named = document.previous.as_ref().map(|previous| &previous.place);
            for place in self.removed_behind(&before.place, &found.object.key).await? {
                if Some(&place) != named {
                    self.find(&Finding::PreviousRemoved(place), hour_to(found.key.end), None);
                }
            }
        }
        Ok(())
    }

    /// The digests that were checked behind one, up to another, and that do not lie there any more.
    async fn removed_behind(&self, last: &Place, until: &str) -> Result<Vec<Place>, WalkError> {
        let (mut place, mut removed) = (last.clone(), Vec::new());
        loop {
            let note = self.overlay.note(&Key::link(&place.bucket, &place.key)).await?;
            match note.read::<Link>().and_then(|link| link.next) {
                // A time that does not grow is none of CloudTrail's chain.
                Some(next)
                    if next != until
                        && DigestKey::parse(&next).map(|key| key.end)
                            > DigestKey::parse(&place.key).map(|key| key.end) =>
                {
                    place.key = next;
                    // One that lies there was looked at, and is none of CloudTrail's any more.
                    if !self.verified.seals.iter().any(|seal| seal.key == place.key) {
                        removed.push(place.clone());
                    }
                }
                _ => return Ok(removed),
            }
        }
    }

    /// Says from when on a chain is to be checked: from the first hour on, if it had begun before.
    pub(super) async fn seed(&self, opened: &Opened) -> Result<(), WalkError> {
        let (chain, first) = (&opened.key.chain, self.asked.from - BESIDE);
        if self.chains.contains_key(chain) {
            return Ok(());
        }
        let had_begun = match opened.document.as_ref().map(|document| &document.previous) {
            Ok(Some(_)) => true,
            _ => self.head(chain).await?.is_some_and(|head| head.since < first),
        };
        let (bucket, key) = (self.asked.bucket.clone(), String::new());
        match Note::content_of(&Head { since: first, end: first, bucket, key, told: None }) {
            Some(content) if had_begun => {
                self.overlay.keep(&chain_key(chain), &Note { version: 0, content });
            }
            _ => self.overlay.forget(&chain_key(chain)),
        }
        Ok(())
    }

    /// What the ledger remembers of a chain.
    async fn head(&self, chain: &Chain) -> Result<Option<Head>, LedgerError> {
        Ok(self.ledger.note(&chain_key(chain)).await?.read())
    }

    /// Says which chains end before they should.
    pub(super) async fn ends(&mut self) -> Result<(), WalkError> {
        for (chain, found) in std::mem::take(&mut self.before) {
            if !self.chains.contains_key(&chain)
                && let Some(newest) = self.newest(found).await?
            {
                self.chains.insert(chain, newest);
            }
        }
        let due = hour_at(self.asked.now - HOUR - TOLERANCE) + HOUR;
        let until = self.asked.until.min(due);
        for (_, Newest { place, end }) in std::mem::take(&mut self.chains) {
            for removed in self.removed_behind(&place, "").await? {
                self.find(&Finding::PreviousRemoved(removed), hour_from(end), None);
            }
            self.find_in(&Finding::Ended { last: place, from: end }, hour_from(end), until, None);
        }
        Ok(())
    }

    /// The newest digest that is genuine: anybody can put one there whose name looks good.
    async fn newest(&self, found: Vec<Found>) -> Result<Option<Newest>, WalkError> {
        for found in found.into_iter().rev() {
            let opened = self.notary.open(&found.object, found.key.clone()).await?;
            let until = Deadline::at(Instant::now() + EXAMINATION);
            let is_genuine = self.notary.examine(&opened, until).await?.is_genuine;
            if let Some(document) = opened.document.as_ref().ok().filter(|_| is_genuine) {
                return Ok(Some(Newest { place: found.place(), end: document.end }));
            }
        }
        Ok(None)
    }
}
