"""A lease holds whatever the clocks of those who grant and judge it say."""

import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import batch, stack_environment
from local import trail
from local.chaos.audit import UPLOADS_IN_FLIGHT
from local.chaos.faults import Weather
from local.chaos.invocation import Upload
from local.chaos.plan import Plan
from local.chaos.worker import Worker
from local.deployment import BUCKET
from local.processes import wait_for
from local.run import counts
from local.runtime_api import Answer, Function
from local.stack import Binaries, Stack

SECONDS = 30.0
AHEAD = 40
"""More than a lease."""
RECORDS = 40
LONG = 4000
"""So many records make more batches than lie between two checkpoints."""

StartWorker = Callable[..., Worker]


@pytest.fixture
def worker(stack: Stack, tmp_path: Path) -> Iterator[StartWorker]:
    """Start the function with a clock of its own and relays in between."""
    started: list[Worker] = []

    def start(ahead: int, uploads: dict[str, Upload], **changes: str) -> Worker:
        def function(aws: str, sentinel: str) -> Function:
            own = {"AWS_ENDPOINT_URL": aws, "SENTINEL_ENDPOINT": sentinel, "AZURE_AUTHORITY_HOST": sentinel}
            environment = stack_environment(stack) | own | changes
            return Function(Binaries.built().forwarder, environment, tmp_path / f"function-{len(started)}.log")

        started.append(Worker(function, (stack.endpoint, stack.standin.url), Weather(Plan(0)), uploads, ahead))
        return started[-1]

    yield start
    for one in started:
        one.end()


def put(stack: Stack, key: str, records: int) -> str:
    """Put a file without telling anybody, and return the message that announces it."""
    text = json.dumps({"Records": [trail.record(number) for number in range(records)]}).encode()
    with stack.quiet_bucket():
        stack.put_object(key, gzip.compress(text, 1))
    return json.dumps({"schema": "sentinel-forwarder/task/1", "object": {"bucket": BUCKET, "key": key}})


def landed(stack: Stack) -> Counter[str]:
    """Count how often each record landed."""
    return Counter(row["AwsEventId"] for row in stack.standin.rows("AWSCloudTrail"))


def requests(stack: Stack) -> set[str]:
    """Return the requests whose rows landed."""
    return {row["request_id"] for row in stack.standin.arrivals("AWSCloudTrail")}


@pytest.mark.parametrize(("holder", "other"), [(0, AHEAD), (-AHEAD, 0)])
def test_a_holder_keeps_its_lease_however_far_clocks_are_apart(
    stack: Stack, worker: StartWorker, holder: int, other: int
) -> None:
    message = batch(put(stack, trail.key(f"apart-{holder}-{other}"), RECORDS))
    stack.standin.fault(kind="slow", ms=3000)
    uploads: dict[str, Upload] = {}
    first, second = worker(holder, uploads), worker(other, {})
    answers: list[Answer] = []
    holding = threading.Thread(target=lambda: answers.append(first.function.invoke(message, SECONDS)))
    holding.start()
    wait_for("the holder uploads", SECONDS, lambda: uploads)
    refused = second.function.invoke(message, SECONDS)
    holding.join()
    assert [failure["itemIdentifier"] for failure in refused.body["batchItemFailures"]] == ["0"]
    assert answers[0].body == {"batchItemFailures": []}
    assert landed(stack) == Counter(map(trail.event_id, range(RECORDS)))


def test_a_frozen_holder_that_wakes_after_a_takeover_sends_no_more(stack: Stack, worker: StartWorker) -> None:
    message = batch(put(stack, trail.key("frozen"), LONG))
    small = {"SENTINEL_MAX_REQUEST_BYTES": "20000"}
    stack.standin.fault(kind="slow", ms=300)
    seconds = 4.0
    first, second = worker(0, {}, **small), worker(0, {}, **small)
    first.function.begin(message, seconds)
    wait_for("some rows land", SECONDS, lambda: counts(stack)["AWSCloudTrail"], pause=0.01)
    first.freeze()
    stack.standin.clear_faults()
    time.sleep(seconds)
    wait_for(
        "the lease has run out, and another delivers the file",
        SECONDS,
        lambda: not second.function.invoke(message, SECONDS).body["batchItemFailures"],
        pause=0.5,
    )
    before = requests(stack)
    first.thaw()
    assert first.function.answer(SECONDS) is not None
    assert landed(stack).keys() == set(map(trail.event_id, range(LONG)))
    assert len(requests(stack) - before) <= UPLOADS_IN_FLIGHT, "what was in flight may still arrive"
