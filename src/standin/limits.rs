//! What a data collection rule takes a minute; beyond it the service answers 429 and says when to come again.
//!
//! <https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>. Which minute the
//! service counts in is not documented: here no minute may be over the limit, wherever it begins.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_mins(1);

/// The most that one rule takes in any minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleLimits {
    /// Requests.
    pub requests: usize,
    /// Uncompressed bytes.
    pub bytes: usize,
}

impl RuleLimits {
    /// Those of the service.
    pub const DOCUMENTED: Self = Self { requests: 12_000, bytes: 2_000_000_000 };
}

/// What one rule took within the last minute.
#[derive(Debug, Default)]
pub struct LastMinute {
    taken: VecDeque<(Instant, usize)>,
    bytes: usize,
}

impl LastMinute {
    /// Counts a request of so many bytes, if the limits allow it.
    ///
    /// # Errors
    /// With how long to wait until they do.
    pub fn take(&mut self, limits: RuleLimits, bytes: usize, now: Instant) -> Result<(), Duration> {
        while let Some((at, bytes)) = self.taken.pop_front_if(|(at, _)| *at + MINUTE <= now) {
            debug_assert!(at <= now);
            self.bytes -= bytes;
        }
        let (mut requests, mut sum) = (self.taken.len(), self.bytes);
        let mut wait = Duration::ZERO;
        for (at, bytes_then) in &self.taken {
            if requests < limits.requests && sum + bytes <= limits.bytes {
                break;
            }
            requests -= 1;
            sum -= bytes_then;
            wait = *at + MINUTE - now;
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        self.taken.push_back((now, bytes));
        self.bytes += bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_minute_is_over_either_limit_and_the_wait_is_exact() {
        let limits = RuleLimits { requests: 3, bytes: 10 };
        let (mut minute, start) = (LastMinute::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(minute.take(limits, 4, at(0)), Ok(()));
        assert_eq!(minute.take(limits, 4, at(10)), Ok(()));
        assert_eq!(minute.take(limits, 4, at(20)), Err(Duration::from_secs(40)));
        assert_eq!(minute.take(limits, 2, at(20)), Ok(()));
        assert_eq!(minute.take(limits, 1, at(30)), Err(Duration::from_secs(30)));
        assert_eq!(minute.take(limits, 7, at(59)), Err(Duration::from_secs(11)));
        assert_eq!(minute.take(limits, 4, at(60)), Ok(()));
    }
}
