//! The files of a day that no digest lists, against the ledger.

use std::hash::BuildHasher;

use jiff::Timestamp;

use super::walk::{DAY, Walk, WalkError, date};
use super::{HOUR, Progress};
use crate::aws::{Archive, Mark, Notes, PublicKeys};
use crate::backfill::layout::stamp;
use crate::decode::KeyTells;
use crate::delivery::{Entry, Key, Stage};
use crate::digest::{Finding, LATE, Place, Version, hour_at};

impl<A: Archive, K: PublicKeys, N: Notes> Walk<'_, A, K, N> {
    /// Looks at the files of a day that no digest lists.
    pub(super) async fn files(&mut self, folder: &str, day: Timestamp) -> Result<(), WalkError> {
        let prefix = format!("{folder}{}", date(day));
        let mut behind = Some(Mark { key: prefix.clone(), version_id: None });
        // The last key of a page may have further versions on the next one.
        let mut open: Vec<Version> = Vec::new();
        while let Some(mark) = behind {
            let page = self.archive.versions(&self.asked.bucket, &prefix, &mark).await?;
            open.extend(
                page.versions.into_iter().filter(|version| self.is_to_be_looked_up(&version.object.key)),
            );
            let last =
                page.next.is_some().then(|| open.last().map(|version| version.object.key.clone())).flatten();
            let rest =
                open.partition_point(|version| last.as_ref().is_none_or(|last| version.object.key < *last));
            let later = open.split_off(rest);
            self.look_up(&open, day).await?;
            open = later;
            behind = page.next;
        }
        Ok(())
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
        let entries = self.ledger.entries(&keys).await?;
        let mut from = 0;
        for file in versions.chunk_by(|one, other| one.object.key == other.object.key) {
            let known = keys[from..from + file.len()].iter().filter_map(|key| entries.get(key.as_str()));
            self.settle(file, &known.collect::<Vec<_>>(), day);
            from += file.len();
        }
        Ok(())
    }

    /// Counts a file that no digest lists.
    fn settle(&mut self, versions: &[Version], entries: &[&Entry], day: Timestamp) {
        let Some(version) = versions.last() else { return };
        // Whatever its name says, and whenever it was copied: it lies in that day's folder, and is counted there.
        let written = stamp(&version.object.key).unwrap_or(version.modified);
        let begins = hour_at(written).clamp(day, day + DAY - HOUR);
        let Some(hour) = self.hours.get_mut(&begins) else { return };
        let unlisted = &mut hour.unlisted;
        unlisted.found += 1;
        (self.tell)(Progress { files: 1, ..Progress::default() });
        let mut delivered = entries.iter().filter(|entry| matches!(entry.stage, Stage::Delivered { .. }));
        let whole = delivered.clone().find(|entry| entry.content.is_some());
        if let Some(entry) = whole {
            unlisted.delivered += 1;
            unlisted.counts.add(entry.settled.counts);
        } else if delivered.next().is_some() {
            unlisted.in_letters += 1;
            self.tell_in_letters(begins, 1, None, "unlisted");
        } else if self.asked.now.duration_since(version.modified) < LATE {
            unlisted.under_way += 1;
        } else {
            unlisted.missing += 1;
            self.find(&Finding::Missing(Place::of(&version.object)), begins, None);
        }
    }
}
