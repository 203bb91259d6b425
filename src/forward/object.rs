//! Forwards one object: it is claimed and opened, read, and settled.

use std::time::Duration;

use tracing::{info, warn};

use super::deliver::Delivered;
use super::hold::Hold;
use super::letter::letter_about;
use super::passage::{Load, Passage};
use super::reading::Reading;
use super::station::Ticket;
use super::{Attempt, ComeAgain, Forwarder, Outcome};
use crate::aws::{Ledger, ObjectReader, Queue, ReadError};
use crate::decode::{Decoder, Format, KeyTells};
use crate::delivery::{Entry, Key, MOST_TAKEOVERS, Settled, Stage};
use crate::digest::DigestKey;
use crate::failure::{DeadLetter, Reason, Subject};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::task::{ObjectRef, Task};

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Forwards an object, or a range of it, unless it was delivered before.
    pub(super) async fn forward_object(
        &self,
        task: &Task,
        letter: Option<&str>,
        attempt: Attempt,
        mut ticket: Ticket<'_, S>,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        let (bucket, key) = (task.object.bucket.as_str(), task.object.key.as_str());
        if let Some((checks, digest)) = self.checks.as_ref().zip(DigestKey::parse(key)) {
            return self.check_digest(checks, digest, task, letter, attempt, tally).await;
        }
        let format = match KeyTells::of(key) {
            KeyTells::Other => {
                info!(bucket, key, "ignored: no format of ours");
                tally.ignored += 1;
                return Ok(Outcome::Done);
            }
            KeyTells::Format(format) => Some(format),
            KeyTells::Nothing => None,
        };
        ticket.take_place().await;
        let outcome = self.forward_known(task, format, letter, attempt, ticket, tally).await;
        match &outcome {
            Ok(Outcome::Done) => info!(bucket, key, "forwarded an object"),
            Ok(Outcome::GoesOn(rest)) => {
                info!(
                    bucket,
                    key,
                    from_record = rest.from_record,
                    "time is up, the rest of an object goes on"
                );
            }
            Err(again) => warn!(bucket, key, why = again.why, "an object must come again"),
        }
        outcome
    }

    async fn forward_known(
        &self,
        task: &Task,
        format: Option<Format>,
        letter: Option<&str>,
        attempt: Attempt,
        ticket: Ticket<'_, S>,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        self.begin()?;
        let mut task = task.clone();
        // Of a bucket that keeps versions, what names none can't be told from an announcement that does: S3's answer
        // names it.
        let opened_first = if letter.is_none() && task.object.version_id.is_none() {
            Some(self.open(&mut task.object).await)
        } else {
            None
        };
        let Some(hold) = self.claim_object(&task, letter, attempt).await? else {
            info!(bucket = task.object.bucket, key = task.object.key, "an object was delivered before");
            tally.duplicates += 1;
            return Ok(Outcome::Done);
        };
        let opened = match opened_first {
            Some(opened) => opened,
            None => self.open(&mut task.object).await,
        };
        let decoder = Decoder::new(format);
        let decoder = if hold.is_remembered() { decoder.hashing() } else { decoder };
        let mut passage =
            Passage::new(task, letter, format.map(Format::table), hold, attempt, self.batcher());
        let read = match opened {
            _ if passage.hold.entry.takeovers >= MOST_TAKEOVERS => {
                let why = "the function died of this again and again: report it, and replay it with a later version";
                self.give_up_rest(&mut passage, Reason::Crashed, why).await;
                Ok(Reading::Ended)
            }
            Ok(chunks) => self.pass(decoder, chunks, &mut passage, ticket).await,
            Err(error) => Err(error),
        };
        passage.tally.objects += 1;
        let outcome = self.settle(read, &mut passage).await;
        tally.add(passage.tally);
        outcome
    }

    async fn open(&self, object: &mut ObjectRef) -> Result<O::Chunks, ReadError> {
        if self.limits.allowed_buckets.as_ref().is_some_and(|names| !names.contains(&object.bucket)) {
            return Err(ReadError::NotAllowed);
        }
        let (pinned, chunks) = self.objects.open(object).await?;
        *object = pinned;
        Ok(chunks)
    }

    /// Claims what a task asks for: a letter, a part, or the object as a whole; none if it was delivered before.
    async fn claim_object(
        &self,
        task: &Task,
        letter: Option<&str>,
        attempt: Attempt,
    ) -> Result<Option<Hold>, ComeAgain> {
        if let Some(id) = letter {
            return self.claim(Some(Key::letter(id)), task.from_record, attempt).await;
        }
        let whole = Key::object(&task.object);
        if task.is_part() {
            let known = self.look_up(&whole).await?;
            match known.map(|entry| entry.stage) {
                Some(Stage::Delivered { .. }) => return Ok(None),
                // The rest of an object that is under way.
                Some(_) if task.until_record.is_none() => {}
                // What comes before it was never seen, so the object as a whole must not count as delivered.
                _ => return self.claim_part(task.clone(), attempt).await,
            }
        }
        self.claim(Some(whole), 0, attempt).await
    }

    /// Claims a range of records. Where its time was up, the rest became a task and a range of its own: whoever asks for
    /// the range again asks for the last of that chain.
    async fn claim_part(&self, mut task: Task, attempt: Attempt) -> Result<Option<Hold>, ComeAgain> {
        loop {
            let key = Key::part(&task);
            match self.look_up(&key).await? {
                // A gap is known to this entry alone.
                Some(Entry { stage: Stage::Open, settled, .. })
                    if settled.next_record > task.from_record && settled.beyond.is_empty() =>
                {
                    task.from_record = settled.next_record;
                }
                _ => return self.claim(Some(key), task.from_record, attempt).await,
            }
        }
    }

    /// Waits for all that is in flight, and gives back what is held for records that were not sent.
    pub(super) async fn land_all(&self, passage: &mut Passage) {
        while let Some(Ok((load, delivered))) = passage.flights.join_next().await {
            self.land(load, delivered, passage).await;
        }
        for (_, mut finding) in passage.drop_filling() {
            let settled = finding.entry.settled.clone();
            // If this fails, its lease runs out.
            let _ = self.release(&mut finding, &settled).await;
        }
    }

    /// Settles what an upload left: failures and spoilt records become letters, or they must come again.
    pub(super) async fn land(&self, mut load: Load, mut delivered: Delivered, passage: &mut Passage) {
        passage.tally.add(std::mem::take(&mut delivered.tally));
        let (mut letters, mut about, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for failed in &delivered.failed {
            let records = failed.records.clone();
            let subject = passage.part(records.start, Some(records.end));
            match letter_about(failed, passage.table(), subject, passage.attempt, &mut passage.tally) {
                Ok(letter) => {
                    letters.push(letter);
                    about.push(records);
                }
                Err(failure) => {
                    passage.again = Some(failure);
                    again.push(records);
                }
            }
        }
        for spoilt in &load.spoilt {
            let until_record = spoilt.until_record.or(passage.task.until_record);
            letters.push(DeadLetter {
                reason: spoilt.reason,
                message: spoilt.message.clone(),
                status: None,
                table: passage.table.map(Table::name),
                subject: passage.part(spoilt.from_record, until_record),
            });
            about.push(spoilt.from_record..spoilt.until_record.unwrap_or(u64::MAX));
        }
        for (records, sent) in about.into_iter().zip(self.send_letters(&letters, &mut passage.tally).await) {
            match sent {
                Ok(id) => passage.wrote(&id),
                Err(failure) => {
                    passage.again = Some(failure);
                    again.push(records);
                }
            }
        }
        for (record, finding) in &mut load.findings {
            let settled = finding.entry.settled.clone();
            // Without this the finding is sent again through its other door: a double, not a loss.
            let _ = if again.iter().any(|range| range.contains(record)) {
                self.release(finding, &settled).await
            } else {
                self.deliver(finding, &Settled::up_to(1), None).await
            };
        }
        passage.settle(&load, &delivered, &again);
        if passage.again.is_none() && passage.is_checkpoint_due() {
            match self.checkpoint(&mut passage.hold, &passage.settled).await {
                Ok(()) => passage.settled_since_checkpoint = 0,
                Err(again) => passage.again = Some(again),
            }
        }
    }

    /// Ends the passage: delivered, to go on, or to come again.
    async fn settle(
        &self,
        read: Result<Reading, ReadError>,
        passage: &mut Passage,
    ) -> Result<Outcome, ComeAgain> {
        self.land_all(passage).await;
        match read {
            Ok(Reading::Late) if passage.again.is_none() => return self.stop(passage).await,
            Ok(_) => {}
            Err(error) => match passage.attempt.leaves_again(error.disposition(), &mut passage.tally) {
                Ok(after) => {
                    passage.again.get_or_insert(ComeAgain { after, ..ComeAgain::new(error.to_string()) });
                }
                Err(reason) if passage.again.is_none() => {
                    self.give_up_rest(passage, reason, &error.to_string()).await;
                }
                Err(_) => {}
            },
        }
        self.end(passage).await
    }

    /// Time is up: the rest goes on in another invocation.
    async fn stop(&self, passage: &mut Passage) -> Result<Outcome, ComeAgain> {
        if passage.has_moved {
            self.release(&mut passage.hold, &passage.settled).await?;
            return match passage.letter {
                None => Ok(Outcome::GoesOn(passage.rest())),
                // A task could not say that it is a letter's: the letter itself comes again.
                Some(_) => Err(ComeAgain { after: Some(Duration::ZERO), ..ComeAgain::new("time is up") }),
            };
        }
        let why = "time was up before anything was settled: give the function more memory or time";
        if passage.attempt.is_out_of_patience() {
            self.give_up_rest(passage, Reason::Exhausted, why).await;
        } else {
            passage.again = Some(ComeAgain::new(why));
        }
        self.end(passage).await
    }

    /// Writes down in the ledger how it ended: delivered, or to come again.
    async fn end(&self, passage: &mut Passage) -> Result<Outcome, ComeAgain> {
        if let Some(again) = passage.again.take() {
            if let Err(failure) = self.release(&mut passage.hold, &passage.settled).await {
                warn!(why = failure.why, "what is held could not be released; its lease runs out");
            }
            return Err(again);
        }
        if passage.failed_alike {
            // The letter stands as it stood, and can be replayed as before.
            self.release(&mut passage.hold, &Settled::up_to(passage.task.from_record)).await?;
        } else {
            self.deliver(&mut passage.hold, &passage.settled, passage.content.take()).await?;
        }
        Ok(Outcome::Done)
    }

    /// Writes a letter for all that is not settled.
    async fn give_up_rest(&self, passage: &mut Passage, reason: Reason, why: &str) {
        let letter = DeadLetter {
            reason,
            message: why.to_owned(),
            status: None,
            table: passage.table.map(Table::name),
            subject: Subject::Task(passage.rest()),
        };
        match self.send_letter(letter, &mut passage.tally).await {
            Ok(id) => passage.wrote(&id),
            Err(again) => passage.again = Some(again),
        }
    }
}
