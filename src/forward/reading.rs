//! Reads one object: its records go into batches, and each batch that is full goes out while the rest is read.

use futures_util::{StreamExt, stream};
use tokio::time::timeout_at;

use super::Forwarder;
use super::deliver::Delivered;
use super::event::finding_key;
use super::passage::{CLAIMED_AT_ONCE, Load, Passage};
use super::station::Ticket;
use crate::aws::{Chunks, Ledger, ObjectReader, Queue, ReadError};
use crate::batch::Batch;
use crate::decode::{Decoder, Step};
use crate::delivery::{Content, Key};
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

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Reads to the end, or to where it can't or shan't go on, and sends what was read.
    pub(super) async fn pass(
        &self,
        mut decoder: Decoder,
        chunks: O::Chunks,
        passage: &mut Passage<'_>,
        mut ticket: Ticket<'_, S>,
    ) -> Result<Reading, ReadError> {
        let reading = self.read(&mut decoder, chunks, passage, &mut ticket).await;
        if matches!(reading, Ok(Reading::InVain)) {
            return reading;
        }
        // Findings that nobody has claimed yet are left to whoever goes on.
        let end = passage.unclaimed.findings.first().map_or(decoder.next_index(), |(index, ..)| *index);
        match passage.take_last(end) {
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
        passage: &mut Passage<'_>,
        ticket: &mut Ticket<'_, S>,
    ) -> Result<Reading, ReadError> {
        loop {
            if passage.again.is_some() {
                return Ok(Reading::InVain);
            }
            let step = decoder.next_or_taken(|index, text| passage.take_plain(index, text));
            let finding = match &step {
                Ok(Step::Record(record)) => self.key_of(record.index, record.json, passage),
                _ => None,
            };
            // Whatever else comes must not overtake the findings that were read before it.
            let claims = !passage.unclaimed.findings.is_empty()
                && match &finding {
                    Some(key) => passage.unclaimed.is_full_for(key),
                    None => !matches!(step, Ok(Step::Starved)),
                };
            if claims {
                self.claim_findings(passage, ticket).await;
                if passage.again.is_some() {
                    return Ok(Reading::InVain);
                }
            }
            match step {
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
                    match finding {
                        Some(key) => passage.unclaimed.push(index, key, json),
                        None => passage.take(passage.table(), index, json, None),
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
            } else if claims && passage.is_late() {
                return Ok(Reading::Late);
            }
        }
    }

    /// The key of the finding that a record is, if it is to be claimed. A letter is replayed whatever came.
    fn key_of(&self, index: u64, json: &[u8], passage: &Passage<'_>) -> Option<Key> {
        let is_finding = passage.table() == Table::AwsGuardDuty && passage.letter.is_none();
        let is_claimed = is_finding
            && self.ledger.is_some()
            && passage.is_wanted(index)
            && passage.settled.span_from(index).is_none();
        is_claimed.then(|| finding_key(std::str::from_utf8(json).ok()?)).flatten()
    }

    /// Claims the findings that were read, all at once, and takes those that came through no other door. One that can't
    /// be claimed stops the reading.
    async fn claim_findings(&self, passage: &mut Passage<'_>, ticket: &mut Ticket<'_, S>) {
        let findings = std::mem::take(&mut passage.unclaimed).findings;
        let attempt = passage.attempt;
        let claims = findings.iter().map(|(_, key, _)| self.claim(Some(key.clone()), 0, attempt));
        let claims = stream::iter(claims).buffered(CLAIMED_AT_ONCE).collect::<Vec<_>>().await;
        let table = passage.table();
        for ((index, key, json), mut claim) in findings.into_iter().zip(claims) {
            if claim.is_err() && passage.again.is_none() {
                // It may be held by this very file, which names it twice: with that settled, it shows.
                self.finish(index, passage, ticket).await;
                self.land_all(passage).await;
                claim = self.claim(Some(key), 0, attempt).await;
            }
            match claim {
                // Nothing before it may be left out.
                Ok(Some(mut finding)) if passage.again.is_some() => {
                    let settled = finding.entry.settled.clone();
                    // If this fails, its lease runs out.
                    let _ = self.release(&mut finding, &settled).await;
                }
                Ok(Some(finding)) => passage.take(table, index, &json, Some(Box::new(finding))),
                Ok(None) if passage.again.is_none() => passage.skip_duplicate(table, index),
                Ok(None) => {}
                Err(again) => {
                    passage.again.get_or_insert(again);
                }
            }
            if let Some((load, batch)) = passage.full.take() {
                self.launch(load, batch, passage, ticket).await;
            }
        }
    }

    /// Sends a batch on its way as soon as there is room in flight; reading waits for that.
    async fn launch(&self, load: Load, batch: Batch, passage: &mut Passage<'_>, ticket: &mut Ticket<'_, S>) {
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
    async fn pass_over_settled(&self, index: u64, passage: &mut Passage<'_>, ticket: &mut Ticket<'_, S>) {
        if let Some(end) = passage.settled.span_from(index) {
            self.finish(index, passage, ticket).await;
            passage.pass_over(end);
        }
    }

    /// Sends what was read so far, and settles what comes after it without a batch.
    async fn finish(&self, next_index: u64, passage: &mut Passage<'_>, ticket: &mut Ticket<'_, S>) {
        match passage.take_last(next_index) {
            (load, Some(batch)) => self.launch(load, batch, passage, ticket).await,
            (load, None) => self.land(load, Delivered::default(), passage).await,
        }
    }
}
