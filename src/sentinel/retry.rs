//! How long to wait before asking again: what the service says, else twice as long each time, with jitter.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The first wait; the service's own advice is to begin with about a second.
const FIRST: Duration = Duration::from_millis(500);
/// The longest wait in one invocation: longer ones are the queue's.
pub(super) const LONGEST: Duration = Duration::from_secs(20);
/// Tries in all, the first included.
const TRIES: u32 = 5;

/// Waits between tries.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    /// How long to wait after a try that failed; none if it is not worth asking again here.
    pub(super) fn wait(&mut self, asked_for: Option<Duration>) -> Option<Duration> {
        self.tries += 1;
        let most = FIRST * 2_u32.pow(self.tries.min(10) - 1);
        let wait = asked_for.unwrap_or_else(|| most.mul_f64(0.5 + fastrand::f64() / 2.0));
        (self.tries < TRIES && wait <= LONGEST).then_some(wait)
    }
}

/// Reads `Retry-After`: seconds, or a date (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>).
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    let wait = date.duration_since(Timestamp::try_from(now).ok()?);
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, wait) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, now), wait.map(Duration::from_secs), "{value}");
        }
    }

    #[test]
    fn waits_grow_and_end() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = std::iter::from_fn(|| backoff.wait(None)).collect();
        assert_eq!(waits.len(), 4);
        assert!(waits[0] >= FIRST / 2 && waits[3] <= FIRST * 8);
        assert_eq!(Backoff::default().wait(Some(Duration::from_secs(3))), Some(Duration::from_secs(3)));
        assert_eq!(Backoff::default().wait(Some(Duration::from_mins(5))), None);
    }
}
