//! The file that a backfill goes on from: what it found, and the key up to which all is done.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::plan::{Found, Sample};

/// The schema of the file.
const SCHEMA: &str = "sentinel-forwarder/backfill/1";

/// Why there is nothing to go on from.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file is not ours.
    #[error("{0} is no state of a backfill: give another file to --state")]
    Foreign(PathBuf),
    /// It is of another backfill.
    #[error(
        "{path} is the state of `backfill {selection}`: repeat exactly that, or give another file to --state"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// What it is the state of.
        selection: String,
    },
    /// The file can't be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// How far a backfill is. Keys are done in their order, so that one key tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    schema: String,
    /// What is selected, as its command says it.
    pub selection: String,
    /// What was found.
    pub found: Found,
    /// What some of it showed.
    pub sample: Sample,
    /// Up to which key all is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// How many files that is.
    pub files: u64,
    /// Whether nothing is left.
    pub is_finished: bool,
}

impl State {
    /// The state of a backfill that has not begun.
    #[must_use]
    pub fn new(selection: String, found: Found, sample: Sample) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            selection,
            found,
            sample,
            position: None,
            files: 0,
            is_finished: false,
        }
    }

    /// Reads the state of this selection; none if there is no file yet.
    ///
    /// # Errors
    /// If the file is of something else, or can't be read.
    pub fn read(path: &Path, selection: &str) -> Result<Option<Self>, StateError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StateError::Io { path: path.to_owned(), error }),
        };
        let state: Self = serde_json::from_slice(&text)
            .ok()
            .filter(|state: &Self| state.schema == SCHEMA)
            .ok_or_else(|| StateError::Foreign(path.to_owned()))?;
        if state.selection == selection {
            Ok(Some(state))
        } else {
            Err(StateError::Other { path: path.to_owned(), selection: state.selection })
        }
    }

    /// Writes it in the place of what was there; whoever is killed meanwhile leaves one of the two.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, path: &Path) -> Result<(), StateError> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let write = || {
            let mut file = File::create(&unfinished)?;
            writeln!(file, "{}", crate::json::text(self))?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)
        };
        write().map_err(|error| StateError::Io { path: path.to_owned(), error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_by_its_own_selection_only() {
        let folder = std::env::temp_dir().join(format!("backfill-state-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.json");
        assert!(State::read(&path, "s3://b/").unwrap().is_none());
        let mut state =
            State::new("s3://b/".to_owned(), Found { files: 3, ..Found::default() }, Sample::default());
        state.position = Some("a \"key\"\u{1}ü".to_owned());
        state.files = 2;
        for _ in 0..2 {
            state.write(&path).unwrap();
            assert_eq!(State::read(&path, "s3://b/").unwrap(), Some(state.clone()));
            state.files += 1;
        }
        assert!(matches!(State::read(&path, "s3://c/"), Err(StateError::Other { .. })));
        std::fs::write(&path, "{\"files\":1}").unwrap();
        assert!(matches!(State::read(&path, "s3://b/"), Err(StateError::Foreign(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
