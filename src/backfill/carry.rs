//! Carries objects in the order of their keys, several at once, and remembers up to which key all is done.
//!
//! Keys wait in a bounded channel between listing and carrying. What was begun is always finished: an interruption, or
//! the first failure, only begins nothing new.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::layout::Range;
use super::listing::walk;
use super::progress::Progress;
use super::selection::Selection;
use super::state::State;
use crate::aws::{Bucket, Listed};

/// Keys that are listed ahead: two pages.
const LISTED_AHEAD: usize = 2000;
/// How often the state is written, and progress told.
const TICK: Duration = Duration::from_secs(1);
/// So much lost time is made up for, so that the rate is kept on the average.
const CATCH_UP: Duration = Duration::from_secs(1);

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Files sent, or forwarded.
    pub files: u64,
    /// Their bytes, compressed as they are.
    pub bytes: u64,
    /// Files that had been delivered before.
    pub duplicates: u64,
    /// Files that hold nothing that is forwarded.
    pub ignored: u64,
    /// Records read.
    pub records: u64,
    /// Rows that Sentinel took.
    pub rows: u64,
    /// Letters written.
    pub dead_letters: u64,
}

impl Done {
    const fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.duplicates += other.duplicates;
        self.ignored += other.ignored;
        self.records += other.records;
        self.rows += other.rows;
        self.dead_letters += other.dead_letters;
    }
}

/// Why a carrier halts before its objects are done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It was asked to.
    Interrupted,
    /// It can't go on, for this reason.
    Failed(String),
}

/// A way to Sentinel.
pub trait Carrier {
    /// How many objects go together.
    const TOGETHER: usize;

    /// How many of such are under way at once.
    fn at_once(&self) -> usize;

    /// How long one object holds back the next.
    fn pace(&self) -> Duration;

    /// Takes objects to where they are safe.
    fn carry(&self, objects: &[Listed]) -> impl Future<Output = Result<Done, Halt>>;
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All is done.
    Finished,
    /// It was asked to stop.
    Interrupted,
    /// It can't go on, for this reason.
    Failed(String),
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct Carried {
    /// In numbers.
    pub done: Done,
    /// In how much time.
    pub elapsed: Duration,
    /// How it ended.
    pub ending: Ending,
}

impl Carried {
    /// How fast it was.
    #[must_use]
    pub fn files_per_second(&self) -> f64 {
        let (done_now, elapsed) = (self.done.files, self.elapsed);
        Progress { done_now, elapsed, ..Progress::default() }.rate()
    }
}

/// What is carried, and how to stop.
pub struct Course<'a> {
    /// Where from.
    pub bucket: &'a Bucket,
    /// What of it.
    pub selection: &'a Selection,
    /// In which ranges it lies.
    pub ranges: Vec<Range>,
    /// Where the state is kept, if it is.
    pub state_file: Option<&'a Path>,
    /// Turned to true, it ends what is under way and begins nothing more.
    pub stop: &'a watch::Sender<bool>,
}

/// Carries all that lies behind the state's position.
pub async fn carry<C: Carrier>(
    course: Course<'_>,
    carrier: &C,
    state: &mut State,
    mut tell: impl FnMut(&State, Done, Duration),
) -> Carried {
    let began = Instant::now();
    let (sender, mut receiver) = mpsc::channel(LISTED_AHEAD);
    let mut listing = pin!(list(&course, state.position.clone(), sender));
    let mut run = Run { state, done: Done::default(), is_held: false, failure: None };
    let mut stopped = course.stop.subscribe();
    let (mut is_listed, mut is_open) = (false, true);
    let (mut flights, mut batch) = (FuturesOrdered::new(), Vec::new());
    let mut next_at = began;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while is_open || !flights.is_empty() {
        let has_room = is_open && flights.len() < carrier.at_once();
        let waits = Instant::now() < next_at;
        tokio::select! {
            listed = &mut listing, if is_open && !is_listed => {
                is_listed = true;
                if let Err(why) = listed {
                    run.fail(why);
                }
            }
            Some(flown) = flights.next() => run.settle(flown),
            count = receiver.recv_many(&mut batch, C::TOGETHER), if has_room && !waits => {
                is_open = count > 0;
                if is_open {
                    let pause = carrier.pace() * u32::try_from(count).unwrap_or(u32::MAX);
                    next_at = next_at.max(Instant::now().checked_sub(CATCH_UP).unwrap_or(began)) + pause;
                    flights.push_back(fly(carrier, std::mem::take(&mut batch)));
                }
            }
            () = sleep_until(next_at), if has_room && waits => {}
            _ = ticks.tick() => {
                run.keep(course.state_file);
                tell(run.state, run.done, began.elapsed());
            }
            _ = stopped.wait_for(|is_stopped| *is_stopped), if is_open => is_open = false,
        }
        if run.failure.is_some() {
            is_open = false;
            course.stop.send_replace(true);
        }
    }
    let ending = match run.failure.take() {
        Some(why) => Ending::Failed(why),
        None if is_listed && receiver.is_empty() && !run.is_held => Ending::Finished,
        None => Ending::Interrupted,
    };
    run.state.is_finished = ending == Ending::Finished;
    run.keep(course.state_file);
    let ending = run.failure.take().map_or(ending, Ending::Failed);
    Carried { done: run.done, elapsed: began.elapsed(), ending }
}

/// What flew, and how it ended.
struct Flown {
    objects: Vec<Listed>,
    result: Result<Done, Halt>,
}

async fn fly<C: Carrier>(carrier: &C, objects: Vec<Listed>) -> Flown {
    let result = carrier.carry(&objects).await;
    Flown { objects, result }
}

async fn list(
    course: &Course<'_>,
    position: Option<String>,
    sender: mpsc::Sender<Listed>,
) -> Result<(), String> {
    for range in course.ranges.iter().cloned() {
        let rest = match &position {
            Some(position) => range.behind(position),
            None => Some(range),
        };
        let Some(rest) = rest else { continue };
        let send = async |object| sender.send(object).await.is_ok();
        walk(course.bucket, course.selection, &rest, send).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

struct Run<'a> {
    state: &'a mut State,
    done: Done,
    /// Whether something was left undone: behind it the position stays where it is.
    is_held: bool,
    failure: Option<String>,
}

impl Run<'_> {
    /// Takes in what ended; it comes in the order in which it began.
    fn settle(&mut self, flown: Flown) {
        match flown.result {
            Ok(done) => {
                self.done.add(done);
                if !self.is_held {
                    self.state.files += flown.objects.len() as u64;
                    self.state.position = flown.objects.into_iter().next_back().map(|object| object.key);
                }
            }
            Err(halt) => {
                self.is_held = true;
                if let Halt::Failed(why) = halt {
                    self.fail(why);
                }
            }
        }
    }

    fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    fn keep(&mut self, file: Option<&Path>) {
        if let Some(Err(error)) = file.map(|file| self.state.write(file)) {
            self.fail(error.to_string());
        }
    }
}
