//! Forwards one object: its records go out in batches while the rest is still being read.

use std::time::Duration;

use tokio::time::timeout_at;
use tracing::{info, warn};

use super::deliver::Delivered;
use super::event::finding_key;
use super::hold::Hold;
use super::letter::letter_about;
use super::passage::{Load, Passage};
use super::station::Ticket;
use super::{Attempt, ComeAgain, Forwarder, Outcome};
use crate::aws::{Chunks, Ledger, ObjectReader, Queue, ReadError};
use crate::batch::Batch;
use crate::decode::{Decoder, Format, KeyTells, Step};
use crate::delivery::{Content, Key, MOST_TAKEOVERS, Settled, Stage};
use crate::digest::DigestKey;
use crate::failure::{DeadLetter, Reason, Subject};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::task::{ObjectRef, Task};

/// No more batches than that are ever without a checkpoint, those in flight included.
const MOST_UNCHECKED: usize = 31;

/// How far reading came.
enum Reading {
    /// To the end, or to where it can't go on.
    Ended,
    /// To where time was up.
    Late,
    /// To where it must come again: what is read and not sent comes again too.
    InVain,
}

/// Whether a finding came through another door before.
enum Door {
    /// No, and so it is held, where it has an id.
    First(Option<Box<Hold>>),
    Second,
}

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
        // What names no content can't be told from another announcement of the same: reading tells.
        let opened_first = if letter.is_none() && task.object.identity().is_none() {
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
                _ => return self.claim(Some(Key::part(task)), task.from_record, attempt).await,
            }
        }
        self.claim(Some(whole), 0, attempt).await
    }

    /// Reads to the end, or to where it can't or shan't go on, and sends what was read.
    async fn pass(
        &self,
        mut decoder: Decoder,
        chunks: O::Chunks,
        passage: &mut Passage,
        mut ticket: Ticket<'_, S>,
    ) -> Result<Reading, ReadError> {
        let reading = self.read(&mut decoder, chunks, passage, &mut ticket).await;
        if matches!(reading, Ok(Reading::InVain)) {
            return reading;
        }
        match passage.take_last(decoder.next_index()) {
            (load, Some(batch)) => {
                let flight = ticket.board(passage.table(), batch, passage.attempt.deadline).await;
                passage.fly(load, flight);
            }
            (load, None) => {
                drop(ticket);
                self.land(load, Delivered::default(), passage).await;
            }
        }
        if matches!(reading, Ok(Reading::Ended)) {
            let (size, bytes) = (passage.tally.bytes_read, decoder.bytes_inflated());
            passage.content = decoder.sha256().map(|sha256| Content { size, bytes, sha256 });
        }
        reading
    }

    async fn read(
        &self,
        decoder: &mut Decoder,
        mut chunks: O::Chunks,
        passage: &mut Passage,
        ticket: &mut Ticket<'_, S>,
    ) -> Result<Reading, ReadError> {
        loop {
            match decoder.next_or_taken(|index, text| passage.take_plain(index, text)) {
                Ok(Step::Taken) => {}
                Ok(Step::Record(record)) => {
                    let (index, json) = (record.index, record.json);
                    if passage.is_past(index) {
                        return Ok(Reading::Ended);
                    }
                    self.pass_over_settled(index, passage, ticket).await;
                    if !passage.is_wanted(index) {
                        continue;
                    }
                    let table = passage.table();
                    let mut door = self.claim_finding(table, json, passage).await;
                    if door.is_err() {
                        // It may be held by this very file, which names it twice: with that settled, it shows.
                        self.finish(index, passage, ticket).await;
                        self.land_all(passage).await;
                        door = self.claim_finding(table, json, passage).await;
                    }
                    match door {
                        Ok(Door::First(finding)) => passage.take(table, index, json, finding),
                        Ok(Door::Second) => passage.skip_duplicate(table, index),
                        Err(again) => {
                            passage.again = Some(again);
                            return Ok(Reading::InVain);
                        }
                    }
                }
                Ok(Step::Flawed { index, flaw }) => {
                    self.pass_over_settled(index, passage, ticket).await;
                    passage.spoil_flawed(flaw, index);
                }
                Ok(Step::Starved) if passage.is_late() => return Ok(Reading::Late),
                Ok(Step::Starved) => {
                    // Also where all that was read so far is passed over.
                    if decoder.bytes_inflated() > self.limits.max_request_bytes as u64 {
                        ticket.step_aside();
                    }
                    match timeout_at(passage.attempt.reads_until.instant().into(), chunks.next()).await {
                        Ok(Ok(Some(chunk))) => {
                            passage.saw(chunk.len());
                            decoder.push(chunk);
                        }
                        Ok(Ok(None)) => decoder.end_input(),
                        Ok(Err(error)) => return Err(error),
                        Err(_) => return Ok(Reading::Late),
                    }
                }
                Ok(Step::Recognised(format)) => passage.table = Some(format.table()),
                Ok(Step::End) => {
                    passage.tally.ignored += u64::from(decoder.next_index() == 0);
                    return Ok(Reading::Ended);
                }
                Ok(Step::Unclaimed) => {
                    passage.tally.ignored += 1;
                    return Ok(Reading::Ended);
                }
                Err(error) => {
                    passage.spoil_rest(error, decoder.next_index());
                    return Ok(Reading::Ended);
                }
            }
            if let Some((load, batch)) = passage.full.take() {
                self.launch(load, batch, passage, ticket).await;
                if passage.again.is_some() {
                    return Ok(Reading::InVain);
                }
                if passage.is_late() {
                    return Ok(Reading::Late);
                }
            }
        }
    }

    /// Claims the finding that a record is. A letter is replayed whatever came.
    async fn claim_finding(&self, table: Table, json: &[u8], passage: &Passage) -> Result<Door, ComeAgain> {
        if table != Table::AwsGuardDuty || self.ledger.is_none() || passage.letter.is_some() {
            return Ok(Door::First(None));
        }
        let Some(key) = std::str::from_utf8(json).ok().and_then(finding_key) else {
            return Ok(Door::First(None));
        };
        Ok(match self.claim(Some(key), 0, passage.attempt).await? {
            Some(hold) => Door::First(Some(Box::new(hold))),
            None => Door::Second,
        })
    }

    /// Sends a batch on its way as soon as there is room in flight; reading waits for that.
    async fn launch(&self, load: Load, batch: Batch, passage: &mut Passage, ticket: &mut Ticket<'_, S>) {
        let flight = ticket.launch(passage.table(), batch, passage.attempt.deadline).await;
        passage.fly(load, flight);
        while let Some(Ok((load, delivered))) = passage.flights.try_join_next() {
            self.land(load, delivered, passage).await;
        }
        while passage.unchecked() >= MOST_UNCHECKED && passage.again.is_none() {
            let Some(Ok((load, delivered))) = passage.flights.join_next().await else { break };
            self.land(load, delivered, passage).await;
        }
    }

    /// Passes over what was settled beyond a gap, if it begins with this record; what comes before it goes out.
    async fn pass_over_settled(&self, index: u64, passage: &mut Passage, ticket: &mut Ticket<'_, S>) {
        if let Some(end) = passage.settled.span_from(index) {
            self.finish(index, passage, ticket).await;
            passage.pass_over(end);
        }
    }

    /// Sends what was read so far, and settles what comes after it without a batch.
    async fn finish(&self, next_index: u64, passage: &mut Passage, ticket: &mut Ticket<'_, S>) {
        match passage.take_last(next_index) {
            (load, Some(batch)) => self.launch(load, batch, passage, ticket).await,
            (load, None) => self.land(load, Delivered::default(), passage).await,
        }
    }

    /// Waits for all that is in flight, and gives back what is held for records that were not sent.
    async fn land_all(&self, passage: &mut Passage) {
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
    async fn land(&self, mut load: Load, mut delivered: Delivered, passage: &mut Passage) {
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
        if passage.is_checkpoint_due() {
            self.checkpoint(&mut passage.hold, &passage.settled).await;
            passage.settled_since_checkpoint = 0;
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
                    passage.again.get_or_insert(ComeAgain { why: error.to_string(), after });
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
                Some(_) => Err(ComeAgain { why: "time is up".to_owned(), after: Some(Duration::ZERO) }),
            };
        }
        let why = "time was up before anything was settled: give the function more memory or time";
        if passage.attempt.is_out_of_patience() {
            self.give_up_rest(passage, Reason::Exhausted, why).await;
        } else {
            passage.again = Some(ComeAgain { why: why.to_owned(), after: None });
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
