//! The archive of what is discarded: one JSON line a message, all of it on the disk before anything is deleted, and all
//! that is needed to put it back.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::aws::Received;

/// A file that did not exist before.
pub(super) struct Archive {
    path: PathBuf,
    out: BufWriter<File>,
}

#[derive(Serialize)]
struct Line<'a> {
    message_id: &'a str,
    sent_at: String,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    attributes: &'a std::collections::BTreeMap<String, String>,
    body: &'a str,
}

/// What a message needs to be put back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Archived {
    /// The text.
    pub body: String,
    /// What its sender wrote beside it.
    #[serde(default)]
    pub attributes: std::collections::BTreeMap<String, String>,
}

/// Reads an archive.
///
/// # Errors
/// With the number of the first line that is no message of an archive, counted from 1, and why.
pub fn read_archive(text: &str) -> Result<Vec<Archived>, (usize, serde_json::Error)> {
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(nth, line)| serde_json::from_str(line).map_err(|error| (nth + 1, error))).collect()
}

impl Archive {
    /// Makes the file; its messages may hold findings, so nobody else may read it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { path: path.to_owned(), out: BufWriter::new(options.open(path)?) })
    }

    pub(super) fn add(&mut self, message: &Received) -> io::Result<()> {
        let Received { message_id, sent_at, attributes, body, .. } = message;
        let line = Line { message_id, sent_at: sent_at.to_string(), attributes, body };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// All of it is on the disk, and its name too.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
    }

    /// Takes the file away again, since nothing of it was deleted.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(self.path)
    }
}
