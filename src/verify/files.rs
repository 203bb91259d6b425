//! The files of a day that no digest lists, against the ledger.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use jiff::Timestamp;

use super::walk::{Walk, WalkError, date};
use super::{DAY, HOUR, Progress};
use crate::aws::{Archive, MOST_KEYS, Mark, Notes, PublicKeys, ReadError};
use crate::backfill::layout::stamp;
use crate::decode::KeyTells;
use crate::delivery::{Entry, Key, Stage};
use crate::digest::{Finding, LATE, Place, Version, hour_at};

/// How far a folder has been listed: its days stand in the order of time, so they are one listing, and days without
/// files cost no call.
pub(super) struct Cursor {
    folder: String,
    page: VecDeque<Version>,
    next: Next,
}

enum Next {
    /// Nothing was listed yet.
    Beginning,
    Behind(Mark),
    /// All was listed, or what is left can't be.
    End {
        is_known: bool,
    },
}

impl Cursor {
    pub(super) fn new(folder: &str) -> Self {
        Self { folder: folder.to_owned(), page: VecDeque::new(), next: Next::Beginning }
    }
}

impl<A: Archive, K: PublicKeys, N: Notes> Walk<'_, A, K, N> {
    /// Looks at the files of a day that no digest lists; whether all of them could be listed.
    pub(super) async fn files(&mut self, cursor: &mut Cursor, day: Timestamp) -> Result<bool, WalkError> {
        let prefix = format!("{}{}", cursor.folder, date(day));
        let end = format!("{}{}", cursor.folder, date(day + DAY));
        // The versions of a key stand together, but may lie on two pages.
        let mut open: Vec<Version> = Vec::new();
        loop {
            while let Some(version) = cursor.page.pop_front_if(|version| version.object.key < end) {
                if version.is_latest {
                    self.remembered.files.take(&version.object.key);
                }
                let key = &version.object.key;
                if !key.starts_with(&prefix) || !self.is_to_be_looked_up(key) {
                    continue;
                }
                let is_new = open.last().is_some_and(|last| last.object.key != *key);
                if is_new && open.len() >= MOST_KEYS {
                    self.look_up(&std::mem::take(&mut open), day).await?;
                }
                open.push(version);
            }
            if !cursor.page.is_empty() {
                break;
            }
            let mark = match &cursor.next {
                Next::Beginning => Mark { key: prefix.clone(), version_id: None },
                Next::Behind(mark) if mark.key < end => mark.clone(),
                Next::Behind(_) | Next::End { .. } => break,
            };
            self.check_interruption()?;
            match self.archive.versions(&self.asked.bucket, &cursor.folder, &mark).await {
                Ok(page) => {
                    cursor.page = page.versions.into();
                    cursor.next = page.next.map_or(Next::End { is_known: true }, Next::Behind);
                }
                Err(error) => self.leave_unlisted(cursor, &error),
            }
        }
        self.look_up(&open, day).await?;
        Ok(!matches!(cursor.next, Next::End { is_known: false }))
    }

    fn leave_unlisted(&mut self, cursor: &mut Cursor, error: &ReadError) {
        cursor.next = Next::End { is_known: false };
        self.verified.error.get_or_insert(error.to_string());
    }

    fn is_to_be_looked_up(&self, key: &str) -> bool {
        let name = self.hasher.hash_one(key.to_owned());
        !key.ends_with('/')
            && KeyTells::of(key) != KeyTells::Other
            && !self.listed.values().any(|names| names.contains(&name))
    }

    /// Compares files with the ledger; the versions of each stand together.
    async fn look_up(&mut self, versions: &[Version], day: Timestamp) -> Result<(), WalkError> {
        let keys: Vec<Key> = versions.iter().map(|version| Key::object(&version.object)).collect();
        let entries = if keys.is_empty() { return Ok(()) } else { self.ledger.entries(&keys).await? };
        for file in versions.chunk_by(|one, other| one.object.key == other.object.key) {
            let entry = |version: &Version| entries.get(Key::object(&version.object).as_str());
            self.settle(file, entry, day);
        }
        Ok(())
    }

    /// Counts a file that no digest lists: the version that its key shows now must have been delivered.
    fn settle<'e>(
        &mut self,
        versions: &[Version],
        entry: impl Fn(&Version) -> Option<&'e Entry>,
        day: Timestamp,
    ) {
        let Some(newest) = versions.iter().find(|version| version.is_latest).or(versions.first()) else {
            return;
        };
        // Whatever its name says, and whenever it was copied: it lies in that day's folder, and is counted there.
        let written = stamp(&newest.object.key).unwrap_or(newest.modified);
        let begins = hour_at(written).clamp(day, day + DAY - HOUR);
        let place = Place::of(&newest.object);
        let is_delivered =
            |version: &Version| entry(version).filter(|entry| matches!(entry.stage, Stage::Delivered { .. }));
        let Some(hour) = self.hours.get_mut(&begins) else { return };
        if !newest.is_latest {
            // What was delivered of it is known by name, and told as removed.
            if !versions.iter().any(|version| is_delivered(version).is_some()) {
                self.find(Finding::Gone(place), begins, None);
            }
            return;
        }
        let unlisted = &mut hour.unlisted;
        unlisted.found += 1;
        (self.tell)(Progress { files: 1, ..Progress::default() });
        match is_delivered(newest) {
            Some(entry) if entry.content.is_some() && entry.settled.counts.letters == 0 => {
                unlisted.delivered += 1;
                unlisted.counts.add(entry.settled.counts);
            }
            Some(entry) => {
                unlisted.in_letters += 1;
                unlisted.counts.add(entry.settled.counts);
                self.find_in_letters(place, begins, None);
            }
            None if self.asked.now.duration_since(newest.modified) < LATE => unlisted.under_way += 1,
            None => {
                unlisted.missing += 1;
                self.find(Finding::Missing(place), begins, None);
            }
        }
    }
}
