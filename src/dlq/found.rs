//! What a message of the dead letter queue is: a letter of ours, what SQS, `EventBridge` or Lambda put there, or nothing
//! that anybody knows. Pure.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::advice::{INVOCATION_FAILED, NOT_HANDED_OVER, RECEIVED_TOO_OFTEN, UNKNOWN_BODY};
use crate::aws::Received;
use crate::decode::KeyTells;
use crate::delivery::Key;
use crate::failure::DEAD_LETTER_SCHEMA;
use crate::json;
use crate::task::Task;
use crate::trigger::{Item, Trigger};

/// The most characters shown of a body that nobody knows.
const HEAD_CHARACTERS: usize = 60;

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A letter's id; of any other message the hash of its body, so that the same body has the same id.
    pub id: String,
    /// SQS's own id of the message.
    pub message_id: String,
    /// Why it lies here.
    pub reason: String,
    /// What happened.
    pub message: String,
    /// The HTTP status that was answered, if one was.
    pub status: Option<u16>,
    /// The table that it was meant for, as far as that is known.
    pub table: Option<String>,
    /// The objects that it is about, and which of their records.
    pub tasks: Vec<Task>,
    /// When it failed; of what is no letter, when it was sent.
    pub failed_at: Timestamp,
    /// The letter that it replays, if it is one or holds one.
    letter: Option<String>,
}

/// The members of a letter of ours.
struct Letter {
    id: String,
    reason: String,
    message: String,
    status: Option<u16>,
    table: Option<String>,
    failed_at: Option<Timestamp>,
}

impl Found {
    /// Tells what a message is.
    #[must_use]
    pub fn read(received: &Received) -> Self {
        let body = received.body.as_str();
        let items = items(body);
        let known = Self {
            id: String::new(),
            message_id: received.message_id.clone(),
            reason: String::new(),
            message: String::new(),
            status: None,
            table: items.iter().find_map(table),
            tasks: items.iter().filter_map(task).cloned().collect(),
            failed_at: received.sent_at,
            letter: items.iter().find_map(letter_of).map(str::to_owned),
        };
        if let Some(letter) = Letter::read(body) {
            return Self {
                reason: letter.reason,
                message: letter.message,
                status: letter.status,
                table: letter.table.or(known.table),
                failed_at: letter.failed_at.unwrap_or(known.failed_at),
                letter: Some(letter.id.clone()),
                id: letter.id,
                ..known
            };
        }
        let (reason, message) = if let Some(code) = received.attributes.get("ERROR_CODE") {
            let detail = received.attributes.get("ERROR_MESSAGE").map_or("", String::as_str);
            (NOT_HANDED_OVER, format!("{code}: {detail}"))
        } else if let Some(message) = given_up_by_lambda(body) {
            (INVOCATION_FAILED, message)
        } else if items.iter().all(|item| matches!(item, Item::Unknown { .. })) {
            (UNKNOWN_BODY, head(body))
        } else {
            (RECEIVED_TOO_OFTEN, asks_for(&items))
        };
        let id = known.letter.clone().unwrap_or_else(|| json::hex(&Sha256::digest(body)[..16]));
        Self { id, reason: reason.to_owned(), message, ..known }
    }

    /// By what the ledger knows that it was replayed; none if it is no letter.
    #[must_use]
    pub fn ledger_key(&self) -> Option<Key> {
        self.letter.as_deref().map(Key::letter)
    }
}

impl Letter {
    fn read(body: &str) -> Option<Self> {
        let [schema, id, reason, message, status, table, failed_at] =
            json::pick(body, ["schema", "id", "reason", "message", "status", "table", "failed_at"]).ok()?;
        let text = |member: Option<&str>| json::string(member?).map(std::borrow::Cow::into_owned);
        Some(Self {
            id: text(schema)
                .filter(|schema| schema == DEAD_LETTER_SCHEMA)
                .and_then(|_| text(id))
                .filter(|id| !id.is_empty())?,
            reason: text(reason)?,
            message: text(message).unwrap_or_default(),
            status: status.and_then(|status| status.parse().ok()),
            table: text(table),
            failed_at: text(failed_at).and_then(|time| time.parse().ok()),
        })
    }
}

/// What the function would take the body for.
fn items(body: &str) -> Vec<Item> {
    match Trigger::parse(body) {
        Trigger::Direct(items) => items,
        Trigger::Queue(messages) => messages.into_iter().flat_map(|message| message.items).collect(),
        // A job is answered at once; out of a queue nobody takes it.
        Trigger::Job(_) => Vec::new(),
    }
}

const fn task(item: &Item) -> Option<&Task> {
    match item {
        Item::Object { task, .. } => Some(task),
        _ => None,
    }
}

fn table(item: &Item) -> Option<String> {
    let table = match item {
        Item::Event { table, .. } => *table,
        Item::Object { task, .. } => match KeyTells::of(&task.object.key) {
            KeyTells::Format(format) => format.table(),
            KeyTells::Other | KeyTells::Nothing => return None,
        },
        Item::Watch(_) | Item::Ignored(_) | Item::Unknown { .. } => return None,
    };
    Some(table.name().to_owned())
}

fn letter_of(item: &Item) -> Option<&str> {
    match item {
        Item::Object { letter, .. } | Item::Event { letter, .. } | Item::Unknown { letter, .. } => {
            letter.as_deref()
        }
        Item::Watch(_) | Item::Ignored(_) => None,
    }
}

/// What Lambda's on-failure record says
/// (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>); none if the body is none.
fn given_up_by_lambda(body: &str) -> Option<String> {
    let [context, payload, response] =
        json::pick(body, ["requestContext", "requestPayload", "responsePayload"]).ok()?;
    payload?;
    let [condition, count] = json::pick(context?, ["condition", "approximateInvokeCount"]).ok()?;
    let condition = condition.and_then(json::string).unwrap_or_default();
    let error = response.and_then(|response| json::pick(response, ["errorMessage"]).ok()?[0]);
    let error = error.and_then(json::string).map(|error| format!(": {error}")).unwrap_or_default();
    Some(format!("{condition} after {} invocations{error}", count.unwrap_or("?")))
}

fn asks_for(items: &[Item]) -> String {
    let objects = items.iter().filter_map(task).count();
    let events = items.iter().filter(|item| matches!(item, Item::Event { .. })).count();
    let rest = items.len() - objects - events;
    let counts = [(objects, "object"), (events, "event"), (rest, "other thing")];
    let parts = counts.iter().filter(|(count, _)| *count > 0);
    let parts = parts.map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }));
    format!("asks for {}", parts.collect::<Vec<_>>().join(" and "))
}

fn head(body: &str) -> String {
    let mut head: String = body.chars().take(HEAD_CHARACTERS).collect();
    if head.len() < body.len() {
        head.push('…');
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str) -> String {
        std::fs::read_to_string(format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn found(body: &str, attributes: &[(&str, &str)]) -> Found {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Found::read(&Received {
            message_id: "m".to_owned(),
            receipt: "r".to_owned(),
            body: body.to_owned(),
            sent_at: Timestamp::from_second(7).unwrap(),
            attributes: attributes.collect(),
        })
    }

    const KEY: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/x.json.gz";

    fn letter(rest: &str) -> String {
        format!(
            r#"{{"schema":"sentinel-forwarder/dead-letter/1","id":"i","failed_at":"1970-01-01T00:00:05Z",{rest}}}"#
        )
    }

    #[test]
    fn a_letter_says_all_by_itself() {
        let body = letter(&format!(
            r#""reason":"Rejected","message":"no","status":400,"table":"T","task":{{"schema":"sentinel-forwarder/task/1","object":{{"bucket":"b","key":"{KEY}"}},"from_record":7,"until_record":8}}"#
        ));
        let found = found(&body, &[]);
        assert_eq!(
            (found.id.as_str(), found.reason.as_str(), found.message.as_str()),
            ("i", "Rejected", "no")
        );
        assert_eq!((found.status, found.table.as_deref()), (Some(400), Some("T")));
        assert_eq!((found.tasks[0].from_record, found.tasks[0].until_record), (7, Some(8)));
        assert_eq!(found.failed_at, Timestamp::from_second(5).unwrap());
        assert_eq!(found.ledger_key(), Some(Key::letter("i")));
    }

    #[test]
    fn a_letter_is_a_letter_whatever_its_reason_and_whatever_it_holds() {
        for rest in [
            r#""reason":"OfALaterVersion","task":{"schema":"sentinel-forwarder/task/9"}"#,
            r#""reason":"OfALaterVersion""#,
            r#""reason":"OfALaterVersion","event":{"order":1}"#,
        ] {
            let found = found(&letter(rest), &[]);
            assert_eq!((found.id.as_str(), found.reason.as_str()), ("i", "OfALaterVersion"));
            assert_eq!(found.ledger_key(), Some(Key::letter("i")), "{rest}");
        }
        for body in [
            r#"{"schema":"sentinel-forwarder/dead-letter/1","reason":"Rejected"}"#,
            r#"{"schema":"sentinel-forwarder/dead-letter/1","id":"","reason":"Rejected"}"#,
            r#"{"schema":"another/1","id":"i","reason":"Rejected"}"#,
        ] {
            assert_eq!(found(body, &[]).reason, UNKNOWN_BODY, "{body}");
        }
    }

    #[test]
    fn what_is_no_letter_tells_who_gave_it_up() {
        for (name, attributes, reason, message, table, objects) in [
            ("s3-notification", &[][..], RECEIVED_TOO_OFTEN, "asks for 2 objects", Some("AWSCloudTrail"), 2),
            (
                "eventbridge-guardduty-finding",
                &[],
                RECEIVED_TOO_OFTEN,
                "asks for 1 event",
                Some("AWSGuardDuty"),
                0,
            ),
            ("s3-test-event", &[], RECEIVED_TOO_OFTEN, "asks for 1 other thing", None, 0),
            (
                "eventbridge-object-created",
                &[("ERROR_CODE", "NO_PERMISSIONS"), ("ERROR_MESSAGE", "no"), ("RULE_ARN", "arn")],
                NOT_HANDED_OVER,
                "NO_PERMISSIONS: no",
                Some("AWSCloudTrail"),
                1,
            ),
            (
                "on-failure-destination",
                &[],
                INVOCATION_FAILED,
                "RetriesExhausted after 3 invocations: the Logs Ingestion API is not to be reached",
                Some("AWSCloudTrail"),
                1,
            ),
        ] {
            let found = found(&event(name), attributes);
            assert_eq!((found.reason.as_str(), found.message.as_str()), (reason, message), "{name}");
            assert_eq!((found.table.as_deref(), found.tasks.len()), (table, objects), "{name}");
            assert_eq!((found.id.len(), found.ledger_key()), (32, None), "{name}");
        }
    }

    #[test]
    fn a_body_that_nobody_knows_is_shown_by_its_beginning() {
        for (body, message) in [
            ("", ""),
            ("no json", "no json"),
            ("{\"order\":1", "{\"order\":1"),
            (&"ü".repeat(61), &format!("{}…", "ü".repeat(60))),
        ] {
            let found = found(body, &[]);
            assert_eq!((found.reason.as_str(), found.message.as_str()), (UNKNOWN_BODY, message));
        }
        assert_eq!(found("same", &[]).id, found("same", &[]).id);
        assert_ne!(found("same", &[]).id, found("other", &[]).id);
    }

    #[test]
    fn a_letter_that_lambda_gave_up_keeps_its_id() {
        let task = format!(
            r#""reason":"Forbidden","task":{{"schema":"sentinel-forwarder/task/1","object":{{"bucket":"b","key":"{KEY}"}}}}"#
        );
        let record = format!(
            r#"{{"requestContext":{{"condition":"EventAgeExceeded"}},"requestPayload":{}}}"#,
            letter(&task)
        );
        let found = found(&record, &[]);
        assert_eq!((found.id.as_str(), found.reason.as_str()), ("i", INVOCATION_FAILED));
        assert_eq!(found.ledger_key(), Some(Key::letter("i")));
    }
}
