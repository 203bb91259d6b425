//! Any text as an invocation: it asks for something or is kept, whatever it is wrapped in.

#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use sentinel_forwarder::failure::{DeadLetter, Reason, Subject};
use sentinel_forwarder::trigger::{Item, Trigger};
use serde_json::json;
use serde_json::value::RawValue;

/// Under this a text can't hold as many envelopes as are opened.
const MAX_SHALLOW_BYTES: usize = 300;

fuzz_target!(|text: &str| {
    let trigger = Trigger::parse(text);
    // A job is answered at once, so it is never wrapped in anything.
    if matches!(trigger, Trigger::Job(_)) {
        return;
    }
    let items = items(trigger);
    assert!(!items.is_empty(), "dropped");

    let notification = json!({"Type": "Notification", "Message": text}).to_string();
    let notifications =
        json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": text}}]}).to_string();
    for wrapped in [&notification, &notifications] {
        same(text, &items, &self::items(Trigger::parse(wrapped)));
    }

    let records: Vec<_> = [text, "", &notification]
        .iter()
        .enumerate()
        .map(|(number, body)| {
            json!({
                "eventSource": "aws:sqs", "messageId": number.to_string(), "body": body,
                "attributes": {"ApproximateReceiveCount": (number + 1).to_string()},
            })
        })
        .collect();
    let Trigger::Queue(messages) = Trigger::parse(&json!({"Records": records}).to_string()) else {
        panic!("a queue's messages were not recognised");
    };
    assert_eq!(messages.len(), 3);
    for (number, message) in messages.iter().enumerate() {
        assert_eq!((message.id.clone(), message.receives as usize), (number.to_string(), number + 1));
    }
    same(text, &items, &messages[0].items);
    assert!(matches!(&messages[1].items[..], [Item::Unknown { .. }]));
    same(text, &items, &messages[2].items);

    if let Ok(event) = RawValue::from_string(text.to_owned()) {
        let failed = format!(r#"{{"requestContext":{{}},"requestPayload":{text}}}"#);
        same(text, &items, &self::items(Trigger::parse(&failed)));
        let letter = letter(event).to_json(Timestamp::UNIX_EPOCH);
        let replayed = self::items(Trigger::parse(&letter));
        for item in &replayed {
            assert!(!matches!(
                item,
                Item::Object { letter: None, .. }
                    | Item::Event { letter: None, .. }
                    | Item::Unknown { letter: None, .. }
            ));
        }
        same(text, &items, &replayed);
    }
});

fn letter(event: Box<RawValue>) -> DeadLetter {
    DeadLetter {
        reason: Reason::UnknownTrigger,
        message: String::new(),
        status: None,
        table: None,
        subject: Subject::Event(event),
    }
}

/// All that an invocation asks for.
fn items(trigger: Trigger) -> Vec<Item> {
    let items = match trigger {
        Trigger::Queue(messages) => messages
            .into_iter()
            .flat_map(|message| {
                assert!(!message.items.is_empty(), "a message was dropped");
                message.items
            })
            .collect(),
        Trigger::Direct(items) => items,
        Trigger::Job(job) => job.tasks.into_iter().map(|(_, item)| item).collect(),
    };
    for item in &items {
        if let Item::Event { event: kept, .. } | Item::Unknown { event: kept, .. } = item {
            serde_json::from_str::<&RawValue>(kept.get()).expect("what is kept is JSON");
        }
    }
    items
}

/// Checks that the text asks for the same inside an envelope, unless it holds too many itself.
fn same(text: &str, items: &[Item], wrapped: &[Item]) {
    let too_deep =
        text.len() > MAX_SHALLOW_BYTES && wrapped.iter().any(|item| matches!(item, Item::Unknown { .. }));
    assert!(too_deep || items.iter().map(said).eq(wrapped.iter().map(said)), "{items:?} became {wrapped:?}");
}

/// What an item asks for, whichever letter it comes out of.
fn said(item: &Item) -> String {
    match item {
        Item::Object { task, .. } => task.to_json(),
        Item::Event { table, record, event, .. } => format!("{} {record} {event}", table.name()),
        Item::Watch(watch) => format!("{watch:?}"),
        Item::Ignored(reason) => (*reason).to_owned(),
        Item::Unknown { event, .. } => format!("unknown {event}"),
    }
}
