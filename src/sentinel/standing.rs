//! How a data collection rule stands to the rows of a table: whether it took some, or refuses what others take.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::table::Table;

/// So long a rule that refuses is passed over while another one takes its place; and so long what it took says that it is
/// sound.
const MEMORY: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    refused_at: Option<Instant>,
    took_at: Option<Instant>,
}

/// One rule's, by table: a rule may lack a stream and have another.
#[derive(Debug, Default)]
pub(super) struct Standings(Mutex<BTreeMap<Table, Standing>>);

impl Standings {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Table, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It took rows.
    pub(super) fn took(&self, table: Table, now: Instant) {
        *self.all().entry(table).or_default() = Standing { refused_at: None, took_at: Some(now) };
    }

    /// It refuses whatever comes.
    pub(super) fn refused(&self, table: Table, now: Instant) {
        *self.all().entry(table).or_default() = Standing { refused_at: Some(now), took_at: None };
    }

    /// Whether it is passed over.
    pub(super) fn refuses(&self, table: Table, now: Instant) -> bool {
        is_recent(self.all().get(&table).and_then(|standing| standing.refused_at), now)
    }

    /// Whether what it rejects is the rows' fault rather than its own.
    pub(super) fn is_sound(&self, table: Table, now: Instant) -> bool {
        is_recent(self.all().get(&table).and_then(|standing| standing.took_at), now)
    }
}

/// Whether that was a short while ago.
pub(super) fn is_recent(at: Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now.saturating_duration_since(at) < MEMORY)
}
