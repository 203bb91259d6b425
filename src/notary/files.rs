//! The listed files: a page of a bucket's versions at a time, joined with what the ledger knows of them.

use std::time::Instant;

use super::{ExamineError, Examined, Notary};
use crate::aws::{Archive, Mark, Notes, PublicKeys, Queue, ReadError, Versions};
use crate::deadline::Deadline;
use crate::delivery::Key;
use crate::digest::{Current, Evidence, Finding, Folder, Folders, Listed, Place, Verdict};
use crate::task::Task;

impl<A: Archive, K: PublicKeys, N: Notes, Q: Queue> Notary<A, K, N, Q> {
    /// Looks at every file that a digest lists.
    pub(super) async fn files(&self, folders: &Folders, until: Deadline) -> Result<Examined, ExamineError> {
        let mut examined = Examined::default();
        for (folder, files) in folders {
            let place = |file: &Listed| Place {
                bucket: folder.bucket.clone(),
                key: format!("{}{}", folder.prefix, file.name),
            };
            if !self.allows(&folder.bucket) {
                examined.account.leave_out(files.len() as u64);
                examined.findings.extend(files.iter().map(|file| Finding::Missing(place(file))));
                continue;
            }
            let evidence = match self.evidence(folder, files, until).await {
                Ok(evidence) => evidence,
                // The other folders are looked at all the same.
                Err(ExamineError::Read(error)) if !error.is_for_now() => {
                    let what = Place { bucket: folder.bucket.clone(), key: folder.prefix.clone() };
                    examined.account.leave_out(files.len() as u64);
                    examined.findings.push(Finding::Unreadable { what, why: error.to_string() });
                    continue;
                }
                Err(error) => return Err(error),
            };
            for (file, evidence) in files.iter().zip(evidence) {
                let Examined { account, findings, .. } = &mut examined;
                evidence.settle(&place(file), &file.sha256, account, findings);
                if evidence.verdict() == Verdict::InLetters {
                    examined.in_letters.push(place(file));
                }
                examined.under_way += u64::from(evidence.verdict() == Verdict::UnderWay);
                examined.unknown.extend(evidence.to_deliver().iter().cloned().map(Task::whole));
            }
        }
        Ok(examined)
    }

    /// What is known of a folder's listed files, which stand in the order of their names: so their versions are one
    /// stretch of the listing, and the rest of the folder is not walked.
    async fn evidence(
        &self,
        folder: &Folder,
        files: &[Listed],
        until: Deadline,
    ) -> Result<Vec<Evidence>, ExamineError> {
        let mut evidence = vec![Evidence::default(); files.len()];
        let (Some(first), Some(last)) = (files.first(), files.last()) else { return Ok(evidence) };
        let last = format!("{}{}", folder.prefix, last.name);
        // What a key begins with comes before it, and no key of the same length does.
        let mut before = format!("{}{}", folder.prefix, first.name);
        before.pop();
        let mut mark = Some(Mark { key: before, version_id: None });
        while let Some(behind) = mark.filter(|mark| mark.key <= last) {
            if Instant::now() >= until.instant() {
                return Err(ExamineError::Late);
            }
            let Versions { mut versions, next } =
                self.archive.versions(&folder.bucket, &folder.prefix, &behind).await?;
            let named = |key: &str| {
                let name = key.strip_prefix(&folder.prefix).unwrap_or_default();
                let from = files.partition_point(|file| &*file.name < name);
                from..from + files[from..].partition_point(|file| &*file.name == name)
            };
            versions.retain(|version| !named(&version.object.key).is_empty());
            let keys: Vec<Key> = versions.iter().map(|version| Key::object(&version.object)).collect();
            let entries = self.notes.entries(&keys).await?;
            for (version, key) in versions.into_iter().zip(keys) {
                for place in named(&version.object.key) {
                    evidence[place].add(&files[place].sha256, version.clone(), entries.get(key.as_str()));
                }
            }
            mark = next;
        }
        for (file, evidence) in files.iter().zip(&mut evidence) {
            let Some(object) = evidence.to_compare().cloned() else { continue };
            evidence.compare(match self.archive.content_hash(&object).await {
                Ok(found) => Current::of(&file.sha256, found),
                Err(ReadError::Gone { .. }) => Current::Nothing,
                Err(error) if error.is_for_now() => return Err(error.into()),
                Err(error) => Current::Unreadable(error.to_string()),
            });
        }
        Ok(evidence)
    }
}
