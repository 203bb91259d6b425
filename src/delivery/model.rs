//! Explores the protocol: every order of the steps of two workers, with crashes between any two of them.
//!
//! The steps on the ledger and on what is settled are the function's own. Around them stand a queue that announces a
//! file twice and gives back what is not acknowledged, and a Sentinel that takes batches and may lose its answer. A worker
//! may be frozen and wake after its end, and its own clock may be wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use stateright::{Checker, Model, Property};

use super::{Claim, Claimant, Counts, Entry, LedgerTime, Settled, Stage};

/// Batches of the file, of one record each; the last but one is rejected and becomes a letter.
const BATCHES: u64 = 3;
const REJECTED: u64 = 1;
const WORKERS: usize = 2;
/// Uploads that a worker has in flight at most.
const IN_FLIGHT: usize = 2;
const LIFETIME: Duration = Duration::from_secs(1);
/// By how much one worker's own clock is wrong: more than a lease with its margin.
const CLOCKS_APART: i64 = 4;
/// Until when leases run out while their worker lives, where that may be.
const LAST_OUTLIVED: i64 = 1;
/// What is held of doubles.
const EXCUSED: &str = "doubles only where an answer or a checkpoint was lost";

/// What may go wrong how often, and what is taken for granted.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    crashes: u8,
    lost_answers: u8,
    outages: u8,
    /// Invocations that run out of time.
    deadlines: u8,
    /// Workers that are frozen, and wake at any time: with nothing to wait for, what they have begun goes on.
    freezes: u8,
    /// By so many seconds the second worker's own clock is ahead of the ledger's.
    clock_ahead: i64,
    /// Leases are granted and judged by each worker's own clock, as they must not be.
    trusts_own_clock: bool,
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
    /// It is claimed by a lease that may be too short.
    Renewing,
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
    is_frozen: bool,
    /// Its invocation has ended without it: nobody hears its answer, and its message was given back.
    is_over: bool,
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
    freezes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Receive(usize, usize),
    Renew(usize),
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
    Freeze(usize),
    Wake(usize),
    LeaseRunsOut,
}

impl State {
    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    /// The worker that holds the thing, as long as it lives.
    fn holder(&self) -> Option<&Work> {
        let entry = self.ledger.as_ref()?;
        self.workers.iter().flatten().find(|work| work.entry.holder == entry.holder)
    }

    /// Writes where the entry that it follows still stands.
    fn write(&mut self, entry: &Entry) -> bool {
        let stands = self.ledger.as_ref().map_or(0, |found| found.version) == entry.version - 1;
        if stands {
            self.ledger = Some(entry.clone());
        }
        stands
    }

    /// A step that writes to the ledger.
    fn write_step(&mut self, action: Action) -> Option<()> {
        match action {
            Action::Renew(worker) => {
                let entry = self.workers[worker].as_ref()?.entry.clone();
                match entry.renew(LedgerTime::exactly(self.time()), LIFETIME) {
                    Some(renewed) if !self.write(&renewed) => self.abandon(worker),
                    renewed => {
                        let work = self.workers[worker].as_mut()?;
                        (work.entry, work.phase) = (renewed.unwrap_or(entry), Phase::Posting);
                    }
                }
            }
            Action::Checkpoint(worker) => {
                let work = self.workers[worker].as_ref()?;
                let entry = work.entry.checkpoint(&work.settled);
                let stands = self.write(&entry);
                let work = self.workers[worker].as_mut()?;
                if stands {
                    work.entry = entry;
                } else {
                    // Another has taken it over.
                    work.phase = Phase::Failing;
                }
            }
            Action::Release(worker) => {
                let work = self.workers[worker].as_ref()?;
                let (entry, is_stopping) = (work.entry.release(&work.settled), work.phase == Phase::Stopping);
                if self.write(&entry) && is_stopping {
                    let work = self.workers[worker].as_mut()?;
                    (work.entry, work.phase) = (entry, Phase::Continuing);
                } else {
                    self.abandon(worker);
                }
            }
            Action::Deliver(worker) => {
                let work = self.workers[worker].as_ref()?;
                let entry = work.entry.deliver(&work.settled, None, self.time());
                if self.write(&entry) {
                    self.workers[worker].as_mut()?.phase = Phase::Acknowledging;
                } else {
                    self.abandon(worker);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn is_safe(&self) -> bool {
        self.taken.iter().all(|taken| *taken > 0)
    }

    /// The worker is gone, and its message comes again.
    fn abandon(&mut self, worker: usize) {
        self.end(worker, Message::Waiting);
    }

    fn end(&mut self, worker: usize, becomes: Message) {
        if let Some(work) = self.workers[worker].take().filter(|work| !work.is_over) {
            self.messages[work.message] = becomes;
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

impl Conditions {
    fn receive(&self, last: &State, state: &mut State, worker: usize, message: usize) -> Option<()> {
        let knows_time = last.ledger.is_some() && !self.trusts_own_clock;
        let ahead = if worker == 0 || knows_time { 0 } else { self.clock_ahead };
        let claimant = Claimant {
            // Unlike any other's: a worker claims once a version.
            holder: format!("{worker}.{}", last.ledger.as_ref().map_or(0, |entry| entry.version)),
            time: LedgerTime::exactly(Timestamp::from_second(last.now + ahead).unwrap()),
            lifetime: LIFETIME,
        };
        match Entry::claim(last.ledger.as_ref(), &claimant, 0) {
            Claim::Take(entry) => {
                let entry = *entry;
                if entry.takeovers > 0 && last.holder().is_some() {
                    // A frozen worker's; awake, it must not add to it.
                    state.excused += last.unchecked();
                }
                assert!(state.write(&entry));
                state.messages[message] = Message::Received;
                let settled = entry.settled.clone();
                let todo = (0..BATCHES).rev().filter(|batch| !is_settled(&settled, *batch)).collect();
                let is_sure = self.trusts_own_clock
                    || entry.renew(LedgerTime::exactly(last.time()), LIFETIME).is_none();
                let phase = if is_sure { Phase::Posting } else { Phase::Renewing };
                let in_flight = BTreeSet::new();
                let (is_frozen, is_over) = (false, false);
                state.workers[worker] =
                    Some(Work { message, entry, settled, todo, in_flight, phase, is_frozen, is_over });
            }
            Claim::Delivered => state.messages[message] = Message::Acknowledged,
            // It waits for the lease to run out.
            Claim::Busy { .. } => return None,
        }
        Some(())
    }
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
            freezes: self.freezes,
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
            if work.is_frozen {
                actions.push(Action::Wake(worker));
                continue;
            }
            if state.crashes > 0 {
                actions.push(Action::Crash(worker));
            }
            if state.freezes > 0 {
                actions.push(Action::Freeze(worker));
            }
            for batch in &work.in_flight {
                actions.push(Action::Answer(worker, *batch));
                if state.lost_answers > 0 {
                    actions.push(Action::LoseAnswer(worker, *batch));
                }
            }
            let is_quiet = work.in_flight.is_empty();
            match work.phase {
                Phase::Renewing => actions.push(Action::Renew(worker)),
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
            let is_held = state.holder().is_some_and(|work| !work.is_frozen);
            if !is_held || (self.outlives_lease && state.now < LAST_OUTLIVED) {
                actions.push(Action::LeaseRunsOut);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Receive(worker, message) => self.receive(last, &mut state, worker, message)?,
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
            Action::Renew(_) | Action::Checkpoint(_) | Action::Release(_) | Action::Deliver(_) => {
                state.write_step(action)?;
            }
            Action::SendRest(worker) => {
                state.messages.push(Message::Waiting);
                state.workers[worker].as_mut()?.phase = Phase::Acknowledging;
            }
            Action::Acknowledge(worker) => {
                state.end(worker, Message::Acknowledged);
            }
            Action::Crash(worker) => {
                state.crashes -= 1;
                state.excused += last.unchecked();
                state.abandon(worker);
            }
            Action::Freeze(worker) => {
                state.freezes -= 1;
                state.workers[worker].as_mut()?.is_frozen = true;
            }
            Action::Wake(worker) => {
                let work = state.workers[worker].as_mut()?;
                work.is_frozen = false;
                if work.is_over && work.phase == Phase::Posting {
                    // Its deadline has passed, and nothing is posted after that.
                    work.phase = Phase::Stopping;
                }
            }
            Action::LeaseRunsOut => {
                let Stage::Claimed { lease_until } = last.ledger.as_ref()?.stage else { return None };
                state.now = lease_until.as_second();
                for work in state.workers.iter_mut().flatten().filter(|work| work.is_frozen && !work.is_over)
                {
                    work.is_over = true;
                    state.messages[work.message] = Message::Waiting;
                }
            }
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
            properties.push(Property::always(EXCUSED, |_, state: &State| state.doubles() <= state.excused));
        }
        properties
    }
}

const CALM: Conditions = Conditions {
    crashes: 0,
    lost_answers: 0,
    outages: 0,
    deadlines: 0,
    freezes: 0,
    clock_ahead: 0,
    trusts_own_clock: false,
    outlives_lease: false,
};

#[test]
fn nothing_is_lost_whatever_crashes_and_whatever_answer_is_lost() {
    for conditions in [
        Conditions { crashes: 2, ..CALM },
        Conditions { crashes: 1, lost_answers: 1, ..CALM },
        Conditions { crashes: 1, outages: 1, ..CALM },
        Conditions { crashes: 1, deadlines: 1, ..CALM },
        Conditions { lost_answers: 1, deadlines: 1, outages: 1, ..CALM },
        Conditions { freezes: 1, crashes: 1, ..CALM },
        Conditions { freezes: 1, clock_ahead: CLOCKS_APART, ..CALM },
        Conditions { crashes: 1, clock_ahead: CLOCKS_APART, ..CALM },
        Conditions { crashes: 1, clock_ahead: -CLOCKS_APART, ..CALM },
        // Safe, though with doubles that nothing excuses.
        Conditions { crashes: 1, outlives_lease: true, ..CALM },
    ] {
        let checker = conditions.checker().threads(2).spawn_bfs().join();
        println!("{conditions:?}: {} states", checker.unique_state_count());
        checker.assert_properties();
    }
}

#[test]
fn leases_by_the_workers_own_clocks_would_double_what_nothing_excuses() {
    for clock_ahead in [CLOCKS_APART, -CLOCKS_APART] {
        let conditions = Conditions { clock_ahead, trusts_own_clock: true, ..CALM };
        let checker = conditions.checker().threads(2).spawn_bfs().join();
        assert!(checker.discovery(EXCUSED).is_some(), "{clock_ahead}");
    }
}
