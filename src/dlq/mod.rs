//! The dead letter queue in an operator's hands: looked through, replayed, discarded.
//!
//! `found`, `filter` and `advice` are pure. Nothing is deleted that is not safe elsewhere: on the work queue, or in an
//! archive.

mod advice;
mod archive;
mod discard;
mod filter;
mod found;
mod replay;
#[cfg(test)]
mod tests;
mod visit;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

pub use advice::{advice, reasons};
pub use discard::{Discard, Discarded};
pub use filter::{Filter, ID_CHARACTERS};
pub use found::Found;
pub use replay::{Held, Replay, Verdict};
pub use visit::{Ending, Stop};

use crate::aws::{LedgerError, Mailbox, MailboxError, Received};
use visit::{Fate, Visit};

/// Why the work on the queue ended early. What was not deleted is still there.
#[derive(Debug, Error)]
pub enum DlqError {
    /// A queue does not do what it was asked for.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The ledger can't be read.
    #[error(
        "{0}: your identity needs dynamodb:GetItem on LEDGER_TABLE; with LEDGER_TABLE unset it is replayed without, and \
         what comes back is not known again"
    )]
    Ledger(#[from] LedgerError),
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
