//! How long to wait before asking again: what the service says, else twice as long each time, with jitter.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

use super::circuit::LONGEST_ASKED;

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

/// The two older forms of a date, which a recipient has to read too: RFC 850 and asctime, both in UTC
/// (<https://www.rfc-editor.org/rfc/rfc9110#http.date>).
const OLDER_DATES: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// Reads `Retry-After`: seconds, or a date (<https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>). More than is ever
/// waited for is as much.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST_ASKED, Duration::from_secs).min(LONGEST_ASKED));
    }
    let older = || {
        let date = OLDER_DATES.iter().find_map(|form| DateTime::strptime(form, value).ok())?;
        TimeZone::UTC.to_timestamp(date).ok()
    };
    let date = DateTimeParser::new().parse_timestamp(value).ok().or_else(older)?;
    let wait = date.duration_since(Timestamp::try_from(now).ok()?);
    Some(wait.try_into().unwrap_or(Duration::ZERO).min(LONGEST_ASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, wait) in [
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:49:47 GMT", Some(10)),
            ("Sunday, 06-Nov-94 08:49:07 GMT", Some(0)),
            ("Sun Nov  6 08:49:47 1994", Some(10)),
            ("Sun Nov 06 08:49:47 1994", Some(10)),
            ("Thu, 31 Dec 9998 23:59:59 GMT", Some(3600)),
            ("18446744073709551615", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("soon", None),
            ("-7", None),
            ("7.5", None),
            ("", None),
            ("Sunday, 06-Nov-94", None),
            ("Mon Nov  6 08:49:47 1994", None),
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
