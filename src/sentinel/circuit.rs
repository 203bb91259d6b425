//! A circuit breaker: after failures in a row nothing is posted for a while, then one post tries.
//!
//! A rule that is down or throttles is left alone; messages wait in the queue, not in a paid function.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row that open the circuit: fewer than an invocation has uploads in flight.
const MOST_FAILURES: u32 = 5;
/// How long it is open at first.
const FIRST_REST: Duration = Duration::from_secs(5);
/// How long it is open at most, unless the service asks for more.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// Nothing that the service asks for is waited for longer than this.
pub(super) const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// So long a trial may take; then another may try.
const TRIAL: Duration = Duration::from_secs(30);
/// The others look so often how a trial went.
const GLANCE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, openings: u32 },
    Trying { until: Instant, openings: u32 },
}

/// Why nothing is posted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// The circuit is open for so long.
    Rest(Duration),
    /// Another post tries; ask again after so long.
    Trial(Duration),
}

/// The circuit of one rule.
#[derive(Debug)]
pub(super) struct Circuit(Mutex<State>);

impl Circuit {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State::Closed { failures: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing is to be posted now.
    pub(super) fn pause(&self, now: Instant) -> Option<Pause> {
        match *self.state() {
            State::Open { until, .. } if until > now => Some(Pause::Rest(until - now)),
            State::Trying { until, .. } if until > now => Some(Pause::Trial(GLANCE)),
            _ => None,
        }
    }

    /// How long it is open.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        match self.pause(now) {
            Some(Pause::Rest(rest)) => Some(rest),
            _ => None,
        }
    }

    /// Asks to post; once the circuit has rested, only the first who asks may.
    ///
    /// # Errors
    /// If nothing is to be posted now.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Pause> {
        if let Some(pause) = self.pause(now) {
            return Err(pause);
        }
        let mut state = self.state();
        if let State::Open { openings, .. } | State::Trying { openings, .. } = *state {
            *state = State::Trying { until: now + TRIAL, openings };
        }
        Ok(())
    }

    /// The service answered.
    pub(super) fn close(&self) {
        *self.state() = State::Closed { failures: 0 };
    }

    /// A post failed; whether that opens the circuit.
    pub(super) fn fail(&self, now: Instant, asked_for: Option<Duration>) -> bool {
        let mut state = self.state();
        let openings = match *state {
            State::Closed { failures } if failures + 1 < MOST_FAILURES => {
                *state = State::Closed { failures: failures + 1 };
                return false;
            }
            State::Closed { .. } => 0,
            State::Trying { openings, .. } => openings,
            // It was in flight when the circuit opened.
            State::Open { .. } => return false,
        };
        let rest = (FIRST_REST * 2_u32.pow(openings.min(10))).min(LONGEST_REST);
        let rest = rest.mul_f64(0.75 + fastrand::f64() / 4.0);
        let asked_for = asked_for.unwrap_or_default().min(LONGEST_ASKED);
        *state = State::Open { until: now + rest.max(asked_for), openings: openings + 1 };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails until the circuit opens.
    fn opened(circuit: &Circuit, now: Instant, asked_for: Option<Duration>) -> Duration {
        while !circuit.fail(now, asked_for) {}
        circuit.rests(now).unwrap()
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_rests_longer_each_time() {
        let (circuit, mut now) = (Circuit::new(), Instant::now());
        for _ in 1..MOST_FAILURES {
            assert!(!circuit.fail(now, None));
        }
        circuit.close();
        let mut rest = opened(&circuit, now, None);
        assert!(rest >= FIRST_REST * 3 / 4 && rest <= FIRST_REST);
        for _ in 0..3 {
            assert!(circuit.admit(now).is_err());
            now += rest;
            assert_eq!(circuit.admit(now), Ok(()));
            // Only one tries.
            assert_eq!(circuit.admit(now), Err(Pause::Trial(GLANCE)));
            let longer = opened(&circuit, now, None);
            assert!(longer > rest);
            rest = longer;
        }
        circuit.close();
        assert_eq!(circuit.admit(now), Ok(()));
    }

    #[test]
    fn what_the_service_asks_for_is_waited_for() {
        let (circuit, now) = (Circuit::new(), Instant::now());
        assert_eq!(opened(&circuit, now, Some(Duration::from_mins(5))), Duration::from_mins(5));
        // A late answer to what was in flight changes nothing.
        assert!(!circuit.fail(now, None));
    }

    #[test]
    fn a_trial_that_never_ends_gives_way_to_the_next() {
        let (circuit, now) = (Circuit::new(), Instant::now());
        let rest = opened(&circuit, now, None);
        assert_eq!(circuit.admit(now + rest), Ok(()));
        assert_eq!(circuit.admit(now + rest + TRIAL), Ok(()));
    }
}
