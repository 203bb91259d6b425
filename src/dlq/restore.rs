//! Restores: what was discarded goes from its archive back to the dead letter queue.
//!
//! Nothing is written down for it. What the queue holds already is left out, so a restore that was killed is simply run
//! again. SQS gives each message a new id, and its 14 days anew.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;

use futures_util::stream::{self, StreamExt};
use sha2::{Digest, Sha256};

use super::archive::Archived;
use super::{DlqError, Ending, Stop, look_through};
use crate::aws::Mailbox;

/// Calls under way at once.
const CALLS_AT_ONCE: usize = 8;

/// What is to be restored.
pub struct Restore<'a, M> {
    /// Where the messages go.
    pub dead_letters: &'a M,
    /// The messages, in the order of the archive's lines.
    pub messages: &'a [Archived],
    /// Only count what would be done.
    pub dry_run: bool,
}

/// What became of the messages of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// In the queue now, or would be.
    pub restored: u64,
    /// In the queue before.
    pub present: u64,
    /// Not taken: their lines, counted from 1, and the code.
    pub refused: Vec<(usize, String)>,
}

impl<M: Mailbox> Restore<'_, M> {
    /// Restores; tells after each message how many there are so far.
    ///
    /// # Errors
    /// If the queue can't be used. What was sent until then is found there the next time.
    pub async fn run(&self, stop: &Stop, tell: impl Fn(&Restored)) -> Result<(Restored, Ending), DlqError> {
        let mut present: HashMap<[u8; 32], u64> = HashMap::new();
        let ending = look_through(self.dead_letters, stop, |message, _| {
            *present.entry(hash(&message.body)).or_default() += 1;
            ControlFlow::Continue(())
        });
        let ending = ending.await?;
        let sum = RefCell::new(Restored::default());
        if ending != Ending::Whole {
            return Ok((sum.into_inner(), ending));
        }
        let mut missing = Vec::new();
        for (place, message) in self.messages.iter().enumerate() {
            match present.get_mut(&hash(&message.body)) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    sum.borrow_mut().present += 1;
                }
                _ => missing.push((place + 1, message)),
            }
        }
        if self.dry_run {
            sum.borrow_mut().restored = missing.len() as u64;
            return Ok((sum.into_inner(), ending));
        }
        let was_stopped = Cell::new(false);
        let calls = missing.into_iter().map(|(line, message)| {
            let (was_stopped, sum, tell) = (&was_stopped, &sum, &tell);
            async move {
                if stop.is_told() {
                    was_stopped.set(true);
                    return Ok(());
                }
                let refusal = self.dead_letters.send_back(&message.body, &message.attributes).await?;
                let mut sum = sum.borrow_mut();
                match refusal {
                    None => sum.restored += 1,
                    Some(code) => sum.refused.push((line, code)),
                }
                tell(&sum);
                Ok::<(), DlqError>(())
            }
        });
        let mut calls = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE);
        while let Some(sent) = calls.next().await {
            sent?;
        }
        drop(calls);
        let ending = if was_stopped.get() { Ending::Stopped } else { Ending::Whole };
        Ok((sum.into_inner(), ending))
    }
}

fn hash(body: &str) -> [u8; 32] {
    Sha256::digest(body).into()
}
