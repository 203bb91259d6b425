"""One local stack for all end-to-end tests; each test that uses it finds it empty."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.deployment import BUCKET
from local.emulator import LOG_ARCHIVE, ORGANIZATION
from local.objects import objects
from local.processes import exit_on_signals, wait_for
from local.runtime_api import Function, function_environment
from local.stack import Binaries, Stack

Start = Callable[..., Function]


@pytest.fixture(scope="session")
def session_stack() -> Iterator[Stack]:
    """The template, deployed with the built function."""
    exit_on_signals()
    with Stack(Binaries.built()) as stack:
        yield stack


@pytest.fixture(scope="session")
def full_stack() -> Iterator[Stack]:
    """Another one, with what is off by default switched on."""
    exit_on_signals()
    parameters = {"AlarmEmail": "alarms@example.com", "OrganizationId": ORGANIZATION, "BucketName": LOG_ARCHIVE}
    with Stack(Binaries.built(), **parameters) as stack:
        yield stack


@pytest.fixture
def stack(session_stack: Stack) -> Stack:
    """The stack with empty queues, an empty ledger, no rows and no faults."""
    queues = session_stack.client("sqs")
    for output in ("WorkQueueUrl", "DeadLetterQueueUrl"):
        queues.purge_queue(QueueUrl=session_stack.outputs[output])
    wait_for("the queues are empty", 30, lambda: not session_stack.depth("WorkQueueUrl"))
    forget_deliveries(session_stack)
    session_stack.standin.reset()
    return session_stack


def forget_deliveries(stack: Stack) -> None:
    """Delete all entries of the ledger."""
    table = stack.outputs["LedgerTable"]
    ledger = stack.client("dynamodb")
    for page in ledger.get_paginator("scan").paginate(TableName=table, ProjectionExpression="pk"):
        for item in page["Items"]:
            ledger.delete_item(TableName=table, Key=item)


@pytest.fixture(scope="session")
def session_samples(session_stack: Stack) -> None:
    """The sample objects, under the keys that the sample events name, put without a notification."""
    with session_stack.quiet_bucket():
        for key, content in objects():
            session_stack.put_object(key, content)


@pytest.fixture
def start(stack: Stack, session_samples: None, tmp_path: Path) -> Iterator[Start]:
    """Start the function as Lambda would, against the stack; keywords change its environment."""
    started: list[Function] = []

    def run(**changes: str) -> Function:
        environment = stack_environment(stack) | changes
        function = Function(Binaries.built().forwarder, environment, tmp_path / f"function-{len(started)}.log")
        started.append(function)
        return function

    yield run
    for function in started:
        function.__exit__()


def stack_environment(stack: Stack) -> dict[str, str]:
    """Return the environment of a function that stands beside the stack's own."""
    outputs = stack.outputs
    queues = outputs["WorkQueueUrl"], outputs["DeadLetterQueueUrl"]
    return function_environment(stack.endpoint, stack.standin.url, *queues, outputs["LedgerTable"])


def keep_secret(stack: Stack, text: str) -> str:
    """Keep a text in Secrets Manager; return its ARN."""
    stores = stack.client("secretsmanager")
    return str(stores.create_secret(Name=f"kept-{uuid.uuid4()}", SecretString=text)["ARN"])


def notification(key: str) -> str:
    """Write an S3 notification about a key that is encoded already."""
    record = {
        "eventVersion": "2.5",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": BUCKET}, "object": {"key": key, "size": 1}},
    }
    return json.dumps({"Records": [record]})


def batch(*bodies: str, receives: int = 1) -> str:
    """Write an event of the queue; its messages are named by their place."""
    messages = [
        {
            "messageId": str(place),
            "receiptHandle": "AQEBa9e3e770758f",
            "body": body,
            "attributes": {"ApproximateReceiveCount": str(receives)},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:111122223333:sentinel-forwarder-work",
            "awsRegion": "us-east-1",
        }
        for place, body in enumerate(bodies)
    ]
    return json.dumps({"Records": messages})
