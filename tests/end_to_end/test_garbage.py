"""Objects that are no good, each announced with a good one in one batch of the queue.

The good one always lands whole, the function lives on in little memory, and what can't be delivered is one letter.
"""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local import trail
from conftest import Start, batch, notification, stack_environment
from garbage import bomb, damaged, dressed, long, nested, pack, raw, record, records, sound, whole_records
from local.deployment import BUCKET
from local.objects import objects
from local.stack import Binaries, Stack
from local.runtime_api import Function
from storage import Storage

BAD, GOOD, AFTER = trail.key("bad"), trail.key("good"), trail.key("after")
GOOD_NUMBERS, AFTER_NUMBER = [901, 902], 903
MOST_BYTES = 64 * 1024 * 1024
# With so many attempts that failed for it, what an operator should have mended becomes a letter.
MOST_FAILED_ATTEMPTS = 10
LATE_RECEIPT = 10

Put = Callable[[str, bytes], Any]
# Reason, from_record, until_record.
Letter = tuple[str, int, int | None]


@dataclass(frozen=True)
class Landed:
    """What became of the bad object."""

    rows: list[dict[str, Any]]
    letters: list[Letter]
    comes_again: bool
    ignored: int

    @property
    def numbers(self) -> list[int]:
        """The numbers of its records that landed."""
        return numbers(self.rows)


@pytest.fixture(autouse=True, scope="module")
def _unannounced(session_stack: Stack, session_samples: None) -> Iterator[None]:
    """Nobody but the test announces objects, once the samples are there."""
    with session_stack.quiet_bucket():
        yield


@pytest.fixture(scope="module")
def process(session_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Function]:
    """One process for all that needs no environment of its own: it has to outlive everything in turn."""
    log = tmp_path_factory.mktemp("garbage") / "function.log"
    with Function(Binaries.built().forwarder, stack_environment(session_stack), log) as process:
        yield process


@pytest.fixture
def function(stack: Stack, process: Function) -> Function:
    """The function, and an empty stack."""
    return process


@pytest.fixture
def storage(stack: Stack) -> Iterator[Storage]:
    """An S3 that can be told to fail."""
    with Storage() as storage:
        yield storage


def numbers(rows: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the records that the rows were made of; 0 where a record had none."""
    return [int(row.get("AwsEventId", "0").rsplit("-", 1)[-1]) for row in rows]


def announcement(**members: str) -> str:
    """Write a notification about the bad object that says more of it, such as its entity tag."""
    event = json.loads(notification(BAD))
    event["Records"][0]["s3"]["object"] |= members
    return json.dumps(event)


def metric(function: Function, name: str) -> int:
    """Return the sum of a metric over all that the function wrote."""
    lines = [line for line in function.log().splitlines() if line.startswith("{")]
    return sum(json.loads(line).get(name, 0) for line in lines if '"_aws"' in line)


def letters_about(stack: Stack, key: str) -> list[Letter]:
    """Return all letters, which must be about this object and hold none of it."""
    found = stack.dead_letters()
    assert len(found) == stack.depth("DeadLetterQueueUrl")
    for letter in found:
        assert letter["schema"] == "sentinel-forwarder/dead-letter/1"
        assert letter["id"] and letter["message"] and letter["failed_at"]
        assert (letter["task"]["object"]["bucket"], letter["task"]["object"]["key"]) == (BUCKET, key)
        assert "event" not in letter
        assert "00000000-0000" not in json.dumps(letter), "a letter about an object is a pointer"
    return sorted(
        (letter["reason"], letter["task"].get("from_record", 0), letter["task"].get("until_record")) for letter in found
    )


def forward(
    stack: Stack, function: Function, put: Put, message: str | None = None, receives: int = 1, key: str = BAD
) -> Landed:
    """Announce the bad object together with a good one: that one lands, and the function lives."""
    put(GOOD, trail.file(*GOOD_NUMBERS))
    put(AFTER, trail.file(AFTER_NUMBER))
    ignored_before = metric(function, "Ignored")
    answer = function.invoke(batch(message or notification(key), notification(GOOD), receives=receives))
    assert answer.kind == "response", answer.body
    failed = {failure["itemIdentifier"] for failure in answer.body["batchItemFailures"]}
    assert failed <= {"0"}, "the good one is done"
    ignored = metric(function, "Ignored") - ignored_before

    assert function.invoke(batch(notification(AFTER))).body == {"batchItemFailures": []}
    rows = stack.standin.rows("AWSCloudTrail")
    by_good = [number for number in numbers(rows) if number > 900]
    assert sorted(by_good) == [*GOOD_NUMBERS, AFTER_NUMBER]
    assert function.peak_bytes() < MOST_BYTES
    assert "00000000-0000" not in function.log(), "no log text in our own log"
    bad = [row for row, number in zip(rows, numbers(rows), strict=True) if number <= 900]
    return Landed(bad, letters_about(stack, key), bool(failed), ignored)


def bad_numbers(stack: Stack) -> list[int]:
    """Return the numbers of the records that landed, those of the good objects left out."""
    return [number for number in numbers(stack.standin.rows("AWSCloudTrail")) if number <= 900]


def forward_bytes(stack: Stack, function: Function, content: bytes, key: str = BAD) -> Landed:
    """Forward an object of these bytes, which is done with at once."""
    stack.put_object(key, content)
    landed = forward(stack, function, stack.put_object, key=key)
    assert not landed.comes_again
    return landed


THREE = list(map(record, (1, 2, 3)))
PACKED = pack(sound(1, 2))

# What can't be read on: the file, the records before the fault.
BROKEN = {
    "the checksum is wrong": (PACKED[:-8] + bytes(4) + PACKED[-4:], 2),
    "the length is wrong": (PACKED[:-4] + bytes(4), 2),
    "the checksum is missing": (PACKED[:-8], 2),
    "a block is damaged": (damaged(b'{"Records":[' + THREE[0] + b",", THREE[1]), 1),
    "bytes follow the gzip stream": (PACKED + b"garbage", 2),
    "blanks follow the gzip stream": (PACKED + b"   ", 2),
    "zeros follow the gzip stream": (PACKED + bytes(512), 2),
    "a broken member follows the gzip stream": (PACKED + b"\x1f\x8b\x08garbage and more of it", 2),
    "a second document follows in a second member": (PACKED + pack(sound(3)), 2),
    "bytes follow the document": (pack(sound(1, 2) + b" x"), 2),
    "zeros follow the document": (pack(sound(1, 2) + bytes(8)), 2),
    "a second document follows": (pack(sound(1, 2) + sound(3)), 2),
    "a comma is missing between records": (pack(records(THREE[0], THREE[1] + b" " + THREE[2])), 2),
    "a comma is too many between records": (pack(records(THREE[0], b"", THREE[1])), 1),
    "a comma is too many after the last record": (pack(records(THREE[0], THREE[1], b"")), 2),
    "a word stands after a record": (pack(records(THREE[0], THREE[1] + b"oops", THREE[2])), 2),
    "a bracket is too many": (pack(records(THREE[0] + b"]", THREE[1])), 1),
    "the list ends as an object": (pack(b'{"Records":[' + THREE[0] + b"}}"), 1),
    "200,000 brackets close": (pack(records(THREE[0], after=b"]" * 200_000)), 1),
    "200,000 brackets never close": (pack(records(THREE[0], after=b',"deep":' + b"[" * 200_000)), 1),
    "the JSON ends within a record": (pack(sound(1, 2)[:-30]), 1),
    "the JSON ends between records": (pack(b'{"Records":[' + THREE[0] + b","), 1),
    "the JSON ends before its last brace": (pack(sound(1, 2)[:-1]), 2),
    "the JSON is cut off and was never packed": (sound(1, 2)[:-30], 1),
    "random bytes": (random.Random(1).randbytes(5000), 0),
    "random bytes, packed": (pack(random.Random(1).randbytes(5000)), 0),
    "random bytes after the magic bytes of gzip": (b"\x1f\x8b\x08\x00" + random.Random(1).randbytes(5000), 0),
    "an image": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + random.Random(1).randbytes(5000), 0),
    "a page": (b"<!DOCTYPE html>\n<html><body>It works!</body></html>", 0),
    "a list": (pack(b"[" + THREE[0] + b"]"), 0),
    "another document": (pack(b'{"fruit":["apple"]}'), 0),
    "the list of records is null": (pack(b'{"Records":null}'), 0),
    "the list of records is an object": (pack(b'{"Records":{"0":' + THREE[0] + b"}}"), 0),
    "the list of records is a text": (pack(b'{"Records":"none"}'), 0),
    "the list of records is a number": (pack(b'{"Records":0}'), 0),
    "a gzip stream in a gzip stream": (pack(PACKED), 0),
    "one byte": (b"{", 0),
    "the first byte of a gzip stream": (b"\x1f", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_delivers_what_comes_before_the_break(stack: Stack, function: Function, name: str) -> None:
    content, delivered = BROKEN[name]
    landed = forward_bytes(stack, function, content)
    assert landed.numbers == list(range(1, delivered + 1))
    assert landed.letters == [("Corrupt", delivered, None)]
    assert stack.standin.state()["refusals"]["total"] == 0


def test_a_file_cut_in_the_middle_delivers_every_record_that_is_whole(stack: Stack, function: Function) -> None:
    content = long(200)
    half = content[: len(content) // 2]
    whole = whole_records(half)
    assert 50 < whole < 150
    landed = forward_bytes(stack, function, half)
    assert landed.numbers == list(range(1, whole + 1))
    assert landed.letters == [("Corrupt", whole, None)]


# A record that can't be told from what follows: the second of three.
UNCLOSED = {
    "a string never ends": b'{"eventName":"GetObject,"awsRegion":"us-east-1"}',
    "an object ends as a list": b'{"resources":{"a":1]}',
    "a list ends as an object": b'{"resources":[1}',
    "a brace is missing": b'{"resources":{"a":1}',
}
@pytest.mark.parametrize(
    "name",
    [
        "a string never ends",
        "an object ends as a list",
        "a list ends as an object",
        "a brace is missing",
    ],
)
def test_a_record_without_an_end_is_one_letter(stack: Stack, function: Function, name: str) -> None:
    landed = forward_bytes(stack, function, pack(records(THREE[0], UNCLOSED[name], THREE[2])))
    assert landed.numbers[:1] == [1]
    (letter,) = landed.letters
    assert letter in {("Corrupt", 1, 2), ("Corrupt", 1, None)}
    assert landed.numbers == ([1, 3] if letter[2] else [1])


# What spoils its own record alone: the second of three.
SPOILT = {
    "a number": b"7",
    "a text": b'"},{\\""',
    "null": b"null",
    "a list": b"[" + THREE[1] + b"]",
    "a deep list": nested(),
    "no JSON word": b'{"readOnly":tru}',
    "a number that is none": b'{"requestParameters":{"size":NaN}}',
    "a comma too many": b'{"eventVersion":"1.11",}',
    "no colon": b'{"eventVersion"}',
    "a name without quotes": b"{eventVersion:1}",
    "an escape that is none": b'{"eventVersion":"\\x"}',
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_broken_record_is_one_letter_and_its_neighbours_land(stack: Stack, function: Function, name: str) -> None:
    landed = forward_bytes(stack, function, pack(records(THREE[0], SPOILT[name], THREE[2])))
    assert landed.numbers == [1, 3]
    assert landed.letters == [("Corrupt", 1, 2)]


def test_records_in_a_row_that_are_no_objects_are_one_letter(stack: Stack, function: Function) -> None:
    texts = [THREE[0], b"7", THREE[1], b"null", b'"text"', b"[]", b"true", b"-1.5e3", THREE[2], b"false"]
    landed = forward_bytes(stack, function, pack(records(*texts)))
    assert landed.numbers == [1, 2, 3]
    assert landed.letters == [("Corrupt", 1, 2), ("Corrupt", 3, 8), ("Corrupt", 9, 10)]


def test_a_million_records_that_are_no_objects_are_one_letter(stack: Stack, function: Function) -> None:
    landed = forward_bytes(stack, function, pack(records(THREE[0], b"7," * 999_999 + b"7", THREE[1])))
    assert landed.numbers == [1, 2]
    assert landed.letters == [("Corrupt", 1, 1_000_001)]


def test_two_hundred_thousand_levels_in_a_record_are_delivered(stack: Stack, function: Function) -> None:
    deep = nested()
    names = ["requestParameters", "userIdentity", "newInYears", "eventName", "additionalEventData"]
    texts = [raw(number, f'"{name}":'.encode() + deep) for number, name in enumerate(names, 2)]
    texts.append(raw(7, b'"tlsDetails":{"new":' + deep + b"}"))
    texts.append(raw(8, b'"requestParameters":{"ipPermissions":{"items":' + deep + b"}}"))
    landed = forward_bytes(stack, function, pack(records(record(1), *texts, record(9))))
    assert landed.numbers == list(range(1, 10))
    assert landed.letters == []
    assert json.loads(landed.rows[1]["RequestParameters"])["bytes"] == len(deep)
    assert stack.standin.state()["refusals"]["total"] == 0


# What is sound for all that it looks odd.
SOUND = {
    "a second member goes on with the document": pack(sound(1, 2)[:700]) + pack(sound(1, 2)[700:]),
    "a member for each byte": b"".join(pack(bytes([byte])) for byte in sound(1, 2)),
    "an empty member at the end": PACKED + pack(b""),
    "never packed": sound(1, 2),
    "a name, a comment and more in the head of the gzip stream": dressed(sound(1, 2)),
    "a byte order mark": pack(b"\xef\xbb\xbf" + sound(1, 2)),
    "blanks all around": pack(b"\r\n\t " + sound(1, 2) + b"\r\n\t "),
    "200,000 levels before the records": pack(records(*THREE[:2], before=b'"deep":' + nested() + b",")),
    "200,000 levels after the records": pack(records(*THREE[:2], after=b',"deep":' + nested())),
    "a long name": pack(records(*THREE[:2], before=b'"' + b"x" * 9_000_000 + b'":1,')),
    "a name with escapes": pack(b'{"\\u0052ecords":[' + b",".join(THREE[:2]) + b"]}"),
    "another list of that name deeper": pack(records(*THREE[:2], before=b'"more":{"Records":[7]},')),
    "bytes that are no text outside of the records": pack(records(*THREE[:2], before=b'"\xff\xfe":"\xff\x00",')),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_an_odd_file_that_is_sound_lands_without_a_letter(stack: Stack, function: Function, name: str) -> None:
    landed = forward_bytes(stack, function, SOUND[name])
    assert landed.numbers == [1, 2]
    assert landed.letters == []


# Text that a strict reader refuses: members of a record, a column, its value.
REPAIRED = {
    "bytes that are no UTF-8": (b'"userAgent":"a\xff\xfeb"', "UserAgent", "a\ufffd\ufffdb"),
    "a character cut in half": (b'"userAgent":"a\xe2\x82"', "UserAgent", "a\ufffd"),
    "such bytes in a name": (b'"requestParameters":{"\xff":1}', "RequestParameters", '{"\ufffd":1}'),
    "the first half of a surrogate": (b'"userAgent":"a\\ud83d b"', "UserAgent", "a\ufffd b"),
    "the second half of a surrogate": (b'"userAgent":"\\uDE00"', "UserAgent", "\ufffd"),
    "halves in the wrong order": (b'"userAgent":"\\ude00\\ud83d"', "UserAgent", "\ufffd\ufffd"),
    "a half in a name": (b'"newInYears":{"\\ud83d":1}', "AdditionalEventData", '{"unmapped":{"newInYears":{"\\ufffd":1}}}'),
    "a whole pair": (b'"userAgent":"\\ud83d\\ude00"', "UserAgent", "\U0001f600"),
    "raw control characters": (b'"userAgent":"a\x00\x01\t\n\x1fb"', "UserAgent", "a\x00\x01\t\n\x1fb"),
    "such characters inside": (b'"requestParameters":{"a":"x\ty"}', "RequestParameters", '{"a":"x\\u0009y"}'),
    "a key that comes twice": (b'"userAgent":"first","userAgent":"last"', "UserAgent", "last"),
    "a key that comes twice inside": (b'"requestParameters":{"a":1,"a":2}', "RequestParameters", '{"a":1,"a":2}'),
    "a number that no float holds": (b'"requestParameters":{"a":1e99999}', "RequestParameters", '{"a":1e99999}'),
}  # fmt: skip


@pytest.mark.parametrize("name", REPAIRED)
def test_text_that_a_strict_reader_refuses_is_delivered_repaired(stack: Stack, function: Function, name: str) -> None:
    members, column, value = REPAIRED[name]
    landed = forward_bytes(stack, function, pack(records(record(1), raw(2, members), record(3))))
    assert landed.numbers == [1, 2, 3]
    assert landed.letters == []
    assert landed.rows[1][column] == value
    assert stack.standin.state()["refusals"]["total"] == 0


# Fields that every record may have, and what they may hold instead.
FIELDS = """
    additionalEventData addendum apiVersion awsRegion edgeDeviceDetails errorCode errorMessage eventCategory
    eventContext eventID eventName eventSource eventTime eventType eventVersion insightDetails managementEvent
    readOnly recipientAccountId requestID requestParameters resources responseElements serviceEventDetails
    sessionCredentialFromConsole sharedEventID sourceIPAddress tlsDetails userAgent userIdentity vpcEndpointId
""".split()
VALUES: list[Any] = [None, True, 17, -1.5, 10**400, "", "x", "ÿ\n\u2028", [], [[], None], {}, {"": {}}, {"a": [1]}]
TIMES = ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01"]
TIMES += ["-009999-01-01T00:00:00Z", "2026-01-01T00:00:00+14:00", "2026-01-01t00:00:00z", "2026-01-01 00:00:00Z", "1e9"]
TIMES += ["2026-01-01T00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z", "+" + "9" * 100]


def odd_records(values: list[Any], times: list[str]) -> list[bytes]:
    """Return records each of which has one field that holds one of the values, or of the times."""
    session = [{"attributes": {"creationDate": value}} for value in values + times]
    session += [{inner: value} for inner in ("attributes", "sessionIssuer", "ec2RoleDelivery") for value in values]
    session += [{"attributes": {"mfaAuthenticated": value}} for value in values]
    odd: list[dict[str, Any]] = [{field: value} for field in FIELDS for value in values]
    odd += [{"eventTime": time} for time in times]
    odd += [{"userIdentity": {inner: value}} for inner in ("sessionContext", "onBehalfOf", "arn") for value in values]
    odd += [{"userIdentity": {"sessionContext": context}} for context in session]
    odd += [{"requestParameters": {"ipPermissions": {"items": value}}} for value in values]
    return [record(1, **members) for members in odd]


def test_fields_of_another_kind_land_without_a_letter(stack: Stack, function: Function) -> None:
    odd = odd_records(VALUES, TIMES)
    landed = forward_bytes(stack, function, pack(records(*odd)))
    assert len(landed.rows) == len(odd)
    assert landed.letters == []
    assert stack.standin.state()["refusals"]["total"] == 0


def test_a_leap_second_lands_without_a_letter(stack: Stack, function: Function) -> None:
    odd = odd_records([], ["2016-12-31T23:59:60Z"])
    landed = forward_bytes(stack, function, pack(records(*odd)))
    assert len(landed.rows) == len(odd)
    assert landed.letters == []
    assert stack.standin.state()["refusals"]["total"] == 0


NO_RECORDS = {
    "no byte": (BAD, b""),
    "no byte in a gzip stream": (BAD, pack(b"")),
    "blanks": (BAD, pack(b" \r\n")),
    "an empty list": (BAD, pack(b'{"Records":[]}')),
    "an image that no key claims": ("photos/holiday.jpg", b"\xff\xd8\xff\xe0" + random.Random(1).randbytes(5000)),
    "a page that no key claims": ("index.html", b"<html></html>"),
    "another document that no key claims": ("fruit.json", b'{"fruit":["apple"]}'),
    "another service's log": (BAD.replace("CloudTrail", "vpcflowlogs"), b"\x1f\x8bgarbage"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_RECORDS)
def test_a_file_without_records_is_ignored_and_counted(stack: Stack, function: Function, name: str) -> None:
    key, content = NO_RECORDS[name]
    landed = forward_bytes(stack, function, content, key)
    assert landed.numbers == []
    assert landed.letters == []
    assert landed.ignored == 1


BOMBS = {
    "blanks between records": (THREE[0], b" ", b"," + THREE[1], [1, 2], []),
    "a text in a record": (THREE[0] + b',{"userAgent":"', b"x", b'"},' + THREE[2], [1, 3], [("TooLarge", 1, 2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_bursts_in_little_memory(stack: Stack, function: Function, name: str) -> None:
    before, filler, after, delivered, letters = BOMBS[name]
    content = bomb(b'{"Records":[' + before, filler, after + b"]}")
    assert len(content) < 1_500_000
    landed = forward_bytes(stack, function, content)
    assert landed.numbers == delivered
    assert landed.letters == letters


def test_a_value_over_64_kb_is_cut_without_a_letter(stack: Stack, function: Function) -> None:
    texts = [record(1, userAgent="x" * 70_000), record(2, requestParameters={"a": "y" * 70_000}), record(3)]
    landed = forward_bytes(stack, function, pack(records(*texts)))
    assert landed.numbers == [1, 2, 3]
    assert landed.letters == []
    assert landed.rows[0]["UserAgent"] == "x" * 65_533 + "…"
    cut = json.loads(landed.rows[1]["RequestParameters"])
    assert cut["truncated"] is True and cut["bytes"] == 70_000 + len('{"a":""}')
    assert stack.standin.state()["refusals"]["total"] == 0


def test_a_row_over_the_limit_of_a_request_is_one_letter(stack: Stack, function: Function) -> None:
    names = ["eventSource", "eventName", "userAgent", "errorCode", "errorMessage", "requestID", "apiVersion"]
    names += ["requestParameters", "responseElements", "serviceEventDetails", "vpcEndpointId", "eventCategory"]
    names += ["eventVersion", "sourceIPAddress", "awsRegion", "eventType", "additionalEventData", "recipientAccountId"]
    big = record(2, **dict.fromkeys(names, "x" * 60_000))
    landed = forward_bytes(stack, function, pack(records(record(1), big, record(3))))
    assert landed.numbers == [1, 3]
    assert landed.letters == [("TooLarge", 1, 2)]


def test_a_record_that_sentinel_rejects_is_one_letter(stack: Stack, function: Function) -> None:
    stack.standin.fault(kind="reject_where", contains="poison")
    texts = [record(number, userAgent="poison" if number == 4 else "fine") for number in range(1, 8)]
    landed = forward_bytes(stack, function, pack(records(*texts)))
    assert sorted(landed.numbers) == [1, 2, 3, 5, 6, 7]
    assert landed.letters == [("Rejected", 3, 4)]
    assert stack.dead_letters()[0]["status"] == 400


def test_what_was_rejected_lands_when_its_letter_is_replayed(stack: Stack, function: Function) -> None:
    stack.standin.fault(kind="reject_where", contains="poison")
    texts = [record(number, userAgent="poison" if number in (2, 3) else "fine") for number in range(1, 5)]
    landed = forward_bytes(stack, function, pack(records(*texts)))
    assert (sorted(landed.numbers), landed.letters) == ([1, 4], [("Rejected", 1, 3)])
    stack.standin.clear_faults()
    letter = json.dumps(stack.dead_letters()[0])
    for _ in range(2):
        assert function.invoke(batch(letter)).body == {"batchItemFailures": []}
    assert sorted(bad_numbers(stack)) == [1, 2, 3, 4], "each once, though the letter was replayed twice"
    assert stack.depth("DeadLetterQueueUrl") == 1


def test_a_broken_file_that_is_announced_again_is_no_second_letter(stack: Stack, function: Function) -> None:
    landed = forward_bytes(stack, function, PACKED[:-4])
    assert landed.letters == [("Corrupt", 2, None)]
    assert function.invoke(batch(notification(BAD), receives=2)).body == {"batchItemFailures": []}
    assert letters_about(stack, BAD) == landed.letters
    assert bad_numbers(stack) == [1, 2]


def test_a_good_object_in_the_message_of_a_denied_one_lands_once(
    stack: Stack, start: Start, storage: Storage
) -> None:
    stored = storage.put(BAD, trail.file(2), refusal=DENIED["access denied"])
    storage.put(GOOD, trail.file(1))
    both = json.loads(notification(BAD))
    both["Records"] += json.loads(notification(GOOD))["Records"]
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    for receives in (1, 2):
        answer = function.invoke(batch(json.dumps(both), receives=receives))
        assert answer.body == {"batchItemFailures": [{"itemIdentifier": "0"}]}
        assert bad_numbers(stack) == [1]
    stored.refusal = None
    assert function.invoke(batch(json.dumps(both), receives=3)).body == {"batchItemFailures": []}
    assert bad_numbers(stack) == [1, 2]
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_an_object_that_is_put_again_after_its_letter_lands(stack: Stack, function: Function) -> None:
    stack.client("s3").delete_object(Bucket=BUCKET, Key=BAD)
    landed = forward(stack, function, stack.put_object)
    assert landed.letters == [("NotFound", 0, None)]
    stack.put_object(BAD, trail.file(1))
    assert function.invoke(batch(notification(BAD))).body == {"batchItemFailures": []}
    assert bad_numbers(stack) == [1]


def test_an_object_that_is_gone_is_one_letter(stack: Stack, function: Function) -> None:
    stack.client("s3").delete_object(Bucket=BUCKET, Key=BAD)
    landed = forward(stack, function, stack.put_object)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [("NotFound", 0, None)], False)


def test_an_object_that_was_replaced_since_it_was_announced_is_one_letter(stack: Stack, function: Function) -> None:
    stack.put_object(BAD, trail.file(1))
    first = stack.client("s3").head_object(Bucket=BUCKET, Key=BAD)["ETag"].strip('"')
    stack.put_object(BAD, trail.file(2))
    landed = forward(stack, function, stack.put_object, announcement(eTag=first))
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [("NotFound", 0, None)], False)


def test_the_version_that_was_announced_is_read_though_another_came(stack: Stack, start: Start) -> None:
    bucket, store = "example-versions", stack.client("s3")
    store.create_bucket(Bucket=bucket)
    store.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = store.put_object(Bucket=bucket, Key=BAD, Body=trail.file(1))["VersionId"]
    store.put_object(Bucket=bucket, Key=BAD, Body=trail.file(2))
    message = announcement(versionId=first).replace(BUCKET, bucket)
    function = start(ALLOWED_BUCKETS=f"{BUCKET},{bucket}")
    landed = forward(stack, function, stack.put_object, message)
    assert (landed.numbers, landed.letters) == ([1], [])


DENIED = {
    "access denied": (403, "AccessDenied", "Access Denied"),
    "the key is denied": (403, "AccessDenied", "not authorized to perform: kms:Decrypt on the resource"),
    "the key is denied to S3": (403, "KMS.AccessDeniedException", "The ciphertext refers to a key that is denied"),
    "in Glacier": (403, "InvalidObjectState", "The operation is not valid for the object's storage class"),
}


@pytest.mark.parametrize("name", DENIED)
def test_an_object_that_is_denied_comes_again_and_is_one_letter_in_the_end(
    stack: Stack, start: Start, storage: Storage, name: str
) -> None:
    storage.put(BAD, b"", refusal=DENIED[name])
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    for _ in range(MOST_FAILED_ATTEMPTS - 1):
        # An outage before it has used up any number of receives.
        answer = function.invoke(batch(notification(BAD), receives=60))
        assert answer.body == {"batchItemFailures": [{"itemIdentifier": "0"}]}
        assert stack.depth("DeadLetterQueueUrl") == 0
    landed = forward(stack, function, storage.put, receives=60)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [("AccessDenied", 0, None)], False)


def test_an_object_that_is_denied_for_a_while_lands_when_it_is_allowed(
    stack: Stack, start: Start, storage: Storage
) -> None:
    stored = storage.put(BAD, trail.file(1, 2), refusal=DENIED["access denied"])
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    landed = forward(stack, function, storage.put)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [], True)
    stored.refusal = None
    assert function.invoke(batch(notification(BAD), receives=2)).body == {"batchItemFailures": []}
    assert bad_numbers(stack) == [1, 2]


def test_an_object_comes_again_without_a_letter_while_s3_is_down(
    stack: Stack, start: Start, storage: Storage
) -> None:
    storage.put(BAD, b"", refusal=(503, "SlowDown", "Please reduce your request rate."))
    landed = forward(stack, start(AWS_ENDPOINT_URL_S3=storage.url), storage.put, receives=LATE_RECEIPT)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [], True)


def test_a_body_that_breaks_off_is_read_on_from_there(stack: Stack, start: Start, storage: Storage) -> None:
    content = long(200)
    middle = len(content) // 2
    stored = storage.put(BAD, content, breaks_at=middle, breaks=1)
    landed = forward(stack, start(AWS_ENDPOINT_URL_S3=storage.url), storage.put)
    assert landed.numbers == list(range(1, 201))
    assert (landed.letters, landed.comes_again) == ([], False)
    assert stored.ranges == [None, f"bytes={middle}-"]


def test_a_body_that_breaks_off_again_and_again_is_read_as_long_as_it_moves_on(
    stack: Stack, start: Start, storage: Storage
) -> None:
    content = long(400)
    stored = storage.put(BAD, content, breaks_every=len(content) // 20)
    landed = forward(stack, start(AWS_ENDPOINT_URL_S3=storage.url), storage.put)
    assert landed.numbers == list(range(1, 401))
    assert (landed.letters, landed.comes_again) == ([], False)
    assert len(stored.ranges) > 20


@pytest.mark.parametrize("answer", ["ignores_range", "range_shift"])
def test_a_range_that_is_answered_with_other_bytes_splices_nothing(
    stack: Stack, start: Start, storage: Storage, answer: str
) -> None:
    content = long(200)
    stored = storage.put(BAD, content, breaks_at=len(content) // 2, breaks=1, **{answer: 7})
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    landed = forward(stack, function, storage.put)
    assert (landed.letters, landed.comes_again) == ([], True)
    stored.ignores_range, stored.range_shift = False, 0
    assert function.invoke(batch(notification(BAD), receives=2)).body == {"batchItemFailures": []}
    assert sorted(bad_numbers(stack)) == list(range(1, 201)), "each once"


def test_version_null_is_no_pin_so_its_successor_is_not_delivered_in_its_place(
    stack: Stack, start: Start, storage: Storage
) -> None:
    announced = storage.put(BAD, trail.file(1), version_id="null")
    message = announcement(versionId="null", eTag=announced.etag.strip('"'))
    storage.put(BAD, trail.file(2), version_id="null")
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    landed = forward(stack, function, storage.put, message)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [("NotFound", 0, None)], False)
    # What took its place has an announcement of its own.
    successor = announcement(versionId="null", eTag=storage.objects[BAD].etag.strip('"'))
    assert function.invoke(batch(successor)).body == {"batchItemFailures": []}
    assert bad_numbers(stack) == [2]


def test_an_object_of_version_null_that_is_replaced_while_it_is_read_is_not_spliced(
    stack: Stack, start: Start, storage: Storage
) -> None:
    content = long(200)
    middle = len(content) // 2
    stored = storage.put(BAD, content, breaks_at=middle, breaks=1, successor=long(300), version_id="null")
    message = announcement(versionId="null", eTag=stored.etag.strip('"'))
    landed = forward(stack, start(AWS_ENDPOINT_URL_S3=storage.url), storage.put, message)
    whole = whole_records(content[:middle])
    assert landed.numbers == list(range(1, whole + 1))
    assert (landed.letters, landed.comes_again) == ([("NotFound", whole, None)], False)


@pytest.mark.parametrize("key", ["AWSLogs/../bad.json.gz", "AWSLogs/./bad.json.gz", "../bad.json.gz", "AWSLogs/.."])
def test_a_key_that_a_path_would_resolve_to_another_is_one_letter_and_never_read(
    stack: Stack, start: Start, storage: Storage, key: str
) -> None:
    for other in ("bad.json.gz", "AWSLogs/bad.json.gz"):
        storage.put(other, trail.file(1))
    task = {"schema": "sentinel-forwarder/task/1", "object": {"bucket": BUCKET, "key": key}}
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    landed = forward(stack, function, storage.put, json.dumps(task), key=key)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [("AccessDenied", 0, None)], False)
    assert "`.` or `..`" in stack.dead_letters()[0]["message"]


@pytest.mark.parametrize(
    ("refusal", "headers", "advice"),
    [
        ((301, "PermanentRedirect", "address it there"), {"x-amz-bucket-region": "eu-west-3"}, "eu-west-3"),
        ((400, "AuthorizationHeaderMalformed", "wrong"), {"x-amz-bucket-region": "eu-west-3"}, "eu-west-3"),
        ((403, "InvalidObjectState", "archived"), {}, "restore-object"),
    ],
)
def test_what_s3_refuses_for_good_alarms_and_says_what_to_do(
    stack: Stack, start: Start, storage: Storage, refusal: Any, headers: dict[str, str], advice: str
) -> None:
    storage.put(BAD, b"", refusal=refusal, refusal_headers=headers)
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    landed = forward(stack, function, storage.put)
    assert (landed.numbers, landed.letters, landed.comes_again) == ([], [], True)
    reason = "AccessDenied" if refusal[0] == 403 else "Misconfigured"
    lines = [json.loads(line) for line in function.log().splitlines() if '"_aws"' in line]
    assert sum(line.get("ActionNeeded", 0) for line in lines if line.get("Reason") == reason) == 1
    assert advice in function.log()


def test_a_body_that_breaks_off_for_ever_comes_again_without_a_letter(
    stack: Stack, start: Start, storage: Storage
) -> None:
    content = long(200)
    stored = storage.put(BAD, content, breaks_at=len(content) // 2, breaks=1000)
    function = start(AWS_ENDPOINT_URL_S3=storage.url)
    landed = forward(stack, function, storage.put, receives=LATE_RECEIPT)
    assert (landed.letters, landed.comes_again) == ([], True)
    assert len(stored.ranges) <= 5
    stored.breaks = 0
    assert function.invoke(batch(notification(BAD), receives=LATE_RECEIPT + 1)).body == {"batchItemFailures": []}
    assert sorted(bad_numbers(stack)) == list(range(1, 201)), "each once"
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_an_object_that_is_replaced_while_it_is_read_is_one_letter_for_the_rest(
    stack: Stack, start: Start, storage: Storage
) -> None:
    content = long(200)
    middle = len(content) // 2
    whole = whole_records(content[:middle])
    storage.put(BAD, content, breaks_at=middle, breaks=1, successor=trail.file(300))
    landed = forward(stack, start(AWS_ENDPOINT_URL_S3=storage.url), storage.put)
    assert landed.numbers == list(range(1, whole + 1))
    assert (landed.letters, landed.comes_again) == ([("NotFound", whole, None)], False)


def test_broken_lines_of_findings_are_letters_and_their_neighbours_land(stack: Stack, function: Function) -> None:
    finding = next(text for key, text in objects() if "/GuardDuty/" in key and key.endswith(".jsonl.gz"))
    line = json.loads(gzip.decompress(finding).splitlines()[0])
    lines = [json.dumps(line | {"id": f"{number:032}"}).encode() for number in range(2)]
    lines[1:1] = [lines[0][:-1], b"7", b'{"findings":[]}', b"x" * 5_000_000, b'{"long":"' + b"x" * 5_000_000 + b'"}']
    key = BAD.replace("CloudTrail", "GuardDuty").replace(".json.gz", ".jsonl.gz")
    landed = forward_bytes(stack, function, pack(b"\n".join(lines) + b"\n"), key)
    assert [row["Id"] for row in stack.standin.rows("AWSGuardDuty")] == [f"{number:032}" for number in range(2)]
    assert landed.letters == [("Corrupt", 1, 3), ("TooLarge", 3, 5)]
