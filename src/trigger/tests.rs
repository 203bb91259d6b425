//! Every event of `events/`, and what it asks for.

use super::*;

fn event(name: &str) -> String {
    std::fs::read_to_string(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A word an item.
fn words(items: &[Item]) -> Vec<&'static str> {
    items
        .iter()
        .map(|item| match item {
            Item::Object { .. } => "object",
            Item::Event { table, .. } => table.name(),
            Item::Watch(Watch { findings: true }) => "watch",
            Item::Watch(_) => "watch without findings",
            Item::Ignored(_) => "ignored",
            Item::Unknown { .. } => "unknown",
        })
        .collect()
}

fn all_words(text: &str) -> Vec<Vec<&'static str>> {
    match Trigger::parse(text) {
        Trigger::Queue(messages) => messages.iter().map(|message| words(&message.items)).collect(),
        Trigger::Job(job) => job.tasks.iter().map(|(_, item)| words(std::slice::from_ref(item))).collect(),
        Trigger::Direct(items) => vec![words(&items)],
    }
}

#[test]
fn each_shape_is_recognised_by_what_it_holds() {
    for (name, expected) in [
        ("s3-notification", vec![vec!["object", "object"]]),
        ("s3-test-event", vec![vec!["ignored"]]),
        ("s3-object-removed", vec![vec!["ignored"]]),
        ("eventbridge-object-created", vec![vec!["object"]]),
        ("eventbridge-guardduty-finding", vec![vec!["AWSGuardDuty"]]),
        ("eventbridge-cloudtrail-api-call", vec![vec!["AWSCloudTrail"]]),
        ("eventbridge-console-sign-in", vec![vec!["AWSCloudTrail"]]),
        ("sqs-s3-notification", vec![vec!["object"], vec!["object", "object"]]),
        ("sqs-eventbridge-object-created", vec![vec!["object"]]),
        ("sqs-guardduty-finding", vec![vec!["AWSGuardDuty"]]),
        ("sqs-sns-s3-notification", vec![vec!["object"]]),
        ("sqs-batch-mixed", vec![vec!["object"], vec!["AWSGuardDuty"], vec!["ignored"], vec!["unknown"]]),
        ("s3-batch-job-1.0", vec![vec!["object"]]),
        ("s3-batch-job-2.0", vec![vec!["object"]]),
        ("task", vec![vec!["object"]]),
        ("dead-letter-rejected", vec![vec!["object"]]),
        ("unknown", vec![vec!["unknown"]]),
        ("watch", vec![vec!["watch"]]),
    ] {
        assert_eq!(all_words(&event(name)), expected, "{name}");
    }
    for name in ["cloudtrail-sns-message", "sns-s3-notification", "on-failure-destination"] {
        let found = all_words(&event(name)).concat();
        assert!(!found.is_empty() && !found.contains(&"unknown"), "{name}: {found:?}");
    }
}

#[test]
fn the_same_key_is_read_from_both_forms_of_notification() {
    let key = "Audit Zürich+100%/x.json.gz";
    let s3 = r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"Audit+Z%C3%BCrich%2B100%25/x.json.gz","eTag":"e"}}}]}"#;
    let eventbridge = format!(
        r#"{{"source":"aws.s3","detail-type":"Object Created","detail":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","etag":"e"}}}}}}"#
    );
    for text in [s3, &eventbridge] {
        let Trigger::Direct(items) = Trigger::parse(text) else { panic!("{text}") };
        let [Item::Object { task, .. }] = &items[..] else { panic!("{text}") };
        assert_eq!((task.object.key.as_str(), task.object.etag.as_deref()), (key, Some("e")));
    }
}

#[test]
fn a_job_of_either_schema_names_its_objects() {
    for bucket in [r#""s3BucketArn":"arn:aws:s3:::b""#, r#""s3Bucket":"b""#] {
        let text = format!(
            r#"{{"invocationSchemaVersion":"9.0","invocationId":"i","tasks":[{{"taskId":"t","s3Key":"a+%2B%C3%BC",{bucket},"s3VersionId":"v"}},{{"taskId":"u"}}]}}"#
        );
        let Trigger::Job(job) = Trigger::parse(&text) else { panic!("{text}") };
        assert_eq!((job.schema_version.as_str(), job.invocation_id.as_str()), ("9.0", "i"));
        let [(first, Item::Object { task, .. }), (second, Item::Unknown { .. })] = &job.tasks[..] else {
            panic!("{text}")
        };
        assert_eq!((first.as_str(), second.as_str()), ("t", "u"));
        let object = &task.object;
        assert_eq!((object.bucket.as_str(), object.key.as_str()), ("b", "a +ü"));
        assert_eq!(object.version_id.as_deref(), Some("v"));
    }
}

#[test]
fn what_nobody_knows_is_kept_whole() {
    for text in
        ["null", "[]", "7", "{\"a\":1}", "{\"Records\":{}}", "{\"Records\":[{\"eventSource\":\"aws:ses\"}]}"]
    {
        assert_eq!(all_words(text).concat(), ["unknown"], "{text}");
    }
    let message = r#"{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":"no json","attributes":{"ApproximateReceiveCount":"7"}}]}"#;
    let Trigger::Queue(messages) = Trigger::parse(message) else { panic!("no queue") };
    assert_eq!((messages[0].id.as_str(), messages[0].receives), ("1", 7));
    assert!(matches!(&messages[0].items[..], [Item::Unknown { event, .. }] if event.get() == "\"no json\""));
    assert_eq!(all_words(r#"{"Records":[]}"#), [["ignored"]]);
}

#[test]
fn envelopes_without_end_are_given_up() {
    let mut text = "{\"Records\":[]}".to_owned();
    for _ in 0..MOST_ENVELOPES + 2 {
        text = format!("{{\"requestContext\":{{}},\"requestPayload\":{text}}}");
    }
    assert_eq!(all_words(&text).concat(), ["unknown"]);
}

/// What a body asks for when it comes by itself, and when it lies in a queue.
fn both_ways(body: &str) -> [String; 2] {
    let queue = crate::json::text(&serde_json::json!({
        "Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": body}]
    }));
    [body, &queue].map(|text| match Trigger::parse(text) {
        Trigger::Queue(messages) => format!("{:?}", messages[0].items),
        Trigger::Direct(items) => format!("{items:?}"),
        Trigger::Job(job) => format!("{:?}", job.tasks),
    })
}

#[test]
fn what_lies_in_the_dead_letter_queue_asks_for_the_same_on_the_work_queue() {
    for name in [
        "s3-notification",
        "s3-test-event",
        "eventbridge-object-created",
        "eventbridge-guardduty-finding",
        "eventbridge-cloudtrail-api-call",
        "cloudtrail-sns-message",
        "sns-s3-notification",
        "on-failure-destination",
        "unknown",
    ] {
        let [bare, queued] = both_ways(&event(name));
        assert_eq!(bare, queued, "{name}");
        assert_eq!(bare.contains("Unknown {"), name == "unknown", "{name}: {bare}");
    }
}

#[test]
fn a_letter_is_known_by_its_id_whatever_it_holds_and_whatever_it_is_packed_in() {
    for event in [r#"{"order":4711}"#, &event("eventbridge-guardduty-finding")] {
        let letter = format!(
            r#"{{"schema":"sentinel-forwarder/dead-letter/1","id":"i","reason":"Crashed","event":{event}}}"#
        );
        let destination = format!(r#"{{"requestContext":{{}},"requestPayload":{letter}}}"#);
        for text in [letter, destination] {
            let Trigger::Direct(items) = Trigger::parse(&text) else { panic!("{text}") };
            let [Item::Event { letter, .. } | Item::Unknown { letter, .. }] = &items[..] else {
                panic!("{text}")
            };
            assert_eq!(letter.as_deref(), Some("i"));
        }
    }
}

#[test]
fn a_watch_is_known_wherever_it_comes_from() {
    let without = format!(r#"{{"schema":"{WATCH_SCHEMA}","findings":false,"more":1}}"#);
    assert_eq!(all_words(&without), [["watch without findings"]]);
    let body = json::text(&event("watch"));
    let queued = format!(r#"{{"Records":[{{"eventSource":"aws:sqs","messageId":"1","body":{body}}}]}}"#);
    assert_eq!(all_words(&queued), [["watch"]]);
    let failed = format!(r#"{{"requestContext":{{}},"requestPayload":{without}}}"#);
    assert_eq!(all_words(&failed), [["watch without findings"]]);
    let letter = format!(r#"{{"schema":"{DEAD_LETTER_SCHEMA}","id":"x","event":{without}}}"#);
    assert_eq!(all_words(&letter), [["watch without findings"]]);
}

#[test]
fn members_of_other_shapes_beside_a_whole_one_change_nothing() {
    let others = [
        r#""schema":"acme/order/1""#,
        r#""schema":7"#,
        r#""Records":[]"#,
        r#""Records":[{"eventSource":"s3.amazonaws.com"}]"#,
        r#""Records":null"#,
        r#""tasks":[]"#,
        r#""invocationSchemaVersion":"1.0""#,
        r#""detail-type":"Order Placed","detail":{}"#,
        r#""detail":{}"#,
        r#""Type":"Notification""#,
        r#""Event":"order""#,
        r#""s3Bucket":"b","s3ObjectKey":7"#,
        r#""requestPayload":{}"#,
    ];
    for name in [
        "s3-notification",
        "s3-test-event",
        "eventbridge-object-created",
        "eventbridge-guardduty-finding",
        "eventbridge-cloudtrail-api-call",
        "cloudtrail-sns-message",
        "sns-s3-notification",
        "on-failure-destination",
        "task",
        "dead-letter-rejected",
        "watch",
    ] {
        let event = event(name);
        let members: Vec<_> = serde_json::from_str::<serde_json::Map<_, _>>(&event)
            .unwrap()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for other in others {
            // What the event itself has is no extra member.
            if members.iter().any(|name| other.contains(&format!("\"{name}\":"))) {
                continue;
            }
            let before = event.replacen('{', &format!("{{{other},"), 1);
            let body = event.trim_end();
            let behind = format!("{},{other}}}", &body[..body.len() - 1]);
            for text in [before, behind] {
                assert_eq!(all_words(&text), all_words(&event), "{name} with {other}");
            }
        }
    }
}

#[test]
fn a_message_of_ours_that_this_version_does_not_know_is_kept_whole() {
    for schema in ["sentinel-forwarder/task/9", "sentinel-forwarder/", "sentinel-forwarder/order/1"] {
        let text = format!(r#"{{"schema":"{schema}","object":{{"bucket":"b","key":"k"}},"Records":[]}}"#);
        assert_eq!(all_words(&text), [["unknown"]]);
    }
}
