"""128 MB as a promise: the worst inputs, ten at once beside nine good ones, in a function whose data may not grow further.

The kernel enforces the limit (`RLIMIT_DATA`): memory that is asked for beyond it is refused, and the function ends.
"""

import gzip
import json
import resource
from collections.abc import Callable

import pytest

from conftest import Start, batch, notification
from local import trail
from local.stack import Stack
from test_dead_letters import letters

LIMIT_BYTES = 128 * 1024 * 1024
RECORD_BYTES = 4_000_000
GOOD = {"eventVersion": "1.09", "eventTime": "2026-03-10T11:58:07Z", "eventName": "Good"}


def document(record: bytes) -> bytes:
    """Write a file of one record."""
    return b'{"Records":[' + record + b"]}"


def member(name: str, value: bytes) -> bytes:
    """Write a record of one member."""
    return b'{"' + name.encode() + b'":' + value + b"}"


def text(byte: bytes) -> bytes:
    """Write a string of nothing else."""
    return b'"' + byte * (RECORD_BYTES // len(byte)) + b'"'


# Each is one letter: `Corrupt` or `TooLarge`.
HOSTILE: dict[str, Callable[[], bytes]] = {
    "control characters": lambda: document(member("errorMessage", text(b"\x01"))),
    "no UTF-8": lambda: document(member("errorMessage", text(b"\xff"))),
    "no UTF-8 in JSON text": lambda: document(member("requestParameters", b'{"a":' + text(b"\xff") + b"}")),
    "control characters without a column": lambda: document(member("addendum", b'{"a":' + text(b"\x02") + b"}")),
    "surrogates cut and broken": lambda: document(member("errorMessage", text(rb"\ud800")[:-1])),
    "as many members as fit": lambda: document(
        b"{" + b",".join(b'"%d":1' % number for number in range(RECORD_BYTES // 11)) + b"}"
    ),
    "as many members of the identity": lambda: document(
        member("userIdentity", b"{" + b",".join(b'"%d":1' % number for number in range(RECORD_BYTES // 11)) + b"}")
    ),
    "a string of 100 MB": lambda: document(member("errorMessage", b'"' + b"x" * 100_000_000 + b'"')),
    "only what is unknown": lambda: document(member("x", b"[" * 500_000 + b"]" * 500_000)),
    "quotes that never end": lambda: document(member("errorMessage", text(rb"\"")[:-1])),
}


def put(stack: Stack, name: str, content: bytes) -> str:
    """Put a file without an announcement; its key."""
    key = trail.key(f"memory-{name.replace(' ', '-')}")
    with stack.quiet_bucket():
        stack.put_object(key, gzip.compress(content, 1))
    return key


@pytest.mark.parametrize("receives", [1, 2])
def test_ten_hostile_objects_are_a_letter_each_and_nine_good_ones_land(
    stack: Stack, start: Start, receives: int
) -> None:
    keys = {name: put(stack, f"{receives}-{name}", write()) for name, write in HOSTILE.items()}
    good = [
        put(stack, f"{receives}-good-{number}", document(json.dumps(GOOD | {"requestID": str(number)}).encode()))
        for number in range(9)
    ]
    mixed = [key for pair in zip(keys.values(), [*good, None], strict=True) for key in pair if key]
    function = start(SENTINEL_MAX_CONCURRENCY="8")
    resource.prlimit(function.process.pid, resource.RLIMIT_DATA, (LIMIT_BYTES, LIMIT_BYTES))
    answer = function.invoke(batch(*map(notification, mixed), receives=receives), 300)
    assert (answer.kind, answer.body) == ("response", {"batchItemFailures": []}), function.log()[-2000:]
    written = letters(stack)
    assert sorted(letter["task"]["object"]["key"] for letter in written) == sorted(keys.values())
    assert {letter["reason"] for letter in written} <= {"Corrupt", "TooLarge"}
    rows = stack.standin.rows("AWSCloudTrail")
    assert sorted(row["AwsRequestId_"] for row in rows) == [str(number) for number in range(9)]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_object_takes_half_of_the_memory(stack: Stack, start: Start, name: str) -> None:
    key = put(stack, name, HOSTILE[name]())
    function = start()
    answer = function.invoke(batch(notification(key)), 120)
    peak = function.peak_bytes()
    print(f"{name}: {peak / 1e6:.1f} MB")
    assert answer.kind == "response" and len(letters(stack)) == 1
    assert peak < LIMIT_BYTES / 2
