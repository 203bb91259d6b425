"""What can't be delivered becomes a dead letter; what needs no delivery becomes nothing."""

import gzip
import json
from typing import Any

from conftest import Start, batch
from local import trail
from local.processes import wait_for
from local.run import counts
from local.stack import Stack

SECONDS = 30
SCHEMA = "sentinel-forwarder/dead-letter/1"


def letters(stack: Stack) -> list[dict[str, Any]]:
    """Wait for dead letters, and for the work to be done."""
    found = wait_for("a dead letter", SECONDS, stack.dead_letters)
    wait_for("the queue is empty", SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    return found


def test_a_message_that_nobody_knows_becomes_a_letter_that_holds_it(stack: Stack) -> None:
    stack.send_work('{"order": 4711}')
    (letter,) = letters(stack)
    assert letter["schema"] == SCHEMA
    assert letter["reason"] == "UnknownTrigger"
    assert letter["id"] and letter["failed_at"]
    assert '"order"' in json.dumps(letter["event"]).replace("\\", "")


def test_the_message_that_tests_a_notification_makes_nothing(stack: Stack) -> None:
    stack.send_work(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "example-trail-logs"}))
    wait_for("it is taken", SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    assert stack.depth("DeadLetterQueueUrl") == 0
    assert not counts(stack)


def test_a_broken_file_delivers_what_comes_before_the_break(stack: Stack) -> None:
    whole = json.dumps({"Records": [trail.record(number) for number in range(1, 4)]})
    cut = whole[: whole.index('"00000000-0000-0000-0000-000000000003"')]
    packed = gzip.compress(cut.encode())
    # Without the end of the gzip stream: eight bytes of checksum and length.
    stack.put_object(trail.key("broken"), packed[:-8])
    (letter,) = letters(stack)
    assert letter["reason"] == "Corrupt"
    assert letter["task"]["object"]["key"] == trail.key("broken")
    assert letter["task"]["from_record"] == 2
    assert "event" not in letter
    assert [row["AwsEventId"][-1] for row in stack.standin.rows("AWSCloudTrail")] == ["1", "2"]


def test_an_object_that_is_gone_becomes_a_letter(stack: Stack) -> None:
    with stack.quiet_bucket():
        stack.put_object(trail.key("gone"), trail.file(1))
    stack.client("s3").delete_object(Bucket="example-trail-logs", Key=trail.key("gone"))
    task = {"schema": "sentinel-forwarder/task/1", "object": {"bucket": "example-trail-logs", "key": trail.key("gone")}}
    stack.send_work(json.dumps(task))
    (letter,) = letters(stack)
    assert letter["reason"] == "NotFound"


def test_the_log_names_the_object_that_a_letter_is_about(stack: Stack, start: Start) -> None:
    key = trail.key("named-in-the-log")
    task = {"schema": "sentinel-forwarder/task/1", "object": {"bucket": "somebody-elses", "key": key}, "from_record": 3}
    function = start()
    assert function.invoke(batch(json.dumps(task))).body == {"batchItemFailures": []}
    (line,) = [line for line in function.log().splitlines() if '"ERROR"' in line]
    assert line.count('"message":') == 1
    fields = json.loads(line)["fields"]
    assert (fields["bucket"], fields["key"], fields["from_record"]) == ("somebody-elses", key, 3)
    assert fields["reason"] == "AccessDenied" and "ALLOWED_BUCKETS" in fields["why"]


def test_an_object_of_another_bucket_is_never_read(stack: Stack) -> None:
    task = {"schema": "sentinel-forwarder/task/1", "object": {"bucket": "somebody-elses", "key": trail.key("x")}}
    stack.send_work(json.dumps(task))
    (letter,) = letters(stack)
    assert letter["reason"] == "AccessDenied"
