//! The row that `--probe` posts to a stream: made of a record as every other row is, and easily known again.

use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::table::Table;

/// What a probe calls itself: an event's name, a finding's type.
pub const PROBE: &str = "SentinelForwarderProbe";

/// The body of a request with the one row; none if the table does not take the record.
pub(super) fn body(table: Table, now: Timestamp) -> Option<Vec<u8>> {
    let mut body = b"[".to_vec();
    table.map(record(table, now).to_string().as_bytes(), now, &mut body).ok()?;
    body.push(b']');
    Some(body)
}

/// The record that becomes a table's probe; a table more is an arm more.
fn record(table: Table, now: Timestamp) -> serde_json::Value {
    let (id, time) = (Uuid::new_v4().to_string(), now.to_string());
    match table {
        Table::AwsCloudTrail => json!({
            "eventID": id, "eventTime": time, "eventName": PROBE, "eventSource": "sentinel-forwarder",
            "readOnly": true,
        }),
        Table::AwsGuardDuty => json!({
            "id": id, "createdAt": time, "updatedAt": time, "type": PROBE, "severity": 0,
            "title": "A probe of sentinelctl doctor; nothing was found.",
        }),
        Table::Health => json!({"TimeGenerated": time, "FunctionName": PROBE}),
        Table::Completeness => json!({"TimeGenerated": time, "Trail": PROBE}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_probe_that_names_itself_and_its_time() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for table in Table::ALL {
            let body = String::from_utf8(body(table, now).unwrap()).unwrap();
            let rows: Vec<serde_json::Map<_, _>> = serde_json::from_str(&body).unwrap();
            let [row] = rows.as_slice() else { panic!("{body}") };
            assert!(row.values().any(|value| value == PROBE), "{body}");
            assert_eq!(row["TimeGenerated"], "2027-01-15T08:00:00Z", "{body}");
            assert!(!row.contains_key("AdditionalEventData"), "{body}");
        }
    }
}
