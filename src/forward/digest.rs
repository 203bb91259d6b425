//! Checks a digest: what it lists is delivered, or comes, or is told of.
//!
//! A digest comes again, later each time, as long as files that it lists are on their way. Then, in this order: letters,
//! the row, what is remembered, the digest's own entry. Killed anywhere between, all of it is done again and comes to
//! the same.

use std::time::Duration;

use tokio::time::timeout_at;
use tracing::{error, info, warn};

use super::hold::Hold;
use super::{Attempt, ComeAgain, Forwarder, Outcome};
use crate::aws::{Ledger, ObjectReader, Queue};
use crate::delivery::{Key, Settled};
use crate::digest::{DigestKey, Finding, Place, Told};
use crate::failure::{DeadLetter, Disposition, Reason, Subject};
use crate::notary::{Examine, Examined, Opened};
use crate::report::Tally;
use crate::sentinel::LogSink;
use crate::table::Table;
use crate::task::Task;

/// From this look on, a file that nobody has begun to deliver is missing. With the waits of `wait_before` that is some
/// 20 minutes after the first look, and the file was put on the work queue three times.
const MOST_LOOKS: u64 = 8;
/// From this look on, a file that is still being delivered is missing too: two days after the first look, as long as an
/// outage may take.
const MOST_LOOKS_UNDER_WAY: u64 = 55;
/// At every so many looks what nobody has begun to deliver is put on the work queue.
const LOOKS_PER_ANNOUNCEMENT: u64 = 3;
/// The most letters about files of one digest; the log names more.
const MOST_LETTERS: usize = 100;

/// What checks digests, and whether it is told in Sentinel.
pub struct Checks {
    /// Who examines them.
    pub notary: Box<dyn Examine>,
    /// Whether each makes a row.
    pub sends_rows: bool,
}

/// A digest that is being checked.
struct Check<'a> {
    notary: &'a dyn Examine,
    task: &'a Task,
    letter: Option<&'a str>,
    attempt: Attempt,
}

impl Check<'_> {
    /// By what the ledger knows it, where it names its content.
    fn known_by(&self) -> Key {
        self.letter.map_or_else(|| Key::object(&self.task.object), Key::letter)
    }
}

/// How far a check came.
enum Checked {
    /// All is told that there is to tell.
    Settled,
    /// Files that it lists are on their way.
    Waits,
}

impl<S: LogSink, O: ObjectReader, Q: Queue, L: Ledger> Forwarder<S, O, Q, L> {
    /// Checks digests from now on; without that they are ignored.
    #[must_use]
    pub fn checking(self, checks: Checks) -> Self {
        Self { checks: Some(checks), ..self }
    }

    /// Checks a digest, unless it was checked before.
    pub(super) async fn check_digest(
        &self,
        checks: &Checks,
        key: DigestKey,
        task: &Task,
        letter: Option<&str>,
        attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<Outcome, ComeAgain> {
        self.begin()?;
        // Each may take some 20 MB, and nobody knows whose it is before its signature is verified.
        let turn = timeout_at(attempt.reads_until.instant().into(), self.digests.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(ComeAgain {
                after: Some(Duration::ZERO),
                ..ComeAgain::new("other digests took all the time")
            });
        };
        let check = Check { notary: &*checks.notary, task, letter, attempt };
        let mut object = task.object.clone();
        // What names no content can't be told from another announcement of the same: reading tells.
        let opened_first = if letter.is_none() && object.identity().is_none() {
            Some(check.notary.open(&object, key.clone()).await)
        } else {
            None
        };
        if let Some(Ok(opened)) = &opened_first {
            object = opened.object.clone();
        }
        let known_by = letter.map_or_else(|| Key::object(&object), Key::letter);
        let Some(mut hold) = self.claim(Some(known_by), 0, attempt).await? else {
            tally.duplicates += 1;
            return Ok(Outcome::Done);
        };
        let opened = match opened_first {
            Some(opened) => opened,
            None => check.notary.open(&object, key).await,
        };
        // Of a digest, the checkpoint says how often it was looked at.
        let looks = hold.entry.settled.next_record;
        let checked = match opened {
            Ok(opened) => self.check_opened(checks, &check, &opened, &mut hold, tally).await,
            Err(error) => {
                self.leave_unchecked(&check, &mut hold, error.disposition(), error.to_string(), tally).await
            }
        };
        let (again, looks) = match checked {
            Ok(Checked::Settled) => return Ok(Outcome::Done),
            Ok(Checked::Waits) => (ComeAgain::new("files that it lists are on their way"), looks + 1),
            Err(again) => (again, looks),
        };
        // If this fails, its lease runs out.
        let _ = self.release(&mut hold, &Settled::up_to(looks)).await;
        Err(again)
    }

    async fn check_opened(
        &self,
        checks: &Checks,
        check: &Check<'_>,
        opened: &Opened,
        hold: &mut Hold,
        tally: &mut Tally,
    ) -> Result<Checked, ComeAgain> {
        let look = hold.entry.settled.next_record + 1;
        let (bucket, key) = (&opened.object.bucket, &opened.object.key);
        let examined = match check.notary.examine(opened, check.attempt.reads_until).await {
            Ok(examined) => examined,
            Err(error) => {
                return self
                    .leave_unchecked(check, hold, error.disposition(), error.to_string(), tally)
                    .await;
            }
        };
        if let Some(unreadable) = examined.findings.iter().find(|finding| finding.is_unreadable()) {
            let disposition = Disposition::Permanent(Reason::AccessDenied);
            let judged = self.judge(Some(hold), check.known_by(), disposition, check.attempt, tally).await?;
            if let Ok(after) = judged {
                return Err(ComeAgain { after, ..ComeAgain::new(unreadable.to_string()) });
            }
        }
        self.announce(check, &examined, look, tally).await?;
        // A file that is not there may still come: S3 and replication keep no order.
        let unknown = examined.unknown.len() as u64 + examined.account.gone;
        if unknown > 0 && look < MOST_LOOKS || examined.under_way > 0 && look < MOST_LOOKS_UNDER_WAY {
            let under_way = examined.under_way;
            info!(bucket, key, unknown, under_way, look, "files that a digest lists are on their way");
            return Ok(Checked::Waits);
        }
        let wrote = self.write_findings(check, opened, &examined, tally).await?;
        if checks.sends_rows {
            self.tell(check.attempt, hold, opened, &examined, tally).await?;
        }
        if examined.is_genuine {
            let remembered = check.notary.remember(opened, &examined.account).await;
            remembered.map_err(|error| ComeAgain::because(&error))?;
        }
        self.settle_check(check, hold, wrote).await?;
        let is_invalid = examined.findings.iter().any(Finding::is_tampering);
        let missing = examined.account.missing;
        tally.digests_invalid += u64::from(is_invalid);
        tally.digests_verified += u64::from(!is_invalid);
        tally.files_missing += missing;
        let (listed, delivered) = (examined.account.listed, examined.account.delivered);
        info!(bucket, key, is_invalid, listed, delivered, missing, "checked a digest");
        Ok(Checked::Settled)
    }

    /// Puts on the work queue what nobody has begun to deliver, and the digest before it, if nobody has checked that.
    async fn announce(
        &self,
        check: &Check<'_>,
        examined: &Examined,
        look: u64,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        if look % LOOKS_PER_ANNOUNCEMENT != 1 {
            return Ok(());
        }
        let before = examined.unchecked.as_slice();
        for tasks in [before, &examined.unknown] {
            check.notary.queue(tasks).await.map_err(|error| ComeAgain::because(&error))?;
            tally.continuations += tasks.len() as u64;
        }
        Ok(())
    }

    /// A digest that can't be examined for now comes again, or becomes a letter.
    async fn leave_unchecked(
        &self,
        check: &Check<'_>,
        hold: &mut Hold,
        disposition: Disposition,
        why: String,
        tally: &mut Tally,
    ) -> Result<Checked, ComeAgain> {
        let reason = match self.judge(Some(hold), check.known_by(), disposition, check.attempt, tally).await?
        {
            Err(reason) => reason,
            Ok(after) => return Err(ComeAgain { after, ..ComeAgain::new(why) }),
        };
        let subject = Subject::Task(Task::whole(check.task.object.clone()));
        let message = format!("a digest could not be checked: {why}");
        let letter = DeadLetter { reason, message, status: None, table: None, subject };
        self.send_letter(letter, check.attempt, tally).await?;
        self.settle_check(check, hold, 1).await?;
        Ok(Checked::Settled)
    }

    /// Ends a check that wrote so many letters.
    async fn settle_check(
        &self,
        check: &Check<'_>,
        hold: &mut Hold,
        letters: usize,
    ) -> Result<(), ComeAgain> {
        let settled = Settled::up_to(hold.entry.settled.next_record + 1);
        if letters > 0 && check.letter.is_some() {
            // The letter stands as it stood, and can be replayed as before.
            self.release(hold, &settled).await
        } else {
            self.deliver(hold, &settled, None).await
        }
    }

    /// Writes letters about what is not as it should be: one about the digest, one about each file. How many it were.
    async fn write_findings(
        &self,
        check: &Check<'_>,
        opened: &Opened,
        examined: &Examined,
        tally: &mut Tally,
    ) -> Result<usize, ComeAgain> {
        let (bucket, key) = (&opened.object.bucket, &opened.object.key);
        for finding in &examined.findings {
            error!(bucket, key, finding = finding.name(), says = %finding, "a digest tells of something wrong");
        }
        let (of_files, of_digest): (Vec<_>, Vec<_>) =
            examined.findings.iter().partition(|finding| finding.file().is_some());
        let sentences: Vec<String> = of_digest.iter().map(ToString::to_string).collect();
        let reason = if of_digest.iter().all(|finding| finding.is_unreadable()) {
            Reason::AccessDenied
        } else {
            Reason::Corrupt
        };
        let of_digest =
            (!sentences.is_empty()).then(|| (reason, sentences.join("; "), opened.object.clone()));
        let of_files = of_files
            .into_iter()
            .filter_map(|finding| Some((finding.reason()?, finding.to_string(), finding.file()?.object())));
        let letters = of_digest.into_iter().chain(of_files.take(MOST_LETTERS));
        let letters: Vec<_> = letters
            .map(|(reason, message, object)| {
                let subject = Subject::Task(Task::whole(object));
                DeadLetter { reason, message, status: None, table: None, subject }
            })
            .collect();
        self.send_letters(&letters, check.attempt, tally).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(letters.len())
    }

    /// Sends the row of a check. It is promised as long as Sentinel may take it.
    async fn tell(
        &self,
        attempt: Attempt,
        hold: &mut Hold,
        opened: &Opened,
        examined: &Examined,
        tally: &mut Tally,
    ) -> Result<(), ComeAgain> {
        let place = Place::of(&opened.object);
        let told = Told {
            place: &place,
            chain: &opened.key.chain,
            document: opened.document.as_ref().ok().filter(|_| examined.is_genuine),
            account: &examined.account,
            findings: &examined.findings,
        };
        let (table, now) = (Table::Completeness, jiff::Timestamp::now());
        let sent = self.send_own_row(table, &told.record(now), now, attempt.deadline, tally).await;
        let Err(error) = sent else { return Ok(()) };
        let key = Key::object(&opened.object);
        let judged = self.judge(Some(hold), key, error.disposition(), attempt, tally).await?;
        if let Ok(after) = judged {
            return Err(ComeAgain { after, ..ComeAgain::new(error.to_string()) });
        }
        let table = table.name();
        warn!(%error, table, "the row of a digest was not taken; the ledger has its numbers");
        Ok(())
    }
}
