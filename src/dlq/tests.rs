//! A queue in memory that hides, refuses and redelivers as SQS does, on a clock of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::*;
use crate::aws::{Ledger, LedgerError, Refusals};
use crate::delivery::{Claim, Claimant, Entry, Key, LedgerTime, Settled};

struct Message {
    id: usize,
    body: String,
    visible_at: Instant,
    receives: u32,
    sent_at: Timestamp,
}

/// A queue. Bodies that say `refused` are not taken, and those that say `sticky` not deleted.
#[derive(Default)]
struct InMemory {
    messages: RefCell<Vec<Message>>,
    sent: RefCell<Vec<String>>,
    ids: RefCell<usize>,
    /// Whatever is sent comes back here at once, as poison does.
    returns: bool,
    receives: RefCell<usize>,
    /// Whatever is put here from now on was sent after any visit began.
    is_ahead: bool,
    /// How long a call takes.
    slow: Duration,
    longest_hide: RefCell<Duration>,
}

impl InMemory {
    fn with(bodies: impl IntoIterator<Item = String>) -> Self {
        let queue = Self::default();
        bodies.into_iter().for_each(|body| queue.put(body));
        queue
    }

    fn put(&self, body: String) {
        *self.ids.borrow_mut() += 1;
        let id = *self.ids.borrow();
        let sent_at = if self.is_ahead { Timestamp::MAX } else { Timestamp::UNIX_EPOCH };
        self.messages.borrow_mut().push(Message {
            id,
            body,
            visible_at: Instant::now(),
            receives: 0,
            sent_at,
        });
    }

    /// What anybody could receive now.
    fn visible(&self) -> usize {
        self.messages.borrow().iter().filter(|message| message.visible_at <= Instant::now()).count()
    }

    fn len(&self) -> usize {
        self.messages.borrow().len()
    }

    fn place(&self, receipt: &str) -> Option<usize> {
        self.messages
            .borrow()
            .iter()
            .position(|message| receipt == format!("{} {}", message.id, message.receives))
    }
}

impl Mailbox for InMemory {
    async fn receive(&self, hide: Duration, waits: bool) -> Result<Vec<Received>, MailboxError> {
        *self.receives.borrow_mut() += 1;
        assert!(*self.receives.borrow() < 10_000, "the visit does not end");
        self.longest_hide.replace_with(|longest| hide.max(*longest));
        sleep(self.slow).await;
        let now = Instant::now();
        let received: Vec<Received> = self
            .messages
            .borrow_mut()
            .iter_mut()
            .filter(|message| message.visible_at <= now)
            .take(10)
            .map(|message| {
                message.visible_at = now + hide;
                message.receives += 1;
                Received {
                    message_id: message.id.to_string(),
                    receipt: format!("{} {}", message.id, message.receives),
                    body: message.body.clone(),
                    sent_at: message.sent_at,
                    attributes: BTreeMap::new(),
                }
            })
            .collect();
        if received.is_empty() && waits {
            sleep(Duration::from_secs(1)).await;
        }
        Ok(received)
    }

    async fn release(&self, receipts: &[&str]) -> Result<Refusals, MailboxError> {
        let release = |receipt: &&str| match self.place(receipt) {
            Some(place) => {
                self.messages.borrow_mut()[place].visible_at = Instant::now();
                None
            }
            None => Some("ReceiptHandleIsInvalid".to_owned()),
        };
        Ok(receipts.iter().map(release).collect())
    }

    async fn delete(&self, receipts: &[&str]) -> Result<Refusals, MailboxError> {
        let delete = |receipt: &&str| match self.place(receipt) {
            Some(place) if !self.messages.borrow()[place].body.contains("sticky") => {
                self.messages.borrow_mut().remove(place);
                None
            }
            _ => Some("InternalError".to_owned()),
        };
        Ok(receipts.iter().map(delete).collect())
    }

    async fn send(&self, bodies: &[&str]) -> Result<Refusals, MailboxError> {
        let send = |body: &&str| {
            if body.contains("refused") {
                return Some("InvalidMessageContents".to_owned());
            }
            self.sent.borrow_mut().push((*body).to_owned());
            None
        };
        Ok(bodies.iter().map(send).collect())
    }

    async fn send_back(
        &self,
        body: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<Option<String>, MailboxError> {
        if body.contains("refused") {
            return Ok(Some("InvalidMessageContents".to_owned()));
        }
        self.put(body.to_owned());
        Ok(None)
    }

    async fn depth(&self) -> Result<u64, MailboxError> {
        Ok(self.len() as u64)
    }
}

/// What the ledger knows of letters.
#[derive(Default)]
struct Known(Mutex<HashMap<Key, Entry>>);

impl Known {
    /// The function took the letter up, and delivered it or not.
    fn note(&self, id: &str, is_delivered: bool) {
        let now = Timestamp::UNIX_EPOCH;
        let time = LedgerTime::exactly(now);
        let claimant = Claimant { holder: "h".to_owned(), time, lifetime: Duration::ZERO };
        let Claim::Take(entry) = Entry::claim(None, &claimant, 0) else { panic!() };
        let settled = Settled::default();
        let entry = if is_delivered { entry.deliver(&settled, None, now) } else { entry.release(&settled) };
        self.0.lock().unwrap().insert(Key::letter(id), entry);
    }
}

impl Ledger for Known {
    async fn write(&self, _: &Key, _: &Entry) -> Result<(), LedgerError> {
        panic!("the ledger is only read")
    }

    async fn read(&self, key: &Key) -> Result<Option<Entry>, LedgerError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }
}

fn letter(id: &str, reason: &str) -> String {
    format!(
        r#"{{"schema":"sentinel-forwarder/dead-letter/1","id":"{id}","reason":"{reason}","message":"m","failed_at":"2026-01-02T03:04:05Z","task":{{"schema":"sentinel-forwarder/task/1","object":{{"bucket":"b","key":"k"}}}}}}"#
    )
}

fn letters(count: usize) -> Vec<String> {
    (0..count).map(|number| letter(&format!("letter-{number:05}"), "Forbidden")).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future)
}

async fn ids(queue: &InMemory) -> Vec<String> {
    let (mut ids, stop) = (Vec::new(), Stop::default());
    let ending = look_through(queue, &stop, |_, found| {
        ids.push(found.message_id);
        ControlFlow::Continue(())
    });
    assert_eq!(ending.await.unwrap(), Ending::Whole);
    ids
}

#[test]
fn each_message_is_seen_once_and_visible_again_at_the_end() {
    block_on(async {
        for count in [0, 1, 9, 10, 11, 40, 1_234] {
            let queue = InMemory::with(letters(count));
            let ids = ids(&queue).await;
            assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (count, count));
            assert_eq!(queue.visible(), count);
        }
    });
}

#[test]
fn a_visit_that_takes_longer_than_messages_are_hidden_sees_each_once_all_the_same() {
    block_on(async {
        // Hidden for 13 seconds, and gone through in 60.
        let queue = InMemory { slow: Duration::from_secs(8), ..InMemory::with(letters(300)) };
        let ids = ids(&queue).await;
        assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (300, 300));
        assert_eq!(queue.visible(), 300);
    });
}

#[test]
fn messages_are_hidden_for_about_as_long_as_a_visit_takes() {
    block_on(async {
        for (count, seconds) in [(10, 10), (1_000, 20), (10_000, 110)] {
            let queue = InMemory::with(letters(count));
            look_through(&queue, &Stop::default(), |_, _| ControlFlow::Break(())).await.unwrap();
            assert_eq!(*queue.longest_hide.borrow(), Duration::from_secs(seconds));
            assert_eq!(queue.visible(), count);
        }
    });
}

#[test]
fn told_to_stop_it_puts_back_what_it_holds() {
    block_on(async {
        let (queue, stop) = (InMemory::with(letters(500)), Stop::default());
        let mut seen = 0;
        let ending = look_through(&queue, &stop, |_, _| {
            seen += 1;
            if seen == 55 {
                stop.tell();
            }
            ControlFlow::Continue(())
        });
        assert_eq!(ending.await.unwrap(), Ending::Stopped);
        assert!(seen < 120 && queue.visible() == 500);
    });
}

/// What a replay told, by word.
type Told = BTreeMap<String, usize>;

async fn replay(replay: Replay<'_, InMemory, Known>, stop: &Stop) -> (Ending, Told) {
    let told = RefCell::new(Told::new());
    let ending = replay.run(stop, |_, verdict| {
        *told.borrow_mut().entry(format!("{verdict:?}")).or_default() += 1;
        if replay.work_queue.returns && *verdict == Verdict::Replayed {
            let last = replay.work_queue.sent.borrow().last().cloned();
            if let Some(body) = last {
                replay.dead_letters.put(body);
            }
        }
    });
    let ending = ending.await.unwrap();
    (ending, told.into_inner())
}

fn all<'a>(
    dead_letters: &'a InMemory,
    work_queue: &'a InMemory,
    ledger: &'a Known,
    filter: &'a Filter,
) -> Replay<'a, InMemory, Known> {
    let ledger = Some(ledger);
    Replay { dead_letters, work_queue, ledger, filter, again: false, dry_run: false, rate: None, limit: None }
}

fn told<const N: usize>(told: [(&str, usize); N]) -> Told {
    told.into_iter().map(|(word, count)| (word.to_owned(), count)).collect()
}

#[test]
fn what_is_replayed_goes_as_it_is_and_is_deleted() {
    block_on(async {
        let bodies: Vec<String> =
            letters(95).into_iter().chain(["no json".to_owned(), "{ \"order\": 1 }".to_owned()]).collect();
        let (dead, work, ledger) = (InMemory::with(bodies.clone()), InMemory::default(), Known::default());
        let went = replay(all(&dead, &work, &ledger, &Filter::default()), &Stop::default()).await;
        assert_eq!(went, (Ending::Whole, told([("Replayed", 97)])));
        let sent: BTreeSet<_> = work.sent.take().into_iter().collect();
        assert_eq!(sent, bodies.into_iter().collect());
        assert_eq!(dead.len(), 0);
    });
}

#[test]
fn one_bad_message_stops_none_of_the_others() {
    block_on(async {
        let bodies = letters(25).into_iter().chain([letter("x", "refused"), letter("y", "sticky")]);
        let (dead, work, ledger) = (InMemory::with(bodies), InMemory::default(), Known::default());
        let went = replay(all(&dead, &work, &ledger, &Filter::default()), &Stop::default()).await;
        let expected = [("Replayed", 25), ("Refused(\"InvalidMessageContents\")", 1), ("Left", 1)];
        assert_eq!(went.1, told(expected));
        assert_eq!((dead.len(), dead.visible()), (2, 2));
    });
}

#[test]
fn what_came_back_is_held_until_it_is_asked_for_again() {
    block_on(async {
        let (dead, work, ledger) = (InMemory::with(letters(12)), InMemory::default(), Known::default());
        ledger.note("letter-00003", false);
        ledger.note("letter-00004", true);
        let filter = Filter::default();
        let went = replay(all(&dead, &work, &ledger, &filter), &Stop::default()).await;
        assert_eq!(went.1, told([("Replayed", 11), ("Held(CameBack)", 1)]));
        assert_eq!((dead.len(), dead.visible()), (1, 1));
        let again = Replay { again: true, ..all(&dead, &work, &ledger, &filter) };
        assert_eq!(replay(again, &Stop::default()).await.1, told([("Replayed", 1)]));
    });
}

#[test]
fn poison_that_comes_back_at_once_does_not_go_round_for_ever() {
    block_on(async {
        for again in [false, true] {
            let dead = InMemory::with(letters(7));
            let (work, ledger) = (InMemory { returns: true, ..InMemory::default() }, Known::default());
            let filter = Filter::default();
            let run = Replay { again, rate: Some(1.0), ..all(&dead, &work, &ledger, &filter) };
            assert_eq!(replay(run, &Stop::default()).await.1, told([("Replayed", 7), ("Held(Twin)", 7)]));
            assert_eq!((dead.len(), dead.visible()), (7, 7));
        }
    });
}

#[test]
fn a_letter_that_comes_back_while_the_run_goes_on_is_told_from_one_that_is_new() {
    block_on(async {
        let mut dead = InMemory::with(letters(3));
        dead.is_ahead = true;
        let (work, ledger) = (InMemory { returns: true, ..InMemory::default() }, Known::default());
        let filter = Filter::default();
        let run = Replay { rate: Some(1.0), ..all(&dead, &work, &ledger, &filter) };
        let went = replay(run, &Stop::default()).await;
        assert_eq!(went.1, told([("Replayed", 3), ("Returned", 3)]));
        dead.put(letter("another", "Rejected"));
        let went = replay(all(&dead, &work, &ledger, &filter), &Stop::default()).await;
        assert_eq!(went.1, told([("Late", 4)]));
    });
}

/// A ledger that answers by that code.
struct Failing(&'static str);

impl Ledger for Failing {
    async fn write(&self, _: &Key, _: &Entry) -> Result<(), LedgerError> {
        panic!("the ledger is only read")
    }

    async fn read(&self, _: &Key) -> Result<Option<Entry>, LedgerError> {
        Err(LedgerError::Unavailable { code: self.0.to_owned() })
    }
}

#[test]
fn a_ledger_that_does_not_answer_ends_a_replay_with_what_to_do_about_it() {
    block_on(async {
        for (code, word) in [
            ("ResourceNotFoundException", "does not exist in this account and region"),
            ("AccessDeniedException", "needs dynamodb:GetItem"),
            ("ThrottlingException", "throttles"),
            ("no answer", "can't be reached"),
        ] {
            let (dead, work, ledger) = (InMemory::with(letters(3)), InMemory::default(), Failing(code));
            let filter = Filter::default();
            let (again, dry_run, rate, limit) = (false, false, None, None);
            let run = Replay {
                dead_letters: &dead,
                work_queue: &work,
                ledger: Some(&ledger),
                filter: &filter,
                again,
                dry_run,
                rate,
                limit,
            };
            let error = run.run(&Stop::default(), |_, _| {}).await.unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("unset"), "{error}");
            assert_eq!((dead.visible(), work.sent.borrow().len()), (3, 0));
        }
    });
}

#[test]
fn twins_are_replayed_one_after_the_other_and_all_at_once_when_delivered() {
    block_on(async {
        let dead = InMemory::with(vec![letter("twin", "Forbidden"); 5]);
        let (work, ledger, filter) = (InMemory::default(), Known::default(), Filter::default());
        let first = replay(all(&dead, &work, &ledger, &filter), &Stop::default()).await;
        assert_eq!(first.1, told([("Replayed", 1), ("Held(Twin)", 4)]));
        ledger.note("twin", true);
        let second = replay(all(&dead, &work, &ledger, &filter), &Stop::default()).await;
        assert_eq!((second.1, dead.len()), (told([("Replayed", 4)]), 0));
    });
}

#[test]
fn a_dry_run_sends_and_deletes_nothing() {
    block_on(async {
        let (dead, work, ledger) = (InMemory::with(letters(30)), InMemory::default(), Known::default());
        let filter = Filter::default();
        let dry = Replay { dry_run: true, ..all(&dead, &work, &ledger, &filter) };
        assert_eq!(replay(dry, &Stop::default()).await.1, told([("Replayed", 30)]));
        assert_eq!((dead.visible(), work.sent.borrow().len()), (30, 0));
    });
}

#[test]
fn a_limit_and_a_filter_leave_the_rest() {
    block_on(async {
        let bodies =
            letters(30).into_iter().chain((0..30).map(|number| letter(&format!("r{number}"), "Rejected")));
        let (dead, work, ledger) = (InMemory::with(bodies), InMemory::default(), Known::default());
        let filter = Filter { reasons: vec!["Rejected".to_owned()], ..Filter::default() };
        let limited = Replay { limit: Some(12), ..all(&dead, &work, &ledger, &filter) };
        assert_eq!(replay(limited, &Stop::default()).await.1, told([("Replayed", 12)]));
        assert!(work.sent.borrow().iter().all(|body| body.contains("Rejected")));
        assert_eq!((dead.len(), dead.visible()), (48, 48));
    });
}

#[test]
fn a_rate_is_kept_and_a_stop_does_not_wait_for_it() {
    block_on(async {
        for (rate, count, seconds) in [(10.0, 200, 20), (0.5, 10, 20), (3.0, 60, 20)] {
            let (dead, work, ledger) =
                (InMemory::with(letters(count)), InMemory::default(), Known::default());
            let (filter, began) = (Filter::default(), Instant::now());
            let run = Replay { rate: Some(rate), ..all(&dead, &work, &ledger, &filter) };
            assert_eq!(replay(run, &Stop::default()).await.1, told([("Replayed", count)]));
            let took = began.elapsed().as_secs();
            assert!((seconds - 3..=seconds + 5).contains(&took), "{count} at {rate}/s took {took} s");
        }
        let (dead, work, ledger) = (InMemory::with(letters(30)), InMemory::default(), Known::default());
        let (filter, stop, began) = (Filter::default(), Stop::default(), Instant::now());
        let run = Replay { rate: Some(0.1), ..all(&dead, &work, &ledger, &filter) };
        let stopped = async {
            sleep(Duration::from_secs(15)).await;
            stop.tell();
        };
        let ((ending, told), ()) = futures_util::join!(replay(run, &stop), stopped);
        assert_eq!((ending, began.elapsed().as_secs()), (Ending::Stopped, 15));
        assert_eq!(dead.visible() + told["Replayed"], 30);
    });
}

fn archive(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}-{}.jsonl", uuid::Uuid::new_v4()))
}

async fn discard(queue: &InMemory, path: &std::path::Path, limit: Option<u64>, yes: bool) -> Discarded {
    let discard = Discard { dead_letters: queue, filter: &Filter::default(), archive: path, limit };
    discard.run(&Stop::default(), |_| {}, async |_| yes).await.unwrap().0
}

#[test]
fn what_is_discarded_lies_in_the_archive() {
    block_on(async {
        let queue = InMemory::with(
            letters(44).into_iter().chain([letter("s", "sticky"), "no json\u{1b}".to_owned()]),
        );
        let path = archive("all");
        assert_eq!(discard(&queue, &path, None, true).await, Discarded::Done { deleted: 45, stay: 1 });
        assert_eq!((queue.len(), queue.visible()), (1, 1));
        let lines = std::fs::read_to_string(&path).unwrap();
        let bodies: BTreeSet<String> = lines
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].as_str().unwrap().to_owned()
            })
            .collect();
        assert!(bodies.len() == 46 && bodies.contains("no json\u{1b}"));
        // An archive is never written over.
        let again = Discard { dead_letters: &queue, filter: &Filter::default(), archive: &path, limit: None };
        let refused = again.run(&Stop::default(), |_| {}, async |_| true).await;
        assert!(matches!(refused, Err(DlqError::Archive { .. })));
        assert_eq!((queue.visible(), std::fs::read_to_string(&path).unwrap()), (1, lines));
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn declined_nothing_is_deleted_and_no_archive_is_left() {
    block_on(async {
        let (queue, path) = (InMemory::with(letters(44)), archive("declined"));
        assert_eq!(discard(&queue, &path, None, false).await, Discarded::Declined);
        assert!(queue.visible() == 44 && !path.exists());
        let empty = InMemory::default();
        assert_eq!(discard(&empty, &path, None, true).await, Discarded::Nothing);
        assert!(!path.exists());
        assert_eq!(discard(&queue, &path, Some(3), true).await, Discarded::Done { deleted: 3, stay: 0 });
        assert_eq!(queue.visible(), 41);
        std::fs::remove_file(path).unwrap();
    });
}

async fn restore(queue: &InMemory, messages: &[Archived], dry_run: bool) -> Restored {
    let restore = Restore { dead_letters: queue, messages, dry_run };
    let (restored, ending) = restore.run(&Stop::default(), |_| {}).await.unwrap();
    assert_eq!(ending, Ending::Whole);
    restored
}

#[test]
fn what_was_discarded_is_restored_once_however_often_it_is_asked_for() {
    block_on(async {
        let bodies = letters(24).into_iter().chain(vec![letter("twin", "Forbidden"); 2]);
        let (queue, path) = (InMemory::with(bodies.clone()), archive("restored"));
        assert_eq!(discard(&queue, &path, None, true).await, Discarded::Done { deleted: 26, stay: 0 });
        let archived = read_archive(&std::fs::read_to_string(&path).unwrap()).unwrap();
        std::fs::remove_file(path).unwrap();
        let counts = |restored, present| Restored { restored, present, refused: Vec::new() };
        assert_eq!(restore(&queue, &archived, true).await, counts(26, 0));
        assert_eq!(queue.len(), 0);
        // As if it had been killed after seven.
        assert_eq!(restore(&queue, &archived[..7], false).await, counts(7, 0));
        assert_eq!(restore(&queue, &archived, false).await, counts(19, 7));
        assert_eq!(restore(&queue, &archived, false).await, counts(0, 26));
        let mut there: Vec<_> = queue.messages.borrow().iter().map(|message| message.body.clone()).collect();
        let mut expected: Vec<_> = bodies.collect();
        there.sort();
        expected.sort();
        assert_eq!((there, queue.visible()), (expected, 26));
    });
}

#[test]
fn a_message_that_the_queue_refuses_is_named_by_its_line_and_stops_no_other() {
    block_on(async {
        let line = |body: &str| serde_json::json!({"message_id": "m", "body": body}).to_string();
        let text = [line("a"), line("refused"), String::new(), line("c"), String::new()].join("\n");
        let archived = read_archive(&text).unwrap();
        let queue = InMemory::default();
        let restored = restore(&queue, &archived, false).await;
        assert_eq!((restored.restored, restored.refused.len(), queue.len()), (2, 1, 2));
        let (line, error) = read_archive(&format!("{text}{{\"body\":")).unwrap_err();
        assert!(line == 5 && error.is_eof(), "{line} {error}");
        assert_eq!(read_archive("{\"no\":\"body\"}").unwrap_err().0, 1);
    });
}
