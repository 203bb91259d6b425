//! Keeps a watch: tells of what should have come and has not.
//!
//! A watch never comes again by itself: what one could not do, the next one does. Two don't go at a time. Killed anywhere,
//! it is told again, or brought again and known to the ledger.

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::deliver::deliver;
use super::patience::Patience;
use super::{Attempt, Checks, ComeAgain, Forwarder};
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::delivery::{Key, Settled};
use crate::failure::Disposition;
use crate::notary::{Silence, Silent};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::trigger::Watch;
use crate::watch::Watchman;

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Watches over findings from now on.
    #[must_use]
    pub fn watching(self, watchman: Box<dyn Watchman>) -> Self {
        Self { watchman: Some(watchman), ..self }
    }

    /// Keeps a watch, unless another one is under way.
    pub(super) async fn keep_watch(&self, watch: Watch, attempt: Attempt, tally: &mut Tally) {
        let Some(checks) = &self.checks else {
            info!("without a ledger nobody knows what should have come");
            tally.ignored += 1;
            return;
        };
        let mut hold = match self.claim(Some(Key::watch(None)), 0, attempt).await {
            Ok(Some(hold)) => hold,
            Ok(None) => return,
            Err(again) => {
                if let Some(reason) = again.action {
                    tally.count_action(reason);
                }
                warn!(why = again.why, "a watch is left to the next one");
                tally.ignored += 1;
                return;
            }
        };
        let digests = self.watch_digests(checks, attempt, tally).await;
        let findings = if watch.findings { self.watch_findings(attempt, tally).await } else { Ok(()) };
        // If this fails, its lease runs out.
        let _ = self.release(&mut hold, &Settled::default()).await;
        for part in [&digests, &findings] {
            if let Err(again) = part {
                warn!(why = again.why, "a part of a watch is left to the next one");
            }
        }
        tally.watches += u64::from(digests.is_ok() && findings.is_ok());
    }

    async fn watch_digests(
        &self,
        checks: &Checks,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let now = Timestamp::now();
        let Silence { chains, unannounced } = checks
            .notary
            .silence(now, attempt.reads_until)
            .await
            .map_err(|error| leave(attempt, error.disposition(), error.to_string(), tally))?;
        checks.notary.queue(&unannounced).await.map_err(|error| ComeAgain::because(&error))?;
        for task in &unannounced {
            let (bucket, key) = (&task.object.bucket, &task.object.key);
            warn!(bucket, key, "nobody has announced a digest: it is on the work queue now");
        }
        tally.continuations += unannounced.len() as u64;
        if checks.sends_rows {
            self.tell_silence(&chains, now, attempt, tally).await?;
        }
        for silent in &chains {
            for finding in silent.missed.iter().flat_map(|missed| &missed.findings) {
                let (bucket, key) = (&silent.head.bucket, &silent.head.key);
                error!(bucket, key, finding = finding.name(), says = %finding, "a digest is overdue");
            }
            tally.digests_overdue += silent.missed.len() as u64;
            checks.notary.note_told(silent).await.map_err(|error| ComeAgain::because(&error))?;
        }
        Ok(())
    }

    /// Sends a row for each hour. They are promised as long as Sentinel may take them.
    async fn tell_silence(
        &self,
        chains: &[Silent],
        now: Timestamp,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let table = Table::Completeness;
        let (mut batcher, mut full, mut row) = (self.batcher(), Vec::new(), Vec::new());
        let hours = chains.iter().flat_map(|silent| silent.missed.iter().map(move |missed| (silent, missed)));
        for (number, (silent, missed)) in (0..).zip(hours) {
            let record = missed.record(&silent.chain, &silent.head, now);
            row.clear();
            if table.map(record.as_bytes(), now, &mut row).is_ok() {
                // None of them comes near the limit.
                full.extend(batcher.push(number, &row, None).ok().flatten());
            }
        }
        full.extend(batcher.take());
        for batch in full {
            let delivered = deliver(&*self.sink, table, batch, attempt.deadline).await;
            tally.add(delivered.tally);
            for failed in delivered.failed {
                let error = failed.error;
                if let Ok(after) = Patience::of_none(attempt).judge(error.disposition(), tally) {
                    return Err(ComeAgain { after, ..ComeAgain::new(error.to_string()) });
                }
                warn!(%error, table = table.name(), "a row of an overdue digest was not taken; the log has it");
            }
        }
        Ok(())
    }

    async fn watch_findings(&self, attempt: Attempt, tally: &mut Tally) -> Result<(), ComeAgain> {
        let Some(watchman) = &self.watchman else { return Ok(()) };
        let (watched, result) = watchman.watch(Timestamp::now(), attempt.reads_until).await;
        tally.findings_missing += watched.missing;
        tally.continuations += watched.missing;
        result.map_err(|error| leave(attempt, error.disposition(), error.to_string(), tally))?;
        if watched.is_cut_off {
            return Err(ComeAgain::new("time was up before all findings were looked at"));
        }
        Ok(())
    }
}

/// Counts what an operator must mend.
fn leave(attempt: Attempt, disposition: Disposition, why: String, tally: &mut Tally) -> ComeAgain {
    // What can't be mended is told by the alarm that no watch is kept.
    let after = Patience::of_none(attempt).judge(disposition, tally).unwrap_or_default();
    ComeAgain { after, ..ComeAgain::new(why) }
}
