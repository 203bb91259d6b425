//! Which chains are silent: the next digest of theirs should have come, and is not in the bucket either.
//!
//! What lies in the bucket and was never announced goes on the work queue. Nothing here tells of anything.

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use tracing::warn;

use super::memory::chain_key;
use super::{Examine as _, ExamineError, Notary};
use crate::aws::{Archive, LedgerError, Mark, Note, Notes, PublicKeys, Queue, ReadError, update_note};
use crate::deadline::Deadline;
use crate::delivery::{Key, Stage};
use crate::digest::{Chain, DigestKey, Head, Missed};
use crate::failure::Disposition;
use crate::task::Task;

/// Chains that are looked for in their buckets at once.
const LOOKED_FOR_AT_ONCE: usize = 16;

/// A chain whose next digest is overdue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silent {
    /// The chain.
    pub chain: Chain,
    /// What is remembered of it.
    pub head: Head,
    /// The hours that nobody was told of, at least one.
    pub missed: Vec<Missed>,
}

/// What a look at all chains comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silence {
    /// The chains that are silent.
    pub chains: Vec<Silent>,
    /// Digests that nobody had announced.
    pub unannounced: Vec<Task>,
}

impl<A: Archive, K: PublicKeys, N: Notes, Q: Queue> Notary<A, K, N, Q> {
    /// Looks at every chain. Those that there is no time for are looked at by the next watch.
    pub(super) async fn silence(&self, now: Timestamp, until: Deadline) -> Result<Silence, ExamineError> {
        let late = self.late(now).await?;
        let looks = late.into_iter().map(|silent| async move {
            if Instant::now() >= until.instant() {
                return Ok((None, Vec::new()));
            }
            self.look_for_next(silent, now).await
        });
        let looks: Vec<_> = stream::iter(looks).buffered(LOOKED_FOR_AT_ONCE).try_collect().await?;
        let mut silence = Silence::default();
        for (silent, unannounced) in looks {
            silence.chains.extend(silent);
            silence.unannounced.extend(unannounced);
        }
        Ok(silence)
    }

    /// Notes up to when it was told of a chain's silence.
    pub(super) async fn note_told(&self, silent: &Silent) -> Result<(), LedgerError> {
        let Some(to) = silent.missed.last().map(|missed| missed.to) else { return Ok(()) };
        update_note(&self.notes, &chain_key(&silent.chain), &|known| {
            let head = known?.read::<Head>()?;
            Note::content_of(&Head { told: head.told.max(Some(to)), ..head })
        })
        .await
    }

    /// The chains whose next digest nobody has examined in time.
    async fn late(&self, now: Timestamp) -> Result<Vec<Silent>, LedgerError> {
        let lists: Vec<Key> = (0..Key::LISTS).map(Key::chains).collect();
        let lists = self.notes.notes(&lists).await?;
        let keys: Vec<Key> = lists
            .into_values()
            .flat_map(|list| list.content.into_iter().map(|(key, _)| Key::kept(key)))
            .collect();
        let heads = self.notes.notes(&keys).await?;
        let late = heads.values().filter_map(|note| silent(note.read()?, now));
        Ok(late.collect())
    }

    /// Looks in the bucket for a chain's next digest, and then at what is remembered by now.
    async fn look_for_next(
        &self,
        silent_so_far: Silent,
        now: Timestamp,
    ) -> Result<(Option<Silent>, Vec<Task>), ExamineError> {
        let (mut unannounced, mut is_on_its_way) = (Vec::new(), false);
        let Silent { chain, head, .. } = silent_so_far;
        if self.allows(&head.bucket) {
            let tasks = self.behind(&chain, &head).await?;
            let keys: Vec<Key> = tasks.iter().map(|task| Key::object(&task.object)).collect();
            let entries = self.notes.entries(&keys).await?;
            for (task, key) in tasks.into_iter().zip(keys) {
                let stage = entries.get(key.as_str()).map(|entry| entry.stage);
                // It was examined, and is none of the chain unless the head says so.
                if matches!(stage, Some(Stage::Delivered { .. })) {
                    continue;
                }
                // Anybody can put something there whose name looks good.
                is_on_its_way = is_on_its_way || self.is_genuine(&task).await?;
                if stage.is_none() {
                    unannounced.push(task);
                }
            }
        }
        if is_on_its_way {
            return Ok((None, unannounced));
        }
        Ok((self.head(&chain).await?.and_then(|head| silent(head, now)), unannounced))
    }

    /// Whether something that lies there is a digest that `CloudTrail` wrote; what can't be read is none that anybody knows.
    async fn is_genuine(&self, task: &Task) -> Result<bool, ExamineError> {
        let Some(key) = DigestKey::parse(&task.object.key) else { return Ok(false) };
        match self.open(&task.object, key).await {
            Ok(opened) => Ok(self.believe(&opened).await?.is_ok()),
            Err(error) if error.is_for_now() => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// The digests of a chain that lie in its bucket behind its head.
    async fn behind(&self, chain: &Chain, head: &Head) -> Result<Vec<Task>, ReadError> {
        // Below it are the day, in three folders, and the name.
        let Some(folder) = head.key.rsplitn(5, '/').nth(4).map(|folder| format!("{folder}/")) else {
            return Ok(Vec::new());
        };
        let is_next = |key: &str| {
            DigestKey::parse(key)
                .is_some_and(|key| key.chain == *chain && !key.is_backfill && key.end > head.end)
        };
        let (mut found, mut mark) = (Vec::new(), Some(Mark { key: head.key.clone(), version_id: None }));
        while let Some(behind) = mark {
            let page = match self.archive.versions(&head.bucket, &folder, &behind).await {
                Ok(page) => page,
                Err(error) if matches!(error.disposition(), Disposition::Retryable { .. }) => {
                    return Err(error);
                }
                Err(error) => {
                    warn!(bucket = head.bucket, %error, "nobody can look for digests in a bucket");
                    break;
                }
            };
            let versions = page.versions.into_iter().filter(|version| version.is_latest);
            found.extend(
                versions
                    .filter(|version| is_next(&version.object.key))
                    .map(|version| Task::whole(version.object)),
            );
            mark = page.next;
        }
        Ok(found)
    }
}

/// A chain whose next digest is overdue; none if it is not, or everybody knows.
fn silent(head: Head, now: Timestamp) -> Option<Silent> {
    let missed = head.missed(now);
    let chain = DigestKey::parse(&head.key)?.chain;
    (!missed.is_empty()).then_some(Silent { chain, head, missed })
}
