"""A deployed stack, whoever started it: what can be put in, and what can be asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local.emulator import client
from local.processes import Failure
from local.standin import Standin

STACK_NAME = "sentinel-forwarder"
BUCKET = "example-trail-logs"
_TO_EVENTBRIDGE: dict[str, Any] = {"EventBridgeConfiguration": {}}


class Deployment:
    """The template's resources in the emulator, and the stand-in that the function writes to."""

    def __init__(self, endpoint: str, standin: Standin, outputs: dict[str, str]) -> None:
        self.endpoint = endpoint
        self.standin = standin
        self.outputs = outputs

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator."""
        return client(self.endpoint, service)

    def notify(self, on: bool) -> None:
        """Turn the bucket's notifications to EventBridge on or off."""
        self.client("s3").put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration=_TO_EVENTBRIDGE if on else {}
        )

    @contextmanager
    def quiet_bucket(self) -> Iterator[None]:
        """Let objects be put without anybody being told."""
        self.notify(False)
        try:
            yield
        finally:
            self.notify(True)

    def put_object(self, key: str, body: bytes) -> None:
        """Put a file into the trail's bucket."""
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    def put_finding(self, finding: dict[str, Any]) -> None:
        """Put a GuardDuty finding onto the default bus, as GuardDuty does."""
        entry = {"Source": "aws.guardduty", "DetailType": "GuardDuty Finding", "Detail": json.dumps(finding)}
        answer = self.client("events").put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise Failure(f"the bus refused the finding: {answer['Entries']}")

    def send_work(self, body: str) -> None:
        """Send a message straight to the work queue."""
        self.client("sqs").send_message(QueueUrl=self.outputs["WorkQueueUrl"], MessageBody=body)

    def watch_schedule(self) -> dict[str, Any]:
        """Return the schedule of the watch, as it is updated."""
        schedules = self.client("scheduler")
        (name,) = [found["Name"] for found in schedules.list_schedules()["Schedules"]]
        found = schedules.get_schedule(Name=name)
        return {name: found[name] for name in ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target", "State")}

    def keep_watch(self) -> None:
        """Invoke what the schedule invokes, with its input, and without waiting, as it does."""
        target = self.watch_schedule()["Target"]
        self.client("lambda").invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=target["Input"])

    def depth(self, output: str) -> int:
        """Count the messages of a queue, those in flight included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def dead_letters(self) -> list[dict[str, Any]]:
        """Read the dead letters without removing them."""
        queue = self.client("sqs")
        url = self.outputs["DeadLetterQueueUrl"]
        answer = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]
