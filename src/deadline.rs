//! When an invocation must be done.

use std::time::{Duration, Instant};

/// The instant by which all must be settled.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline at this instant.
    #[must_use]
    pub const fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// The instant.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// Whether so much time is left after `now`.
    #[must_use]
    pub fn leaves(self, now: Instant, time: Duration) -> bool {
        now + time < self.0
    }
}
