//! Discards: what is meant is written to an archive, and only then deleted.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::archive::Archive;
use super::filter::Filter;
use super::found::Found;
use super::visit::{Fate, Visit};
use super::{DlqError, Ending, Stop};
use crate::aws::{MOST_MESSAGES, Mailbox};

/// How long an operator may think over the question.
const THINKING: Duration = Duration::from_mins(2);

/// What is to be discarded.
pub struct Discard<'a, M> {
    /// Where the messages lie.
    pub dead_letters: &'a M,
    /// Which are meant.
    pub filter: &'a Filter,
    /// Where they are kept; made only if there is one.
    pub archive: &'a Path,
    /// The most messages.
    pub limit: Option<u64>,
}

/// What became of what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// There was none.
    Nothing,
    /// It was refused, or stopped before anything was deleted; no archive is left.
    Declined,
    /// The answer came so late that the messages may be in other hands; nothing was deleted, no archive is left.
    TooLate,
    /// So many are deleted, and so many stay: by refusal of the queue, or since it was stopped. The archive holds all.
    Done {
        /// Deleted.
        deleted: u64,
        /// In the queue as before.
        stay: u64,
    },
}

impl<M: Mailbox> Discard<'_, M> {
    /// Writes the archive, asks, and deletes; `see` is shown each message that is meant.
    ///
    /// # Errors
    /// If the queue can't be used or the archive not be written.
    pub async fn run(
        &self,
        stop: &Stop,
        see: impl Fn(&Found),
        ask: impl AsyncFnOnce(usize) -> bool,
    ) -> Result<(Discarded, Ending), DlqError> {
        let visit = Visit::begin(self.dead_letters, stop, |_| THINKING, false).await?;
        let done = self.visited(&visit, stop, see, ask).await;
        let ending = visit.ending();
        let released = visit.release().await;
        let done = done?;
        released?;
        Ok((done, ending))
    }

    async fn visited(
        &self,
        visit: &Visit<'_, M>,
        stop: &Stop,
        see: impl Fn(&Found),
        ask: impl AsyncFnOnce(usize) -> bool,
    ) -> Result<Discarded, DlqError> {
        let failure = |error| DlqError::Archive { path: self.archive.to_owned(), error };
        let archive: RefCell<Option<Archive>> = RefCell::default();
        let chosen: RefCell<Vec<String>> = RefCell::default();
        let looked = visit.each(async |messages| {
            let now = Timestamp::now();
            for message in &messages {
                let found = Found::read(message);
                if !self.filter.takes(&found, now) {
                    continue;
                }
                if self.limit.is_some_and(|limit| chosen.borrow().len() as u64 >= limit) {
                    visit.end();
                    break;
                }
                let mut archive = archive.borrow_mut();
                let write = match &mut *archive {
                    Some(archive) => archive.add(message),
                    none => Archive::create(self.archive).and_then(|new| none.insert(new).add(message)),
                };
                write.map_err(failure)?;
                chosen.borrow_mut().push(message.message_id.clone());
                see(&found);
            }
            Ok(vec![Fate::Stays; messages.len()])
        });
        let looked = looked.await;
        let Some(mut archive) = archive.into_inner() else {
            return looked.map(|()| if stop.is_told() { Discarded::Declined } else { Discarded::Nothing });
        };
        let chosen = chosen.into_inner();
        let synced = looked.and_then(|()| archive.sync().map_err(failure));
        if synced.is_err() || stop.is_told() || !ask(chosen.len()).await || stop.is_told() {
            archive.remove().map_err(failure)?;
            return synced.map(|()| Discarded::Declined);
        }
        if visit.is_stale() {
            archive.remove().map_err(failure)?;
            return Ok(Discarded::TooLate);
        }
        let mut deleted = 0;
        for some in chosen.chunks(MOST_MESSAGES) {
            if stop.is_told() {
                break;
            }
            let gone = visit.delete_seen(some).await?;
            deleted += gone.iter().filter(|gone| **gone).count() as u64;
        }
        Ok(Discarded::Done { deleted, stay: chosen.len() as u64 - deleted })
    }
}
