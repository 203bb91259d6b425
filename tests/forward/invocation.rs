//! The Lambda boundary: what is answered, what goes on the work queue, and what is counted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use sentinel_forwarder::aws::{Queue, QueueError};
use sentinel_forwarder::failure::Reason;
use sentinel_forwarder::handler::{Answer, Handler, HandlerError};
use sentinel_forwarder::report::Tally;
use sentinel_forwarder::standin::Fault;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::world::{KEY, World, records};

/// A work queue; nothing is sent to one that denies.
#[derive(Clone, Default)]
struct WorkQueue {
    denies: bool,
    sent: Arc<Mutex<Vec<String>>>,
    hidden: Arc<Mutex<Vec<Duration>>>,
}

impl Queue for WorkQueue {
    async fn send_all(&self, bodies: &[String]) -> Vec<Result<(), QueueError>> {
        if self.denies {
            return vec![Err(QueueError { code: "AccessDenied".to_owned() }); bodies.len()];
        }
        self.sent.lock().unwrap().extend_from_slice(bodies);
        vec![Ok(()); bodies.len()]
    }

    async fn hide_all(&self, messages: &[(&str, Duration)]) -> Result<(), QueueError> {
        self.hidden.lock().unwrap().extend(messages.iter().map(|(_, time)| *time));
        Ok(())
    }

    fn is(&self, _: &str) -> bool {
        true
    }
}

fn invoke(world: &World, queue: &WorkQueue, event: &Value) -> (Result<Value, HandlerError>, Tally) {
    let mut context = Context::default();
    let ends = SystemTime::now() + world.time;
    context.deadline = ends.duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap();
    let payload = RawValue::from_string(event.to_string()).unwrap();
    let handler = Handler::new(world.letter_forwarder(queue.clone()), queue.clone(), false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (answer, tally) = runtime.block_on(handler.handle(LambdaEvent::new(payload, context)));
    (answer.map(|answer: Answer| serde_json::to_value(answer).unwrap()), tally)
}

fn notification(keys: &[String]) -> Value {
    let records: Vec<_> = keys
        .iter()
        .map(|key| {
            let object = json!({"key": key, "eTag": "e"});
            json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": object}})
        })
        .collect();
    json!({"Records": records})
}

fn message(body: &Value, receives: u32, sent: SystemTime) -> Value {
    let sent = sent.duration_since(UNIX_EPOCH).unwrap().as_millis();
    json!({"Records": [{
        "messageId": "1", "receiptHandle": "r", "body": body.to_string(), "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:111122223333:work",
        "attributes": {"ApproximateReceiveCount": receives.to_string(), "SentTimestamp": sent.to_string()},
    }]})
}

#[test]
fn what_was_counted_is_kept_though_the_work_queue_denies_the_rest() {
    let world = World::ledgered(records(3)).fault(Fault::status(503));
    let queue = WorkQueue { denies: true, ..WorkQueue::default() };
    let (answer, tally) = invoke(&world, &queue, &notification(&[KEY.to_owned()]));
    let error = answer.unwrap_err();
    assert!(tally.tables["AWSCloudTrail"].upload_failed > 0);
    assert_eq!(tally.action_needed[&Reason::AccessDenied], 1);
    let diagnostic = Diagnostic::from(error);
    assert_eq!(diagnostic.error_type, "WorkQueueUnavailable");
    assert!(diagnostic.error_message.contains("AccessDenied"), "{}", diagnostic.error_message);
}

#[test]
fn objects_of_one_event_that_had_no_turn_go_on_the_work_queue_one_by_one() {
    for by_queue in [false, true] {
        let mut world = World::ledgered(Vec::new());
        world.time = Duration::from_secs(1);
        let keys: Vec<_> = (0..50).map(|number| format!("{KEY}-{number}")).collect();
        for (number, key) in keys.iter().enumerate() {
            let pause = if number < 4 { Duration::ZERO } else { Duration::from_secs(5) };
            world.put_slow(key, Ok(records(3)), pause);
        }
        let event = notification(&keys);
        let event = if by_queue { message(&event, 1, SystemTime::now()) } else { event };
        let queue = WorkQueue::default();
        let (answer, tally) = invoke(&world, &queue, &event);
        let (answer, sent) = (answer.unwrap(), queue.sent.lock().unwrap().clone());
        assert_eq!(world.events().len(), 12, "{by_queue}");
        if by_queue {
            // Four were read in vain: they come again, and with them all of their message.
            assert_eq!((answer["batchItemFailures"].as_array().unwrap().len(), sent.len()), (1, 0));
        } else {
            assert_eq!((tally.continuations, sent.len()), (46, 46));
            assert!(sent.iter().all(|body| body.contains("sentinel-forwarder/task/1")));
        }
    }
}

#[test]
fn a_message_without_a_turn_is_returned_soon_however_often_it_was_received() {
    let mut world = World::ledgered(records(3));
    world.time = Duration::ZERO;
    let queue = WorkQueue::default();
    let (answer, _) =
        invoke(&world, &queue, &message(&notification(&[KEY.to_owned()]), 60, SystemTime::now()));
    assert_eq!(answer.unwrap(), json!({"batchItemFailures": [{"itemIdentifier": "1"}]}));
    assert!(queue.hidden.lock().unwrap()[0] <= Duration::from_secs(10));
    assert!(!world.knows(&sentinel_forwarder::delivery::Key::object(&crate::world::object(KEY))));
}

#[test]
fn the_longest_wait_of_what_is_returned_is_a_metric() {
    let world = World::ledgered(records(3)).fault(Fault::status(503));
    let sent = SystemTime::now() - Duration::from_hours(3);
    let (_, tally) =
        invoke(&world, &WorkQueue::default(), &message(&notification(&[KEY.to_owned()]), 7, sent));
    assert!((10_800..10_900).contains(&tally.waiting_seconds), "{}", tally.waiting_seconds);
    let lines = tally.metrics(jiff::Timestamp::UNIX_EPOCH, "f").concat();
    assert!(lines.contains(r#""Name":"WaitingSeconds","Unit":"Seconds""#), "{lines}");
    world.standin.clear_faults();
    let (_, tally) =
        invoke(&world, &WorkQueue::default(), &message(&notification(&[KEY.to_owned()]), 8, sent));
    assert_eq!(tally.waiting_seconds, 0, "nothing waits that is done");
}
