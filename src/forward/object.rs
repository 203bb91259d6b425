//! Forwards one object: it is claimed and opened, read, and settled.

use futures_util::{StreamExt, stream};
use tracing::{info, warn};

use super::crash::CRASHED;
use super::deliver::Delivered;
use super::hold::Hold;
use super::letter::letter_about;
use super::passage::{CLAIMED_AT_ONCE, Load, Passage};
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

/// What a work item asks for.
struct Asked<'a> {
    task: &'a Task,
    /// The letter that is replayed, if one is.
    letter: Option<&'a str>,
    /// What the key says.
    format: Option<Format>,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Forwards an object, or a range of it, unless it was delivered before.
    pub(super) async fn forward_object(
        &self,
        task: &Task,
        letter: Option<&str>,
        attempt: Attempt,
        mut ticket: Ticket<'_, S>,
        claimed: &mut Option<Hold>,
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
        if attempt.is_late() {
            return Ok(Outcome::NoTurn);
        }
        let asked = Asked { task, letter, format };
        let outcome = self.forward_known(asked, attempt, ticket, claimed, tally).await;
        match &outcome {
            Ok(Outcome::Done) => info!(bucket, key, "forwarded an object"),
            Ok(Outcome::GoesOn(rest)) => {
                let from_record = rest.from_record;
                info!(bucket, key, from_record, "time is up, the rest of an object is to be continued");
            }
            Ok(Outcome::NoTurn) => {}
            Err(again) => warn!(bucket, key, why = again.why, "an object must come again"),
        }
        outcome
    }

    async fn forward_known(
        &self,
        Asked { task, letter, format }: Asked<'_>,
        attempt: Attempt,
        ticket: Ticket<'_, S>,
        claimed: &mut Option<Hold>,
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
        let hold = claimed.insert(hold);
        let opened = match opened_first {
            // What killed its workers is not even opened.
            _ if hold.entry.takeovers >= MOST_TAKEOVERS => None,
            None => Some(self.open(&mut task.object).await),
            opened => opened,
        };
        let decoder = Decoder::new(format);
        let decoder = if hold.is_remembered() { decoder.hashing() } else { decoder };
        let mut passage =
            Passage::new(task, letter, format.map(Format::table), hold, attempt, self.batcher());
        let read = match opened {
            None => {
                self.give_up_rest(&mut passage, Reason::Crashed, CRASHED).await;
                Ok(Reading::Ended)
            }
            Some(Ok(chunks)) => self.pass(decoder, chunks, &mut passage, ticket).await,
            Some(Err(error)) => Err(error),
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
    pub(super) async fn land_all(&self, passage: &mut Passage<'_>) {
        while let Some(Ok((load, delivered))) = passage.flights.join_next().await {
            self.land(load, delivered, passage).await;
        }
        for (_, mut finding) in passage.drop_filling() {
            let settled = finding.entry.settled.clone();
            // If this fails, its lease runs out.
            let _ = self.release(&mut finding, &settled).await;
        }
    }

    /// Settles what an upload left: failures and spoilt records become letters, or are retried.
    pub(super) async fn land(&self, mut load: Load, mut delivered: Delivered, passage: &mut Passage<'_>) {
        passage.tally.add(std::mem::take(&mut delivered.tally));
        let (mut letters, mut about, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for failed in &delivered.failed {
            let records = failed.records.clone();
            let subject = passage.part(records.start, Some(records.end));
            let judged = passage.patience.judge(failed.error.disposition(), &mut passage.tally);
            match letter_about(failed, passage.table(), subject, judged) {
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
        let failed = [about.as_slice(), &again].concat();
        passage.settle(&load, &delivered, load.sound_parts(&failed));
        passage.saw_load(&load);
        if !letters.is_empty() {
            // The queue may take its time: what Sentinel took is written down before.
            let sent = match self.write_checkpoint(passage).await {
                Ok(()) => self.send_letters(&letters, passage.attempt, &mut passage.tally).await,
                // Whoever took it over writes them.
                Err(failure) => vec![Err(failure); letters.len()],
            };
            for (records, sent) in about.into_iter().zip(sent) {
                match sent {
                    Ok(id) => passage.wrote(&id),
                    Err(failure) => {
                        passage.again = Some(failure);
                        again.push(records);
                    }
                }
            }
            passage.settle(&load, &delivered, load.given_up_parts(&failed, &again));
        }
        let findings = load.findings.iter_mut().map(async |(record, finding)| {
            let settled = finding.entry.settled.clone();
            // Without this the finding is sent again through its other door: a double, not a loss.
            let _ = if again.iter().any(|range| range.contains(record)) {
                self.release(finding, &settled).await
            } else {
                self.deliver(finding, &Settled::up_to(1), None).await
            };
        });
        stream::iter(findings).buffer_unordered(CLAIMED_AT_ONCE).collect::<()>().await;
        if passage.again.is_none() && passage.is_checkpoint_due() {
            passage.again = self.write_checkpoint(passage).await.err();
        }
    }

    async fn write_checkpoint(&self, passage: &mut Passage<'_>) -> Result<(), ComeAgain> {
        self.checkpoint(passage.hold, &passage.settled).await?;
        passage.settled_since_checkpoint = 0;
        Ok(())
    }

    /// Ends the passage: delivered, to go on, or to come again.
    async fn settle(
        &self,
        read: Result<Reading, ReadError>,
        passage: &mut Passage<'_>,
    ) -> Result<Outcome, ComeAgain> {
        self.land_all(passage).await;
        match read {
            Ok(Reading::Late) if passage.again.is_none() => return self.stop(passage).await,
            Ok(_) => {}
            Err(error) => match passage.patience.judge(error.disposition(), &mut passage.tally) {
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
    async fn stop(&self, passage: &mut Passage<'_>) -> Result<Outcome, ComeAgain> {
        if passage.has_moved {
            self.release(passage.hold, &passage.settled).await?;
            return match passage.letter {
                None => Ok(Outcome::GoesOn(passage.rest())),
                // A task could not say that it is a letter's: the letter itself comes again.
                Some(_) => Err(ComeAgain::soon("time is up, the rest of a letter is to be continued")),
            };
        }
        let why = "time was up before anything was settled: give the function more memory or time";
        passage.again = passage.excuse(why);
        if passage.again.is_none() {
            self.give_up_rest(passage, Reason::Exhausted, why).await;
        }
        self.end(passage).await
    }

    /// Writes down in the ledger how it ended: delivered, or to come again.
    async fn end(&self, passage: &mut Passage<'_>) -> Result<Outcome, ComeAgain> {
        if let Some(again) = passage.again.take() {
            passage.patience.count_in(&mut passage.hold.entry);
            if let Err(failure) = self.release(passage.hold, &passage.settled).await {
                warn!(why = failure.why, "what is held could not be released; its lease runs out");
            }
            return Err(again);
        }
        if passage.failed_alike {
            // The letter stands as it stood, and can be replayed as before.
            self.release(passage.hold, &Settled::up_to(passage.task.from_record)).await?;
        } else {
            self.deliver(passage.hold, &passage.settled, passage.content.take()).await?;
        }
        Ok(Outcome::Done)
    }

    /// Writes a letter for all that is not settled.
    async fn give_up_rest(&self, passage: &mut Passage<'_>, reason: Reason, why: &str) {
        let letter = DeadLetter {
            reason,
            message: why.to_owned(),
            status: None,
            table: passage.table.map(Table::name),
            subject: Subject::Task(passage.rest()),
        };
        match self.send_letter(letter, passage.attempt, &mut passage.tally).await {
            Ok(id) => passage.wrote(&id),
            Err(again) => passage.again = Some(again),
        }
    }
}
