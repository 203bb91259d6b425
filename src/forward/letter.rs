//! Dead letters: written before what they stand for counts as settled.

use jiff::Timestamp;
use serde_json::value::RawValue;
use tracing::{error, warn};

use super::deliver::Failed;
use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::delivery::{Key, Settled};
use crate::failure::{DeadLetter, Reason, Subject};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::trigger::Item;

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Sends letters; only then is what one is about settled. The id of each comes back in its place.
    pub(super) async fn send_letters(
        &self,
        letters: &[DeadLetter],
        tally: &mut Tally,
    ) -> Vec<Result<String, ComeAgain>> {
        let failed_at = Timestamp::now();
        let bodies: Vec<_> = letters.iter().map(|letter| letter.to_json(failed_at)).collect();
        let sent = self.dead_letters.send_all(&bodies).await;
        let settled = letters.iter().zip(sent).map(|(letter, sent)| {
            let reason = letter.reason.name();
            if let Err(failure) = sent {
                warn!(%failure, reason, "a dead letter could not be sent");
                return Err(ComeAgain::because(&failure));
            }
            let id = letter.id();
            error!(id, reason, message = letter.message, "wrote a dead letter");
            *tally.letters.entry(letter.reason).or_default() += 1;
            Ok(id)
        });
        settled.collect()
    }

    /// Sends one letter.
    pub(super) async fn send_letter(
        &self,
        letter: DeadLetter,
        tally: &mut Tally,
    ) -> Result<String, ComeAgain> {
        let sent = self.send_letters(&[letter], tally).await.pop();
        sent.unwrap_or_else(|| Err(ComeAgain::new("the queue did not answer")))
    }

    /// What has no shape that is known goes back whole. The ledger remembers a letter that does so again.
    pub(super) async fn return_to_sender(
        &self,
        event: &RawValue,
        replayed: Option<&str>,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let Some(mut hold) = self.claim(replayed.map(Key::letter), 0, attempt).await? else {
            tally.duplicates += 1;
            return Ok(());
        };
        let letter = DeadLetter {
            reason: Reason::UnknownTrigger,
            message: "the invocation has no shape that this version knows".to_owned(),
            status: None,
            table: None,
            subject: Subject::Event(event.to_owned()),
        };
        let sent = self.send_letter(letter, tally).await;
        // The letter stands as it stood, and can be replayed as before.
        self.release(&mut hold, &Settled::default()).await?;
        sent.map(|_| ())
    }

    /// Gives up an item that crashes us again and again.
    pub(super) async fn write_off(&self, item: &Item, tally: &mut Tally) -> Result<String, ComeAgain> {
        let (table, subject) = match item {
            // The next watch does what this one did not.
            Item::Watch(_) | Item::Ignored(_) => return Ok(String::new()),
            Item::Object { task, .. } => (None, Subject::Task(task.clone())),
            Item::Event { table, event, .. } => (Some(table.name()), Subject::Event(event.clone())),
            Item::Unknown { event, .. } => (None, Subject::Event(event.clone())),
        };
        let message =
            "the function crashed on this again and again: report it, and replay it with a later version";
        let letter =
            DeadLetter { reason: Reason::Crashed, message: message.to_owned(), status: None, table, subject };
        self.send_letter(letter, tally).await
    }
}

/// The letter about records that were not taken, unless they are to come again.
pub(super) fn letter_about(
    failed: &Failed,
    table: Table,
    subject: Subject,
    attempt: Attempt,
    tally: &mut Tally,
) -> Result<DeadLetter, ComeAgain> {
    match attempt.leaves_again(failed.error.disposition(), tally) {
        Ok(after) => Err(ComeAgain { after, ..ComeAgain::new(failed.error.to_string()) }),
        Err(reason) => Ok(DeadLetter {
            reason,
            message: failed.error.to_string(),
            status: failed.error.status(),
            table: Some(table.name()),
            subject,
        }),
    }
}
