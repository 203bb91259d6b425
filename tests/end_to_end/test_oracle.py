"""The oracle itself, held against rows written by hand."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import corpus
from oracle import CutJson, CutText, Instant, WithUnmapped, cloudtrail_row, differences, guardduty_row
from verbatim import Number, compact, elements, members, values

NOW = datetime(2026, 3, 10, 12, 0, 0, tzinfo=timezone.utc)
TIME = '"eventTime":"2026-03-10T11:58:07Z"'
ROW_TIME = '"TimeGenerated":"2026-03-10T11:58:07Z"'


def cloudtrail_differences(record: str, row: str) -> list[str]:
    return differences(cloudtrail_row(record, NOW), row)


def agrees(members_of_record: str, columns_of_row: str) -> None:
    comma = "," if columns_of_row else ""
    assert cloudtrail_differences(f"{{{TIME},{members_of_record}}}", f"{{{ROW_TIME}{comma}{columns_of_row}}}") == []


def differs(members_of_record: str, columns_of_row: str) -> None:
    comma = "," if columns_of_row else ""
    assert cloudtrail_differences(f"{{{TIME},{members_of_record}}}", f"{{{ROW_TIME}{comma}{columns_of_row}}}") != []


def test_texts_are_sliced_as_they_were_written():
    text = ' {"a" : [1.0, {"b,}": "\\"]"} ] ,\n"a":1e5,"\\u0063":{}} [2]'
    document, rest = values(text)
    assert rest == "[2]"
    assert list(members(document)) == [("a", '[1.0, {"b,}": "\\"]"} ]'), ("a", "1e5"), ("c", "{}")]
    assert list(elements('[1.0, {"b,}": "\\"]"} ]')) == ["1.0", '{"b,}": "\\"]"}']
    assert list(elements("[ ]")) == [] and list(members("{ }")) == []
    assert compact(' { "a b" : [ 1.0 , "\\t x" ] } ') == '{"a b":[1.0,"\\t x"]}'


def test_a_text_that_ends_inside_a_value_is_refused():
    with pytest.raises(ValueError, match="ends inside"):
        list(values('{"a":[1]'))


@pytest.mark.parametrize("empty", ["null", '""'])
def test_only_null_and_the_empty_text_are_left_out(empty):
    agrees(f'"errorCode":{empty},"requestParameters":{empty},"additionalEventData":{empty},"readOnly":{empty}', "")
    agrees('"requestParameters":{},"resources":[ ]', '"RequestParameters":"{}","Resources":"[]"')


def test_json_columns_keep_numbers_doubles_and_escapes_as_they_came():
    agrees(
        r'"requestParameters": { "n" : 1.0, "n": 1E5, "big": 12345678901234567890, "s" : "\u00e9 \/ é" }',
        r'"RequestParameters":"{\"n\":1.0,\"n\":1E5,\"big\":12345678901234567890,\"s\":\"\\u00e9 \\/ é\"}"',
    )
    differs('"requestParameters":{"n":1.0}', r'"RequestParameters":"{\"n\":1}"')
    differs(r'"requestParameters":{"s":"\u00e9"}', r'"RequestParameters":"{\"s\":\"é\"}"')


def test_a_string_in_a_json_column_stays_that_string():
    agrees(r'"responseElements":"a \"b\""', r'"ResponseElements":"a \"b\""')


def test_numbers_and_lists_in_text_columns_become_compact_text():
    agrees('"eventVersion":1.10,"errorCode":["A", "B"]', r'"EventVersion":"1.10","ErrorCode":"[\"A\",\"B\"]"')


def test_names_and_texts_may_be_escaped():
    agrees(r'"event\u004eame":"Put\u004fbject"', '"EventName":"PutObject"')


@pytest.mark.parametrize(("given", "row"), [("true", "true"), ('"true"', "true"), ("false", "false"), ('"false"', "false")])
def test_booleans_are_read_from_text_too(given, row):
    agrees(f'"readOnly":{given},"managementEvent":{given}', f'"ReadOnly":{row},"ManagementEvent":{row}')


def test_a_value_that_is_no_boolean_is_not_lost():
    agrees('"readOnly":"perhaps"', r'"AdditionalEventData":"{\"unmapped\":{\"readOnly\":\"perhaps\"}}"')


def test_without_a_session_context_mfa_is_absent_not_false():
    agrees('"userIdentity":{"type":"IAMUser"}', '"UserIdentityType":"IAMUser"')
    differs('"userIdentity":{"type":"IAMUser"}', '"UserIdentityType":"IAMUser","SessionMfaAuthenticated":false')
    agrees(
        '"userIdentity":{"sessionContext":{"attributes":{"mfaAuthenticated":"true","creationDate":"2026-03-10T11:00:00Z"}}}',
        '"SessionMfaAuthenticated":true,"SessionCreationDate":"2026-03-10T11:00:00Z"',
    )


def test_identity_center_and_session_members_have_their_columns():
    agrees(
        '"userIdentity":{"principalId":"AROA:me","onBehalfOf":{"userId":"u","identityStoreArn":"s"},'
        '"sessionContext":{"sessionIssuer":{"type":"Role","userName":"admin"},"ec2RoleDelivery":"2.0"}}',
        '"UserIdentityPrincipalid":"AROA:me","UserIdentityUserId":"u","UserIdentityStoreArn":"s",'
        '"SessionIssuerType":"Role","SessionIssuerUserName":"admin","EC2RoleDelivery":"2.0"',
    )


def test_what_has_no_column_goes_under_unmapped_by_its_path():
    record = (
        '"eventContext":{"tags":[1.0]},"addendum":null,"x":"","y":{},"z":[],"additionalEventData":{"a": 1},'
        '"userIdentity":{"credentialId":"c","sessionContext":{"webIdFederationData":{"provider":"p"},'
        '"sourceIdentity":"me","attributes":{},"more":{}}},"tlsDetails":{"tlsVersion":"TLSv1.3","keyExchange":"X25519"}'
    )
    unmapped = (
        r"\"eventContext\":{\"tags\":[1.0]},\"userIdentity\":{\"credentialId\":\"c\",\"sessionContext\":"
        r"{\"sourceIdentity\":\"me\",\"webIdFederationData\":{\"provider\":\"p\"}}},\"tlsDetails\":{\"keyExchange\":\"X25519\"}"
    )
    row = rf'"TlsVersion":"TLSv1.3","AdditionalEventData":"{{\"a\":1,\"unmapped\":{{{unmapped}}}}}"'
    agrees(record, row)
    differs(record, row.replace("[1.0]", "[1]"))
    differs(record, row.replace(r"\"a\":1,", ""))
    differs(record, row.replace(r"\"sourceIdentity\":\"me\",", ""))
    differs(record, row.replace(r"\"userIdentity\":{", r"\"y\":{},\"userIdentity\":{"))


def test_nothing_is_unmapped_where_every_member_has_its_column():
    agrees('"userIdentity":{"sessionContext":{"attributes":{},"sessionIssuer":{}}},"tlsDetails":{}', "")


@pytest.mark.parametrize("given", ['"text"', "[1, 2]", "7"])
def test_additional_event_data_that_is_no_object_becomes_the_member_value(given):
    value = json.dumps(given.replace(" ", ""))[1:-1]
    agrees(
        f'"additionalEventData":{given},"addendum":{{"reason":"DELAYED"}}',
        rf'"AdditionalEventData":"{{\"value\":{value},\"unmapped\":{{\"addendum\":{{\"reason\":\"DELAYED\"}}}}}}"',
    )


def test_additional_event_data_alone_is_carried_as_it_came():
    agrees('"additionalEventData":[ 1 ]', '"AdditionalEventData":"[1]"')
    agrees('"additionalEventData":"text"', '"AdditionalEventData":"text"')


def test_identities_that_are_no_objects_are_not_lost():
    agrees('"userIdentity":"me"', r'"AdditionalEventData":"{\"unmapped\":{\"userIdentity\":\"me\"}}"')


def test_guid_columns_take_only_guids():
    guid = "0Fe8A8aF-1234-4abc-9def-0123456789ab"
    agrees(f'"eventID":"{guid}","sharedEventID":"{guid}"', f'"AwsEventId":"{guid}","SharedEventId":"{guid}"')
    for other in ("not a guid", guid.replace("-", ""), guid + "0", guid[:-1], "{" + guid + "}"):
        agrees(f'"eventID":"{other}"', rf'"AdditionalEventData":"{{\"unmapped\":{{\"eventID\":\"{other}\"}}}}"')
    agrees('"requestID":"any text"', '"AwsRequestId_":"any text"')


def test_the_first_rule_of_a_security_group_has_columns():
    parameters = (
        '{"ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"ipRanges":{"items":'
        '[{"cidrIp":"192.0.2.0/24"},{"cidrIp":"0.0.0.0/0"}]}},{"ipProtocol":"udp"}]}}'
    )
    agrees(
        f'"requestParameters":{parameters}',
        f'"RequestParameters":{json.dumps(parameters)},"CidrIp":"192.0.2.0/24","IpProtocol":"tcp",'
        '"SourcePort":"22","DestinationPort":"22"',
    )
    agrees('"requestParameters":{"ipPermissions":{"items":[]}}', r'"RequestParameters":"{\"ipPermissions\":{\"items\":[]}}"')
    agrees('"requestParameters":{"ipPermissions":{}}', r'"RequestParameters":"{\"ipPermissions\":{}}"')


def test_of_doubles_the_last_counts():
    agrees('"eventName":"A","eventName":"B"', '"EventName":"B"')
    agrees('"userIdentity":{"type":"A","type":"B"}', '"UserIdentityType":"B"')
    agrees('"errorCode":"A","errorCode":null', "")


def test_stale_times_are_carried_in_a_column_of_their_own():
    edges = {"2026-03-08T12:00:00Z": False, "2026-03-08T11:59:59Z": True, "2026-03-11T12:00:00Z": False, "2026-03-11T12:00:01Z": True}
    for time, stale in edges.items():
        row = {"TimeGenerated": time} | ({"EventTime_CF": time} if stale else {})
        assert cloudtrail_differences(f'{{"eventTime":"{time}"}}', json.dumps(row)) == []
        row = {"TimeGenerated": time} | ({} if stale else {"EventTime_CF": time})
        assert cloudtrail_differences(f'{{"eventTime":"{time}"}}', json.dumps(row)) != []


def test_times_are_compared_as_instants_and_must_be_utc():
    record = '{"eventTime":"2026-03-10T13:58:07.500+02:00"}'
    assert cloudtrail_differences(record, '{"TimeGenerated":"2026-03-10T11:58:07.5Z"}') == []
    assert cloudtrail_differences(record, '{"TimeGenerated":"2026-03-10T13:58:07.5+02:00"}') != []
    assert cloudtrail_differences(record, '{"TimeGenerated":"2026-03-10T11:58:07Z"}') != []


def test_without_a_readable_time_the_time_of_reading_counts():
    assert cloudtrail_differences('{"eventTime":null}', '{"TimeGenerated":"2026-03-10T12:01:00.123Z"}') == []
    assert cloudtrail_differences("{}", '{"TimeGenerated":"2026-03-10T13:01:00Z"}') != []
    unreadable = '{"TimeGenerated":"2026-03-10T12:01:00Z","AdditionalEventData":"{\\"unmapped\\":{\\"eventTime\\":\\"soon\\"}}"}'
    assert cloudtrail_differences('{"eventTime":"soon"}', unreadable) == []


def test_long_texts_are_cut_at_a_character():
    whole = "a" + "é" * 40_000
    assert cloudtrail_row(f'{{{TIME},"userAgent":"{whole}"}}', NOW)["UserAgent"] == CutText(whole)
    good = whole.encode()[: 65_536 - 3].decode("utf-8", "ignore") + "…"
    agrees(f'"userAgent":"{whole}"', f'"UserAgent":"{good}"')
    differs(f'"userAgent":"{whole}"', f'"UserAgent":"{whole[:100]}…"')
    differs(f'"userAgent":"{whole}"', f'"UserAgent":"{whole}"')
    differs(f'"userAgent":"{whole}"', f'"UserAgent":"{"b" + good[1:]}"')
    agrees(f'"userAgent":"{"a" * 65_536}"', f'"UserAgent":"{"a" * 65_536}"')
    differs(f'"userAgent":"{"a" * 65_537}"', f'"UserAgent":"{"a" * 65_537}"')


def test_long_json_says_what_was_cut():
    whole = '{"a":"' + "x" * 70_000 + '"}'
    expected = cloudtrail_row(f'{{{TIME},"requestParameters":{whole}}}', NOW)
    assert expected["RequestParameters"] == CutJson(whole)
    notice = {"truncated": True, "bytes": len(whole), "sha256": hashlib.sha256(whole.encode()).hexdigest(), "head": whole[:60_000]}
    for change, agree in [({}, True), ({"bytes": 1}, False), ({"sha256": "0" * 64}, False), ({"head": "y" * 60_000}, False), ({"head": whole}, False)]:
        row = json.dumps({"TimeGenerated": "2026-03-10T11:58:07Z", "RequestParameters": json.dumps(notice | change)})
        assert (differences(expected, row) == []) is agree


def test_unmapped_counts_towards_the_limit():
    row = cloudtrail_row(f'{{{TIME},"addendum":"{"x" * 70_000}"}}', NOW)
    assert isinstance(row["AdditionalEventData"], CutJson)
    assert isinstance(cloudtrail_row(f'{{{TIME},"addendum":"x"}}', NOW)["AdditionalEventData"], WithUnmapped)


def test_half_a_surrogate_pair_may_be_repaired():
    agrees(r'"userAgent":"a\ud800b"', '"UserAgent":"a\ufffdb"')


def test_a_column_that_stands_twice_or_should_not_be_there_is_a_difference():
    differs('"eventName":"A"', '"EventName":"A","EventName":"A"')
    differs('"eventName":"A"', '"EventName":"A","OperationName":"CloudTrail"')
    differs('"eventName":"A"', "")


FINDING = (
    '{"schemaVersion":"2.0","accountId":111122223333,"id":"f","type":"T:E/N","severity":6.9,"updatedAt":"2026-03-10T11:58:07.123Z",'
    '"createdAt":"2026-03-09T00:00:00.000Z","resource":{"AWS::EC2::Instance":"i"},"service":{"lat":5.0,"asn":12345678901234567890,"none":null}}'
)


def test_a_finding_makes_objects_a_floored_severity_and_a_text_of_the_account():
    row = (
        '{"SchemaVersion":"2.0","AccountId":"111122223333","Id":"f","ActivityType":"T:E/N","Severity":6,'
        '"TimeGenerated":"2026-03-10T11:58:07.123Z","TimeCreated":"2026-03-09T00:00:00Z",'
        '"ResourceDetails":{"AWS::EC2::Instance":"i"},"ServiceDetails":{"asn":12345678901234567890,"lat":5.0,"none":null}}'
    )
    expected = guardduty_row(FINDING, NOW)
    assert differences(expected, row) == []
    for wrong in [
        row.replace("5.0", "5"),
        row.replace('"Severity":6', '"Severity":7'),
        row.replace('"Severity":6', '"Severity":6.9'),
        row.replace('"111122223333"', "111122223333"),
        row.replace('{"AWS::EC2::Instance":"i"}', '"{}"'),
        row.replace("12345678901234567890", "12345678901234567000"),
    ]:
        assert differences(expected, wrong) != []


@pytest.mark.parametrize(("given", "floor"), [("5.0", "5"), ("8", "8"), ("6.9", "6"), ("0.2", "0"), ("8.9e0", "8")])
def test_severity_is_floored(given, floor):
    assert guardduty_row(f'{{"severity":{given}}}', NOW)["Severity"] == Number(floor)


def test_the_api_casing_of_a_finding_is_turned_to_camel_case_at_every_level():
    row = guardduty_row(
        '{"Id":"f","AccountId":"1","Type":"T","Severity":8,"UpdatedAt":"2026-03-01T00:00:00Z","Title":"",'
        '"Resource":{"ResourceType":"Instance","Tags":[{"Key":"K","Value":"V"}],"IamRole":{}},"Service":{}}',
        NOW,
    )
    old = Instant(datetime(2026, 3, 1, tzinfo=timezone.utc))
    assert row == {
        "Id": "f",
        "AccountId": "1",
        "ActivityType": "T",
        "Severity": Number("8"),
        "TimeGenerated": old,
        "EventTime_CF": old,
        "ResourceDetails": {"resourceType": "Instance", "tags": [{"key": "K", "value": "V"}], "iamRole": {}},
        "ServiceDetails": {},
    }


def test_records_are_found_however_they_stand():
    record = '{"eventVersion":"1.11", "eventSource":"s3.amazonaws.com","x":1.0}'
    notification = '{"eventVersion":"2.5","eventSource":"aws:s3","s3":{}}'
    finding = '{"schemaVersion":"2.0","updatedAt":"t","service":{}}'
    for text in (record, f"[{record}]", f'{{"Records":[{record}]}}', f'{{"detail":{record}}}', f'[{{"aws":{{"cloudtrail": {record}}}}}]'):
        assert list(corpus.find(text)) == [("cloudtrail", record)]
    assert list(corpus.find(f'{{"detail":{finding}}}')) == [("guardduty", finding)]
    assert list(corpus.find(f'{{"Records":[{notification}]}}')) == []


@pytest.mark.skipif(not corpus.FOLDER.is_dir(), reason="no samples beside the repository")
def test_every_sample_makes_a_row():
    rows = 0
    for sample in corpus.samples():
        row = (cloudtrail_row if sample.kind == corpus.CLOUDTRAIL else guardduty_row)(sample.text, NOW)
        assert len(row) > 3
        rows += 1
    assert rows > 1_000
