//! This machine's clock against Azure's: proofs hold for minutes, so a clock that is off lets nobody in.

use jiff::{SignedDuration, Timestamp};

use super::finding::{Check, Finding};

/// Beyond this the clock should be set.
const WARNING: SignedDuration = SignedDuration::from_secs(60);
/// Beyond this a proof of ours has expired or does not hold yet: it holds for 300 s, and Entra forgives no more
/// (<https://learn.microsoft.com/entra/identity-platform/certificate-credentials>).
const FAILURE: SignedDuration = SignedDuration::from_secs(300);

/// One look at a clock of Azure's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    /// The time by our clock.
    pub(super) ours: Timestamp,
    /// The time by theirs, in whole seconds.
    pub(super) theirs: Timestamp,
}

/// Judges the glance by which our clock is furthest off; a date has no fractions, so a second is nothing.
pub(super) fn judge(glances: &[Glance]) -> Finding {
    let aheads = glances.iter().map(|glance| glance.ours.duration_since(glance.theirs));
    let Some(ahead) = aheads.max_by_key(|ahead| ahead.abs()) else {
        return Finding::skipped(
            Check::Clock,
            "no host of Azure said what time it is",
            "Mend the checks of tenant and endpoint first.",
        );
    };
    let (seconds, off) = (ahead.as_secs().unsigned_abs(), ahead.abs());
    let direction = if ahead.is_negative() { "behind" } else { "ahead of" };
    let what = format!("this machine's clock is {seconds} s {direction} Azure's");
    let next = "Set this machine's clock (NTP): a proof of identity that it dates wrongly is refused. The \
                function's own clock is AWS's.";
    if off > FAILURE {
        Finding::failed(Check::Clock, what, next)
    } else if off > WARNING {
        Finding::warning(Check::Clock, what, next)
    } else {
        Finding::ok(
            Check::Clock,
            if seconds <= 1 { "this machine's clock is right".to_owned() } else { what },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn glance(ours: i64) -> Glance {
        let time = |second| Timestamp::from_second(second).unwrap();
        Glance { ours: time(1_000_000 + ours), theirs: time(1_000_000) }
    }

    #[test]
    fn a_minute_is_forgiven_and_five_are_a_failure() {
        for (ahead, status) in [
            (0, Status::Ok),
            (60, Status::Ok),
            (-60, Status::Ok),
            (61, Status::Warning),
            (-61, Status::Warning),
            (300, Status::Warning),
            (301, Status::Failed),
            (-301, Status::Failed),
        ] {
            assert_eq!(judge(&[glance(ahead)]).status, status, "{ahead}");
        }
    }

    #[test]
    fn the_direction_is_told() {
        assert!(judge(&[glance(400)]).what.contains("400 s ahead of Azure's"));
        assert!(judge(&[glance(-400)]).what.contains("400 s behind Azure's"));
    }

    #[test]
    fn the_worst_glance_counts_and_none_is_no_failure() {
        assert_eq!(judge(&[glance(1), glance(-400), glance(70)]).status, Status::Failed);
        assert_eq!(judge(&[]).status, Status::Skipped);
    }
}
