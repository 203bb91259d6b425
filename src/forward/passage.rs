//! One object on its way: what was read of it, what is in flight, what is settled.

use jiff::Timestamp;
use std::ops::Range;
use tokio::task::JoinSet;

use super::deliver::Delivered;
use super::hold::Hold;
use super::patience::Patience;
use super::station::Flight;
use super::{Attempt, ComeAgain};
use crate::batch::{Batch, Batcher, MAX_REQUEST_BYTES, RowTooLarge};
use crate::decode::{DecodeError, Flaw};
use crate::delivery::{Content, Counts, Key, Settled};
use crate::failure::{Reason, Subject};
use crate::record::RowFacts;
use crate::report::{TableTally, Tally};
use crate::table::{PlainMapper, Table};
use crate::task::Task;

/// Findings that are claimed at once, and the bytes of them that are held meanwhile.
pub(super) const CLAIMED_AT_ONCE: usize = 32;
const MOST_UNCLAIMED_BYTES: usize = 256 * 1024;

/// A checkpoint is written after so many batches: each costs a write to the ledger, and after a crash what came since
/// is sent again.
const CHECKPOINT_BATCHES: usize = 16;

pub(super) fn count_facts(numbers: &mut TableTally, facts: RowFacts) {
    numbers.rows_truncated += u64::from(facts.values_truncated);
    numbers.repaired += u64::from(facts.repaired);
    numbers.unmapped += u64::from(facts.unmapped);
    numbers.without_time += u64::from(facts.event_time.is_none());
}

/// So many letters a batch brings about at most. A file in which every other record is broken would make as many
/// letters as it has records; the last range then spans what lies between, and a replay doubles that.
const MOST_SPOILT: usize = 100;

/// A range of records that became no rows.
#[derive(Debug)]
pub(super) struct Spoilt {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) from_record: u64,
    /// None if nothing behind it can be read.
    pub(super) until_record: Option<u64>,
    /// How many there are; a part that can't be read counts as one.
    records: u64,
}

/// What goes with a batch: all records since the one before, also those that became no rows.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) span: Range<u64>,
    pub(super) spoilt: Vec<Spoilt>,
    /// What is held of the ledger for findings among them, by their records.
    pub(super) findings: Vec<(u64, Hold)>,
    /// Findings that came through another door.
    duplicates: Vec<u64>,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

impl Load {
    /// The load of a batch.
    fn with(mut self, batch: &Batch) -> Self {
        (self.oldest, self.newest) = (batch.oldest, batch.newest);
        self
    }

    /// The parts of the span in which nothing failed.
    pub(super) fn sound_parts(&self, failed: &[Range<u64>]) -> Vec<Range<u64>> {
        outside(self.span.clone(), failed)
    }

    /// The parts that failed and are not retried. Where nothing behind the span can be read, an empty part at its end
    /// stands for that.
    pub(super) fn given_up_parts(&self, failed: &[Range<u64>], again: &[Range<u64>]) -> Vec<Range<u64>> {
        let unsound = outside(self.span.clone(), &self.sound_parts(failed));
        let mut given_up: Vec<_> = unsound.into_iter().flat_map(|part| outside(part, again)).collect();
        let is_rest = |range: &Range<u64>| range.start == self.span.end && range.end == u64::MAX;
        if failed.iter().any(is_rest) && !again.iter().any(is_rest) {
            given_up.push(self.span.end..self.span.end);
        }
        given_up
    }

    /// What became of a part.
    fn counts(&self, part: &Range<u64>, delivered: &Delivered) -> Counts {
        let is_in = |record: u64| part.contains(&record) || (part.is_empty() && part.start == record);
        let rows =
            delivered.taken.iter().filter(|(records, _)| is_in(records.start)).map(|(_, rows)| rows).sum();
        let failed = delivered.failed.iter().filter(|failed| is_in(failed.records.start));
        let spoilt = self.spoilt.iter().filter(|spoilt| is_in(spoilt.from_record));
        let letters =
            failed.map(|failed| failed.rows).sum::<u64>() + spoilt.map(|spoilt| spoilt.records).sum::<u64>();
        let duplicates = self.duplicates.iter().filter(|record| is_in(**record)).count() as u64;
        Counts { records: rows + letters + duplicates, rows, filtered: 0, letters, duplicates }
    }
}

/// What is left of a span without these ranges.
fn outside(span: Range<u64>, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut ranges = ranges.to_vec();
    ranges.sort_by_key(|range| range.start);
    let (mut start, mut parts) = (span.start, Vec::new());
    for range in ranges {
        parts.push(start..range.start.min(span.end));
        start = start.max(range.end);
    }
    parts.push(start..span.end);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Findings that were read and are not claimed yet.
#[derive(Default)]
pub(super) struct Unclaimed {
    pub(super) findings: Vec<(u64, Key, Vec<u8>)>,
    bytes: usize,
}

impl Unclaimed {
    /// Whether another finding of that key must wait until these are claimed.
    pub(super) fn is_full_for(&self, key: &Key) -> bool {
        self.findings.len() >= CLAIMED_AT_ONCE
            || self.bytes >= MOST_UNCLAIMED_BYTES
            || self.findings.iter().any(|(_, other, _)| other == key)
    }

    pub(super) fn push(&mut self, index: u64, key: Key, json: &[u8]) {
        self.bytes += json.len();
        self.findings.push((index, key, json.to_vec()));
    }
}

/// One object on its way.
pub(super) struct Passage<'h> {
    pub(super) task: Task,
    /// The letter that is replayed, if one is.
    pub(super) letter: Option<String>,
    pub(super) table: Option<Table>,
    pub(super) hold: &'h mut Hold,
    pub(super) attempt: Attempt,
    pub(super) patience: Patience,
    /// Whether it had time enough to be blamed for making no progress.
    had_turn: bool,
    pub(super) settled: Settled,
    pub(super) flights: JoinSet<(Load, Delivered)>,
    /// What the object held, once it was read to its end.
    pub(super) content: Option<Content>,
    /// Batches settled since the last checkpoint.
    pub(super) settled_since_checkpoint: usize,
    /// Why it must come again, and reading on would be in vain.
    pub(super) again: Option<ComeAgain>,
    /// Something was settled since work began.
    pub(super) has_moved: bool,
    /// The replayed letter has been written once more.
    pub(super) failed_alike: bool,
    pub(super) tally: Tally,
    pub(super) unclaimed: Unclaimed,
    /// A batch that has become full.
    pub(super) full: Option<(Load, Batch)>,
    batcher: Batcher,
    filling: Load,
    plain: Option<PlainMapper>,
    row: Vec<u8>,
    /// The time of reading.
    now: Timestamp,
}

impl<'h> Passage<'h> {
    pub(super) fn new(
        task: Task,
        letter: Option<&str>,
        table: Option<Table>,
        hold: &'h mut Hold,
        attempt: Attempt,
        batcher: Batcher,
    ) -> Self {
        let start = hold.entry.settled.next_record;
        Self {
            task,
            letter: letter.map(str::to_owned),
            table,
            settled: hold.entry.settled.clone(),
            patience: Patience::new(attempt, &hold.entry),
            had_turn: attempt.leaves_a_turn(),
            hold,
            attempt,
            flights: JoinSet::new(),
            content: None,
            settled_since_checkpoint: 0,
            again: None,
            has_moved: false,
            failed_alike: false,
            tally: Tally::default(),
            batcher,
            filling: Load { span: start..start, ..Load::default() },
            unclaimed: Unclaimed::default(),
            full: None,
            plain: None,
            row: Vec::new(),
            now: Timestamp::now(),
        }
    }

    /// Counts what was read.
    pub(super) fn saw(&mut self, bytes: usize) {
        self.tally.bytes_read += bytes as u64;
        self.now = Timestamp::now();
    }

    /// The table of its records: wherever there is one, the format is known.
    pub(super) fn table(&self) -> Table {
        self.table.unwrap_or(Table::AwsCloudTrail)
    }

    /// Notes that a batch has left, with its load.
    pub(super) fn fly(&mut self, load: Load, flight: Flight) {
        self.flights.spawn(async move { (load, flight.landed().await) });
    }

    /// Whether reading has to stop.
    pub(super) fn is_late(&self) -> bool {
        self.attempt.is_late()
    }

    /// Whether a record is neither settled before nor behind the range.
    pub(super) fn is_wanted(&self, index: u64) -> bool {
        index >= self.filling.span.start && !self.is_past(index)
    }

    /// Whether the range ends before that record.
    pub(super) fn is_past(&self, index: u64) -> bool {
        self.task.until_record.is_some_and(|until| index >= until)
    }

    /// Takes the record that the text begins with, if that can be done where it stands; its length.
    pub(super) fn take_plain(&mut self, index: u64, text: &[u8]) -> Option<usize> {
        if self.table != Some(Table::AwsCloudTrail)
            || !self.is_wanted(index)
            || self.settled.span_from(index).is_some()
        {
            return None;
        }
        let mapper = self.plain.get_or_insert_default();
        let row = mapper.map(text, self.now, self.batcher.room())?;
        let numbers = self.tally.table(Table::AwsCloudTrail.name());
        numbers.records += 1;
        count_facts(numbers, row.facts);
        let pushed = self.batcher.push_written(index, row.written, row.facts.event_time);
        self.note(pushed, index);
        Some(row.read)
    }

    /// Maps a record into the batch.
    pub(super) fn take(&mut self, table: Table, index: u64, json: &[u8], finding: Option<Box<Hold>>) {
        let numbers = self.tally.table(table.name());
        numbers.records += 1;
        self.row.clear();
        match table.map(json, self.now, &mut self.row) {
            Ok(facts) => {
                count_facts(numbers, facts);
                let pushed = self.batcher.push(index, &self.row, facts.event_time);
                self.note(pushed, index);
            }
            Err(error) => self.spoil(error.reason(), error.to_string(), index),
        }
        if self.row.capacity() > MAX_REQUEST_BYTES {
            self.row = Vec::new();
        }
        self.filling.findings.extend(finding.map(|finding| (index, *finding)));
    }

    /// Notes what came of a row: in the batch, in the next one, or in none.
    fn note(&mut self, pushed: Result<Option<Batch>, RowTooLarge>, index: u64) {
        match pushed {
            Ok(full) => self.full = full.map(|batch| (self.cut(index).with(&batch), batch)),
            Err(error) => self.spoil(Reason::TooLarge, error.to_string(), index),
        }
    }

    /// Notes a finding that came through another door.
    pub(super) fn skip_duplicate(&mut self, table: Table, index: u64) {
        self.tally.table(table.name()).records += 1;
        self.tally.duplicates += 1;
        self.filling.duplicates.push(index);
    }

    /// Notes a record that could not even be looked at.
    pub(super) fn spoil_flawed(&mut self, flaw: Flaw, index: u64) {
        if self.is_wanted(index) {
            if let Some(table) = self.table {
                self.tally.table(table.name()).records += 1;
            }
            let reason = if flaw == Flaw::TooLong { Reason::TooLarge } else { Reason::Corrupt };
            self.spoil(reason, flaw.to_string(), index);
        }
    }

    /// Notes that one record became no row; neighbours that failed alike are one range.
    fn spoil(&mut self, reason: Reason, message: String, index: u64) {
        let spoilt = &mut self.filling.spoilt;
        let is_flooded = spoilt.len() >= MOST_SPOILT;
        let last = spoilt.last_mut();
        if let Some(last) =
            last.filter(|last| is_flooded || (last.reason == reason && last.until_record == Some(index)))
        {
            last.until_record = Some(index + 1);
            last.records += 1;
        } else {
            let until_record = Some(index + 1);
            spoilt.push(Spoilt { reason, message, from_record: index, until_record, records: 1 });
        }
    }

    /// Notes that nothing from this record on can be read.
    pub(super) fn spoil_rest(&mut self, error: DecodeError, index: u64) {
        let from_record = index.max(self.filling.span.start);
        if self.is_past(from_record) {
            return;
        }
        // A record that swallowed what came after it is the same fault.
        match self.filling.spoilt.last_mut() {
            Some(last) if last.reason == Reason::Corrupt && last.until_record == Some(from_record) => {
                last.until_record = None;
                last.records += 1;
            }
            _ => self.filling.spoilt.push(Spoilt {
                reason: Reason::Corrupt,
                message: error.to_string(),
                from_record,
                until_record: None,
                records: 1,
            }),
        }
    }

    /// What has been read since the last batch, up to that record.
    fn cut(&mut self, end: u64) -> Load {
        let mut load = std::mem::replace(&mut self.filling, Load { span: end..end, ..Load::default() });
        load.span.end = end;
        load
    }

    /// The last load, and its batch if it has rows.
    pub(super) fn take_last(&mut self, next_index: u64) -> (Load, Option<Batch>) {
        let end = next_index.min(self.task.until_record.unwrap_or(u64::MAX)).max(self.filling.span.start);
        let load = self.cut(end);
        match self.batcher.take() {
            Some(batch) => (load.with(&batch), Some(batch)),
            None => (load, None),
        }
    }

    /// Forgets what was read and not sent; what is held for it comes back.
    pub(super) fn drop_filling(&mut self) -> Vec<(u64, Hold)> {
        std::mem::take(&mut self.filling.findings)
    }

    /// Notes parts of a load as settled.
    pub(super) fn settle(&mut self, load: &Load, delivered: &Delivered, parts: Vec<Range<u64>>) {
        let before = self.settled.next_record;
        for part in parts {
            // Where nothing is remembered, only the task's first record tells the next worker.
            self.has_moved |= !part.is_empty() && self.hold.is_remembered();
            let counts = load.counts(&part, delivered);
            self.settled.settle(part, counts);
        }
        self.has_moved |= self.settled.next_record > before;
    }

    /// Notes that a load has landed.
    pub(super) fn saw_load(&mut self, load: &Load) {
        self.settled.saw(load.oldest, load.newest);
        self.settled_since_checkpoint += 1;
    }

    /// Why it is retried, where no progress was made in time; none if that has happened too often.
    pub(super) fn excuse(&mut self, why: &str) -> Option<ComeAgain> {
        if !self.had_turn {
            return Some(ComeAgain::soon("time was up before it had its turn"));
        }
        self.patience.is_left(Reason::Exhausted).then(|| ComeAgain::new(why))
    }

    /// Batches that no checkpoint covers; none where none is written.
    pub(super) fn unchecked(&self) -> usize {
        if self.hold.is_remembered() { self.settled_since_checkpoint + self.flights.len() } else { 0 }
    }

    /// Whether the checkpoint has fallen behind.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        self.hold.is_remembered() && self.settled_since_checkpoint >= CHECKPOINT_BATCHES
    }

    /// Passes over a span that is settled: what comes next is read from its end on.
    pub(super) fn pass_over(&mut self, end: u64) {
        self.filling.span = end..end;
    }

    /// A range of its records.
    pub(super) fn part(&self, from_record: u64, until_record: Option<u64>) -> Subject {
        Subject::Task(Task { object: self.task.object.clone(), from_record, until_record })
    }

    /// Notes that a letter was written.
    pub(super) fn wrote(&mut self, id: &str) {
        self.failed_alike |= self.letter.as_deref() == Some(id);
    }

    /// The task for all that is not settled.
    pub(super) fn rest(&self) -> Task {
        Task { from_record: self.settled.next_record, ..self.task.clone() }
    }
}
