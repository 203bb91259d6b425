//! Explores the protocol: every order of the steps of two workers, with crashes between any two of them.
//!
//! The steps on the ledger and on what is settled are the function's own. Around them stand a queue that announces a
//! file twice and gives back what is not acknowledged, and a Sentinel that takes batches and may lose its answer.

use std::collections::BTreeSet;

use jiff::Timestamp;
use stateright::{Checker, Model, Property};

use super::{Claim, Claimant, Counts, Entry, Settled, Stage};

/// Batches of the file, of one record each; the last but one is rejected and becomes a letter.
const BATCHES: u64 = 3;
const REJECTED: u64 = 1;
const WORKERS: usize = 2;
/// Uploads that a worker has in flight at most.
const IN_FLIGHT: usize = 2;
const LEASE_SECONDS: i64 = 1;
/// How many leases run out while their worker lives, where that may be.
const MOST_OUTLIVED: i64 = 2;

/// What may go wrong how often, and what is taken for granted.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    crashes: u8,
    lost_answers: u8,
    outages: u8,
    /// Invocations that run out of time.
    deadlines: u8,
    /// A worker may outlive its lease, which Lambda rules out.
    outlives_lease: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Message {
    Waiting,
    Received,
    Acknowledged,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    Posting,
    /// A post failed: what is in flight is waited for, then the message comes again.
    Failing,
    /// Time is up: what is in flight is waited for, then the rest goes on as another message.
    Stopping,
    /// The ledger has let go; the message of the rest is to be sent.
    Continuing,
    /// All is settled and written down.
    Acknowledging,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Work {
    message: usize,
    entry: Entry,
    settled: Settled,
    /// Batches that are not posted yet, the next one last.
    todo: Vec<u64>,
    in_flight: BTreeSet<u64>,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: i64,
    messages: Vec<Message>,
    workers: Vec<Option<Work>>,
    ledger: Option<Entry>,
    /// How often each batch was taken by Sentinel, or by the queue of letters.
    taken: Vec<u8>,
    /// Doubles that a crash or a lost answer accounts for.
    excused: u8,
    crashes: u8,
    lost_answers: u8,
    outages: u8,
    deadlines: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Receive(usize, usize),
    Post(usize),
    Answer(usize, u64),
    LoseAnswer(usize, u64),
    RefusePost(usize),
    Checkpoint(usize),
    RunOutOfTime(usize),
    Release(usize),
    Deliver(usize),
    SendRest(usize),
    Acknowledge(usize),
    Crash(usize),
    LeaseRunsOut,
}

impl State {
    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    /// Writes where the entry that it follows still stands.
    fn write(&mut self, entry: &Entry) -> bool {
        let stands = self.ledger.as_ref().map_or(0, |found| found.version) == entry.version - 1;
        if stands {
            self.ledger = Some(entry.clone());
        }
        stands
    }

    fn is_safe(&self) -> bool {
        self.taken.iter().all(|taken| *taken > 0)
    }

    /// The worker is gone, and its message comes again.
    fn abandon(&mut self, worker: usize) {
        if let Some(work) = self.workers[worker].take() {
            self.messages[work.message] = Message::Waiting;
        }
    }

    /// Batches that were taken, and the ledger does not know of it.
    fn unchecked(&self) -> u8 {
        let nothing = Settled::default();
        let settled = self.ledger.as_ref().map_or(&nothing, |entry| &entry.settled);
        let unchecked =
            (0..BATCHES).filter(|batch| self.taken[index(*batch)] > 0 && !is_settled(settled, *batch));
        u8::try_from(unchecked.count()).unwrap()
    }

    fn doubles(&self) -> u8 {
        self.taken.iter().map(|taken| taken.saturating_sub(1)).sum()
    }
}

fn index(batch: u64) -> usize {
    usize::try_from(batch).unwrap()
}

fn is_settled(settled: &Settled, batch: u64) -> bool {
    batch < settled.next_record
        || settled.beyond.iter().any(|(start, (end, _))| (*start..*end).contains(&batch))
}

fn counts(batch: u64) -> Counts {
    let letters = u64::from(batch == REJECTED);
    Counts { records: 1, rows: 1 - letters, letters, ..Counts::default() }
}

impl Model for Conditions {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            messages: vec![Message::Waiting; 2],
            workers: vec![None; WORKERS],
            ledger: None,
            taken: vec![0; index(BATCHES)],
            excused: 0,
            crashes: self.crashes,
            lost_answers: self.lost_answers,
            outages: self.outages,
            deadlines: self.deadlines,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, work) in state.workers.iter().enumerate() {
            let Some(work) = work else {
                let waiting = state.messages.iter().enumerate();
                let waiting = waiting.filter(|(_, message)| **message == Message::Waiting);
                actions.extend(waiting.map(|(message, _)| Action::Receive(worker, message)));
                continue;
            };
            if state.crashes > 0 {
                actions.push(Action::Crash(worker));
            }
            for batch in &work.in_flight {
                actions.push(Action::Answer(worker, *batch));
                if state.lost_answers > 0 {
                    actions.push(Action::LoseAnswer(worker, *batch));
                }
            }
            let is_quiet = work.in_flight.is_empty();
            match work.phase {
                Phase::Posting => {
                    if !work.todo.is_empty() && work.in_flight.len() < IN_FLIGHT {
                        actions.push(Action::Post(worker));
                        if state.outages > 0 {
                            actions.push(Action::RefusePost(worker));
                        }
                    }
                    if work.settled != work.entry.settled {
                        actions.push(Action::Checkpoint(worker));
                    }
                    if !work.todo.is_empty() && state.deadlines > 0 {
                        actions.push(Action::RunOutOfTime(worker));
                    }
                    if work.todo.is_empty() && is_quiet {
                        actions.push(Action::Deliver(worker));
                    }
                }
                Phase::Failing | Phase::Stopping if is_quiet => actions.push(Action::Release(worker)),
                Phase::Failing | Phase::Stopping => {}
                Phase::Continuing => actions.push(Action::SendRest(worker)),
                Phase::Acknowledging => actions.push(Action::Acknowledge(worker)),
            }
        }
        let lease = state.ledger.as_ref().map(|entry| entry.stage);
        if let Some(Stage::Claimed { lease_until }) = lease
            && lease_until > state.time()
        {
            let holder = state.ledger.as_ref().map(|entry| entry.holder.clone()).unwrap_or_default();
            let lives = state.workers.iter().flatten().any(|work| work.entry.holder == holder);
            if !lives || (self.outlives_lease && state.now < MOST_OUTLIVED) {
                actions.push(Action::LeaseRunsOut);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Receive(worker, message) => {
                let claimant = Claimant {
                    // Unlike any other's: a worker claims once a version.
                    holder: format!("{worker}.{}", last.ledger.as_ref().map_or(0, |entry| entry.version)),
                    now: last.time(),
                    lease_until: Timestamp::from_second(last.now + LEASE_SECONDS).unwrap(),
                };
                match Entry::claim(last.ledger.as_ref(), &claimant, 0) {
                    Claim::Take(entry) => {
                        let entry = *entry;
                        assert!(state.write(&entry));
                        state.messages[message] = Message::Received;
                        let settled = entry.settled.clone();
                        let todo = (0..BATCHES).rev().filter(|batch| !is_settled(&settled, *batch)).collect();
                        let (in_flight, phase) = (BTreeSet::new(), Phase::Posting);
                        state.workers[worker] =
                            Some(Work { message, entry, settled, todo, in_flight, phase });
                    }
                    Claim::Delivered => state.messages[message] = Message::Acknowledged,
                    // It waits for the lease to run out.
                    Claim::Busy { .. } => return None,
                }
            }
            Action::Post(worker) => {
                let work = state.workers[worker].as_mut()?;
                let batch = work.todo.pop()?;
                work.in_flight.insert(batch);
                state.taken[index(batch)] += 1;
            }
            Action::Answer(worker, batch) => {
                let work = state.workers[worker].as_mut()?;
                work.in_flight.remove(&batch);
                work.settled.settle(batch..batch + 1, counts(batch));
            }
            Action::LoseAnswer(worker, batch) => {
                state.lost_answers -= 1;
                let work = state.workers[worker].as_mut()?;
                work.in_flight.remove(&batch);
                work.phase = Phase::Failing;
                state.excused += 1;
            }
            Action::RefusePost(worker) => {
                state.outages -= 1;
                state.workers[worker].as_mut()?.phase = Phase::Failing;
            }
            Action::RunOutOfTime(worker) => {
                state.deadlines -= 1;
                state.workers[worker].as_mut()?.phase = Phase::Stopping;
            }
            Action::Checkpoint(worker) => {
                let work = last.workers[worker].as_ref()?;
                let entry = work.entry.checkpoint(&work.settled);
                // What another has taken over is not ours to write; that shows again at the end.
                if !state.write(&entry) {
                    return None;
                }
                state.workers[worker].as_mut()?.entry = entry;
            }
            Action::Release(worker) => {
                let work = last.workers[worker].as_ref()?;
                let entry = work.entry.release(&work.settled);
                if state.write(&entry) && work.phase == Phase::Stopping {
                    let work = state.workers[worker].as_mut()?;
                    (work.entry, work.phase) = (entry, Phase::Continuing);
                } else {
                    state.abandon(worker);
                }
            }
            Action::Deliver(worker) => {
                let work = last.workers[worker].as_ref()?;
                let entry = work.entry.deliver(&work.settled, None, last.time());
                if state.write(&entry) {
                    state.workers[worker].as_mut()?.phase = Phase::Acknowledging;
                } else {
                    state.abandon(worker);
                }
            }
            Action::SendRest(worker) => {
                state.messages.push(Message::Waiting);
                state.workers[worker].as_mut()?.phase = Phase::Acknowledging;
            }
            Action::Acknowledge(worker) => {
                let work = state.workers[worker].take()?;
                state.messages[work.message] = Message::Acknowledged;
            }
            Action::Crash(worker) => {
                state.crashes -= 1;
                state.excused += last.unchecked();
                state.abandon(worker);
            }
            Action::LeaseRunsOut => state.now += LEASE_SECONDS,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("never lost", |_, state: &State| {
                state.is_safe() || state.messages.iter().any(|message| *message != Message::Acknowledged)
            }),
            Property::always("never delivered before safe", |_, state: &State| {
                let stage = state.ledger.as_ref().map(|entry| entry.stage);
                state.is_safe() || !matches!(stage, Some(Stage::Delivered { .. }))
            }),
            Property::always("the checkpoint is never ahead of what is safe", |_, state: &State| {
                let checkpoint = state.ledger.as_ref().map_or(0, |entry| entry.settled.next_record);
                (0..checkpoint).all(|batch| state.taken[index(batch)] > 0)
            }),
            Property::always("the counts add up", |_, state: &State| {
                let settled = state.ledger.as_ref().map(|entry| &entry.settled);
                settled.is_none_or(|Settled { next_record, counts, .. }| {
                    counts.records == *next_record && counts.records == counts.rows + counts.letters
                })
            }),
            Property::eventually("always ends", |_, state: &State| {
                state.messages.iter().all(|message| *message == Message::Acknowledged)
            }),
            Property::sometimes("a file is delivered", |_, state: &State| state.is_safe()),
        ];
        if !self.outlives_lease {
            properties.push(Property::always(
                "doubles only where an answer or a checkpoint was lost",
                |_, state: &State| state.doubles() <= state.excused,
            ));
        }
        properties
    }
}

const CALM: Conditions =
    Conditions { crashes: 0, lost_answers: 0, outages: 0, deadlines: 0, outlives_lease: false };

#[test]
fn nothing_is_lost_whatever_crashes_and_whatever_answer_is_lost() {
    for conditions in [
        Conditions { crashes: 2, ..CALM },
        Conditions { crashes: 1, lost_answers: 1, ..CALM },
        Conditions { crashes: 1, outages: 1, ..CALM },
        Conditions { crashes: 1, deadlines: 1, ..CALM },
        Conditions { lost_answers: 1, deadlines: 1, outages: 1, ..CALM },
        // Safe, though with doubles that nothing excuses.
        Conditions { crashes: 1, outlives_lease: true, ..CALM },
    ] {
        let checker = conditions.checker().threads(2).spawn_bfs().join();
        println!("{conditions:?}: {} states", checker.unique_state_count());
        checker.assert_properties();
    }
}
