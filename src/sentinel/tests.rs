//! A simulation: many functions, several rules, and the limits of the stand-in, with the clock turned on by the
//! runtime. The network alone is modelled; which rule is taken, when one is left alone, how often is asked again and
//! how long a message waits is the product's own code. Its figures stand in the README: `-- --nocapture` prints them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::LocalSet;

use super::ingestion::ask_again;
use super::rules::Rules;
use super::{UploadError, now};
use crate::config::DataCollectionRule;
use crate::deadline::Deadline;
use crate::failure::Disposition;
use crate::forward::wait_before;
use crate::standin::{LastMinute, RuleLimits};
use crate::table::Table;

/// The size of a batch, by default.
const BATCH_BYTES: usize = 1_000_000;
static BODY: [u8; BATCH_BYTES] = [b' '; BATCH_BYTES];
/// Uploads in flight of one function, by default.
const CONCURRENCY: usize = 8;
/// From the first byte to the answer.
const LATENCY: Duration = Duration::from_millis(200);
/// How long a function with 128 MB takes to make a batch: a fourteenth of a processor that makes 90 MB of rows a
/// second (`make bench`).
const PACE: Duration = Duration::from_millis(150);
/// The time-out of the function, less what it keeps for settling.
const INVOCATION: Duration = Duration::from_mins(14);
/// Simulated after the first minute, in which full buckets would flatter.
const MINUTES: usize = 5;

/// What became of the batches.
#[derive(Debug, Default)]
struct Counts {
    taken: usize,
    throttled: usize,
    came_again: usize,
}

struct World {
    /// The rule that answers 503.
    down: Option<usize>,
    rules: Vec<RefCell<LastMinute>>,
    counts: RefCell<Counts>,
}

impl World {
    /// The service: counts the request by the limits of the rule.
    async fn answer(&self, number: usize) -> Result<(), UploadError> {
        tokio::time::sleep(LATENCY).await;
        if self.down == Some(number) {
            return Err(UploadError::no_answer("503"));
        }
        let taken = self.rules[number].borrow_mut().take(RuleLimits::DOCUMENTED, BATCH_BYTES, now());
        let mut counts = self.counts.borrow_mut();
        taken.inspect(|()| counts.taken += 1).map_err(|wait| {
            counts.throttled += 1;
            let after = Some(Duration::from_secs(wait.as_secs() + 1));
            UploadError::Unavailable { what: "429".to_owned(), status: Some(429), after, alarm: None }
        })
    }
}

fn number_of(rule: &DataCollectionRule) -> usize {
    rule.dcr_immutable_id.parse().unwrap()
}

/// One upload after another; what isn't taken waits in the queue, and comes again.
async fn uploads(world: Rc<World>, rules: Rc<Rules>, processor: Rc<Mutex<()>>) {
    loop {
        {
            let _busy = processor.lock().await;
            tokio::time::sleep(PACE).await;
        }
        let mut receives = 1;
        loop {
            let attempt = || rules.upload(Table::AwsCloudTrail, &BODY, |rule| world.answer(number_of(rule)));
            let (_, result) = ask_again(Deadline::at(now() + INVOCATION), 0, attempt).await;
            let Err(error) = result else { break };
            let Disposition::Retryable { after } = error.disposition() else { panic!("{error}") };
            world.counts.borrow_mut().came_again += 1;
            tokio::time::sleep(wait_before(receives, after)).await;
            receives += 1;
        }
    }
}

/// Lets so many functions feed so many rules, of which one may be down, and counts from the second minute on.
async fn simulate(rules: usize, functions: usize, down: Option<usize>) -> Counts {
    let minutes = std::iter::repeat_with(RefCell::default).take(rules).collect();
    let world = Rc::new(World { down, rules: minutes, counts: RefCell::default() });
    let local = LocalSet::new();
    for _ in 0..functions {
        let listed = (0..rules).map(|number| DataCollectionRule {
            endpoint: String::new(),
            dcr_immutable_id: number.to_string(),
        });
        let (rules, processor) = (Rc::new(Rules::new(listed.collect())), Rc::default());
        for _ in 0..CONCURRENCY {
            local.spawn_local(uploads(Rc::clone(&world), Rc::clone(&rules), Rc::clone(&processor)));
        }
    }
    local
        .run_until(async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            world.counts.take();
            tokio::time::sleep(Duration::from_secs(60 * MINUTES as u64)).await;
            world.counts.take()
        })
        .await
}

/// What so many rules take, in batches.
const fn limit(rules: usize) -> usize {
    rules * MINUTES * RuleLimits::DOCUMENTED.bytes / BATCH_BYTES
}

#[expect(clippy::cast_precision_loss, reason = "the figures are for the README")]
#[tokio::test(start_paused = true)]
async fn throughput_grows_with_the_rules_under_the_limits_of_the_stand_in() {
    println!("rules  functions  GB a minute  of the limit  429 a batch  through the queue");
    // One function makes a fifth of what a rule takes.
    for (functions_a_rule, share, is_too_much) in [(4, 0.8, false), (8, 1.0, true)] {
        for rules in [1, 2, 4, 8] {
            let functions = functions_a_rule * rules;
            let Counts { taken, throttled, came_again } = simulate(rules, functions, None).await;
            let (of_limit, each) = (taken as f64 / limit(rules) as f64, |count| count as f64 / taken as f64);
            println!(
                "{rules:>5} {functions:>10} {:>12.1} {:>12.0}% {:>12.2} {:>18.2}",
                (taken * BATCH_BYTES) as f64 / 1e9 / MINUTES as f64,
                of_limit * 100.0,
                each(throttled),
                each(came_again),
            );
            assert!(of_limit > 0.97 * share, "{rules} rules, {functions} functions: {of_limit}");
            assert!(is_too_much || throttled == 0, "what the rules can take is throttled: {throttled}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_down_costs_no_more_than_its_share() {
    let counts = simulate(4, 16, Some(2)).await;
    assert!(counts.taken > limit(3) * 97 / 100, "{counts:?} of {}", limit(3));
}

#[test]
fn a_wrong_rule_is_named_by_its_id_and_its_endpoint() {
    let rule = DataCollectionRule {
        endpoint: "https://e.ingest.monitor.azure.com".to_owned(),
        dcr_immutable_id: "dcr-7".to_owned(),
    };
    for error in [
        UploadError::Misconfigured { code: "NotFound".to_owned(), status: 404 },
        UploadError::Misconfigured { code: String::new(), status: 200 },
        UploadError::Forbidden { code: "OperationFailed".to_owned() },
    ] {
        let text = error.of_rule(&rule).to_string();
        assert!(text.contains("dcr-7 at https://e.ingest.monitor.azure.com"), "{text}");
    }
}
