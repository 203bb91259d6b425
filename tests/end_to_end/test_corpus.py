"""Every record of the corpus goes through the function, and each row agrees with an independent reading of it."""

import gzip
import itertools
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

import corpus
from conftest import Start, notification
from local import trail
from local.runtime_api import Function
from local.stack import Stack
from oracle import TimeOfReading, cloudtrail_row, differences, guardduty_row

pytestmark = pytest.mark.skipif(
    not (corpus.FOLDER / "INDEX.tsv").is_file(), reason="no corpus beside the repository"
)


def by_file(kind: str) -> Iterator[tuple[str, list[str]]]:
    """The texts of one kind, file by file."""
    wanted = (sample for sample in corpus.samples() if sample.kind == kind)
    for path, samples in itertools.groupby(wanted, key=lambda sample: sample.path):
        yield path, [sample.text for sample in samples]


def faults(stack: Stack, table: str, texts: list[str], path: str) -> Iterator[str]:
    """Hold the rows that landed against the records, in their order."""
    read = cloudtrail_row if table == "AWSCloudTrail" else guardduty_row
    now = datetime.now(timezone.utc)
    rows = stack.standin.row_texts(table)
    if len(rows) != len(texts):
        yield f"{path}: {len(rows)} rows of {len(texts)} records"
        return
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        expected = read(text, now)
        if "EventTime_CF" in expected:
            # The stand-in replaces such times, as the service does.
            expected["TimeGenerated"] = TimeOfReading(now)
        yield from (f"{path}, record {number}: {difference}" for difference in differences(expected, row))


def deliver(function: Function, event: str, path: str) -> Iterator[str]:
    """Invoke, and say what was wrong with the answer."""
    answer = function.invoke(event)
    if answer.kind != "response" or answer.body["dead_letters"]:
        yield f"{path}: {answer}"


def test_every_cloudtrail_record_agrees_with_an_independent_reading(stack: Stack, start: Start) -> None:
    # One upload at a time keeps the rows in the order of the records.
    function, found, seen = start(SENTINEL_MAX_CONCURRENCY="1"), list[str](), 0
    for number, (path, texts) in enumerate(by_file(corpus.CLOUDTRAIL)):
        key = trail.key(f"corpus-{number}")
        document = '{"Records":[' + ",".join(texts) + "]}"
        with stack.quiet_bucket():
            stack.put_object(key, gzip.compress(document.encode(errors="surrogatepass")))
        stack.standin.reset()
        found += deliver(function, notification(key), path)
        found += faults(stack, "AWSCloudTrail", texts, path)
        found += (f"{path}: refused: {refusal}" for refusal in stack.standin.state()["refusals"]["latest"])
        seen += len(texts)
    assert not found, "\n".join(found[:50])
    assert seen > 0


def test_every_finding_agrees_with_an_independent_reading(stack: Stack, start: Start) -> None:
    function, found, seen = start(SENTINEL_MAX_CONCURRENCY="1"), list[str](), 0
    for path, texts in by_file(corpus.GUARDDUTY):
        stack.standin.reset()
        for text in texts:
            event = '{"version":"0","source":"aws.guardduty","detail-type":"GuardDuty Finding","detail":' + text + "}"
            found += deliver(function, event, path)
        found += faults(stack, "AWSGuardDuty", texts, path)
        found += (f"{path}: refused: {refusal}" for refusal in stack.standin.state()["refusals"]["latest"])
        seen += len(texts)
    assert not found, "\n".join(found[:50])
    assert seen > 0
