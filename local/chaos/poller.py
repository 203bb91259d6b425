"""Polls the queue and invokes the function as Lambda's event source mapping does, and ends the function as chaos does.

<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>: what is not in `batchItemFailures` is
deleted; an answer that can't be understood brings all messages again.
"""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.chaos.cloud import QUEUE_ARN, Cloud
from local.chaos.invocation import Ending, Invocation, Seat
from local.chaos.plan import INVOCATION_SECONDS, MOST_MESSAGES, Plan, Poll
from local.chaos.workload import announced
from local.runtime_api import Answer, Function

_LEAST_SECONDS = 0.05
_CALM = Poll(MOST_MESSAGES, int(INVOCATION_SECONDS) + 1, INVOCATION_SECONDS, None, None, answer_lost=False)


class Poller(threading.Thread):
    """One concurrent execution: a function process, started anew whenever it was ended."""

    def __init__(
        self, seat: Seat, plan: Plan, cloud: Cloud, start: Callable[[Path], Function], folder: Path
    ) -> None:
        super().__init__(name=f"poller {seat.number}", daemon=True)
        self.invocations: list[Invocation] = []
        self.failure: BaseException | None = None
        self.calm = threading.Event()
        self.stop = threading.Event()
        self._seat = seat
        self._plan = plan
        self._cloud = cloud
        self._start_function = start
        self._folder = folder
        self._function: Function | None = None
        self._processes = 0
        self._usual_seconds = 1.0

    def run(self) -> None:
        """Poll until told to stop."""
        try:
            while not self.stop.is_set():
                poll = _CALM if self.calm.is_set() else self._plan.poll(self._seat.number)
                messages = self._cloud.receive(poll.messages, poll.visibility)
                while not messages and not self.stop.is_set():
                    messages = self._cloud.receive(poll.messages, poll.visibility)
                if messages:
                    self._invoke(messages, poll)
        except BaseException as failure:
            self.failure = failure
        finally:
            self._end_function()

    def _invoke(self, messages: list[dict[str, Any]], poll: Poll) -> None:
        invocation = Invocation({message["MessageId"]: announced(message["Body"]) for message in messages})
        self.invocations.append(invocation)
        function = self._function or self._start()
        self._seat.take(invocation, poll.killed_after, function.process.kill)
        moment = None if poll.killed_at is None else poll.killed_at * self._usual_seconds
        began = time.monotonic()
        function.begin(json.dumps({"Records": [record(message) for message in messages]}), poll.seconds)
        answer = function.answer(poll.seconds if moment is None else min(moment, poll.seconds))
        if answer is None:
            died = function.has_ended()
            self._end_function()
            if invocation.ending is not Ending.KILLED:
                is_late = moment is None or moment >= poll.seconds
                invocation.ending = Ending.DIED if died else Ending.TIMED_OUT if is_late else Ending.KILLED
                invocation.ended_at = time.monotonic()
            invocation.checkpoints = self._cloud.checkpoints(frozenset().union(*invocation.messages.values()))
            return
        is_doomed = moment is not None or poll.killed_after is not None
        took = time.monotonic() - began
        self._usual_seconds = max(_LEAST_SECONDS, 0.7 * self._usual_seconds + 0.3 * took)
        if is_doomed:
            # Killed all the same, only too late to matter to any but who waits for the answer.
            self._end_function()
        again = _returned(answer, invocation.messages.keys())
        if again is None or answer.kind != "response":
            invocation.ending = Ending.FAILED
            invocation.returned = set(invocation.messages)
        elif poll.answer_lost or is_doomed:
            invocation.ending = Ending.KILLED_LATE if is_doomed else Ending.ANSWER_LOST
            invocation.returned = again
        else:
            invocation.ending = Ending.ANSWERED
            invocation.returned = again
            self._cloud.delete([message for message in messages if message["MessageId"] not in again])

    def _start(self) -> Function:
        log = self._folder / f"function-{self._seat.number}-{self._processes:03}.log"
        self._processes += 1
        self._function = self._start_function(log)
        return self._function

    def _end_function(self) -> None:
        if self._function:
            self._function.kill()
        self._function = None


def record(message: dict[str, Any]) -> dict[str, Any]:
    """Return a received message as Lambda hands it to the function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }


def _returned(answer: Answer, sent: Any) -> set[str] | None:
    """Return the messages that must come again; none if Lambda could not understand the answer."""
    body = answer.body if answer.body is not None else {}
    failures = body.get("batchItemFailures") or [] if isinstance(body, dict) else None
    if failures is None:
        return None
    named = {failure.get("itemIdentifier") for failure in failures}
    return named if named <= set(sent) else None
