//! Events of `EventBridge`: created objects, findings, single `CloudTrail` records.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>,
//! <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html>.

use super::{Item, raw, some_string};
use crate::json;
use crate::table::Table;
use crate::task::{ObjectRef, Task};

/// What an event asks for; none if its type is not known or its detail names nothing.
pub(super) fn item(detail_type: &str, detail: &str, event: &str) -> Option<Item> {
    match detail_type {
        "Object Created" => object(detail),
        "Object Deleted"
        | "Object Restore Initiated"
        | "Object Restore Expired"
        | "Object Tags Added"
        | "Object Tags Deleted"
        | "Object ACL Updated"
        | "Object Storage Class Changed"
        | "Object Access Tier Changed" => Some(Item::Ignored("the object was not created")),
        "GuardDuty Finding" => Some(carried(Table::AwsGuardDuty, detail, event)),
        "AWS API Call via CloudTrail"
        | "AWS Console Sign In via CloudTrail"
        | "AWS Service Event via CloudTrail"
        | "AWS Insight via CloudTrail" => Some(carried(Table::AwsCloudTrail, detail, event)),
        _ => None,
    }
}

fn carried(table: Table, detail: &str, event: &str) -> Item {
    Item::Event { table, record: detail.to_owned(), event: raw(event), letter: None }
}

fn object(detail: &str) -> Option<Item> {
    let [bucket, object] = json::pick(detail, ["bucket", "object"]).ok()?;
    let [bucket] = json::pick(bucket?, ["name"]).ok()?;
    let [key, version_id, etag] = json::pick(object?, ["key", "version-id", "etag"]).ok()?;
    Some(Item::object(Task::whole(ObjectRef {
        bucket: some_string(bucket)?,
        key: some_string(key)?,
        version_id: some_string(version_id),
        etag: some_string(etag),
    })))
}
