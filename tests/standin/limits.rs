//! What a rule takes a minute.

use crate::client::{row, token, upload_trail};
use sentinel_forwarder::standin::{RuleLimits, Settings, Standin};

#[test]
fn a_rule_that_has_taken_all_that_it_takes_a_minute_says_when_to_come_again() {
    let two_rows = format!("[{0},{0}]", row(""));
    for rule_limits in [
        RuleLimits { requests: 2, bytes: 1_000_000 },
        RuleLimits { requests: 100, bytes: two_rows.len() * 5 / 2 },
    ] {
        let standin = Standin::start(Settings { rule_limits, ..Settings::default() }).unwrap();
        let token = token(&standin);
        for _ in 0..2 {
            assert_eq!(upload_trail(&token, two_rows.clone()).send(&standin).status, 204);
        }
        let answer = upload_trail(&token, two_rows.clone()).send(&standin);
        assert_eq!((answer.status, answer.header("x-ms-error-code")), (429, Some("TooManyRequests")));
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(standin.rows("AWSCloudTrail").len(), 4);
        assert_eq!(standin.refusals(), [], "nothing was wrong with the request");
    }
}
