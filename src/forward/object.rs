//! Forwards one object: its records go out in batches while the rest is still being read.

use std::ops::Range;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use super::deliver::{Delivered, deliver};
use super::{Attempt, ComeAgain, Forwarder};
use crate::aws::{Chunks, ObjectReader, Queue, ReadError};
use crate::batch::{Batch, Batcher};
use crate::decode::{DecodeError, Decoder, Flaw, Format, KeyTells, Step};
use crate::failure::{DeadLetter, Reason, Subject};
use crate::record::RowFacts;
use crate::report::{TableTally, Tally};
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::task::Task;

pub(super) fn count_facts(numbers: &mut TableTally, facts: RowFacts) {
    numbers.rows_truncated += u64::from(facts.values_truncated);
    numbers.repaired += u64::from(facts.repaired);
    numbers.without_time += u64::from(facts.event_time.is_none());
}

/// A range of records that became no rows.
#[derive(Debug)]
struct Spoilt {
    reason: Reason,
    message: String,
    records: Range<u64>,
    /// Nothing behind it can be read.
    to_the_end: bool,
}

/// One object on its way.
struct Passage {
    task: Task,
    table: Option<Table>,
    batcher: Batcher,
    flights: JoinSet<Delivered>,
    landed: Vec<Delivered>,
    /// An upload ended without saying what became of it.
    crashed: bool,
    spoilt: Vec<Spoilt>,
    tally: Tally,
    row: Vec<u8>,
}

impl<S: LogSink, O: ObjectReader, Q: Queue> Forwarder<S, O, Q> {
    /// Forwards an object, or a range of it.
    pub(super) async fn forward_object(
        &self,
        task: &Task,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let (bucket, key) = (task.object.bucket.as_str(), task.object.key.as_str());
        let format = match KeyTells::of(key) {
            KeyTells::Other => {
                info!(bucket, key, "ignored: no format of ours");
                tally.ignored += 1;
                return Ok(());
            }
            KeyTells::Format(format) => Some(format),
            KeyTells::Nothing => None,
        };
        let opened = if self
            .limits
            .allowed_buckets
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| name == bucket))
        {
            self.objects.open(&task.object).await
        } else {
            Err(ReadError::NotAllowed)
        };
        let mut passage = Passage {
            task: task.clone(),
            table: format.map(Format::table),
            batcher: Batcher::new(self.limits.max_request_bytes),
            flights: JoinSet::new(),
            landed: Vec::new(),
            crashed: false,
            spoilt: Vec::new(),
            tally: Tally::default(),
            row: Vec::new(),
        };
        let read = match opened {
            Ok(chunks) => self.pass(Decoder::new(format), chunks, attempt, &mut passage).await,
            Err(error) => Err(error),
        };
        let settled = self.settle(read, passage, attempt, tally).await;
        match &settled {
            Ok(()) => info!(bucket, key, "forwarded an object"),
            Err(again) => warn!(bucket, key, why = again.why, "an object must come again"),
        }
        settled
    }

    /// Reads to the end, or to where it can't go on.
    async fn pass(
        &self,
        mut decoder: Decoder,
        mut chunks: O::Chunks,
        attempt: Attempt,
        passage: &mut Passage,
    ) -> Result<(), ReadError> {
        loop {
            let full = match decoder.next() {
                Ok(Step::Record(record)) => {
                    if passage.is_past(record.index) {
                        return Ok(());
                    }
                    let (index, json) = (record.index, record.json);
                    // Every record has a format, so the table is known.
                    let table = passage.table.unwrap_or(Table::AwsCloudTrail);
                    if index < passage.task.from_record { None } else { passage.take(table, index, json) }
                }
                Ok(Step::Flawed { index, flaw }) => {
                    let reason = if flaw == Flaw::TooLong { Reason::TooLarge } else { Reason::Corrupt };
                    passage.spoil_one(reason, flaw.to_string(), index);
                    None
                }
                Ok(Step::Starved) => {
                    match chunks.next().await? {
                        Some(chunk) => {
                            passage.tally.bytes_read += chunk.len() as u64;
                            decoder.push(chunk);
                        }
                        None => decoder.end_input(),
                    }
                    None
                }
                Ok(Step::Recognised(format)) => {
                    passage.table = Some(format.table());
                    None
                }
                Ok(Step::End) => {
                    passage.end(decoder.next_index());
                    return Ok(());
                }
                Ok(Step::Unclaimed) => {
                    passage.tally.ignored += 1;
                    return Ok(());
                }
                Err(error) => {
                    passage.spoil_rest(error, decoder.next_index());
                    return Ok(());
                }
            };
            if let Some(batch) = full {
                self.launch(batch, attempt, passage).await;
                if passage.comes_again(attempt) {
                    return Ok(());
                }
            }
        }
    }

    /// Sends a batch on its way as soon as there is room in flight; reading waits for that.
    async fn launch(&self, batch: Batch, attempt: Attempt, passage: &mut Passage) {
        let Some(table) = passage.table else { return };
        let permit = std::sync::Arc::clone(&self.uploads).acquire_owned().await;
        let sink = std::sync::Arc::clone(&self.sink);
        passage.flights.spawn(async move {
            let _permit = permit;
            deliver(&*sink, table, batch, attempt.deadline).await
        });
        while let Some(landed) = passage.flights.try_join_next() {
            passage.land(landed);
        }
    }

    /// Waits for what is in flight and writes the letters; only then is the object done.
    async fn settle(
        &self,
        read: Result<(), ReadError>,
        mut passage: Passage,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        if let Some(batch) = passage.batcher.take() {
            self.launch(batch, attempt, &mut passage).await;
        }
        while let Some(landed) = passage.flights.join_next().await {
            passage.land(landed);
        }
        let mut result = if passage.crashed {
            Err(ComeAgain { why: "an upload crashed".to_owned(), after: None })
        } else {
            Ok(())
        };
        let mut failed = Vec::new();
        for delivered in passage.landed.drain(..) {
            passage.tally.add(delivered.tally);
            failed.extend(delivered.failed);
        }
        tally.objects += 1;
        tally.add(std::mem::take(&mut passage.tally));
        let table = passage.table;
        let whole = &passage.task;
        let task_of = |records: Range<u64>| {
            Subject::Task(Task {
                object: whole.object.clone(),
                from_record: records.start,
                until_record: Some(records.end),
            })
        };
        failed.sort_by_key(|failed| failed.records.start);
        for failed in &failed {
            let Some(table) = table else { continue };
            if let Err(again) = self.settle_failed(table, failed, attempt, &task_of, tally).await {
                result = Err(again);
            }
        }
        for spoilt in passage.spoilt {
            let mut task = Task { from_record: spoilt.records.start, ..whole.clone() };
            if !spoilt.to_the_end {
                task.until_record = Some(spoilt.records.end);
            }
            let letter = DeadLetter {
                reason: spoilt.reason,
                message: spoilt.message,
                status: None,
                table: table.map(Table::name),
                subject: Subject::Task(task),
            };
            if let Err(again) = self.send_letter(letter, tally).await {
                result = Err(again);
            }
        }
        if let Err(error) = read {
            match attempt.leaves_again(error.disposition()) {
                Ok(after) => result = Err(ComeAgain { why: error.to_string(), after }),
                Err(reason) => {
                    let letter = DeadLetter {
                        reason,
                        message: error.to_string(),
                        status: None,
                        table: table.map(Table::name),
                        subject: Subject::Task(whole.clone()),
                    };
                    self.send_letter(letter, tally).await?;
                }
            }
        }
        result
    }
}

impl Passage {
    fn land(&mut self, landed: Result<Delivered, JoinError>) {
        match landed {
            Ok(delivered) => self.landed.push(delivered),
            Err(_) => self.crashed = true,
        }
    }

    /// Whether the object must come again whatever happens to the rest of it: reading on would be in vain.
    fn comes_again(&self, attempt: Attempt) -> bool {
        let mut failed = self.landed.iter().flat_map(|delivered| &delivered.failed);
        self.crashed || failed.any(|failed| attempt.leaves_again(failed.error.disposition()).is_ok())
    }

    fn is_past(&self, index: u64) -> bool {
        self.task.until_record.is_some_and(|until| index >= until)
    }

    /// Maps a record into the batch; a batch that is full comes back.
    fn take(&mut self, table: Table, index: u64, json: &[u8]) -> Option<Batch> {
        let numbers = self.tally.table(table.name());
        numbers.records += 1;
        self.row.clear();
        let facts = match table.map(json, Timestamp::now(), &mut self.row) {
            Ok(facts) => facts,
            Err(error) => {
                self.spoil(Reason::Corrupt, error.to_string(), index);
                return None;
            }
        };
        count_facts(numbers, facts);
        self.batcher.push(index, &self.row, facts.event_time).unwrap_or_else(|error| {
            self.spoil(Reason::TooLarge, error.to_string(), index);
            None
        })
    }

    /// Notes a record that could not even be looked at.
    fn spoil_one(&mut self, reason: Reason, message: String, index: u64) {
        if index >= self.task.from_record && !self.is_past(index) {
            if let Some(table) = self.table {
                self.tally.table(table.name()).records += 1;
            }
            self.spoil(reason, message, index);
        }
    }

    /// Notes that one record became no row; neighbours that failed alike are one range.
    fn spoil(&mut self, reason: Reason, message: String, index: u64) {
        if let Some(last) =
            self.spoilt.last_mut().filter(|last| last.reason == reason && last.records.end == index)
        {
            last.records.end = index + 1;
        } else {
            self.spoilt.push(Spoilt { reason, message, records: index..index + 1, to_the_end: false });
        }
    }

    /// Notes that nothing from this record on can be read.
    fn spoil_rest(&mut self, error: DecodeError, index: u64) {
        let index = index.max(self.task.from_record);
        if !self.is_past(index) {
            let records = index..u64::MAX;
            self.spoilt.push(Spoilt {
                reason: Reason::Corrupt,
                message: error.to_string(),
                records,
                to_the_end: true,
            });
        }
    }

    /// The file ended well, after so many records.
    const fn end(&mut self, records: u64) {
        if records == 0 {
            self.tally.ignored += 1;
        }
    }
}
