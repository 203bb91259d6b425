//! The dead letter queue in an operator's hands: looked through, replayed, discarded, restored.
//!
//! `found`, `filter` and `advice` are pure. Nothing is deleted that is not safe elsewhere: on the work queue, or in an
//! archive.

mod advice;
mod archive;
mod discard;
mod filter;
mod found;
mod pairing;
mod replay;
mod restore;
#[cfg(test)]
mod tests;
mod visit;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use advice::{advice, reasons};
pub use archive::{Archived, read_archive};
pub use discard::{Discard, Discarded};
pub use filter::{Filter, ID_CHARACTERS};
pub use found::Found;
pub use pairing::{PairingError, check_dead_letters, check_replay};
pub use replay::{Held, Replay, Verdict};
pub use restore::{Restore, Restored};
pub use visit::{Ending, Stop};

use crate::aws::{AwsError, Mailbox, MailboxError, Received};
use visit::{Fate, Visit};

/// Why the work on the queue ended early. What was not deleted is still there.
#[derive(Debug, Error)]
pub enum DlqError {
    /// A queue does not do what it was asked for.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The ledger can't be read.
    #[error(
        "the ledger (LedgerTable of the stack's outputs): {0}; what it was not asked about is where it was: without the \
         ledger, what was replayed before could not be told"
    )]
    Ledger(AwsError),
    /// The archive can't be written.
    #[error("the archive {path} can't be written ({error}): nothing was deleted; name another by --archive")]
    Archive {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
}

/// Shows each message once, until there are no more or it is enough; all are visible again at the end.
///
/// # Errors
/// If the queue can't be used.
pub async fn look_through<M: Mailbox>(
    mailbox: &M,
    stop: &Stop,
    each: impl FnMut(Received, Found) -> ControlFlow<()>,
) -> Result<Ending, DlqError> {
    let visit = Visit::begin(mailbox, stop, |_| Duration::ZERO, false).await?;
    let each = RefCell::new(each);
    let looked = visit.each(async |messages| {
        let fates = vec![Fate::Stays; messages.len()];
        for message in messages {
            let found = Found::read(&message);
            if (each.borrow_mut())(message, found).is_break() {
                visit.end();
                break;
            }
        }
        Ok(fates)
    });
    let looked = looked.await;
    let ending = visit.ending();
    let released = visit.release().await;
    looked?;
    released?;
    Ok(ending)
}
