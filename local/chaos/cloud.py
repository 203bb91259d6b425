"""The emulator with a bucket, a work queue, a dead-letter queue and a ledger, as template.yaml makes them."""

import json
from pathlib import Path
from typing import Any

from local.chaos.workload import Thing
from local.deployment import BUCKET
from local.emulator import Emulator

QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:work"
LEDGER = "ledger"
CHECKPOINT = "next_record"
"""The ledger's attribute with the record below which everything is safe."""

_MOST_RECEIVES = 1000
"""The template allows 100, between which days pass; here they come within seconds."""
_BATCH = 10


class Cloud:
    """What lies in AWS, looked at directly and without faults."""

    def __init__(self, folder: Path) -> None:
        self.emulator = Emulator(folder)
        self.endpoint = self.emulator.endpoint
        self._queues = self.emulator.client("sqs")
        self._tables = self.emulator.client("dynamodb")
        self._objects = self.emulator.client("s3")
        self.letters_url = self._queues.create_queue(QueueName="dead-letters")["QueueUrl"]
        target = QUEUE_ARN.replace(":work", ":dead-letters")
        redrive = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": _MOST_RECEIVES})
        self.work_url = self._queues.create_queue(QueueName="work", Attributes={"RedrivePolicy": redrive})["QueueUrl"]
        self._tables.create_table(
            TableName=LEDGER,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        )
        self._objects.create_bucket(Bucket=BUCKET)

    def put(self, thing: Thing) -> None:
        """Put an object into the bucket."""
        self._objects.put_object(Bucket=BUCKET, Key=thing.key, Body=thing.content)

    def send(self, body: str) -> None:
        """Send a message to the work queue."""
        self._queues.send_message(QueueUrl=self.work_url, MessageBody=body)

    def receive(self, most: int, visibility: int) -> list[dict[str, Any]]:
        """Receive as an event source mapping does."""
        answer = self._queues.receive_message(
            QueueUrl=self.work_url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=1,
            VisibilityTimeout=visibility,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(answer.get("Messages", []))

    def delete(self, messages: list[dict[str, Any]]) -> None:
        """Delete messages that are done with."""
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]} for number, message in enumerate(messages)
        ]
        if entries:
            self._queues.delete_message_batch(QueueUrl=self.work_url, Entries=entries)

    def depth(self) -> int:
        """Count the messages of the work queue, in flight and delayed ones included."""
        answer = self._queues.get_queue_attributes(QueueUrl=self.work_url, AttributeNames=["All"])
        counts = [number for name, number in answer["Attributes"].items() if name.startswith("ApproximateNumberOf")]
        return sum(map(int, counts))

    def letters(self) -> list[str]:
        """Take all that lies in the dead-letter queue."""
        bodies: list[str] = []
        while True:
            answer = self._queues.receive_message(QueueUrl=self.letters_url, MaxNumberOfMessages=_BATCH)
            messages = answer.get("Messages", [])
            if not messages:
                return bodies
            for message in messages:
                bodies.append(message["Body"])
                self._queues.delete_message(QueueUrl=self.letters_url, ReceiptHandle=message["ReceiptHandle"])

    def checkpoints(self, keys: frozenset[str]) -> dict[str, int]:
        """Return where objects stand in the ledger, those that have a checkpoint there."""
        found: dict[str, int] = {}
        for page in self._tables.get_paginator("scan").paginate(TableName=LEDGER, ConsistentRead=True):
            for item in page["Items"]:
                if CHECKPOINT in item:
                    safe = int(item[CHECKPOINT]["N"])
                    found |= {key: max(safe, found.get(key, 0)) for key in keys if key in item["pk"]["S"]}
        return found
