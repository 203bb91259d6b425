"""What is announced more than once is delivered once, however it is announced, and the ledger accounts for it."""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conftest import notification
from local import trail
from local.deployment import BUCKET
from local.processes import wait_for
from local.run import counts
from local.samples import Samples
from local.stack import Stack
from visibility import Hidings, watched

SECONDS = 30
RECORDS = 40
EXPORT = "AWSLogs/111122223333/GuardDuty/us-east-1/2026/03/10/{}.jsonl.gz"

Send = Callable[[Stack, list[str]], None]


@pytest.fixture(scope="module")
def module_hidings(session_stack: Stack) -> Iterator[Hidings]:
    """The deployed function, watched while it hides messages."""
    with watched(session_stack) as hidings:
        yield hidings


@pytest.fixture
def hidings(stack: Stack, module_hidings: Hidings) -> Hidings:
    """Nothing seen yet, and an empty stack."""
    module_hidings.seen.clear()
    return module_hidings


def send_in_one_call(stack: Stack, bodies: list[str]) -> None:
    """Send messages that the function then gets in one batch."""
    entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
    stack.client("sqs").send_message_batch(QueueUrl=stack.outputs["WorkQueueUrl"], Entries=entries)


def send_one_by_one(stack: Stack, bodies: list[str]) -> None:
    """Send messages that go to several invocations at once."""
    for body in bodies:
        stack.send_work(body)


def entry(stack: Stack, key: str, etag: str) -> dict[str, str]:
    """Return what the ledger says of an object, without DynamoDB's types."""
    pk = {"pk": {"S": f"object#{BUCKET}#{etag}#{key}"}}
    found = stack.client("dynamodb").get_item(TableName=stack.outputs["LedgerTable"], Key=pk, ConsistentRead=True)
    return {name: str(next(iter(value.values()))) for name, value in found.get("Item", {}).items()}


def delivered(stack: Stack, key: str, etag: str) -> dict[str, str]:
    """Wait until the ledger calls an object delivered."""
    return wait_for(
        "the ledger calls it delivered",
        SECONDS,
        lambda: found if (found := entry(stack, key, etag)).get("stage") == "delivered" else None,
    )


def put_quietly(stack: Stack, key: str, content: bytes) -> str:
    """Put an object without anybody being told, and return its entity tag."""
    with stack.quiet_bucket():
        stack.put_object(key, content)
    return str(stack.client("s3").head_object(Bucket=BUCKET, Key=key)["ETag"]).strip('"')


def wait_until_done(stack: Stack, hidings: Hidings) -> None:
    """Let what was hidden since another worked on it come back, and wait until the queue is empty."""

    def done() -> bool:
        if stack.depth("WorkQueueUrl"):
            hidings.end_waits()
            return False
        return True

    wait_for("the queue is empty", SECONDS, done)


def announcements(key: str, etag: str) -> list[str]:
    """Announce an object five times, in four shapes."""
    notified = json.loads(notification(key))
    notified["Records"][0]["s3"]["object"]["eTag"] = etag
    created = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 1, "etag": etag}},
    }
    task = {"schema": "sentinel-forwarder/task/1", "object": {"bucket": BUCKET, "key": key, "etag": etag}}
    cloudtrails_own = {"s3Bucket": BUCKET, "s3ObjectKey": [key]}
    return [json.dumps(body) for body in (notified, created, cloudtrails_own, task, notified)]


@pytest.mark.parametrize("send", [send_in_one_call, send_one_by_one])
def test_an_object_that_is_announced_five_times_at_once_is_delivered_once(
    stack: Stack, hidings: Hidings, send: Send
) -> None:
    key = trail.key(f"five-{send.__name__}")
    text = json.dumps({"Records": [trail.record(number) for number in range(RECORDS)]}).encode()
    content = gzip.compress(text)
    etag = put_quietly(stack, key, content)
    # So that the others come while the first is on its way.
    stack.standin.fault(kind="slow", ms=1000)
    send(stack, announcements(key, etag))
    known = delivered(stack, key, etag)
    # At the end of its invocation, which may be just after the first was delivered.
    wait_for("one that met another at work is hidden", SECONDS, lambda: hidings.seen)
    # The ledger's clock has whole seconds, and its answer was some time on its way.
    longest = 5 * 60 + 2 + 3
    assert all(hiding.seconds <= longest for hiding in hidings.seen), "hidden until the lease's end, not longer"
    wait_until_done(stack, hidings)

    landed = Counter(row["AwsEventId"] for row in stack.standin.rows("AWSCloudTrail"))
    assert landed == Counter(map(trail.event_id, range(RECORDS)))
    assert entry(stack, key, etag) == known, "what comes later changes nothing"
    assert known["sha256"] == hashlib.sha256(text).hexdigest()
    assert (int(known["size"]), int(known["bytes"])) == (len(content), len(text))
    assert (int(known["records"]), int(known["rows"])) == (RECORDS, RECORDS)
    assert not {"letters", "filtered", "duplicates", "takeovers"} & known.keys()
    times = [record["eventTime"] for record in json.loads(text)["Records"]]
    assert (known["oldest_event"], known["newest_event"]) == (min(times), max(times))
    assert known["announced_at"] < known["delivered_at"]
    assert known["version"] == "2", "a delivery costs two writes"
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_an_object_that_is_put_anew_is_delivered_anew(stack: Stack, hidings: Hidings) -> None:
    key = trail.key("anew")
    for number in (1, 2):
        stack.put_object(key, trail.file(number))
        wait_for("it lands", SECONDS, lambda number=number: counts(stack)["AWSCloudTrail"] == number)
    wait_until_done(stack, hidings)
    assert [row["AwsEventId"] for row in stack.standin.rows("AWSCloudTrail")] == [trail.event_id(1), trail.event_id(2)]


def export(*findings: dict[str, Any]) -> bytes:
    """Pack findings as GuardDuty exports them to S3."""
    return gzip.compress("".join(json.dumps(finding) + "\n" for finding in findings).encode())


def test_a_finding_that_the_export_repeats_is_delivered_once(stack: Stack, hidings: Hidings) -> None:
    finding = Samples.of_now().finding
    other = finding | {"id": "0" * 32}
    stack.put_finding(finding)
    wait_for("the finding lands", SECONDS, lambda: counts(stack)["AWSGuardDuty"])
    content = export(finding, other)
    etag = put_quietly(stack, EXPORT.format("repeats"), content)
    stack.put_object(EXPORT.format("repeats"), content)
    known = delivered(stack, EXPORT.format("repeats"), etag)
    wait_until_done(stack, hidings)
    assert [row["Id"] for row in stack.standin.rows("AWSGuardDuty")] == [finding["id"], other["id"]]
    assert (known["records"], known["rows"], known["duplicates"]) == ("2", "1", "1")


def test_a_finding_that_the_bus_brings_after_the_export_is_delivered_once(stack: Stack, hidings: Hidings) -> None:
    finding = Samples.of_now().finding
    later = finding | {"updatedAt": "2026-03-10T23:59:59.000Z"}
    stack.put_object(EXPORT.format("first"), export(finding))
    wait_for("the finding lands", SECONDS, lambda: counts(stack)["AWSGuardDuty"])
    stack.put_finding(finding)
    stack.put_finding(later)
    wait_for("its next state lands", SECONDS, lambda: counts(stack)["AWSGuardDuty"] == 2)
    wait_until_done(stack, hidings)
    assert counts(stack)["AWSGuardDuty"] == 2


@pytest.mark.parametrize("send", [send_in_one_call, send_one_by_one])
def test_a_letter_that_is_replayed_twice_at_once_is_delivered_once(
    stack: Stack, hidings: Hidings, send: Send
) -> None:
    key = trail.key(f"replayed-{send.__name__}")
    stack.standin.fault(kind="reject_where", contains=trail.event_id(2))
    stack.put_object(key, trail.file(1, 2, 3))
    (letter,) = wait_for("a letter", SECONDS, stack.dead_letters)
    assert (letter["reason"], letter["task"]["from_record"], letter["task"]["until_record"]) == ("Rejected", 1, 2)
    wait_until_done(stack, hidings)
    stack.standin.clear_faults()
    stack.standin.fault(kind="slow", ms=500)
    send(stack, [json.dumps(letter)] * 2)
    wait_for("it lands", SECONDS, lambda: counts(stack)["AWSCloudTrail"] >= 3)
    wait_until_done(stack, hidings)
    # And once more, long after.
    stack.send_work(json.dumps(letter))
    wait_until_done(stack, hidings)
    landed = Counter(row["AwsEventId"] for row in stack.standin.rows("AWSCloudTrail"))
    assert landed == Counter(map(trail.event_id, (1, 2, 3)))
    assert stack.depth("DeadLetterQueueUrl") == 1, "the letter itself, and no other"
