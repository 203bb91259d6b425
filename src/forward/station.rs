//! Where batches leave from: full ones at once, small ones of several items in one request.
//!
//! An item's last batch waits in a carriage of its table for those of the invocation's other items. The carriage leaves
//! when another batch does not fit, or when none is left that may come soon: no clock is asked, and what is alone
//! leaves at once. Each item is told what became of its own batch, and settles that alone.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, oneshot};
use tokio::task::JoinSet;

use super::deliver::{Delivered, count_upload, deliver};
use crate::batch::Batch;
use crate::deadline::Deadline;
use crate::report::Tally;
use crate::sentinel::{LogSink, UploadError};
use crate::table::Table;

/// Objects that are read at once: enough to keep the line busy, few enough for 128 MB.
const READ_AT_ONCE: usize = 4;

/// A batch on its way.
struct Passenger {
    batch: Batch,
    /// Where it is told what became of it.
    told: oneshot::Sender<Delivered>,
}

/// What is posted in one request.
struct Carriage {
    passengers: Vec<Passenger>,
    /// Of the body that they make together.
    bytes: usize,
    deadline: Deadline,
}

impl Carriage {
    const fn empty(deadline: Deadline) -> Self {
        Self { passengers: Vec::new(), bytes: 1, deadline }
    }

    /// Two bodies have one bracket each that becomes a comma, or falls away.
    fn fits(&self, batch: &Batch, most_bytes: usize) -> bool {
        self.passengers.is_empty() || self.bytes + batch.body().len() - 1 <= most_bytes
    }

    fn add(&mut self, batch: Batch) -> Flight {
        self.bytes += batch.body().len() - 1;
        let (records, rows) = (batch.records(), batch.len() as u64);
        let (told, outcome) = oneshot::channel();
        self.passengers.push(Passenger { batch, told });
        Flight { outcome, records, rows }
    }

    /// All rows as one array.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.bytes);
        for passenger in &self.passengers {
            body.push(if body.is_empty() { b'[' } else { b',' });
            let rows = passenger.batch.body();
            body.extend_from_slice(&rows[1..rows.len() - 1]);
        }
        body.push(b']');
        body
    }

    /// Posts it. What is refused as a whole is taken apart, and each batch goes on by itself.
    async fn carry<S: LogSink>(self, sink: &S, table: Table) {
        // The request counts once, with the first that it carried.
        let mut tally = Tally::default();
        if self.passengers.len() > 1 {
            let (costs, result) = sink.upload(table, &self.body(), self.deadline).await;
            count_upload(&mut tally, table, &costs, result.is_ok());
            if !result.as_ref().is_err_and(UploadError::is_poison) {
                for Passenger { batch, told } in self.passengers {
                    let mut delivered =
                        Delivered { tally: std::mem::take(&mut tally), ..Delivered::default() };
                    delivered.note(table, &batch, result.clone());
                    // Who has gone need not be told.
                    let _ = told.send(delivered);
                }
                return;
            }
        }
        for Passenger { batch, told } in self.passengers {
            let mut delivered = deliver(sink, table, batch, self.deadline).await;
            delivered.tally.add(std::mem::take(&mut tally));
            let _ = told.send(delivered);
        }
    }
}

/// A batch that has left, or waits to.
pub(super) struct Flight {
    outcome: oneshot::Receiver<Delivered>,
    records: Range<u64>,
    rows: u64,
}

impl Flight {
    /// What became of it. If nobody says, the upload ended in a panic.
    pub(super) async fn landed(self) -> Delivered {
        let Self { outcome, records, rows } = self;
        outcome.await.unwrap_or_else(|_| Delivered::failed(records, rows, UploadError::Crashed))
    }
}

#[derive(Default)]
struct State {
    /// Objects that wait for a place.
    queued: usize,
    /// Objects that have one.
    reading: usize,
    /// Items whose last batch may come soon.
    expected: usize,
    waiting: BTreeMap<Table, Carriage>,
    under_way: JoinSet<()>,
}

impl State {
    /// Whether a batch may come soon: of an item that is in work, or of one that has a place free.
    const fn may_come(&self) -> bool {
        self.expected > 0 || (self.queued > 0 && self.reading < READ_AT_ONCE)
    }
}

/// Where the batches of one invocation leave from.
pub(super) struct Station<S> {
    sink: Arc<S>,
    uploads: Arc<Semaphore>,
    most_bytes: usize,
    places: Semaphore,
    runtime: Handle,
    state: Mutex<State>,
}

impl<S: LogSink> Station<S> {
    /// A station from which at most so many bytes leave in one request, and so many requests at once.
    pub(super) fn new(sink: Arc<S>, uploads: Arc<Semaphore>, most_bytes: usize) -> Self {
        let places = Semaphore::new(READ_AT_ONCE);
        Self { sink, uploads, most_bytes, places, runtime: Handle::current(), state: Mutex::default() }
    }

    /// For an item that is in work from now on: others wait for its last batch.
    pub(super) fn ticket(&self) -> Ticket<'_, S> {
        self.state().expected += 1;
        Ticket { station: self, standing: Standing::Expected, place: None }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who may come; what waits for nobody leaves.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        if !state.may_come() {
            for (table, carriage) in std::mem::take(&mut state.waiting) {
                self.depart(&mut state, table, carriage, None);
            }
        }
    }

    fn depart(
        &self,
        state: &mut State,
        table: Table,
        carriage: Carriage,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let (sink, uploads) = (Arc::clone(&self.sink), Arc::clone(&self.uploads));
        while state.under_way.try_join_next().is_some() {}
        let carried = async move {
            let _permit = match permit {
                None => uploads.acquire_owned().await.ok(),
                permit => permit,
            };
            carriage.carry(&*sink, table).await;
        };
        state.under_way.spawn_on(carried, &self.runtime);
    }
}

/// How an item stands to the others.
enum Standing {
    /// They would wait for it, had it a place.
    Queued,
    /// They wait for its last batch.
    Expected,
    /// They don't.
    Aside,
}

/// What an item has of the station. Wherever the item ends, nobody waits for it any longer.
pub(super) struct Ticket<'s, S: LogSink> {
    station: &'s Station<S>,
    standing: Standing,
    place: Option<SemaphorePermit<'s>>,
}

impl<S: LogSink> Ticket<'_, S> {
    /// Waits for a place among the objects that are read.
    pub(super) async fn take_place(&mut self) {
        self.step_aside();
        self.station.change(|state| state.queued += 1);
        self.standing = Standing::Queued;
        // It is never closed.
        self.place = self.station.places.acquire().await.ok();
        self.station.change(|state| {
            state.queued -= 1;
            state.reading += 1;
            state.expected += 1;
        });
        self.standing = Standing::Expected;
    }

    /// Lets the others go: the item is no small one.
    pub(super) fn step_aside(&mut self) {
        if matches!(self.standing, Standing::Expected) {
            self.standing = Standing::Aside;
            self.station.change(|state| state.expected -= 1);
        }
    }

    /// Sends a batch on its way by itself, as soon as there is room in flight.
    pub(super) async fn launch(&mut self, table: Table, batch: Batch, deadline: Deadline) -> Flight {
        self.step_aside();
        let permit = Arc::clone(&self.station.uploads).acquire_owned().await.ok();
        let mut carriage = Carriage::empty(deadline);
        let flight = carriage.add(batch);
        self.station.depart(&mut self.station.state(), table, carriage, permit);
        // It is packed and posted now: a reader whose bytes are there already would go on until nothing more may leave.
        tokio::task::yield_now().await;
        flight
    }

    /// Puts the item's last batch among those of others, as soon as there is room. The place is given back with that.
    pub(super) async fn board(self, table: Table, mut batch: Batch, deadline: Deadline) -> Flight {
        let station = self.station;
        // It may wait.
        batch.shrink();
        loop {
            {
                let mut state = station.state();
                let carriage = state.waiting.entry(table).or_insert(Carriage::empty(deadline));
                if carriage.fits(&batch, station.most_bytes) {
                    return carriage.add(batch);
                }
            }
            let permit = Arc::clone(&station.uploads).acquire_owned().await.ok();
            let mut state = station.state();
            if let Some(full) = state.waiting.remove(&table) {
                if full.fits(&batch, station.most_bytes) {
                    state.waiting.insert(table, full);
                } else {
                    station.depart(&mut state, table, full, permit);
                }
            }
        }
    }
}

impl<S: LogSink> Drop for Ticket<'_, S> {
    fn drop(&mut self) {
        self.station.change(|state| {
            match self.standing {
                Standing::Queued => state.queued -= 1,
                Standing::Expected => state.expected -= 1,
                Standing::Aside => {}
            }
            state.reading -= usize::from(self.place.is_some());
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use tokio::time::timeout;

    use super::*;
    use crate::batch::{Batcher, Buffers};
    use crate::sentinel::UploadCosts;

    const MOST_BYTES: usize = 200;
    const TABLE: Table = Table::AwsCloudTrail;

    /// Takes what is posted, or panics.
    #[derive(Default)]
    struct Recorder {
        bodies: Mutex<Vec<Vec<u64>>>,
        panics: bool,
    }

    impl LogSink for Recorder {
        fn rests(&self) -> Option<Duration> {
            None
        }

        async fn upload(&self, _: Table, body: &[u8], _: Deadline) -> (UploadCosts, Result<(), UploadError>) {
            assert!(!self.panics, "as the test asks for");
            assert!(body.len() <= MOST_BYTES);
            self.bodies.lock().unwrap().push(serde_json::from_slice(body).unwrap());
            (UploadCosts::default(), Ok(()))
        }
    }

    fn station(sink: &Arc<Recorder>) -> Station<Recorder> {
        Station::new(Arc::clone(sink), Arc::new(Semaphore::new(2)), MOST_BYTES)
    }

    /// A batch of numbers.
    fn batch(numbers: std::ops::Range<u64>) -> Batch {
        let mut batcher = Batcher::new(MOST_BYTES, Buffers::default());
        for number in numbers {
            assert!(batcher.push(number, number.to_string().as_bytes(), None).unwrap().is_none());
        }
        batcher.take().unwrap()
    }

    fn deadline() -> Deadline {
        Deadline::at(Instant::now() + Duration::from_mins(1))
    }

    fn on_a_runtime<F: Future>(test: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { timeout(Duration::from_secs(30), test).await.unwrap() })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn each_batch_lands_once_in_as_few_requests_as_their_order_allows(
            lengths in prop::collection::vec(1_u64..50, 1..20),
        ) {
            let sink = Arc::new(Recorder::default());
            on_a_runtime(async {
                let station = station(&sink);
                let tickets: Vec<_> = lengths.iter().map(|_| station.ticket()).collect();
                let mut flights = Vec::new();
                for (ticket, length) in tickets.into_iter().zip(&lengths) {
                    flights.push((ticket.board(TABLE, batch(100..100 + length), deadline()).await, *length));
                }
                for (flight, length) in flights {
                    let delivered = flight.landed().await;
                    assert_eq!(delivered.taken, [(100..100 + length, length)]);
                }
            });
            // Three digits and a comma a row, and the brackets.
            let most_rows = (MOST_BYTES as u64 - 1) / 4;
            let (mut requests, mut room) = (Vec::new(), 0);
            for length in &lengths {
                if *length > room {
                    requests.push(0);
                    room = most_rows;
                }
                *requests.last_mut().unwrap() += *length;
                room -= length;
            }
            let mut posted: Vec<_> = sink.bodies.lock().unwrap().iter().map(|body| body.len() as u64).collect();
            posted.sort_unstable();
            requests.sort_unstable();
            prop_assert_eq!(posted, requests);
        }
    }

    #[test]
    fn an_upload_that_panics_is_told_to_all_that_it_carried() {
        let sink = Arc::new(Recorder { panics: true, ..Recorder::default() });
        on_a_runtime(async {
            let station = station(&sink);
            let (one, other) = (station.ticket(), station.ticket());
            let one = one.board(TABLE, batch(1..3), deadline()).await;
            let other = other.board(TABLE, batch(5..6), deadline()).await;
            for (flight, records) in [(one, 1..3), (other, 5..6)] {
                let rows = records.end - records.start;
                let crashed = Delivered::failed(records, rows, UploadError::Crashed).failed;
                assert_eq!(flight.landed().await.failed, crashed);
            }
        });
    }

    #[test]
    fn who_gives_up_in_the_queue_is_waited_for_no_longer() {
        let sink = Arc::new(Recorder::default());
        on_a_runtime(async {
            let station = station(&sink);
            let waiting = station.ticket();
            let mut places: Vec<_> = (0..READ_AT_ONCE).map(|_| station.ticket()).collect();
            for ticket in &mut places {
                ticket.take_place().await;
            }
            let mut queued = Box::pin(async {
                let mut ticket = station.ticket();
                ticket.take_place().await;
            });
            assert!(futures_util::poll!(&mut queued).is_pending());
            let flight = waiting.board(TABLE, batch(1..2), deadline()).await;
            drop(queued);
            drop(places);
            assert_eq!(flight.landed().await.taken, [(1..2, 1)]);
        });
    }
}
