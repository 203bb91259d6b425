"""Each event under events/ invokes the function itself, and its answer and its rows are what they must be."""

import json
from collections import Counter
from pathlib import Path

import pytest

from conftest import Start, notification
from local.processes import wait_for
from local.run import counts
from local.stack import Stack

EVENTS = Path("events")

# What each event makes: CloudTrail rows, GuardDuty rows, dead letters, things ignored.
MADE = {
    "cloudtrail-sns-message": (10, 0, 0, 0),
    "dead-letter-rejected": (1, 0, 0, 0),
    "eventbridge-cloudtrail-api-call": (1, 0, 0, 0),
    "eventbridge-console-sign-in": (1, 0, 0, 0),
    "eventbridge-guardduty-finding": (0, 1, 0, 0),
    "eventbridge-object-created": (2, 0, 0, 0),
    "on-failure-destination": (8, 0, 0, 0),
    "s3-batch-job-1.0": (8, 0, 0, 0),
    "s3-batch-job-2.0": (2, 0, 0, 0),
    "s3-notification": (15, 0, 0, 0),
    "s3-object-removed": (0, 0, 0, 1),
    "s3-test-event": (0, 0, 0, 1),
    "sns-s3-notification": (3, 0, 0, 0),
    "sqs-batch-mixed": (8, 1, 1, 1),
    "sqs-eventbridge-object-created": (2, 0, 0, 0),
    "sqs-guardduty-finding": (0, 1, 0, 0),
    "sqs-s3-notification": (23, 0, 0, 0),
    "sqs-sns-s3-notification": (0, 3, 0, 0),
    "task": (8, 0, 0, 0),
    "unknown": (0, 0, 1, 0),
    "watch": (0, 0, 0, 0),
}
# The sample names a version that the local bucket, which keeps none, can't have.
VERSIONED = {"eventbridge-object-created", "sqs-eventbridge-object-created", "on-failure-destination"}


def event_text(name: str) -> str:
    """Read an event; without the version id where it has one."""
    text = (EVENTS / f"{name}.json").read_text(encoding="utf-8")
    if name not in VERSIONED:
        return text

    def without_version(value: object) -> object:
        if isinstance(value, str) and value.startswith("{"):
            return json.dumps(without_version(json.loads(value)), ensure_ascii=False)
        if isinstance(value, list):
            return [without_version(element) for element in value]
        if isinstance(value, dict):
            return {key: without_version(inner) for key, inner in value.items() if key != "version-id"}
        return value

    return json.dumps(without_version(json.loads(text)), ensure_ascii=False)


def test_no_event_is_left_out() -> None:
    assert {path.stem for path in EVENTS.glob("*.json")} == MADE.keys()


@pytest.mark.parametrize("name", sorted(MADE))
def test_an_event_makes_its_rows_and_its_answer(stack: Stack, start: Start, name: str) -> None:
    trail_rows, findings, letters, ignored = MADE[name]
    answer = start().invoke(event_text(name))
    assert answer.kind == "response", answer.body
    assert counts(stack) == +Counter(AWSCloudTrail=trail_rows, AWSGuardDuty=findings)
    assert stack.depth("DeadLetterQueueUrl") == letters
    assert stack.standin.state()["refusals"]["total"] == 0
    if name.startswith("sqs-") or name in ("task", "dead-letter-rejected"):
        assert answer.body == {"batchItemFailures": []}
    elif name.startswith("s3-batch-job"):
        (result,) = answer.body["results"]
        assert (result["resultCode"], result["resultString"]) == ("Succeeded", f"{trail_rows} rows")
    else:
        assert answer.body["rows"] == trail_rows + findings
        assert answer.body["dead_letters"] == letters
        assert answer.body["ignored"] == ignored


def test_only_the_message_that_failed_comes_again(stack: Stack, start: Start) -> None:
    event = json.loads(event_text("sqs-s3-notification"))
    event["Records"].append(dict(event["Records"][0], messageId="known", body=event_text("s3-test-event")))
    stack.standin.fault(kind="status", status=503)
    answer = start().invoke(json.dumps(event), seconds=20)
    failed = {failure["itemIdentifier"] for failure in answer.body["batchItemFailures"]}
    assert failed == {record["messageId"] for record in event["Records"]} - {"known"}
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_a_trigger_that_no_queue_brings_again_goes_onto_the_work_queue(stack: Stack, start: Start) -> None:
    stack.standin.fault(kind="status", status=503)
    answer = start().invoke(event_text("eventbridge-object-created"), seconds=20)
    assert answer.kind == "response", answer.body
    stack.standin.clear_faults()
    # The deployed function takes it from there.
    wait_for("the task is done", 60, lambda: counts(stack)["AWSCloudTrail"] == 2)


def test_an_empty_list_of_records_is_ignored(stack: Stack, start: Start) -> None:
    answer = start().invoke(json.dumps({"Records": []}))
    assert answer.kind == "response"
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_one_function_serves_many_invocations_with_one_token(stack: Stack, start: Start) -> None:
    function = start()
    for _ in range(3):
        key = "AWSLogs/111122223333/CloudTrail/eu-central-1/2026/03/10/"
        key += "111122223333_CloudTrail_eu-central-1_20260310T1115Z_x3zDDY9A3lFzzqEw.json.gz"
        assert function.invoke(notification(key)).kind == "response"
    assert stack.standin.state()["tokens"]["exchanges"] == 1
