"""An endpoint that misbehaves in every way that we could think of: nothing counts as delivered but by a receipt, no
letter blames a record but for 400, memory is bounded, and it ends.

Each misbehaviour meets a function of its own, with one service of both clouds behind it misbehaving and all others sound.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import misbehaving
from conftest import batch, notification
from local import trail
from local.runtime_api import Function, function_environment
from local.stack import Binaries
from misbehaving import Clouds, Misbehaviour

RECORDS = 3
# Of which the program itself takes a third, and some misbehaviours send more than 100 MB.
MOST_BYTES = 64_000_000
INVOCATION_SECONDS = 4.0
# AWS's SDK gives a call up after 25 seconds.
ANSWER_SECONDS = 60.0
AT_ONCE = 32
BUSY = {408, 429, *range(500, 600)} - {501}


def misbehaviours() -> list[Misbehaviour]:
    """List them all."""
    kinds = misbehaving.statuses, misbehaving.informational, misbehaving.bodies, misbehaving.heads
    return [one for kind in (*kinds, misbehaving.connections) for one in kind()]


@pytest.mark.parametrize("service", ["ingestion", "token", "sts", "s3", "sqs", "dynamodb"])
def test_no_misbehaviour_is_taken_for_a_receipt_and_none_takes_memory_or_time(service: str, tmp_path: Path) -> None:
    all_of_them = misbehaviours()
    if service == "ingestion":
        all_of_them += misbehaving.receipts()
    names = Counter(one.name for one in all_of_them)
    assert len(names) == len(all_of_them) >= 80, [name for name, count in names.items() if count > 1]

    def meet(numbered: tuple[int, Misbehaviour]) -> tuple[int, list[str]]:
        number, misbehaviour = numbered
        peak, wrong = met(service, misbehaviour, tmp_path / f"{number}.log")
        return peak, [f"{misbehaviour.name}: {what}" for what in wrong]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = list(pool.map(meet, enumerate(all_of_them)))
    highest = max(peak for peak, _ in outcomes)
    print(f"{service}: {len(all_of_them)} misbehaviours, {highest / 1e6:.1f} MB at most")
    wrong = [what for _, found in outcomes for what in found]
    assert not wrong, "\n".join(wrong)


def met(service: str, misbehaviour: Misbehaviour, log: Path) -> tuple[int, list[str]]:
    """Let a function meet it; return the most memory that it took, and what went wrong."""
    # The letter about what no version knows is what the queue is asked to take.
    body = "{}" if service == "sqs" else notification(trail.key("misbehaving"))
    with Clouds(service, misbehaviour, trail.file(*range(RECORDS))) as clouds:
        url = clouds.url
        ledger = "ledger" if service == "dynamodb" else None
        environment = function_environment(url, url, f"{url}/0/work", f"{url}/0/letters", ledger)
        with Function(Binaries.built().forwarder, environment, log) as function:
            function.begin(batch(body), INVOCATION_SECONDS)
            answer = function.answer(ANSWER_SECONDS)
            peak = function.peak_bytes()
        text = log.read_text(errors="replace")
        if answer is None or answer.kind != "response":
            return peak, [f"no answer: {answer}\n{text[-2000:]}"]
        returned = answer.body["batchItemFailures"] != []
        wrong = list(faults(service, misbehaviour, clouds, returned, text))
    if not clouds.asked:
        wrong.append("nobody came")
    if peak > MOST_BYTES:
        wrong.append(f"it took {peak / 1e6:.0f} MB")
    return peak, wrong


def faults(service: str, misbehaviour: Misbehaviour, clouds: Clouds, returned: bool, log: str) -> Iterator[str]:
    """Say what is wrong with what the function made of it."""
    letters = [(letter["reason"], letter.get("status")) for letter in clouds.letters]
    reported = sum(map(int, re.findall(r'"Rows":(\d+)', log)))
    if reported > clouds.rows:
        yield f"it counted {reported} rows, and {clouds.rows} were acknowledged"
    # An object without a byte is ignored.
    is_settled = letters or (service == "s3" and '"Ignored":1' in log)
    if not returned and clouds.rows < RECORDS and not is_settled:
        yield "its message was acknowledged, with neither rows nor a letter"
    status = misbehaviour.status
    rejects = service == "ingestion" and status in (400, 413)
    if service == "ingestion":
        expected = {400: ("Rejected", 400), 413: ("TooLarge", 413)}
        # Neighbours that fail alike share one.
        written = [expected[status]] if rejects and status else []
        if letters != written:
            yield f"letters {letters}"
        if returned != (not rejects and status != 204):
            yield f"returned: {returned}"
        alarms = status is not None and not rejects and status not in BUSY and status != 204
        # Of an answer that comes too early the reset may be all that is seen.
        if not misbehaviour.is_early and alarms != bool(re.search(r'"ActionNeeded":[1-9]', log)):
            yield f"alarm: {not alarms}"
    elif service == "s3":
        # What S3 itself says of an object, and content that is no log, are the object's.
        if any(reason not in ("NotFound", "Corrupt") for reason, _ in letters):
            yield f"letters {letters}"
    elif letters:
        yield f"letters {letters}"
    elif service != "dynamodb" and not returned:
        yield "its message was acknowledged"
    if "panicked" in log:
        yield f"a panic: {json.dumps(log)[-2000:]}"
