"""What a record must look like in Sentinel: a second, independent reading, to hold against the rows we really send.

CloudTrail: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>,
GuardDuty: <https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html>,
tables: <https://learn.microsoft.com/azure/azure-monitor/reference/tables/awscloudtrail> and its siblings.
It shares no code with the function and never reads its output to find out what is right.

`cloudtrail_row` and `guardduty_row` give the expected row, `differences` holds it against a row's JSON text. A value is
str, bool, Number, dict or list where only that very value will do, else an object that says what is wrong with one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import botocore.session
from verbatim import Number, compact, elements, is_array, is_object, members, parse

MOST_VALUE_BYTES = 65_536
"""What a text or dynamic value may hold: https://learn.microsoft.com/azure/azure-monitor/service-limits."""

OLDEST, NEWEST = timedelta(days=2), timedelta(days=1)
"""Outside of these the service puts the time of receipt in place of TimeGenerated."""

LEAST_HEAD_BYTES = 30_000
"""What a cut JSON value has to keep at least: escaping may double its head."""

READING_TOLERANCE = timedelta(minutes=15)
"""How far "the time of reading" may lie from the time that the caller takes for it."""

HOLLOW = ("null", '""', "{}", "[]")
"""What is not carried of a member without a column."""

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
JSON_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d{1,9})?")
RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)"
)
RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.", re.DOTALL
)
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Instant:
    """A time: the row must spell it as RFC 3339 in UTC."""

    seconds: datetime
    fraction: str = ""

    def difference(self, value: Any) -> str | None:
        """What is wrong with the row's value."""
        if not isinstance(value, str) or not RFC_3339_UTC.fullmatch(value):
            return f"{value!r} is no RFC 3339 time in UTC"
        return None if instant(value) == self else f"{value!r} is not {self}"


@dataclass(frozen=True)
class TimeOfReading:
    """The record has no time of its own."""

    about: datetime

    def difference(self, value: Any) -> str | None:
        """What is wrong with the row's value."""
        read = instant(value) if isinstance(value, str) and RFC_3339_UTC.fullmatch(value) else None
        if read is None:
            return f"{value!r} is no RFC 3339 time in UTC"
        return None if abs(read.seconds - self.about) <= READING_TOLERANCE else f"{value!r} is not about {self.about}"


@dataclass(frozen=True)
class CutText:
    """A plain text over the limit: its beginning, whole characters, then an ellipsis."""

    whole: str

    def difference(self, value: Any) -> str | None:
        """What is wrong with the row's value."""
        if not isinstance(value, str) or not value.endswith("…"):
            return "no text that ends in an ellipsis"
        if not self.whole.startswith(value[:-1]) or len(value) < 2:
            return "not a beginning of the text"
        size = len(_repaired(value).encode())
        longest_left_out = len("…".encode()) + 4
        return _size_difference(value) or (f"only {size} bytes" if size <= MOST_VALUE_BYTES - longest_left_out else None)


@dataclass(frozen=True)
class CutJson:
    """JSON text over the limit: valid JSON that says how long it was, its SHA-256, and how it began."""

    whole: str
    order_is_free: bool = False
    as_object: bool = False

    def difference(self, value: Any) -> str | None:
        """What is wrong with the row's value."""
        if not self.as_object and not isinstance(value, str):
            return "not a text"
        notice = value if self.as_object else parse(value)
        if not isinstance(notice, dict) or set(notice) != {"truncated", "bytes", "sha256", "head"}:
            return "not of the form truncated, bytes, sha256, head"
        whole = self.whole.encode("utf-8", "replace")
        if notice["truncated"] is not True or notice["bytes"] != Number(str(len(whole))):
            return f"truncated is {notice['truncated']}, bytes {notice['bytes']}, not {len(whole)}"
        head = notice["head"]
        if not isinstance(head, str) or len(_repaired(head).encode()) < LEAST_HEAD_BYTES:
            return "hardly a head"
        if size := _size_difference(_quoted(head) if self.as_object else value):
            return size
        if self.order_is_free:
            return None if re.fullmatch("[0-9a-f]{64}", str(notice["sha256"])) else "sha256 is no hex digest"
        if notice["sha256"] != hashlib.sha256(whole).hexdigest():
            return "another sha256"
        return None if self.whole.startswith(head) else "head is not how it begins"


@dataclass(frozen=True)
class WithUnmapped:
    """AdditionalEventData with what has no column: the record's own members verbatim, then `unmapped` in any order."""

    own: tuple[tuple[str, str], ...]
    unmapped: dict[str, Any]

    @property
    def text(self) -> str:
        """One way to write it."""
        parts = [f"{_quoted(name)}:{value}" for name, value in self.own]
        return "{" + ",".join([*parts, f'"unmapped":{_written(self.unmapped)}']) + "}"

    def difference(self, value: Any) -> str | None:
        """What is wrong with the row's value."""
        if not isinstance(value, str):
            return f"{value!r} is not a text"
        if value != compact(value):
            return "not compact"
        given = list(members(value))
        if not given or given[-1][0] != "unmapped":
            return "the last member is not unmapped"
        if tuple(given[:-1]) != self.own:
            return f"the record's own members are {given[:-1]}, not {list(self.own)}"
        return _unmapped_difference(self.unmapped, given[-1][1], "unmapped")


def differences(expected: dict[str, Any], row_text: str) -> list[str]:
    """What tells the row's JSON text from the expected row; nothing where they agree."""
    names = [name for name, _ in members(row_text)]
    found = [f"{name} stands {names.count(name)} times" for name in sorted(set(names)) if names.count(name) > 1]
    row = parse(row_text)
    found += [f"{column} is missing, should be {expected[column]!r}" for column in expected if column not in row]
    for column, value in row.items():
        if column not in expected:
            found.append(f"{column} should not be there, is {value!r}")
            continue
        want = expected[column]
        if hasattr(want, "difference"):
            fault = want.difference(value)
        else:
            fault = None if _repaired(want) == _repaired(value) else f"{value!r} should be {want!r}"
        if fault:
            found.append(f"{column}: {fault}")
    return found


@dataclass
class Reading:
    """The row of one record as it grows, and what found no column."""

    now: datetime
    row: dict[str, Any] = field(default_factory=dict)
    additional: str | None = None


def text_column(column: str) -> Callable[[Reading, str], bool]:
    """A string as it is; an object, a list, a number or anything else as compact JSON text, verbatim."""

    def put(reading: Reading, raw: str) -> bool:
        value = parse(raw)
        reading.row[column] = _limited_text(value) if isinstance(value, str) else _limited_json(compact(raw))
        return True

    return put


def guid_column(column: str) -> Callable[[Reading, str], bool]:
    """A GUID in 8-4-4-4-12 form, nothing else."""

    def put(reading: Reading, raw: str) -> bool:
        value = parse(raw)
        if not isinstance(value, str) or not GUID.fullmatch(value):
            return False
        reading.row[column] = value
        return True

    return put


def boolean_column(column: str) -> Callable[[Reading, str], bool]:
    """A JSON boolean, also from the texts true and false."""

    def put(reading: Reading, raw: str) -> bool:
        value = {"true": True, "false": False, '"true"': True, '"false"': False}.get(raw)
        if value is None:
            return False
        reading.row[column] = value
        return True

    return put


def time_column(column: str) -> Callable[[Reading, str], bool]:
    """A time that can be read."""

    def put(reading: Reading, raw: str) -> bool:
        value = instant(parse(raw))
        if value is None:
            return False
        reading.row[column] = value
        return True

    return put


def security_group_columns(reading: Reading, raw: str) -> bool:
    """RequestParameters, and the first rule of a security group that they may hold."""
    text_column("RequestParameters")(reading, raw)
    rule = _first_item(_member(raw, "ipPermissions"))
    for column, value in {
        "CidrIp": _member(_first_item(_member(rule, "ipRanges")), "cidrIp"),
        "IpProtocol": _member(rule, "ipProtocol"),
        "SourcePort": _member(rule, "fromPort"),
        "DestinationPort": _member(rule, "toPort"),
    }.items():
        if value is not None and compact(value) not in ("null", '""'):
            text_column(column)(reading, value)
    return True


def additional_event_data(reading: Reading, raw: str) -> bool:
    """Kept until it is known what else has to go with it."""
    reading.additional = raw
    return True


CLOUDTRAIL: dict[str, Any] = {
    "eventTime": time_column("TimeGenerated"),
    "eventID": guid_column("AwsEventId"),
    "requestID": text_column("AwsRequestId_"),
    "sharedEventID": guid_column("SharedEventId"),
    "vpcEndpointId": text_column("VpcEndpointId"),
    "recipientAccountId": text_column("RecipientAccountId"),
    "eventVersion": text_column("EventVersion"),
    "eventSource": text_column("EventSource"),
    "eventName": text_column("EventName"),
    "eventType": text_column("EventTypeName"),
    "eventCategory": text_column("Category"),
    "apiVersion": text_column("APIVersion"),
    "awsRegion": text_column("AWSRegion"),
    "sourceIPAddress": text_column("SourceIpAddress"),
    "userAgent": text_column("UserAgent"),
    "errorCode": text_column("ErrorCode"),
    "errorMessage": text_column("ErrorMessage"),
    "readOnly": boolean_column("ReadOnly"),
    "managementEvent": boolean_column("ManagementEvent"),
    "requestParameters": security_group_columns,
    "responseElements": text_column("ResponseElements"),
    "additionalEventData": additional_event_data,
    "serviceEventDetails": text_column("ServiceEventDetails"),
    "resources": text_column("Resources"),
    "userIdentity": {
        "type": text_column("UserIdentityType"),
        "principalId": text_column("UserIdentityPrincipalid"),
        "arn": text_column("UserIdentityArn"),
        "accountId": text_column("UserIdentityAccountId"),
        "invokedBy": text_column("UserIdentityInvokedBy"),
        "accessKeyId": text_column("UserIdentityAccessKeyId"),
        "userName": text_column("UserIdentityUserName"),
        "onBehalfOf": {
            "userId": text_column("UserIdentityUserId"),
            "identityStoreArn": text_column("UserIdentityStoreArn"),
        },
        "sessionContext": {
            "attributes": {
                "mfaAuthenticated": boolean_column("SessionMfaAuthenticated"),
                "creationDate": time_column("SessionCreationDate"),
            },
            "sessionIssuer": {
                "type": text_column("SessionIssuerType"),
                "principalId": text_column("SessionIssuerPrincipalId"),
                "arn": text_column("SessionIssuerArn"),
                "accountId": text_column("SessionIssuerAccountId"),
                "userName": text_column("SessionIssuerUserName"),
            },
            "ec2RoleDelivery": text_column("EC2RoleDelivery"),
        },
    },
    "tlsDetails": {
        "tlsVersion": text_column("TlsVersion"),
        "cipherSuite": text_column("CipherSuite"),
        "clientProvidedHostHeader": text_column("ClientProvidedHostHeader"),
    },
}


def cloudtrail_row(text: str, now: datetime) -> dict[str, Any]:
    """The row of AWSCloudTrail that a record makes."""
    text = _without_halves(text)
    parse(text)
    reading = Reading(now)
    unmapped = _take(CLOUDTRAIL, text, reading)
    _put_additional(reading, unmapped)
    _put_time(reading.row, now)
    return reading.row


def _take(columns: dict[str, Any], text: str, reading: Reading) -> dict[str, Any]:
    """Fills the columns of an object's members and gives back, by name, what has none. Of doubles the last one counts."""
    unmapped: dict[str, Any] = {}
    for name, value in dict(members(text)).items():
        raw, column = compact(value), columns.get(name)
        if isinstance(column, dict) and is_object(raw):
            if below := _take(column, raw, reading):
                unmapped[name] = below
        elif callable(column) and (raw in ("null", '""') or column(reading, raw)):
            continue
        elif raw not in HOLLOW:
            unmapped[name] = raw
    return unmapped


def _renamed(own: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The members, with one named `unmapped` out of the way: it gets one underscore more than any other has."""
    if all(name != "unmapped" for name, _ in own):
        return tuple(own)
    longest = max(len(name) for name, _ in own if re.fullmatch("unmapped_*", name))
    return tuple((name.ljust(longest + 1, "_") if name == "unmapped" else name, value) for name, value in own)


def _put_additional(reading: Reading, unmapped: dict[str, Any]) -> None:
    """AdditionalEventData, with what has no column where there is any."""
    raw = reading.additional
    if not unmapped:
        if raw is not None:
            text_column("AdditionalEventData")(reading, raw)
        return
    if raw is None:
        own: tuple[tuple[str, str], ...] = ()
    elif is_object(raw):
        own = _renamed(list(members(raw)))
    else:
        own = (("value", raw),)
    value = WithUnmapped(own, unmapped)
    over = len(value.text.encode("utf-8", "replace")) > MOST_VALUE_BYTES
    reading.row["AdditionalEventData"] = CutJson(value.text, order_is_free=True) if over else value


FINDING_TEXTS = {
    "accountId": "AccountId",
    "arn": "Arn",
    "description": "Description",
    "id": "Id",
    "partition": "Partition",
    "region": "Region",
    "schemaVersion": "SchemaVersion",
    "title": "Title",
    "type": "ActivityType",
}
FINDING_TIMES = {"updatedAt": "TimeGenerated", "createdAt": "TimeCreated"}
_GUARDDUTY = botocore.session.get_session().get_service_model("guardduty")


def guardduty_row(text: str, now: datetime) -> dict[str, Any]:
    """The row of AWSGuardDuty that a finding makes, in either casing of its names."""
    text = _without_halves(text)
    parse(text)
    reading, unmapped, service = Reading(now), dict[str, str](), None
    finding = _GUARDDUTY.shape_for("Finding")
    for name, value in dict(members(text)).items():
        pascal, raw = name[:1].isupper(), compact(value)
        if pascal:
            raw = _wire(raw, finding.members.get(name))
        name = _wire_name(name, finding)
        if raw in ("null", '""'):
            continue
        if name in FINDING_TEXTS:
            text_column(FINDING_TEXTS[name])(reading, raw)
        elif name in FINDING_TIMES and time_column(FINDING_TIMES[name])(reading, raw):
            continue
        elif name == "resource":
            reading.row["ResourceDetails"] = _limited_object(raw)
        elif name == "service":
            service = raw
        elif name == "severity" and (severity := _floor(parse(raw))) is not None:
            reading.row["Severity"] = severity
        elif raw not in HOLLOW:
            unmapped[name] = raw
    if unmapped:
        own = () if service is None else _renamed(list(members(service))) if is_object(service) else (("value", service),)
        service = WithUnmapped(own, dict(unmapped)).text
    if service is not None:
        reading.row["ServiceDetails"] = _limited_object(service)
    _put_time(reading.row, now)
    return reading.row


def _floor(value: Any) -> Number | None:
    """A number, or text of one, rounded down, where a column of type int holds it."""
    text = value.text if isinstance(value, Number) else value
    if not isinstance(text, str) or not JSON_NUMBER.fullmatch(text):
        return None
    floor = Decimal(text).to_integral_value(ROUND_FLOOR)
    return Number(str(int(floor))) if -(2**31) <= floor < 2**31 else None


def _wire(raw: str, shape: Any) -> str:
    """The value with its members' names as botocore's model of the service has them on the wire, at every level."""
    kind = shape.type_name if shape is not None else None
    if is_object(raw):
        inside = (
            (name, _wire(value, shape.value))
            if kind == "map"
            else (_wire_name(name, shape), _wire(value, shape.members.get(name) if kind == "structure" else None))
            for name, value in members(raw)
        )
        return "{" + ",".join(f"{_quoted(name)}:{value}" for name, value in inside) + "}"
    if is_array(raw):
        return "[" + ",".join(_wire(value, shape.member if kind == "list" else None) for value in elements(raw)) + "]"
    return raw


def _wire_name(name: str, shape: Any) -> str:
    """A member's name on the wire."""
    member = shape.members.get(name) if shape is not None and shape.type_name == "structure" else None
    return str(member.serialization.get("name", name)) if member is not None else _lower_first(name)


def _lower_first(name: str) -> str:
    """The name in camelCase; keys of data such as `AWS::EC2::Instance` are no names and stay, as EventBridge shows them."""
    return name[:1].lower() + name[1:] if name.isalnum() else name


def instant(value: Any) -> Instant | None:
    """The time that a text names, if it can be read."""
    match = RFC_3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
        return Instant(moment.astimezone(timezone.utc), (fraction or "").rstrip("0"))
    except (ValueError, OverflowError):
        return None


def _put_time(row: dict[str, Any], now: datetime) -> None:
    """The time of reading where there is none; EventTime_CF where the service would not take the true one."""
    time = row.setdefault("TimeGenerated", TimeOfReading(now))
    if isinstance(time, Instant) and not now - OLDEST <= time.seconds <= now + NEWEST:
        row["EventTime_CF"] = time


def _limited_text(text: str) -> str | CutText:
    return text if len(_repaired(text).encode()) <= MOST_VALUE_BYTES else CutText(text)


def _limited_json(text: str) -> str | CutJson:
    return text if len(_repaired(text).encode()) <= MOST_VALUE_BYTES else CutJson(text)


def _limited_object(raw: str) -> Any:
    return parse(raw) if len(_repaired(raw).encode()) <= MOST_VALUE_BYTES else CutJson(raw, as_object=True)


def _size_difference(value: str) -> str | None:
    size = len(_repaired(value).encode())
    return f"{size} bytes are over the limit" if size > MOST_VALUE_BYTES else None


def _member(text: str | None, name: str) -> str | None:
    return dict(members(text)).get(name) if text is not None and is_object(text) else None


def _first_item(text: str | None) -> str | None:
    items = _member(text, "items")
    return next(iter(elements(items)), None) if items is not None and is_array(items) else None


def _repaired(value: Any) -> Any:
    """Half a surrogate pair is no character: no text that is sent can hold one."""
    if isinstance(value, dict):
        return {_repaired(name): _repaired(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_repaired(inside) for inside in value]
    return SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value


def _without_halves(text: str) -> str:
    """The JSON text with U+FFFD in place of each escaped half of a surrogate pair."""
    return ESCAPE.sub(lambda escape: "\\ufffd" if escape[1] else escape[0], text)


def _quoted(name: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c if c >= " " else f"\\u{ord(c):04x}") for c in name) + '"'


def _written(unmapped: dict[str, Any] | str) -> str:
    if isinstance(unmapped, str):
        return unmapped
    return "{" + ",".join(f"{_quoted(name)}:{_written(value)}" for name, value in unmapped.items()) + "}"


def _unmapped_difference(want: dict[str, Any] | str, given: str, path: str) -> str | None:
    if isinstance(want, str):
        return None if given == want else f"{path} is {given}, not {want}"
    if not is_object(given):
        return f"{path} is no object"
    have = list(members(given))
    if sorted(name for name, _ in have) != sorted(want):
        return f"{path} has the members {[name for name, _ in have]}, not {list(want)}"
    faults = (_unmapped_difference(want[name], value, f"{path}.{name}") for name, value in have)
    return next((fault for fault in faults if fault), None)
