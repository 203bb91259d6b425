"""Sentinel is down: messages wait, longer each time, Sentinel is left in peace, and afterwards everything flows.

Few seconds in the usual run; OUTAGE_SECONDS=40 makes it longer.
"""

import os
import time
from collections import Counter
from typing import Any

import pytest

from conftest import Start, batch, notification
from local import trail
from local.processes import wait_for
from local.stack import Stack
from visibility import watched

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS") or 12)
SECONDS = 30
FILES = 20
RECORDS = 3
MOST_REQUESTS = 80
# The fourth receipt is 80 seconds after the third at most, the fifth 160 seconds after that.
HEAL_SECONDS = 240
# A circuit that has opened rests for five seconds at first.
REST_SECONDS = 5
# The waits after the first and the second receipt: 10 and 20 seconds, less a quarter at most.
FIRST_WAIT, SECOND_WAIT = range(7, 11), 15

DOWN = {"503": {"kind": "status", "status": 503}, "connections-drop": {"kind": "drop_before"}}
USUAL = ["503"] if "OUTAGE_SECONDS" not in os.environ else list(DOWN)


@pytest.mark.parametrize("how", USUAL)
def test_files_wait_for_the_end_of_an_outage(stack: Stack, how: str) -> None:
    fault: dict[str, Any] = DOWN[how]
    with watched(stack) as hidings:
        stack.standin.fault(**fault)
        began = time.monotonic()
        for number in range(FILES):
            numbers = range(number * RECORDS, (number + 1) * RECORDS)
            stack.put_object(trail.key(f"outage-{how}-{number}"), trail.file(*numbers))
        time.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
        wait_for("some were tried again", SECONDS, lambda: len(hidings.seen) > FILES + FILES // 4)
        outage = time.monotonic() - began
        state, hidden = stack.standin.state(), len(hidings.seen)
        assert stack.depth("WorkQueueUrl") == FILES
        stack.standin.clear_faults()
        wait_for("everything has landed", HEAL_SECONDS, lambda: not stack.depth("WorkQueueUrl"))
        took = time.monotonic() - began
        waits = [hiding.seconds for hiding in hidings.seen]

    requests = state["requests"]
    print(
        f"{how}: {requests['total']} requests in {outage:.0f} s {requests['by_status']}; "
        f"{hidden} receipts in that time, {len(waits) + FILES} in all; waits {waits}; done after {took:.0f} s"
    )
    assert not state["tables"], "nothing was taken"
    assert requests["total"] < MOST_REQUESTS
    # Each has its first wait once.
    assert any(wait in FIRST_WAIT for wait in waits)
    assert sum(wait < SECOND_WAIT for wait in waits) <= FILES < len(waits), "hidden for longer each time"
    assert min(waits) >= FIRST_WAIT.start
    landed = Counter(row["AwsEventId"] for row in stack.standin.rows("AWSCloudTrail"))
    assert landed == Counter(map(trail.event_id, range(FILES * RECORDS)))
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_the_first_batch_after_an_outage_is_delivered_whole(stack: Stack, start: Start) -> None:
    keys = [trail.key(f"healed-{number}") for number in range(4)]
    with stack.quiet_bucket():
        for number, key in enumerate(keys):
            stack.put_object(key, trail.file(number))
    function = start()
    event = batch(*map(notification, keys))
    stack.standin.fault(kind="status", status=503)
    assert len(function.invoke(event).body["batchItemFailures"]) == len(keys)
    stack.standin.clear_faults()
    stack.standin.fault(kind="slow", ms=200)
    time.sleep(REST_SECONDS)
    assert function.invoke(event).body == {"batchItemFailures": []}
