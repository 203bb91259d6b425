//! What one rule takes a minute: a token bucket for its requests and one for its bytes.
//!
//! The service answers 429 beyond 12,000 requests or 2 GB a minute for each rule
//! (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>). The limits hold
//! for all functions together, and this budget for one: it keeps a lone one from ever being throttled.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MINUTE_SECONDS: f64 = 60.0;
/// What a full bucket holds, as a share of a minute's limit. What it holds and what flows in within a minute are the
/// limit together, so that no minute is ever over it.
const BURST: f64 = 1.0 / 6.0;

/// What a rule takes a minute.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleLimits {
    pub(super) requests: f64,
    /// Uncompressed.
    pub(super) bytes: f64,
}

/// The documented limits.
pub(super) const DOCUMENTED: RuleLimits = RuleLimits { requests: 12_000.0, bytes: 2e9 };

#[derive(Debug)]
struct Levels {
    requests: f64,
    bytes: f64,
    at: Instant,
    /// Until then the service wants nothing.
    held_until: Instant,
}

/// The budget of one rule.
#[derive(Debug)]
pub(super) struct Budget {
    limits: RuleLimits,
    levels: Mutex<Levels>,
}

impl Budget {
    /// A full one.
    pub(super) fn new(limits: RuleLimits, now: Instant) -> Self {
        let levels = Levels {
            requests: limits.requests * BURST,
            bytes: limits.bytes * BURST,
            at: now,
            held_until: now,
        };
        Self { limits, levels: Mutex::new(levels) }
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds it back until then: the service asked for that.
    pub(super) fn hold(&self, until: Instant) {
        let mut levels = self.levels();
        levels.held_until = levels.held_until.max(until);
    }

    /// How long it is held back.
    pub(super) fn held(&self, now: Instant) -> Duration {
        self.levels().held_until.saturating_duration_since(now)
    }

    /// Takes one request of so many bytes out of it.
    ///
    /// # Errors
    /// With how long to wait until it holds that much.
    pub(super) fn spend(&self, now: Instant, bytes: usize) -> Result<(), Duration> {
        let bytes = f64::from(u32::try_from(bytes).unwrap_or(u32::MAX));
        let mut levels = self.levels();
        let seconds = now.saturating_duration_since(levels.at).as_secs_f64();
        let fill = |level: f64, limit: f64| (level + seconds * inflow(limit)).min(limit * BURST);
        levels.requests = fill(levels.requests, self.limits.requests);
        levels.bytes = fill(levels.bytes, self.limits.bytes);
        levels.at = levels.at.max(now);
        let missing = |need: f64, level: f64, limit: f64| (need - level).max(0.0) / inflow(limit);
        let wait = missing(1.0, levels.requests, self.limits.requests);
        let wait = wait.max(missing(bytes, levels.bytes, self.limits.bytes));
        let wait = Duration::from_secs_f64(wait).max(levels.held_until.saturating_duration_since(now));
        if !wait.is_zero() {
            return Err(wait);
        }
        levels.requests -= 1.0;
        levels.bytes -= bytes;
        Ok(())
    }
}

/// What flows in a second.
fn inflow(limit: f64) -> f64 {
    limit * (1.0 - BURST) / MINUTE_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each request goes out that asks as soon as it may, within two minutes.
    fn spent_at(limits: RuleLimits, bytes: usize) -> Vec<Duration> {
        let start = Instant::now();
        let budget = Budget::new(limits, start);
        let (mut now, mut spent) = (start, Vec::new());
        while now - start < Duration::from_mins(2) {
            match budget.spend(now, bytes) {
                Ok(()) => spent.push(now - start),
                Err(wait) => now += wait + Duration::from_micros(1),
            }
        }
        spent
    }

    #[test]
    fn no_minute_is_over_the_limit_and_most_of_it_is_used() {
        for (bytes, most) in [(1_000, 12_000), (1_000_000, 2_000)] {
            let spent = spent_at(DOCUMENTED, bytes);
            let fullest = (0..spent.len())
                .map(|first| spent.partition_point(|at| *at < spent[first] + Duration::from_mins(1)) - first)
                .max();
            assert!(fullest.is_some_and(|fullest| fullest <= most && fullest > most * 9 / 10), "{fullest:?}");
        }
    }
}
