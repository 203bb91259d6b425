//! Judges what stands around the function: who reads the work queue, the function, the rules and the schedule that reach
//! it, the alarms.

use super::finding::{Check, Finding};
use crate::aws::{AlarmFacts, FunctionFacts, Mapping, RuleFacts, ScheduleFacts};

/// Judges who reads the work queue.
pub(super) fn mapping(mappings: &[Mapping]) -> Finding {
    let check = Check::Mapping;
    match mappings {
        [] => Finding::failed(
            check,
            "no function reads the work queue: what waits there expires",
            "Deploy the stack again: template.yaml makes the event source mapping.",
        ),
        [mapping, ..] if !mappings.iter().any(Mapping::is_on) => Finding::failed(
            check,
            format!("it is {}: the function reads nothing, and what waits expires", mapping.state),
            format!("aws lambda update-event-source-mapping --uuid {} --enabled", mapping.uuid),
        )
        .about(function_name(&mapping.function_arn)),
        all => {
            let functions: Vec<&str> = all
                .iter()
                .filter(|mapping| mapping.is_on())
                .map(|mapping| mapping.function_arn.as_str())
                .collect();
            match functions.as_slice() {
                [function] => Finding::ok(check, "it is on").about(function_name(function)),
                several => Finding::warning(
                    check,
                    "several functions read the work queue, and each gets a part of the messages",
                    "Leave the one of the stack, and delete the other mappings.",
                )
                .details(several.iter().map(|function| (*function).to_owned())),
            }
        }
    }
}

/// Judges the function.
pub(super) fn function(name: &str, facts: &FunctionFacts) -> Finding {
    let check = Check::Function;
    let finding = if facts.reserved_concurrency == Some(0) {
        Finding::failed(
            check,
            "its reserved concurrency is 0: it never runs",
            format!("aws lambda delete-function-concurrency --function-name {name}"),
        )
    } else if !matches!(facts.state.as_str(), "Active" | "Inactive" | "") {
        Finding::failed(
            check,
            format!("it is {}", facts.state),
            "Look in Lambda's console for the reason, and deploy the stack again.",
        )
    } else if facts.last_update == "Failed" {
        Finding::failed(
            check,
            "its last update failed: an older version runs",
            "Look in CloudFormation's events for the reason, and deploy the stack again.",
        )
    } else {
        Finding::ok(check, "it is active")
    };
    finding.about(name)
}

/// Judges the rules that reach the queue or the function; `is_needed` says that a bucket tells `EventBridge` alone.
pub(super) fn rules(rules: &[RuleFacts], is_needed: bool) -> Vec<Finding> {
    let check = Check::Rule;
    let brings_objects = |rule: &RuleFacts| rule.sources.iter().any(|source| source == "aws.s3");
    let some_bring_objects = rules.iter().any(|rule| brings_objects(rule) && rule.is_enabled);
    let mut findings: Vec<Finding> = rules
        .iter()
        .map(|rule| {
            let enable = format!("aws events enable-rule --name {}", rule.name);
            let sources = rule.sources.join(", ");
            let finding = if rule.is_enabled {
                Finding::ok(check, format!("it is on and matches events of {sources}"))
            } else if brings_objects(rule) && !some_bring_objects {
                Finding::failed(check, "it is off: no new object is forwarded", enable)
            } else {
                Finding::warning(
                    check,
                    format!("it is off: no event of {sources} is forwarded"),
                    format!("{enable}, unless it is off on purpose (GuardDutyFindings: DISABLED)."),
                )
            };
            finding.about(&rule.name)
        })
        .collect();
    if is_needed && !rules.iter().any(brings_objects) {
        findings.push(Finding::failed(
            check,
            "no rule sends the bucket's events to the work queue or the function: no new object is forwarded",
            "Deploy the stack again: template.yaml makes the rule ObjectCreatedRule.",
        ));
    }
    findings
}

/// Judges the schedule of the watch.
pub(super) fn schedule(schedules: &[ScheduleFacts]) -> Finding {
    let check = Check::Schedule;
    match schedules.iter().find(|schedule| schedule.is_enabled).or(schedules.first()) {
        Some(schedule) if schedule.is_enabled => Finding::ok(check, "it is on").about(&schedule.name),
        Some(schedule) => Finding::warning(
            check,
            "it is off: nobody asks what should have come and has not",
            "Enable it in EventBridge Scheduler, or deploy the stack again.",
        )
        .about(&schedule.name),
        None => Finding::warning(
            check,
            "there is none: nobody asks what should have come and has not",
            "Deploy the stack again: template.yaml makes the schedule WatchSchedule.",
        ),
    }
}

/// Judges the alarms.
pub(super) fn alarms(alarms: &[AlarmFacts]) -> Finding {
    let check = Check::Alarms;
    let named = |wanted: &dyn Fn(&AlarmFacts) -> bool| -> Vec<String> {
        alarms.iter().filter(|alarm| wanted(alarm)).map(|alarm| alarm.name.clone()).collect()
    };
    let ringing = named(&|alarm| alarm.state == "ALARM");
    let muted = named(&|alarm| !alarm.actions_enabled);
    let notify = alarms.iter().any(|alarm| !alarm.actions.is_empty());
    if alarms.is_empty() {
        Finding::warning(check, "there are none", "Deploy the stack again: template.yaml makes them.")
    } else if !ringing.is_empty() {
        Finding::warning(
            check,
            format!("{} of {} ring", ringing.len(), alarms.len()),
            "RUNBOOK.md has a section for each.",
        )
        .details(ringing)
    } else if !muted.is_empty() {
        Finding::warning(
            check,
            format!("the actions of {} of {} are off", muted.len(), alarms.len()),
            "aws cloudwatch enable-alarm-actions --alarm-names, with these names.",
        )
        .details(muted)
    } else if notify {
        Finding::ok(check, format!("{}, none rings", alarms.len()))
    } else {
        Finding::ok(
            check,
            format!(
                "{}, none rings; they notify nobody (AlarmTopicArn, AlarmEmail of the stack)",
                alarms.len()
            ),
        )
    }
}

/// The name in a function's ARN, of which versions and aliases have one part more.
pub(super) fn function_name(arn: &str) -> &str {
    arn.split(':').nth(6).unwrap_or(arn)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:forwarder";

    fn one(state: &str) -> Mapping {
        Mapping { uuid: "u-1".to_owned(), function_arn: format!("{FUNCTION}:live"), state: state.to_owned() }
    }

    #[test]
    fn a_work_queue_that_nothing_reads_is_a_failure() {
        for (mappings, status, word) in [
            (vec![], Status::Failed, "no function"),
            (vec![one("Disabled")], Status::Failed, "Disabled"),
            (vec![one("Disabling")], Status::Failed, "Disabling"),
            (vec![one("Enabled")], Status::Ok, "on"),
            (vec![one("Disabled"), one("Enabled")], Status::Ok, "on"),
            (vec![one("Enabled"), one("Enabled")], Status::Warning, "several"),
        ] {
            let finding = mapping(&mappings);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.what.contains(word), "{finding:?}");
        }
        let finding = mapping(&[one("Disabled")]);
        assert!(finding.next.unwrap().contains("--uuid u-1 --enabled"));
        assert_eq!(finding.about.as_deref(), Some("forwarder"));
    }

    #[test]
    fn a_function_that_can_not_run_is_a_failure() {
        let facts = |state: &str, update: &str, reserved_concurrency| FunctionFacts {
            state: state.to_owned(),
            last_update: update.to_owned(),
            reserved_concurrency,
            ..FunctionFacts::default()
        };
        for (facts, status, word) in [
            (facts("Active", "Successful", None), Status::Ok, "active"),
            (facts("Inactive", "Successful", Some(5)), Status::Ok, "active"),
            (facts("Active", "Successful", Some(0)), Status::Failed, "concurrency"),
            (facts("Failed", "Successful", None), Status::Failed, "Failed"),
            (facts("Active", "Failed", None), Status::Failed, "last update"),
        ] {
            let finding = function("f", &facts);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.what.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn without_a_rule_that_is_on_no_object_is_forwarded() {
        let rule = |name: &str, is_enabled, source: &str| RuleFacts {
            name: name.to_owned(),
            is_enabled,
            sources: vec![source.to_owned()],
        };
        let statuses = |all: &[RuleFacts], is_needed| -> Vec<Status> {
            rules(all, is_needed).iter().map(|finding| finding.status).collect()
        };
        let (on, off) = (rule("a", true, "aws.s3"), rule("b", false, "aws.s3"));
        let findings_off = rule("c", false, "aws.guardduty");
        assert_eq!(statuses(&[on.clone(), findings_off.clone()], true), [Status::Ok, Status::Warning]);
        assert_eq!(statuses(std::slice::from_ref(&off), true), [Status::Failed]);
        assert_eq!(statuses(&[on, off], true), [Status::Ok, Status::Warning]);
        assert_eq!(statuses(std::slice::from_ref(&findings_off), true), [Status::Warning, Status::Failed]);
        assert_eq!(statuses(&[], false), []);
    }

    #[test]
    fn a_schedule_that_is_off_or_missing_is_a_warning() {
        let schedule_of = |is_enabled| ScheduleFacts { name: "s".to_owned(), is_enabled };
        assert_eq!(schedule(&[schedule_of(false), schedule_of(true)]).status, Status::Ok);
        assert_eq!(schedule(&[schedule_of(false)]).status, Status::Warning);
        assert_eq!(schedule(&[]).status, Status::Warning);
    }

    #[test]
    fn alarms_that_ring_or_are_muted_are_named() {
        let alarm = |name: &str, state: &str, actions_enabled| AlarmFacts {
            name: name.to_owned(),
            state: state.to_owned(),
            actions_enabled,
            ..AlarmFacts::default()
        };
        let fine = alarm("a", "OK", true);
        assert_eq!(alarms(std::slice::from_ref(&fine)).status, Status::Ok);
        assert_eq!(alarms(&[]).status, Status::Warning);
        for (other, word) in [(alarm("b", "ALARM", true), "ring"), (alarm("c", "OK", false), "off")] {
            let finding = alarms(&[fine.clone(), other.clone()]);
            assert_eq!((finding.status, finding.details), (Status::Warning, vec![other.name]));
            assert!(finding.what.contains(word), "{}", finding.what);
        }
    }
}
