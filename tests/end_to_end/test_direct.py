"""`Delivery: Direct`: the rules invoke the function itself, and the work queue takes only what fails for now."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local import trail
from local.deployment import BUCKET
from local.processes import wait_for
from local.run import counts
from local.samples import Samples
from local.stack import Binaries, Stack

SECONDS = 30
RETRY_AFTER_SECONDS = 25


@pytest.fixture(scope="module")
def direct() -> Iterator[Stack]:
    """The template, deployed with the other way to the function."""
    with Stack(Binaries.built(), Delivery="Direct") as stack:
        yield stack


@contextmanager
def unread_work_queue(stack: Stack) -> Iterator[None]:
    """Let nobody take what comes onto the work queue."""
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=stack.outputs["FunctionName"])["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def waiting(stack: Stack) -> list[dict[str, Any]]:
    """Read what is on the work queue, and leave it there."""
    queues, url = stack.client("sqs"), stack.outputs["WorkQueueUrl"]
    answer = queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def test_objects_and_findings_come_without_the_queue(direct: Stack) -> None:
    direct.standin.reset()
    finding = Samples.of_now().finding
    with unread_work_queue(direct):
        direct.put_object(trail.key("direct"), trail.file(1, 2))
        direct.put_finding(finding)
        wait_for("both land", SECONDS, lambda: counts(direct) == {"AWSCloudTrail": 2, "AWSGuardDuty": 1})
        assert direct.depth("WorkQueueUrl") == 0
    assert direct.depth("DeadLetterQueueUrl") == 0
    assert direct.standin.rows("AWSGuardDuty")[0]["Id"] == finding["id"]


def test_what_fails_for_now_goes_onto_the_work_queue_and_heals(direct: Stack) -> None:
    direct.standin.reset()
    finding = Samples.of_now().finding | {"id": "1" * 32}
    # Longer than is worth waiting for within an invocation; the rule is left alone for as long.
    direct.standin.fault(kind="status", status=503, retry_after=RETRY_AFTER_SECONDS)
    with unread_work_queue(direct):
        direct.put_object(trail.key("direct-fails"), trail.file(1, 2))
        direct.put_finding(finding)
        wait_for("both are on the work queue", SECONDS, lambda: direct.depth("WorkQueueUrl") == 2)
        task, event = sorted(waiting(direct), key=lambda body: "schema" not in body)
        assert not counts(direct)
        direct.standin.clear_faults()
    assert task["schema"] == "sentinel-forwarder/task/1"
    assert (task["object"]["bucket"], task["object"]["key"]) == (BUCKET, trail.key("direct-fails"))
    assert event["detail"]["id"] == finding["id"]
    wait_for("both land", SECONDS + RETRY_AFTER_SECONDS, lambda: counts(direct).total() == 3)
    wait_for("the work queue is empty", SECONDS, lambda: not direct.depth("WorkQueueUrl"))
    assert counts(direct) == {"AWSCloudTrail": 2, "AWSGuardDuty": 1}
    assert direct.depth("DeadLetterQueueUrl") == 0
