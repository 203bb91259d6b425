"""S3 Batch Operations calls the function: each task has its answer, in the job's own form."""

import json
from typing import Any

from conftest import Start
from local import trail
from local.deployment import BUCKET
from local.runtime_api import Answer
from local.stack import Stack


def job(version: str, *keys: str) -> str:
    bucket = {"s3BucketArn": f"arn:aws:s3:::{BUCKET}"} if version == "1.0" else {"s3Bucket": BUCKET}
    tasks = [{"taskId": f"task-{place}", "s3Key": key, "s3VersionId": None, **bucket} for place, key in enumerate(keys)]
    return json.dumps({"invocationSchemaVersion": version, "invocationId": "i-1", "job": {"id": "j"}, "tasks": tasks})


def results(answer: Answer, version: str) -> list[tuple[str, str, str]]:
    body: dict[str, Any] = answer.body
    assert (body["invocationSchemaVersion"], body["invocationId"]) == (version, "i-1")
    assert body["treatMissingKeysAs"] == "TemporaryFailure"
    return [(result["taskId"], result["resultCode"], result["resultString"]) for result in body["results"]]


def test_each_task_is_answered_for_itself(stack: Stack, start: Start) -> None:
    key, damaged, gone = trail.key("job"), trail.key("job-damaged"), trail.key("job-gone")
    with stack.quiet_bucket():
        stack.put_object(key, trail.file(1, 2, 3))
        stack.put_object(damaged, trail.file(4)[:-20])
    function = start()
    assert results(function.invoke(job("1.0", key, gone, damaged)), "1.0") == [
        ("task-0", "Succeeded", "3 rows"),
        ("task-1", "PermanentFailure", "dead letter: NotFound"),
        ("task-2", "PermanentFailure", "dead letter: Corrupt"),
    ]
    assert results(function.invoke(job("2.0", key)), "2.0") == [("task-0", "Succeeded", "was delivered before")]
    assert len(stack.standin.rows("AWSCloudTrail")) == 3
    assert stack.depth("DeadLetterQueueUrl") == 2


def test_a_task_that_sentinel_throttles_comes_again(stack: Stack, start: Start) -> None:
    key = trail.key("job-throttled")
    with stack.quiet_bucket():
        stack.put_object(key, trail.file(1))
    function = start()
    stack.standin.fault(kind="status", status=429, retry_after="60")
    ((_, code, _),) = results(function.invoke(job("1.0", key), seconds=20), "1.0")
    assert code == "TemporaryFailure"
    assert stack.depth("WorkQueueUrl") == stack.depth("DeadLetterQueueUrl") == 0


def test_an_object_of_another_bucket_is_not_read(stack: Stack, start: Start) -> None:
    event = job("2.0", trail.key("job")).replace(BUCKET, "somebody-elses")
    ((_, code, why),) = results(start().invoke(event), "2.0")
    assert code != "Succeeded" and why
