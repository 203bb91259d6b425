//! Forwards the record or finding that an event carries.

use jiff::Timestamp;
use serde_json::value::RawValue;
use tracing::{debug, warn};

use super::crash::CRASHED;
use super::hold::Hold;
use super::letter::letter_about;
use super::passage::count_facts;
use super::station::Ticket;
use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::delivery::{Counts, Key, MOST_TAKEOVERS, Settled};
use crate::failure::{DeadLetter, Reason, Subject};
use crate::json;
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;

/// An event and what it carries.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    pub(super) table: Table,
    pub(super) record: &'a str,
    pub(super) whole: &'a RawValue,
    pub(super) letter: Option<&'a str>,
}

impl Event<'_> {
    fn letter(&self, reason: Reason, message: String) -> DeadLetter {
        let (table, subject) = (Some(self.table.name()), Subject::Event(self.whole.to_owned()));
        DeadLetter { reason, message, status: None, table, subject }
    }
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Forwards an event, unless what it carries was delivered before.
    pub(super) async fn forward_event(
        &self,
        event: Event<'_>,
        attempt: Attempt,
        ticket: Ticket<'_, S>,
        claimed: &mut Option<Hold>,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        self.begin()?;
        let key = match event.letter {
            Some(id) => Some(Key::letter(id)),
            None if event.table == Table::AwsGuardDuty => finding_key(event.record),
            None => None,
        };
        let Some(hold) = self.claim(key, 0, attempt).await? else {
            debug!(table = event.table.name(), "an event was delivered before");
            tally.duplicates += 1;
            return Ok(());
        };
        let hold = claimed.insert(hold);
        let letters_before = tally.letters.values().sum::<u64>();
        let forwarded = if hold.entry.takeovers >= MOST_TAKEOVERS {
            self.send_letter(event.letter(Reason::Crashed, CRASHED.to_owned()), attempt, tally)
                .await
                .map(drop)
        } else {
            self.forward_record(event, hold, attempt, ticket, tally).await
        };
        if let Err(again) = forwarded {
            // Whoever comes next need not wait for the lease's end; if this fails, it must.
            let _ = self.release(hold, &Settled::default()).await;
            warn!(table = event.table.name(), why = again.why, "an event must come again");
            return Err(again);
        }
        let letters = tally.letters.values().sum::<u64>() - letters_before;
        if event.letter.is_some() && letters > 0 {
            // The new letter is the old one's successor, and may be replayed in its turn.
            return self.release(hold, &Settled::default()).await;
        }
        let counts = Counts { records: 1, rows: 1 - letters.min(1), letters, ..Counts::default() };
        let mut settled = Settled::default();
        settled.settle(0..1, counts);
        self.deliver(hold, &settled, None).await?;
        debug!(table = event.table.name(), "forwarded an event");
        Ok(())
    }

    async fn forward_record(
        &self,
        event: Event<'_>,
        hold: &mut Hold,
        attempt: Attempt,
        ticket: Ticket<'_, S>,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let Event { table, record, whole, .. } = event;
        let numbers = tally.table(table.name());
        numbers.records += 1;
        let mut row = Vec::new();
        let mut batcher = self.batcher();
        match table.map(record.as_bytes(), Timestamp::now(), &mut row) {
            Err(error) => {
                self.send_letter(event.letter(error.reason(), error.to_string()), attempt, tally).await?;
                return Ok(());
            }
            Ok(facts) => {
                count_facts(numbers, facts);
                if let Err(error) = batcher.push(0, &row, facts.event_time) {
                    self.send_letter(event.letter(Reason::TooLarge, error.to_string()), attempt, tally)
                        .await?;
                    return Ok(());
                }
            }
        }
        let Some(batch) = batcher.take() else { return Ok(()) };
        let delivered = ticket.board(table, batch, attempt.deadline).await.landed().await;
        tally.add(delivered.tally);
        for failed in delivered.failed {
            let (subject, disposition) = (Subject::Event(whole.to_owned()), failed.error.disposition());
            let judged =
                self.judge(Some(&mut *hold), Key::event(whole.get()), disposition, attempt, tally).await?;
            let letter = letter_about(&failed, table, subject, judged)?;
            self.send_letter(letter, attempt, tally).await?;
        }
        Ok(())
    }
}

/// The ledger's key of a finding, by its id and the time of its state; none if it has none.
pub(super) fn finding_key(finding: &str) -> Option<Key> {
    let [id, id_of_api, updated_at, updated_at_of_api] =
        json::pick(finding, ["id", "Id", "updatedAt", "UpdatedAt"]).ok()?;
    let id = json::string(id.or(id_of_api)?)?;
    let updated_at = json::string(updated_at.or(updated_at_of_api)?)?;
    Some(Key::finding(&id, &updated_at))
}
