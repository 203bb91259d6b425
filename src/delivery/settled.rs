//! Which records are settled: uploads end in any order, so there may be gaps.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

/// What became of records: `records` = `rows` + `filtered` + `letters` + `duplicates`, always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
}

impl Counts {
    /// Takes in what became of others.
    pub const fn add(&mut self, other: Self) {
        self.records += other.records;
        self.rows += other.rows;
        self.filtered += other.filtered;
        self.letters += other.letters;
        self.duplicates += other.duplicates;
    }
}

/// All that is settled of a file, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settled {
    /// The checkpoint: the first record that is not settled.
    pub next_record: u64,
    /// What became of those before it.
    pub counts: Counts,
    /// Beyond a gap: where each span begins, where it ends, and what became of it.
    pub beyond: BTreeMap<u64, (u64, Counts)>,
    /// The oldest event time among all of them.
    pub oldest: Option<Timestamp>,
    /// The newest event time.
    pub newest: Option<Timestamp>,
}

impl Settled {
    /// Nothing is counted yet, and work begins here.
    #[must_use]
    pub fn up_to(next_record: u64) -> Self {
        Self { next_record, ..Self::default() }
    }

    /// Notes a span of records as settled.
    pub fn settle(&mut self, span: Range<u64>, mut counts: Counts) {
        let Range { mut start, mut end } = span;
        // Neighbours become one.
        if let Some((&before, &(until, theirs))) = self.beyond.range(..=start).next_back()
            && until == start
        {
            self.beyond.remove(&before);
            counts.add(theirs);
            start = before;
        }
        if let Some((until, theirs)) = self.beyond.remove(&end) {
            counts.add(theirs);
            end = until;
        }
        if start == self.next_record {
            self.next_record = end;
            self.counts.add(counts);
        } else if start < end || counts.records > 0 {
            self.beyond.insert(start, (end, counts));
        }
    }

    /// Notes event times.
    pub fn saw(&mut self, oldest: Option<Timestamp>, newest: Option<Timestamp>) {
        self.oldest = self.oldest.into_iter().chain(oldest).min();
        self.newest = self.newest.into_iter().chain(newest).max();
    }

    /// The end of the settled span that begins with this record.
    #[must_use]
    pub fn span_from(&self, record: u64) -> Option<u64> {
        self.beyond.get(&record).map(|(end, _)| *end)
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
            lengths in prop::collection::vec(0_u64..50, 1..20), order in any::<u64>(), done in 0_usize..20,
        ) {
            let mut start = 100;
            let all: Vec<_> = lengths.iter().map(|length| {
                start += length;
                start - length..start
            }).collect();
            let mut spans = all.clone();
            fastrand::Rng::with_seed(order).shuffle(&mut spans);
            spans.truncate(done);
            let mut settled = Settled::up_to(100);
            for span in &spans {
                let rows = span.end - span.start;
                settled.settle(span.clone(), Counts { records: rows, rows, ..Counts::default() });
            }
            let is_settled = |record: u64| spans.iter().any(|span| span.contains(&record));
            let gap = (100..start).find(|record| !is_settled(*record)).unwrap_or(start);
            prop_assert_eq!(settled.next_record, gap);
            prop_assert_eq!(settled.counts.rows, gap - 100);
            let beyond: Vec<u64> =
                settled.beyond.iter().flat_map(|(start, (end, _))| *start..*end).collect();
            prop_assert_eq!(beyond, (gap..start).filter(|record| is_settled(*record)).collect::<Vec<_>>());
            for (start, (end, counts)) in &settled.beyond {
                prop_assert_eq!(counts.rows, end - start);
                prop_assert_eq!(settled.span_from(*end), None, "neighbours are one");
            }
        }
    }
}
