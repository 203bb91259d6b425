//! The metrics keep to the embedded metric format: the rules of its specification and its JSON schema, as AWS states
//! them
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use jiff::Timestamp;
use sentinel_forwarder::failure::Reason;
use sentinel_forwarder::report::{NAMESPACE, Tally};
use serde_json::{Map, Value, json};

/// The units that a metric may have.
const UNITS: &str = "Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits \
                     Megabits Gigabits Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second \
                     Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second Megabits/Second Gigabits/Second \
                     Terabits/Second Count/Second None";
/// The most bytes of a line.
const MOST_BYTES: usize = 256 << 10;
/// The most metrics of a directive, and the most values of a metric.
const MOST_METRICS: usize = 100;
/// The most names of a set of dimensions.
const MOST_DIMENSIONS: usize = 30;
/// The longest name of a namespace or metric.
const LONGEST_NAME: usize = 1024;
/// The longest name of a dimension.
const LONGEST_DIMENSION: usize = 250;
/// The longest value of a dimension.
const LONGEST_DIMENSION_VALUE: usize = 1024;

/// What is against the format in a line, all at once.
fn problems(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut must = |holds: bool, rule: &str| {
        if !holds {
            found.push(rule.to_owned());
        }
    };
    must(line.len() <= MOST_BYTES, "the line is too long");
    must(!line.contains('\n'), "the line is several");
    let Ok(Value::Object(root)) = serde_json::from_str(line) else {
        return vec!["the line is no object".to_owned()];
    };
    let Some(Value::Object(metadata)) = root.get("_aws") else {
        return vec!["there is no _aws".to_owned()];
    };
    must(metadata.get("Timestamp").is_some_and(Value::is_u64), "Timestamp is no count of milliseconds");
    let Some(Value::Array(directives)) = metadata.get("CloudWatchMetrics") else {
        return vec!["CloudWatchMetrics is no list".to_owned()];
    };
    must(!directives.is_empty(), "there is no directive");
    for directive in directives {
        must(is_name(directive.get("Namespace"), LONGEST_NAME), "Namespace is no name");
        let sets = directive.get("Dimensions").and_then(Value::as_array);
        must(sets.is_some_and(|sets| !sets.is_empty()), "there is no set of dimensions");
        for set in sets.into_iter().flatten() {
            let Some(names) = set.as_array() else {
                must(false, "a set of dimensions is no list");
                continue;
            };
            must(names.len() <= MOST_DIMENSIONS, "there are too many dimensions");
            for name in names {
                must(is_name(Some(name), LONGEST_DIMENSION), "the name of a dimension is none");
                must(
                    is_name(target(&root, name), LONGEST_DIMENSION_VALUE),
                    "a dimension has no text for its value",
                );
            }
        }
        let Some(metrics) = directive.get("Metrics").and_then(Value::as_array) else {
            must(false, "Metrics is no list");
            continue;
        };
        must((1..=MOST_METRICS).contains(&metrics.len()), "there are no metrics, or too many");
        for metric in metrics {
            let name = metric.get("Name");
            must(is_name(name, LONGEST_NAME), "the name of a metric is none");
            let unit = metric.get("Unit").map_or(Some("None"), Value::as_str);
            must(unit.is_some_and(|unit| UNITS.split(' ').any(|known| known == unit)), "the unit is unknown");
            let values = match name.and_then(|name| target(&root, name)) {
                Some(Value::Array(values)) => values.as_slice(),
                Some(value) => std::slice::from_ref(value),
                None => &[],
            };
            must(
                (1..=MOST_METRICS).contains(&values.len()) && values.iter().all(Value::is_number),
                "a metric has no number, or too many",
            );
        }
    }
    found
}

/// Whether it is a text of such a length that says something.
fn is_name(value: Option<&Value>, longest: usize) -> bool {
    value
        .and_then(Value::as_str)
        .is_some_and(|text| !text.trim().is_empty() && text.chars().count() <= longest && text.is_ascii())
}

/// The member of the root that a name of a directive points to.
fn target<'a>(root: &'a Map<String, Value>, name: &Value) -> Option<&'a Value> {
    root.get(name.as_str()?)
}

const FUNCTION: &str = "forwarder";

fn full_tally() -> Tally {
    let mut tally = Tally {
        objects: 1,
        bytes_read: u64::MAX,
        ignored: 1,
        duplicates: 1,
        continuations: 1,
        waiting_seconds: 1,
        circuit_open: 1,
        ..Tally::default()
    };
    for name in ["AWSCloudTrail", "AWSGuardDuty"] {
        let table = tally.table(name);
        table.records = 1;
        table.rows = 1;
        table.rows_truncated = 1;
        table.repaired = 1;
        table.without_time = 1;
        table.bytes_uploaded = 1;
        table.uploads = 1;
        table.upload_throttled = 1;
        table.upload_failed = 1;
        table.upload_ms = vec![7; 250];
        table.delivery_lag_seconds = vec![7; 250];
    }
    for reason in [Reason::Corrupt, Reason::Forbidden, Reason::UnknownTrigger] {
        tally.letters.insert(reason, 1);
        tally.action_needed.insert(reason, 1);
    }
    tally
}

#[test]
fn every_line_keeps_to_the_format() {
    let lines = full_tally().metrics(Timestamp::now(), FUNCTION);
    assert!(lines.len() > 10, "{lines:?}");
    for line in &lines {
        assert_eq!(problems(line), Vec::<String>::new(), "{line}");
        assert!(line.contains(NAMESPACE), "{line}");
    }
}

#[test]
fn every_metric_is_also_told_by_the_function() {
    for line in full_tally().metrics(Timestamp::now(), FUNCTION) {
        let root: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(root["FunctionName"], FUNCTION);
        for directive in root["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
            let sets: Vec<Vec<String>> = serde_json::from_value(directive["Dimensions"].clone()).unwrap();
            let (own, all): (Vec<_>, Vec<_>) =
                sets.into_iter().partition(|set| set.first().is_some_and(|name| name == "FunctionName"));
            assert_eq!(own.iter().map(|set| set[1..].to_vec()).collect::<Vec<_>>(), all, "{line}");
        }
    }
}

#[test]
fn nothing_to_tell_is_no_line() {
    assert_eq!(Tally::default().metrics(Timestamp::now(), FUNCTION), Vec::<String>::new());
}

#[test]
fn a_line_against_the_format_is_noticed() {
    let good = json!({
        "_aws": {"Timestamp": 1, "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [["D"]], "Metrics": [{"Name": "M", "Unit": "Count"}]}
        ]},
        "D": "d",
        "M": 1
    });
    assert_eq!(problems(&good.to_string()), Vec::<String>::new());
    for (place, value) in [
        ("/_aws", json!([])),
        ("/_aws/Timestamp", json!("now")),
        ("/_aws/CloudWatchMetrics", json!([])),
        ("/_aws/CloudWatchMetrics/0/Namespace", json!("")),
        ("/_aws/CloudWatchMetrics/0/Dimensions", json!([])),
        ("/_aws/CloudWatchMetrics/0/Dimensions/0/0", json!("Other")),
        ("/_aws/CloudWatchMetrics/0/Metrics", json!([])),
        ("/_aws/CloudWatchMetrics/0/Metrics/0/Name", json!("Other")),
        ("/_aws/CloudWatchMetrics/0/Metrics/0/Unit", json!("Pieces")),
        ("/D", json!(1)),
        ("/D", json!("é")),
        ("/M", json!("1")),
        ("/M", json!([])),
        ("/M", json!(vec![1; MOST_METRICS + 1])),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        assert_ne!(problems(&bad.to_string()), Vec::<String>::new(), "{bad}");
    }
}
