//! Dead letters: written before what they stand for counts as settled.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::time::timeout_at;
use tracing::{error, warn};

use super::deliver::Failed;
use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Ledger, MOST_MESSAGES, ObjectReader, Queue};
use crate::delivery::{Key, Settled};
use crate::failure::{DeadLetter, Reason, Subject};
use crate::json;
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;

/// Letters of one call that the queue's own limit may refuse: it may have been set to as little as this
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>).
const LONG_BYTES: usize = 256 * 1024;
/// Calls that send letters at once.
const CALLS_AT_ONCE: usize = 8;

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Sends letters; only then is what one is about settled. The id of each comes back in its place.
    ///
    /// None is waited for beyond the deadline: what was uploaded and settled before must still be written down.
    pub(super) async fn send_letters(
        &self,
        letters: &[DeadLetter],
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Vec<Result<String, ComeAgain>> {
        let failed_at = Timestamp::now();
        let calls = stream::iter(letters.chunks(MOST_MESSAGES)).map(async |letters| {
            let bodies: Vec<_> = letters.iter().map(|letter| letter.to_json(failed_at)).collect();
            let mut sent = self.send_until(&bodies, attempt).await;
            for ((letter, body), sent) in letters.iter().zip(&bodies).zip(&mut sent) {
                if sent.is_err()
                    && body.len() > LONG_BYTES
                    && let Subject::Event(event) = &letter.subject
                {
                    // A queue may take the event that it could not take inside a letter. It can be replayed likewise.
                    let whole = self.send_until(&[as_it_came(event)], attempt).await.pop();
                    *sent = whole.unwrap_or_else(|| sent.clone());
                }
            }
            sent
        });
        let sent = calls.buffered(CALLS_AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten();
        let settled = letters.iter().zip(sent).map(|(letter, sent)| {
            let reason = letter.reason.name();
            let task = match &letter.subject {
                Subject::Task(task) => Some(task),
                Subject::Event(_) => None,
            };
            let bucket = task.map(|task| task.object.bucket.as_str());
            let key = task.map(|task| task.object.key.as_str());
            if let Err(again) = sent {
                warn!(reason, bucket, key, why = again.why, "a dead letter could not be sent");
                return Err(again);
            }
            let (from, until) = (task.map(|task| task.from_record), task.and_then(|task| task.until_record));
            let (id, why) = (letter.id(), &letter.message);
            error!(
                id,
                reason,
                bucket,
                key,
                from_record = from,
                until_record = until,
                why,
                "wrote a dead letter"
            );
            *tally.letters.entry(letter.reason).or_default() += 1;
            Ok(id)
        });
        settled.collect()
    }

    async fn send_until(&self, bodies: &[String], attempt: Attempt) -> Vec<Result<(), ComeAgain>> {
        match timeout_at(attempt.letters_until().instant().into(), self.dead_letters.send_all(bodies)).await {
            Ok(sent) => {
                sent.into_iter().map(|sent| sent.map_err(|error| ComeAgain::because(&error))).collect()
            }
            Err(_) => {
                vec![
                    Err(ComeAgain::new("the dead letter queue did not answer before the deadline"));
                    bodies.len()
                ]
            }
        }
    }

    /// Sends one letter.
    pub(super) async fn send_letter(
        &self,
        letter: DeadLetter,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<String, ComeAgain> {
        let sent = self.send_letters(&[letter], attempt, tally).await.pop();
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
        let sent = self.send_letter(letter, attempt, tally).await;
        // The letter stands as it stood, and can be replayed as before.
        self.release(&mut hold, &Settled::default()).await?;
        sent.map(|_| ())
    }
}

/// The event as a message of its own.
fn as_it_came(event: &RawValue) -> String {
    json::string(event.get()).map_or_else(|| event.get().to_owned(), Cow::into_owned)
}

/// The letter about records that were not taken, unless they are to come again.
pub(super) fn letter_about(
    failed: &Failed,
    table: Table,
    subject: Subject,
    judged: Result<Option<Duration>, Reason>,
) -> Result<DeadLetter, ComeAgain> {
    match judged {
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
