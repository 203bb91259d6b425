//! Judges queues, ledger and buckets by what AWS tells of them.

use jiff::Timestamp;

use super::finding::{Check, Finding};
use crate::aws::{AwsError, BucketFacts, QueueFacts, TableFacts};

/// The function's time-out in `template.yaml`; Lambda refuses a queue whose messages come again before it
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>).
const FUNCTION_TIMEOUT_SECONDS: u64 = 300;
/// Lambda asks for six times that, the same page.
const VISIBILITY_SECONDS: u64 = 6 * FUNCTION_TIMEOUT_SECONDS;
/// Receipts before a message is given up: an hour apart in the end, so many outlast an outage of two days.
const RECEIPTS: u64 = 100;
/// The ledger's one key.
const LEDGER_KEY: &str = "pk HASH S";
/// The attribute by which its entries expire.
const LEDGER_EXPIRY: &str = "expires_at";

/// A thing that could not be looked at; what is not allowed to us is no failure of the function.
pub(super) fn unseen(check: Check, about: &str, variable: &str, error: &AwsError) -> Finding {
    let finding = match error {
        AwsError::Denied { action, .. } => Finding::skipped(
            check,
            format!("your identity may not look: it lacks {action}"),
            format!("Let somebody look who may, or have {action} allowed to you on this resource."),
        ),
        AwsError::Missing { code } => Finding::failed(
            check,
            format!("it does not exist ({code})"),
            format!("Compare {variable} with the stack's outputs, and AWS_REGION with the stack's region."),
        ),
        AwsError::NoRegion | AwsError::NoCredentials { .. } => Finding::skipped(
            check,
            "without an AWS identity nobody can look",
            "Mend the check of the AWS identity first.",
        ),
        error => Finding::failed(
            check,
            error.to_string(),
            format!("Look whether {variable} and AWS_REGION are right, then try again."),
        ),
    };
    finding.about(about)
}

/// Judges the work queue.
pub(super) fn work_queue(name: &str, facts: &QueueFacts, dead_letter_arn: Option<&str>) -> Finding {
    let QueueFacts { visibility_seconds: visibility, waiting, in_flight, .. } = facts;
    let counts = format!("{waiting} waiting, {in_flight} in work, hidden for {visibility} s once received");
    let finding = match &facts.redrive {
        _ if *visibility < FUNCTION_TIMEOUT_SECONDS => Finding::failed(
            Check::WorkQueue,
            format!("messages come again after {visibility} s, while the function may still work on them"),
            format!(
                "Set its visibility time-out to {VISIBILITY_SECONDS} s, six times the function's time-out of \
                 {FUNCTION_TIMEOUT_SECONDS} s."
            ),
        ),
        None => Finding::failed(
            Check::WorkQueue,
            "it has no redrive policy: a message that always crashes the function is lost in the end",
            format!(
                "Give it the redrive policy of template.yaml: to the dead letter queue after {RECEIPTS} \
                 receipts."
            ),
        ),
        Some(redrive) if dead_letter_arn.is_some_and(|arn| arn != redrive.dead_letter_target_arn) => {
            Finding::warning(
                Check::WorkQueue,
                format!(
                    "its messages end in {}, which is not the dead letter queue",
                    redrive.dead_letter_target_arn
                ),
                "Name the queue of DEAD_LETTER_QUEUE_URL in its redrive policy.",
            )
        }
        Some(redrive) if redrive.max_receive_count < RECEIPTS => Finding::warning(
            Check::WorkQueue,
            format!("messages are given up after {} receipts", redrive.max_receive_count),
            format!("Set maxReceiveCount to {RECEIPTS}: fewer do not outlast an outage of two days."),
        ),
        Some(_) if *visibility < VISIBILITY_SECONDS => Finding::warning(
            Check::WorkQueue,
            format!("messages come again after {visibility} s"),
            format!("Set its visibility time-out to {VISIBILITY_SECONDS} s, as Lambda asks for."),
        ),
        Some(_) => return Finding::ok(Check::WorkQueue, counts).about(name),
    };
    finding.about(name).details([counts])
}

/// Judges the dead letter queue; `oldest` is the oldest letter seen.
pub(super) fn dead_letter_queue(
    name: &str,
    facts: &QueueFacts,
    oldest: Option<Timestamp>,
    now: Timestamp,
) -> Finding {
    if facts.waiting == 0 {
        return Finding::ok(Check::DeadLetterQueue, "no letter waits").about(name);
    }
    let age =
        oldest.map(|sent| format!(", the oldest seen {} old", in_words(now.duration_since(sent).as_secs())));
    let letters = if facts.waiting == 1 {
        "1 letter waits".to_owned()
    } else {
        format!("{} letters wait", facts.waiting)
    };
    Finding::warning(
        Check::DeadLetterQueue,
        format!("{letters}{}", age.unwrap_or_default()),
        "Read their reasons, mend what they name, and replay them (README, Dead letters). They are gone when \
         they are 14 days old.",
    )
    .about(name)
}

/// Judges the ledger.
pub(super) fn ledger(table: &str, facts: &TableFacts) -> Finding {
    let finding = if facts.keys != [LEDGER_KEY] {
        Finding::failed(
            Check::Ledger,
            format!("its key is {}, not {LEDGER_KEY}", facts.keys.join(", ")),
            "Name a table whose one key is the partition key pk, a string: the key can't be changed, so make \
             a new table.",
        )
    } else if !matches!(facts.status.as_str(), "ACTIVE" | "UPDATING") {
        Finding::failed(
            Check::Ledger,
            format!("it is {}", facts.status),
            "Wait until it is ACTIVE, and look who changes it.",
        )
    } else if facts.expires_by.as_deref() == Some(LEDGER_EXPIRY) {
        Finding::ok(Check::Ledger, format!("key {LEDGER_KEY}, entries expire by {LEDGER_EXPIRY}"))
    } else {
        let how = facts.expires_by.as_ref().map_or("never expire".to_owned(), |by| format!("expire by {by}"));
        Finding::warning(
            Check::Ledger,
            format!("its entries {how}, and should by {LEDGER_EXPIRY}"),
            format!(
                "aws dynamodb update-time-to-live --table-name {table} --time-to-live-specification \
                 Enabled=true,AttributeName={LEDGER_EXPIRY}"
            ),
        )
    };
    finding.about(table)
}

/// Judges a bucket.
pub(super) fn bucket(name: &str, facts: &BucketFacts) -> Finding {
    let finding = if facts.event_bridge {
        Finding::ok(Check::Bucket, "it tells EventBridge of new objects")
    } else if facts.targets.is_empty() {
        Finding::failed(
            Check::Bucket,
            "it tells nobody of new objects, so none is forwarded",
            format!(
                "aws s3api put-bucket-notification-configuration --bucket {name} \
                 --notification-configuration '{{\"EventBridgeConfiguration\":{{}}}}' (README, Deploy, \
                 step 2). Only where CloudTrail's own SNS topic tells of its files is it right as it \
                 is."
            ),
        )
    } else {
        Finding::ok(Check::Bucket, "it tells of new objects by S3 notification")
            .details(facts.targets.clone())
    };
    finding.about(name)
}

/// A time in its largest unit.
fn in_words(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} minutes", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;
    use crate::aws::Redrive;

    const LETTERS: &str = "arn:aws:sqs:us-east-1:123456789012:letters";

    fn queue() -> QueueFacts {
        let redrive = Redrive { dead_letter_target_arn: LETTERS.to_owned(), max_receive_count: RECEIPTS };
        QueueFacts { visibility_seconds: VISIBILITY_SECONDS, redrive: Some(redrive), ..QueueFacts::default() }
    }

    #[test]
    fn the_measures_are_those_of_the_template() {
        let template = include_str!("../../template.yaml");
        for line in [
            format!("      Timeout: {FUNCTION_TIMEOUT_SECONDS}\n"),
            format!("      VisibilityTimeout: {VISIBILITY_SECONDS}\n"),
            format!("        maxReceiveCount: {RECEIPTS}\n"),
            format!("        AttributeName: {LEDGER_EXPIRY}\n"),
        ] {
            assert!(template.contains(&line), "{line}");
        }
    }

    #[test]
    fn a_work_queue_is_judged_by_its_time_out_and_its_end() {
        let redrive = |arn: &str, count| {
            Some(Redrive { dead_letter_target_arn: arn.to_owned(), max_receive_count: count })
        };
        for (facts, status, word) in [
            (queue(), Status::Ok, "0 waiting"),
            (QueueFacts { visibility_seconds: 299, ..queue() }, Status::Failed, "299 s"),
            (QueueFacts { visibility_seconds: 300, ..queue() }, Status::Warning, "300 s"),
            (QueueFacts { visibility_seconds: 1799, ..queue() }, Status::Warning, "1799 s"),
            (QueueFacts { redrive: None, ..queue() }, Status::Failed, "no redrive"),
            (QueueFacts { redrive: redrive("arn:other", 100), ..queue() }, Status::Warning, "arn:other"),
            (QueueFacts { redrive: redrive(LETTERS, 99), ..queue() }, Status::Warning, "99 receipts"),
        ] {
            let finding = work_queue("url", &facts, Some(LETTERS));
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.what.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn letters_that_wait_are_a_warning_with_their_age() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let some = QueueFacts { waiting: 3, ..queue() };
        let sent = Timestamp::from_second(1_000_000 - 3 * 3_600).unwrap();
        let finding = dead_letter_queue("url", &some, Some(sent), now);
        assert_eq!(
            (finding.status, finding.what.as_str()),
            (Status::Warning, "3 letters wait, the oldest seen 3 hours old")
        );
        assert_eq!(
            dead_letter_queue("url", &QueueFacts { waiting: 1, ..queue() }, None, now).what,
            "1 letter waits"
        );
        assert_eq!(dead_letter_queue("url", &queue(), None, now).status, Status::Ok);
    }

    #[test]
    fn a_ledger_is_judged_by_its_key_and_its_expiry() {
        let facts = |keys: &[&str], status: &str, expires_by: Option<&str>| TableFacts {
            status: status.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            expires_by: expires_by.map(str::to_owned),
        };
        for (facts, status, word) in [
            (facts(&["pk HASH S"], "ACTIVE", Some("expires_at")), Status::Ok, "pk HASH S"),
            (facts(&["pk HASH S"], "DELETING", Some("expires_at")), Status::Failed, "DELETING"),
            (facts(&["pk HASH N"], "ACTIVE", Some("expires_at")), Status::Failed, "pk HASH N"),
            (facts(&["id HASH S"], "ACTIVE", Some("expires_at")), Status::Failed, "id HASH S"),
            (facts(&["pk HASH S", "sk RANGE S"], "ACTIVE", Some("expires_at")), Status::Failed, "sk RANGE S"),
            (facts(&["pk HASH S"], "ACTIVE", None), Status::Warning, "never expire"),
            (facts(&["pk HASH S"], "ACTIVE", Some("ttl")), Status::Warning, "expire by ttl"),
        ] {
            let finding = ledger("table", &facts);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.what.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn a_bucket_must_tell_somebody() {
        let told = BucketFacts { event_bridge: false, targets: vec!["arn:topic".to_owned()] };
        for (facts, status) in [
            (BucketFacts { event_bridge: true, targets: Vec::new() }, Status::Ok),
            (told, Status::Ok),
            (BucketFacts::default(), Status::Failed),
        ] {
            assert_eq!(bucket("b", &facts).status, status, "{facts:?}");
        }
    }

    #[test]
    fn what_we_may_not_look_at_is_no_failure_and_the_permission_is_named() {
        let finding = unseen(
            Check::WorkQueue,
            "url",
            "WORK_QUEUE_URL",
            &AwsError::Denied { action: "sqs:GetQueueAttributes", code: "AccessDenied".to_owned() },
        );
        assert_eq!(finding.status, Status::Skipped);
        assert!(finding.what.contains("sqs:GetQueueAttributes"));
        let missing = AwsError::Missing { code: "QueueDoesNotExist".to_owned() };
        let finding = unseen(Check::WorkQueue, "url", "WORK_QUEUE_URL", &missing);
        assert_eq!(finding.status, Status::Failed);
        assert!(finding.next.unwrap().contains("WORK_QUEUE_URL"));
    }
}
