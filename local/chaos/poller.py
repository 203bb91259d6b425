"""Polls the queue and invokes the function as Lambda's event source mapping does, and ends the function as chaos does.

<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>: what is not in `batchItemFailures` is
deleted; an answer that can't be understood brings all messages again.
"""

import json
import threading
import time
from pathlib import Path
from typing import Any

from local.chaos.cloud import QUEUE_ARN, Cloud
from local.chaos.invocation import Ending, Invocation
from local.chaos.plan import INVOCATION_SECONDS, MOST_MESSAGES, Plan, Poll
from local.chaos.worker import Start, Worker
from local.chaos.workload import announced
from local.runtime_api import Answer

_LEAST_SECONDS = 0.05
_UPLOADING_SHARE = 0.9
"""Of its time a function keeps a tenth for settling; no answer to an upload is waited for then."""
_AWAKE_SECONDS = 2.0
"""So long a function lives that wakes after its invocation has ended."""
CALM = Poll(
    MOST_MESSAGES, int(INVOCATION_SECONDS) + 1, INVOCATION_SECONDS, None, None, None, 0.0, None, answer_lost=False
)


class Poller(threading.Thread):
    """One concurrent execution: a function process, started anew whenever it was ended."""

    def __init__(self, slot: int, plan: Plan, cloud: Cloud, start: Start, folder: Path) -> None:
        super().__init__(name=f"poller {slot}", daemon=True)
        self.receives: dict[str, int] = {}
        """How often each message was received."""
        self.invocations: list[Invocation] = []
        self.failure: BaseException | None = None
        self.always: Poll | None = None
        """What all polls are like, instead of the plan's."""
        self.pause_seconds = 0.0
        """After each invocation."""
        self.stop = threading.Event()
        self._slot = slot
        self._plan = plan
        self._cloud = cloud
        self._start_worker = start
        self._folder = folder
        self._worker: Worker | None = None
        self._sleepers: list[threading.Thread] = []
        self._processes = 0
        self._usual_seconds = 1.0

    def run(self) -> None:
        """Poll until told to stop."""
        try:
            while not self.stop.is_set():
                poll = self.always or self._plan.poll(self._slot)
                messages = self._cloud.receive(poll.messages, poll.visibility)
                while not messages and not self.stop.is_set():
                    messages = self._cloud.receive(poll.messages, poll.visibility)
                if messages:
                    self._invoke(messages, poll)
                    time.sleep(self.pause_seconds)
        except BaseException as failure:
            self.failure = failure
        finally:
            self._end_worker()
            for sleeper in self._sleepers:
                sleeper.join()

    def has_sleepers(self) -> bool:
        """Say whether a frozen function has yet to wake and end."""
        return any(sleeper.is_alive() for sleeper in self._sleepers)

    def _invoke(self, messages: list[dict[str, Any]], poll: Poll) -> None:
        invocation = Invocation({message["MessageId"]: announced(message["Body"]) for message in messages})
        self.invocations.append(invocation)
        for message in messages:
            self.receives[message["MessageId"]] = int(message["Attributes"]["ApproximateReceiveCount"])
        worker = self._worker or self._start()
        function = worker.function
        if poll.idle:
            worker.lose_connections(deaf=poll.idle == "deaf")

        def kill() -> None:
            invocation.ending, invocation.ended_at = Ending.KILLED, time.monotonic()
            function.process.kill()

        def freeze() -> None:
            worker.freeze()
            threading.Timer(poll.frozen_seconds, worker.thaw).start()

        strike = freeze if poll.strike == "freeze" else kill
        worker.seat.take(invocation, poll.struck_after, strike)
        began = time.monotonic()
        ends = began + poll.seconds
        invocation.uploads_until = began + poll.seconds * _UPLOADING_SHARE
        function.begin(json.dumps({"Records": [record(message) for message in messages]}), poll.seconds)
        moment = None if poll.struck_at is None else poll.struck_at * self._usual_seconds
        answer = function.answer(poll.seconds if moment is None else min(moment, poll.seconds))
        if answer is None and moment is not None and moment < poll.seconds and not function.has_ended():
            strike()
            answer = function.answer(ends - time.monotonic())
        if answer is None:
            self._end_short(worker, invocation, poll)
            return
        took = time.monotonic() - began
        self._usual_seconds = max(_LEAST_SECONDS, 0.7 * self._usual_seconds + 0.3 * took)
        is_doomed = poll.strike == "kill"
        if is_doomed:
            # Killed all the same, only too late to matter to any but who waits for the answer.
            self._end_worker()
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

    def _end_short(self, worker: Worker, invocation: Invocation, poll: Poll) -> None:
        """End an invocation that did not answer: Lambda ends its function, unless that is frozen."""
        died, is_frozen = worker.function.has_ended(), worker.seat.is_frozen
        if is_frozen:
            # It wakes beside its successor.
            self._sleepers.append(threading.Thread(target=_sleep, args=(worker, poll), daemon=True))
            self._sleepers[-1].start()
            self._worker = None
        else:
            self._end_worker()
        if invocation.ending is not Ending.KILLED:
            invocation.ending = Ending.DIED if died else Ending.FROZEN if is_frozen else Ending.TIMED_OUT
            invocation.ended_at = time.monotonic()
        invocation.checkpoints = self._cloud.checkpoints(frozenset().union(*invocation.messages.values()))

    def _start(self) -> Worker:
        log = self._folder / f"function-{self._slot}-{self._processes:03}.log"
        self._processes += 1
        self._worker = self._start_worker(log)
        return self._worker

    def _end_worker(self) -> None:
        if self._worker:
            self._worker.end()
        self._worker = None


def _sleep(worker: Worker, poll: Poll) -> None:
    time.sleep(poll.frozen_seconds)
    # Its timer wakes it some time before.
    time.sleep(_AWAKE_SECONDS)
    worker.end()


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
