//! Rows of records that show one rule each.

use proptest::prelude::*;

use super::map::Rule::{self, Boolean, Dynamic, Floor, Guid, Json, Long, Nested, Text, Time};
use super::*;

const NOW: &str = "2026-05-04T12:00:00Z";

fn map(table: Table, record: &str) -> String {
    let mut row = Vec::new();
    let facts = table.map(record.as_bytes(), NOW.parse().unwrap(), &mut row).unwrap();
    if let (Table::AwsCloudTrail, Some((read, plain))) = (table, map_plain(record.as_bytes())) {
        assert_eq!(
            (read, (String::from_utf8_lossy(&row).into_owned(), facts)),
            (record.as_bytes().to_vec(), plain)
        );
    }
    String::from_utf8(row).unwrap()
}

/// What was read and its row in one pass, if the record is plain.
fn map_plain(record: &[u8]) -> Option<(Vec<u8>, (String, RowFacts))> {
    // What follows it in its file.
    let mut text = [record, br#",{"eventVersion":"1.09","userIdentity":{"type":"AWSService"}}]}"#].concat();
    let mut out = vec![b'#'; 1 << 20];
    let row = PlainMapper::default().map(&text, NOW.parse().unwrap(), &mut out)?;
    text.truncate(row.read);
    Some((text, (String::from_utf8(out[..row.written].to_vec()).unwrap(), row.facts)))
}

fn trail(members: &str) -> String {
    map(Table::AwsCloudTrail, &format!(r#"{{"eventTime":"2026-05-04T11:00:00Z",{members}}}"#))
}

#[test]
fn values_are_carried_to_the_letter() {
    insta::assert_snapshot!(
        trail(r#""requestParameters" : { "n" : 12345678901234567890123.10 , "s":"a\u0041\"\\ b" }, "responseElements":null,"errorCode":"","apiVersion":["1", 2],"resources":[],"additionalEventData":"text \u00e9""#),
        @r#"{"TimeGenerated":"2026-05-04T11:00:00Z","RequestParameters":"{\"n\":12345678901234567890123.10,\"s\":\"a\\u0041\\\"\\\\ b\"}","APIVersion":"[\"1\",2]","Resources":"[]","AdditionalEventData":"text \u00e9"}"#
    );
}

#[test]
fn what_has_no_column_goes_under_unmapped_by_its_path() {
    insta::assert_snapshot!(
        trail(r#""userIdentity":{"type":"AssumedRole","credentialId":"c","sessionContext":{"webIdFederationData":{"x" : 1},"sourceIdentity":"","attributes":{"mfaAuthenticated":"maybe"}}},"tlsDetails":{"keyExchange":"k"},"addendum":{"reason":"r"},"eventID":"no guid","additionalEventData":{}"#),
        @r#"{"TimeGenerated":"2026-05-04T11:00:00Z","UserIdentityType":"AssumedRole","AdditionalEventData":"{\"unmapped\":{\"userIdentity\":{\"credentialId\":\"c\",\"sessionContext\":{\"webIdFederationData\":{\"x\":1},\"attributes\":{\"mfaAuthenticated\":\"maybe\"}}},\"tlsDetails\":{\"keyExchange\":\"k\"},\"addendum\":{\"reason\":\"r\"},\"eventID\":\"no guid\"}}"}"#
    );
    insta::assert_snapshot!(
        trail(r#""new":1,"additionalEventData":{ "a" : 1 }"#),
        @r#"{"TimeGenerated":"2026-05-04T11:00:00Z","AdditionalEventData":"{\"a\":1,\"unmapped\":{\"new\":1}}"}"#
    );
    insta::assert_snapshot!(
        trail(r#""new":1,"additionalEventData":[2]"#),
        @r#"{"TimeGenerated":"2026-05-04T11:00:00Z","AdditionalEventData":"{\"value\":[2],\"unmapped\":{\"new\":1}}"}"#
    );
}

#[test]
fn the_first_permission_of_a_security_group_has_columns() {
    insta::assert_snapshot!(
        trail(r#""requestParameters":{"ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":23,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}},{"ipProtocol":"udp"}]}}"#),
        @r#"{"TimeGenerated":"2026-05-04T11:00:00Z","RequestParameters":"{\"ipPermissions\":{\"items\":[{\"ipProtocol\":\"tcp\",\"fromPort\":22,\"toPort\":23,\"ipRanges\":{\"items\":[{\"cidrIp\":\"0.0.0.0/0\"}]}},{\"ipProtocol\":\"udp\"}]}}","CidrIp":"0.0.0.0/0","IpProtocol":"tcp","SourcePort":"22","DestinationPort":"23"}"#
    );
}

#[test]
fn escaped_and_repeated_names_count_as_one_and_the_last_wins() {
    insta::assert_snapshot!(
        trail(r#""event\u004eame":"First","eventName":"Last","odd":1,"odd":2"#),
        @r#"{"TimeGenerated":"2026-05-04T11:00:00Z","EventName":"Last","AdditionalEventData":"{\"unmapped\":{\"odd\":2}}"}"#
    );
}

#[test]
fn times_that_the_service_would_replace_are_kept_in_a_column_of_ours() {
    for (time, kept) in [
        ("2026-05-04T11:00:00Z", false),
        ("2026-05-02T12:11:00Z", false),
        ("2026-05-02T12:00:00Z", true),
        ("2020-01-01T00:00:00Z", true),
        ("2026-05-05T11:59:00Z", false),
        ("2026-05-05T12:01:00Z", true),
    ] {
        let row = map(Table::AwsCloudTrail, &format!(r#"{{"eventTime":"{time}"}}"#));
        assert_eq!(row.contains(&format!(r#""EventTime_CF":"{time}""#)), kept, "{row}");
        assert!(row.contains(&format!(r#""TimeGenerated":"{time}""#)), "{row}");
    }
}

#[test]
fn a_record_without_a_time_takes_the_time_of_reading() {
    insta::assert_snapshot!(map(Table::AwsCloudTrail, r#"{"eventTime":"soon"}"#),
        @r#"{"AdditionalEventData":"{\"unmapped\":{\"eventTime\":\"soon\"}}","TimeGenerated":"2026-05-04T12:00:00Z"}"#);
}

#[test]
fn a_finding_of_either_casing_makes_the_same_row() {
    let camel = r#"{"id":"1","accountId":111122223333,"severity":6.9,"updatedAt":"2026-05-04T11:00:00.123Z","type":"Recon:EC2/Portscan","resource":{"resourceType":"Instance"},"service":{"count":1.0}}"#;
    let pascal = r#"{"Id":"1","AccountId":111122223333,"Severity":6.9,"UpdatedAt":"2026-05-04T11:00:00.123Z","Type":"Recon:EC2/Portscan","Resource":{"ResourceType":"Instance"},"Service":{"Count":1.0}}"#;
    let row = map(Table::AwsGuardDuty, camel);
    assert_eq!(row, map(Table::AwsGuardDuty, pascal));
    insta::assert_snapshot!(row, @r#"{"Id":"1","AccountId":"111122223333","Severity":6,"TimeGenerated":"2026-05-04T11:00:00.123Z","ActivityType":"Recon:EC2/Portscan","ResourceDetails":{"resourceType":"Instance"},"ServiceDetails":{"count":1.0}}"#);
}

#[test]
fn what_can_be_repaired_is_and_the_rest_is_refused_alone() {
    let mut out = b"before".to_vec();
    let mut map = |record: &[u8]| Table::AwsCloudTrail.map(record, NOW.parse().unwrap(), &mut out);
    assert!(map(b"{\"eventName\":\"a\tb\"}").unwrap().repaired);
    assert!(map(b"{\"eventName\":\"\xff\"}").unwrap().repaired);
    assert!(map(br#"{"eventName":"\ud800"}"#).unwrap().repaired);
    assert!(!map(br#"{"eventName":"\ud83d\ude00"}"#).unwrap().repaired);
    assert_eq!(map(br#"{"eventName":}"#), Err(MapError::Invalid));
    assert_eq!(map(b"[]"), Err(MapError::Invalid));
    assert!(out.starts_with(b"before{") && out.ends_with(b"}"));
}

#[test]
fn a_record_of_which_nothing_is_known_makes_no_row() {
    for (table, record) in [
        (Table::AwsCloudTrail, "{}"),
        (Table::AwsCloudTrail, r#"{"foo":1,"eventName":null,"awsRegion":""}"#),
        (Table::AwsGuardDuty, "{}"),
        (Table::AwsGuardDuty, r#"{"findings":[{"id":"1"}]}"#),
    ] {
        let mut out = b"before".to_vec();
        assert_eq!(
            table.map(record.as_bytes(), NOW.parse().unwrap(), &mut out),
            Err(MapError::NothingKnown),
            "{record}"
        );
        assert_eq!(out, b"before");
        assert_eq!(map_plain(record.as_bytes()), None);
    }
}

#[test]
fn a_member_that_bears_our_name_already_is_renamed_and_none_is_there_twice() {
    for (data, ours, expected) in [
        (r#"{"unmapped":1}"#, "", r#"{"unmapped":1}"#),
        (r#"{"unmapped":1}"#, r#""addendum":2,"#, r#"{"unmapped_":1,"unmapped":{"addendum":2}}"#),
        (
            r#"{"\u0075nmapped":{ },"unmapped__":0,"a":"unmapped"}"#,
            r#""addendum":2,"#,
            r#"{"unmapped___":{},"unmapped__":0,"a":"unmapped","unmapped":{"addendum":2}}"#,
        ),
        (r#"{"a":"unmapped"}"#, r#""addendum":2,"#, r#"{"a":"unmapped","unmapped":{"addendum":2}}"#),
        (r#""unmapped""#, r#""addendum":2,"#, r#"{"value":"unmapped","unmapped":{"addendum":2}}"#),
    ] {
        let record = format!("{{{ours}\"additionalEventData\":{data}}}");
        let row: serde_json::Value = serde_json::from_str(&map(Table::AwsCloudTrail, &record)).unwrap();
        assert_eq!(row["AdditionalEventData"], expected);
    }
}

#[test]
fn what_holds_nothing_is_carried_in_its_column_alone() {
    let record = r#"{"resources":[],"addendum":{ },"x":[],"userIdentity":{"sessionContext":{"webIdFederationData":{}}}}"#;
    insta::assert_snapshot!(map(Table::AwsCloudTrail, record),
        @r#"{"Resources":"[]","TimeGenerated":"2026-05-04T12:00:00Z"}"#);
}

#[test]
fn permissions_are_found_under_escaped_names() {
    let record = r#"{"requestParameters":{"\u0069pPermissions":{"items":[{"ipProtocol":"tcp"}]}}}"#;
    assert!(map(Table::AwsCloudTrail, record).contains(r#""IpProtocol":"tcp""#));
}

#[test]
fn a_findings_members_without_a_column_stand_under_unmapped_of_its_details() {
    let finding = r#"{"id":"1","severity":"high","createdAt":"soon","confidence":3,"service":{"count":1,"unmapped":2}}"#;
    insta::assert_snapshot!(map(Table::AwsGuardDuty, finding),
        @r#"{"Id":"1","ServiceDetails":{"count":1,"unmapped_":2,"unmapped":{"severity":"high","createdAt":"soon","confidence":3}},"TimeGenerated":"2026-05-04T12:00:00Z"}"#);
    insta::assert_snapshot!(map(Table::AwsGuardDuty, r#"{"id":"1","confidence":3}"#),
        @r#"{"Id":"1","ServiceDetails":{"unmapped":{"confidence":3}},"TimeGenerated":"2026-05-04T12:00:00Z"}"#);
}

#[test]
fn a_record_costs_no_more_than_its_bound() {
    let record = |value: &[u8]| [b"{\"errorMessage\":\"", value, b"\"}"].concat();
    let map = |record: &[u8]| Table::AwsCloudTrail.map(record, NOW.parse().unwrap(), &mut Vec::new());
    assert_eq!(map(&record(&vec![1; 3_000_000])), Err(MapError::RepairTooLong));
    assert_eq!(map(&record(&vec![0xff; 3_000_000])), Err(MapError::RepairTooLong));
    assert_eq!(map(&record(&vec![1; 200_000])).map(|facts| facts.values_truncated), Ok(1));
    let many: Vec<_> = (0..=MAX_MEMBERS).map(|number| format!("\"{number}\":1")).collect();
    for text in [format!("{{{}}}", many.join(",")), format!("{{\"tlsDetails\":{{{}}}}}", many.join(","))] {
        assert_eq!(map(text.as_bytes()), Err(MapError::TooManyMembers));
    }
    assert_eq!(MapError::TooManyMembers.reason(), Reason::TooLarge);
}

#[test]
fn the_columns_are_those_of_the_documented_tables() {
    for table in Table::ALL {
        let mut names: Vec<_> = table.columns().iter().map(|column| column.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table.columns().len(), "{}", table.name());
    }
}

#[test]
fn a_rule_that_fits_no_column_stops_the_build() {
    const RIGHT: &[map::Member] = &[
        ("a", Text("Category")),
        ("b", Json("Resources")),
        ("c", Guid("AwsEventId")),
        ("d", Boolean("ReadOnly")),
        ("e", Time("SessionCreationDate")),
        ("f", Rule::EventTime),
        ("g", Rule::Kept),
    ];
    const WRONG: &[map::Member] = &[("a", Text("Category")), ("b", Text("Categories"))];
    let stops =
        |rule: Rule| std::panic::catch_unwind(|| map::check(Table::AwsCloudTrail, &[("m", rule)])).is_err();
    assert!(!stops(Nested(RIGHT)));
    assert!(stops(Nested(WRONG)));
    for wrong in [
        Text("category"),
        Text("CategoryOfEvent"),
        Text("Cat"),
        Text(""),
        Text("AwsEventId"),
        Json("SessionCreationDate"),
        Guid("AwsRequestId_"),
        Boolean("Category"),
        Time("EventName"),
        Dynamic("Resources"),
        Floor("SourcePort"),
        Long("SourcePort"),
    ] {
        assert!(stops(wrong));
    }
}

/// A record's members: names that have rules, names that have none, some of them twice.
fn members(depth: u32) -> BoxedStrategy<Vec<(&'static str, Member)>> {
    let name = prop::sample::select(vec![
        "eventTime",
        "eventName",
        "eventID",
        "readOnly",
        "userIdentity",
        "sessionContext",
        "attributes",
        "type",
        "creationDate",
        "mfaAuthenticated",
        "tlsDetails",
        "requestParameters",
        "resources",
        "additionalEventData",
        "accountId",
        "invokedBy",
        "new",
        "newer",
        "unmapped",
        "",
    ]);
    let value = prop::sample::select(vec![
        "null",
        "\"\"",
        "\"a\\\"b\"",
        "true",
        "\"false\"",
        "12.50",
        "[ 1 , {} ]",
        "{ \"x\" : [ ] }",
        "{}",
        "\"2026-05-04T10:00:00+01:00\"",
        "\"2026-05-04T10:00:00Z\"",
        "\"e1b2c3d4-0000-4000-8000-00000000000f\"",
    ]);
    let value = value.prop_map(Member::Value);
    let value = match depth {
        0 => value.boxed(),
        _ => prop_oneof![3 => value, 1 => members(depth - 1).prop_map(Member::Object)].boxed(),
    };
    prop::collection::vec((name, value), 0..12).boxed()
}

#[derive(Clone, Debug)]
enum Member {
    Value(&'static str),
    Object(Vec<(&'static str, Member)>),
}

fn write(members: &[(&str, Member)], escaped: bool) -> String {
    let members = members.iter().map(|(name, member)| {
        // These columns hold text, in which an object stands to the letter.
        let is_text = matches!(
            *name,
            "eventName" | "type" | "requestParameters" | "resources" | "accountId" | "invokedBy"
        );
        let escaped_inside = escaped && !is_text;
        let mut name = (*name).to_owned();
        if escaped && !name.is_empty() {
            let first = name.remove(0);
            name = format!("\\u{:04x}{name}", u32::from(first));
        }
        match member {
            Member::Value(value) => format!("\"{name}\":{value}"),
            Member::Object(members) => format!("\"{name}\" : {}", write(members, escaped_inside)),
        }
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn row_as_value(record: &str) -> serde_json::Value {
    let mut row: serde_json::Value = serde_json::from_str(&map(Table::AwsCloudTrail, record)).unwrap();
    if let Some(text) = row.get("AdditionalEventData").and_then(serde_json::Value::as_str)
        && let Ok(inside) = serde_json::from_str(text)
    {
        row["AdditionalEventData"] = inside;
    }
    row
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plain_record_and_the_same_with_escaped_names_make_the_same_row(members in members(3)) {
        let [plain, escaped] = [false, true].map(|escaped| {
            let record = write(&members, escaped).replacen('{', "{\"apiVersion\":\"1\",", 1);
            row_as_value(&record.replace(",}", "}"))
        });
        prop_assert_eq!(plain, escaped);
    }
}

#[test]
fn a_usual_record_is_plain() {
    let record = r#"{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROA:s","arn":"arn:aws:sts::111122223333:assumed-role/r/s","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"Role"},"webIdFederationData":{},"attributes":{"creationDate":"2026-05-04T10:59:59Z","mfaAuthenticated":"false"}}},"eventTime":"2026-05-04T11:00:00Z","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","requestParameters":{"count":2,"tags":[{"key":"a \"b\" \\ \u00e9é","value":null}],"dry":false},"responseElements":null,"requestID":"r","eventID":"93f52e2f-0ef0-4f3b-b0c8-0a0b0c0d0e0f","readOnly":false,"tlsDetails":{"tlsVersion":"TLSv1.3"},"sessionCredentialFromConsole":"true"}"#;
    let (_, (row, facts)) = map_plain(record.as_bytes()).unwrap();
    assert_eq!(row, map(Table::AwsCloudTrail, record));
    assert!(row.contains("unmapped") && facts.event_time.is_some());
}

/// JSON values, and what looks like them.
fn values() -> impl Strategy<Value = String> {
    let guid = "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{11}[0-9a-g]";
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        prop::sample::select(vec![
            "true",
            "false",
            "null",
            "{ }",
            "[\t]",
            "\"\"",
            "\"true\"",
            "01",
            "1.",
            "-",
            "nul",
            "\"\\u12aF\"",
            "\"\\ud83d\\ude00\"",
            "\"\\/\\b\\n\"",
            "\"\\x\"",
            "\"2026-05-04T11:00:00Z\"",
            "\"2020-02-30T11:00:00Z\"",
            "\"2020-02-29T23:59:60Z\"",
            "\"0000-02-29T23:59:00Z\"",
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| crate::json::text(&text)),
        "[ -~]{0,40}".prop_map(|text| crate::json::text(&text)),
        guid.prop_map(|text| crate::json::text(&text)),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" , "))),
            prop::collection::vec(("[a-c\\\\n]{0,20}", inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(name, value)| format!("{}:{value}", crate::json::text(name)))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Objects with names that have rules, and some that have none.
fn records() -> impl Strategy<Value = String> {
    fn object(
        names: &'static [&'static str],
        value: BoxedStrategy<String>,
    ) -> impl Strategy<Value = String> + Clone {
        let blank = prop::sample::select(vec!["", "", "", " ", "\n\t"]);
        prop::collection::vec((prop::sample::select(names), value, blank), 0..6).prop_map(|members| {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value, blank)| format!("{blank}\"{name}\"{blank}:{blank}{value}{blank}"))
                .collect();
            format!("{{{}}}", members.join(","))
        })
    }
    let deepest =
        object(&["creationDate", "mfaAuthenticated", "type", "arn", "userName", "other"], values().boxed());
    let deeper = object(
        &["sessionIssuer", "attributes", "ec2RoleDelivery", "webIdFederationData"],
        prop_oneof![deepest.clone(), values()].boxed(),
    );
    let deep = object(
        &["type", "principalId", "accessKeyId", "sessionContext", "onBehalfOf", "tlsVersion", "else"],
        prop_oneof![deeper, deepest, values()].boxed(),
    );
    object(
        &[
            "eventVersion",
            "userIdentity",
            "eventTime",
            "eventName",
            "errorCode",
            "requestParameters",
            "responseElements",
            "additionalEventData",
            "requestID",
            "eventID",
            "readOnly",
            "resources",
            "managementEvent",
            "sharedEventID",
            "tlsDetails",
            "eventContext",
            "event\\u004eame",
            "",
        ],
        prop_oneof![deep, values()].boxed(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plain_record_becomes_the_same_row_in_one_pass(
        record in records(), is_spoilt in any::<bool>(), place in any::<prop::sample::Index>(),
        token in prop::sample::select(vec![",", "\"", "\\", "}", "{", "]", ":", "\u{1}", "\u{ff}", "0", " "]),
    ) {
        let mut record = record.into_bytes();
        if is_spoilt {
            // There a sloppy reader shows.
            let place = place.index(record.len());
            record.splice(place..place, token.bytes());
        }
        if let Some((read, (row, facts))) = map_plain(&record) {
            let mut other = Vec::new();
            let others = Table::AwsCloudTrail.map(&read, NOW.parse().unwrap(), &mut other);
            prop_assert_eq!(Ok(facts), others);
            prop_assert_eq!(row.as_bytes(), other);
        }
    }
}
