"""Stands between the function and the local SQS, and remembers for how long each message was hidden."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.chaos.relay import Call, Exchange, Relay
from local.stack import Stack


@dataclass(frozen=True)
class Hiding:
    """One message, hidden by the function."""

    receipt: str
    seconds: int
    at: float


class Hidings(Relay):
    """The relay, and what it saw, in the order it came."""

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.endpoint)
        self.seen: list[Hiding] = []
        self._stack = stack

    def take(self, exchange: Exchange, call: Call) -> None:
        """Pass a call on; note which messages it hides."""
        answer = self.pass_on(call)
        if call.header("x-amz-target").endswith(".ChangeMessageVisibilityBatch") and answer.status == 200:
            for entry in json.loads(call.body)["Entries"]:
                self.seen.append(Hiding(entry["ReceiptHandle"], entry["VisibilityTimeout"], time.monotonic()))
        exchange.answer(answer)

    def end_waits(self) -> None:
        """Bring back at once what is hidden, as the end of its time would."""
        queues, url = self._stack.client("sqs"), self._stack.outputs["WorkQueueUrl"]
        for hiding in self.seen:
            queues.change_message_visibility(QueueUrl=url, ReceiptHandle=hiding.receipt, VisibilityTimeout=0)
        self.seen.clear()


@contextmanager
def watched(stack: Stack, **changes: str) -> Iterator[Hidings]:
    """Let the deployed function go through the relay to its queues; keywords change its environment."""
    functions, name = stack.client("lambda"), stack.outputs["FunctionName"]
    usual = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    relay = Hidings(stack)

    def configure(variables: dict[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables})
        functions.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    try:
        configure(usual | {"AWS_ENDPOINT_URL_SQS": relay.url} | changes)
        yield relay
    finally:
        configure(usual)
        relay.end()
