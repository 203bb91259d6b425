//! What an operator does about each reason; the README's table "Dead letters" says the same.

/// Messages that are no letters have reasons too, by who gave them up. SQS did after as many receives as the work
/// queue allows.
pub(super) const RECEIVED_TOO_OFTEN: &str = "ReceivedTooOften";
/// `EventBridge` could not hand the event over.
pub(super) const NOT_HANDED_OVER: &str = "NotHandedOver";
/// Lambda gave up invoking the function with it.
pub(super) const INVOCATION_FAILED: &str = "InvocationFailed";
/// Nobody knows what it is.
pub(super) const UNKNOWN_BODY: &str = "UnknownBody";

/// Each reason, and what to do about it.
const ADVICE: [(&str, &str); 15] = [
    ("UnknownTrigger", "find out who sends it; discard it, or replay it with a version that knows it"),
    ("AccessDenied", "mend the role, the bucket's or the key's policy, or restore the object; replay"),
    (
        "NotFound",
        "look whether a lifecycle rule or somebody removed it; restore that version and replay, or discard",
    ),
    (
        "Corrupt",
        "compare with the trail's digest; a good copy that is put there is forwarded by itself; discard",
    ),
    ("TooLarge", "read the record in S3: it can't be sent; discard"),
    ("Rejected", "compare the rule's streams and types with the Azure template; replay"),
    (
        "Unauthorized",
        "sentinelctl doctor: compare issuer, subject and audience, tenant and client, cloud; replay",
    ),
    ("Forbidden", "give it Monitoring Metrics Publisher on the rule (Deploy, step 3); replay"),
    ("Misconfigured", "compare endpoint, immutable id and streams, or deploy in the bucket's region; replay"),
    ("Crashed", "report it with the function's log; replay with a later version"),
    ("Exhausted", "give the function more memory or time; replay"),
    (RECEIVED_TOO_OFTEN, "look in the function's log why it failed for days; mend it; replay"),
    (
        NOT_HANDED_OVER,
        "mend what its ERROR_CODE names: the target of the rule, or the queue's policy; replay",
    ),
    (INVOCATION_FAILED, "look in the function's log why it failed; mend it; replay"),
    (UNKNOWN_BODY, "show it and find out who sent it; discard, or replay it with a version that knows it"),
];

/// All reasons.
pub fn reasons() -> impl Iterator<Item = &'static str> {
    ADVICE.iter().map(|(reason, _)| *reason)
}

/// What to do about a reason, also about one of a later version.
#[must_use]
pub fn advice(reason: &str) -> &'static str {
    let known = ADVICE.iter().find(|(name, _)| *name == reason);
    known.map_or(
        "this version does not know the reason: see the README of the function's version",
        |(_, advice)| advice,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_gives_the_same_advice() {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("\n## Dead letters\n").unwrap();
        for (reason, advice) in ADVICE {
            let mut rows = section.lines().filter(|line| line.starts_with(&format!("| `{reason}`")));
            let row = rows.next().unwrap_or_else(|| panic!("no row for {reason}"));
            assert!(row.replace('`', "").ends_with(&format!("| {advice} |")), "{reason}: {row}");
        }
    }
}
