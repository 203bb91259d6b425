//! Reads one object: its records go into batches, and each batch that is full goes out while the rest is read.

use tokio::time::timeout_at;

use super::deliver::Delivered;
use super::event::finding_key;
use super::hold::Hold;
use super::passage::{Load, Passage};
use super::station::Ticket;
use super::{ComeAgain, Forwarder};
use crate::aws::{Chunks, Ledger, ObjectReader, Queue, ReadError};
use crate::batch::Batch;
use crate::decode::{Decoder, Step};
use crate::delivery::Content;
use crate::sentinel::LogSink;
use crate::table::Table;

/// No more batches than that are ever without a checkpoint, those in flight included.
const MOST_UNCHECKED: usize = 31;

/// How far reading came.
pub(super) enum Reading {
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
    /// Reads to the end, or to where it can't or shan't go on, and sends what was read.
    pub(super) async fn pass(
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
            if passage.again.is_some() {
                return Ok(Reading::InVain);
            }
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
                        Err(again) => passage.again = Some(again),
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
}
