//! Which records are settled: uploads end in any order, the checkpoint moves only over what has no gap.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

/// What became of records: `records` = `rows` + `filtered` + `letters` + `duplicates`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Records read; a part of a file that can't be read counts as one.
    pub records: u64,
    /// Rows that Sentinel took.
    pub rows: u64,
    /// Records that a rule kept back.
    pub filtered: u64,
    /// Records that stand in letters.
    pub letters: u64,
    /// Findings that had come through another door.
    pub duplicates: u64,
    /// The oldest event time.
    pub oldest: Option<Timestamp>,
    /// The newest event time.
    pub newest: Option<Timestamp>,
}

impl Counts {
    /// Adds what became of other records.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.rows += other.rows;
        self.filtered += other.filtered;
        self.letters += other.letters;
        self.duplicates += other.duplicates;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        self.newest = self.newest.into_iter().chain(other.newest).max();
    }
}

/// All records below one, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settled {
    /// The first record that is not settled.
    pub next_record: u64,
    /// What became of those before it.
    pub counts: Counts,
}

impl Settled {
    /// Nothing is counted yet, and work begins here.
    #[must_use]
    pub fn up_to(next_record: u64) -> Self {
        Self { next_record, counts: Counts::default() }
    }
}

/// Settled records with gaps between them.
#[derive(Clone, Debug)]
pub struct Progress {
    settled: Settled,
    /// Beyond a gap: where each span begins, where it ends, and what became of it.
    beyond: BTreeMap<u64, (u64, Counts)>,
}

impl Progress {
    /// Goes on from here.
    #[must_use]
    pub const fn from(settled: Settled) -> Self {
        Self { settled, beyond: BTreeMap::new() }
    }

    /// All that is settled without a gap.
    #[must_use]
    pub const fn settled(&self) -> &Settled {
        &self.settled
    }

    /// How many spans are settled beyond a gap.
    #[must_use]
    pub fn beyond(&self) -> usize {
        self.beyond.len()
    }

    /// Notes a span of records as settled.
    pub fn settle(&mut self, span: Range<u64>, counts: Counts) {
        self.beyond.insert(span.start, (span.end, counts));
        while let Some((end, counts)) = self.beyond.remove(&self.settled.next_record) {
            self.settled.next_record = end;
            self.settled.counts.add(&counts);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_checkpoint_is_the_first_gap_in_whatever_order_spans_end(
            lengths in prop::collection::vec(1_u64..50, 1..20), order in any::<u64>(), done in 0_usize..20,
        ) {
            let mut start = 100;
            let mut spans: Vec<_> = lengths.iter().map(|length| {
                start += length;
                start - length..start
            }).collect();
            let all = spans.clone();
            fastrand::Rng::with_seed(order).shuffle(&mut spans);
            spans.truncate(done);
            let mut progress = Progress::from(Settled::up_to(100));
            for span in &spans {
                let rows = span.end - span.start;
                progress.settle(span.clone(), Counts { records: rows, rows, ..Counts::default() });
            }
            let gap = all.iter().find(|span| !spans.contains(span)).map_or(start, |span| span.start);
            prop_assert_eq!(progress.settled().next_record, gap);
            prop_assert_eq!(progress.settled().counts.rows, gap - 100);
        }
    }
}
