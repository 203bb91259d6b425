//! How far a backfill is, in words: a bar for a terminal, a line for a log.

use std::fmt::Write;
use std::time::Duration;

/// How wide the bar is.
const BAR: usize = 24;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files done, those of earlier runs included.
    pub done: u64,
    /// Files done by this run.
    pub done_now: u64,
    /// Files that there are.
    pub all: u64,
    /// How long this run has taken so far.
    pub elapsed: Duration,
}

impl Progress {
    /// Files a second, over this run.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
    pub fn rate(self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.done_now as f64 / seconds } else { 0.0 }
    }

    /// How long it still takes at that rate; none while there is no rate.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is shown by the second")]
    pub fn left(self) -> Option<Duration> {
        let left = self.all.saturating_sub(self.done) as f64 / self.rate();
        Duration::try_from_secs_f64(left).ok()
    }

    /// One line that says it all.
    #[must_use]
    pub fn line(self) -> String {
        let mut line = format!("{} of {} files", number(self.done), number(self.all.max(self.done)));
        // A String takes all that is written.
        let _ = write!(line, " ({} %), {:.1} a second", self.percent(), self.rate());
        if let Some(left) = self.left().filter(|_| self.done < self.all) {
            let _ = write!(line, ", {} left", time(left));
        }
        line
    }

    /// The line with a bar before it.
    #[must_use]
    pub fn bar(self) -> String {
        let full = usize::try_from(self.percent()).unwrap_or(100) * BAR / 100;
        format!("[{}{}] {}", "#".repeat(full), ".".repeat(BAR - full), self.line())
    }

    const fn percent(self) -> u64 {
        match (self.done.saturating_mul(100)).checked_div(self.all) {
            Some(percent) if percent < 100 => percent,
            _ => 100,
        }
    }
}

/// A number with commas between its thousands.
#[must_use]
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of which only the first three digits are known.
#[must_use]
pub fn rough(value: u64) -> String {
    let unit = 10_u64.pow(value.checked_ilog10().unwrap_or_default().saturating_sub(2));
    number((value + unit / 2) / unit * unit)
}

/// A time in its two largest units.
#[must_use]
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} days {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Bytes in the largest decimal unit.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
pub fn size(bytes: u64) -> String {
    let (value, unit) = match bytes {
        0..1_000 => return format!("{bytes} bytes"),
        1_000..1_000_000 => (bytes as f64 / 1e3, "KB"),
        1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
        _ => (bytes as f64 / 1e9, "GB"),
    };
    format!("{value:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_rate_and_time_left() {
        let progress =
            Progress { done: 3_000, done_now: 1_000, all: 12_000, elapsed: Duration::from_secs(10) };
        assert_eq!(progress.line(), "3,000 of 12,000 files (25 %), 100.0 a second, 1 min 30 s left");
        assert_eq!(progress.bar(), format!("[######..................] {}", progress.line()));
    }

    #[test]
    fn the_ends_divide_by_nothing() {
        let begun = Progress { all: 5, ..Progress::default() };
        assert_eq!(begun.line(), "0 of 5 files (0 %), 0.0 a second");
        let ended = Progress { done: 5, done_now: 5, all: 5, elapsed: Duration::from_secs(2) };
        assert_eq!(ended.line(), "5 of 5 files (100 %), 2.5 a second");
        assert!(Progress::default().bar().starts_with("[########################]"));
        // More came while it ran.
        let more = Progress { done: 7, done_now: 7, all: 5, elapsed: Duration::from_secs(7) };
        assert_eq!(more.line(), "7 of 7 files (100 %), 1.0 a second");
    }

    #[test]
    fn figures_are_written_to_be_read() {
        assert_eq!([0, 999, 1_000, 12_345_678].map(number), ["0", "999", "1,000", "12,345,678"]);
        assert_eq!([0, 999, 1_234, 12_355_678].map(rough), ["0", "999", "1,230", "12,400,000"]);
        let times = [59, 61, 3_700, 90_000].map(|seconds| time(Duration::from_secs(seconds)));
        assert_eq!(times, ["59 s", "1 min 1 s", "1 h 1 min", "1 days 1 h"]);
        assert_eq!(
            [999, 1_500, 2_000_000, 3_210_000_000].map(size),
            ["999 bytes", "1.50 KB", "2.00 MB", "3.21 GB"]
        );
    }
}
