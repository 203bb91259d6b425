"""Made-up records through the real function, each row against the second reading: the fast way of mapping and an oracle
that shares no code with it.

`FUZZ_RECORDS=100000 FUZZ_SEED=7 make end-to-end ARGS='-k made_up'` tries so many; a difference names seed and record.
"""

import gzip
import os
from datetime import datetime, timezone

import pytest

from conftest import Start, notification
from fuzz_records import WRITERS, Records
from local import trail
from local.stack import Stack
from oracle import TimeOfReading, cloudtrail_row, differences, guardduty_row

RECORDS = int(os.environ.get("FUZZ_RECORDS", "5000"))
SEED = int(os.environ.get("FUZZ_SEED", "20261124"))
FILE_RECORDS = 2500
READINGS = {"AWSCloudTrail": ("AwsRequestId_", cloudtrail_row), "AWSGuardDuty": ("Id", guardduty_row)}


def content(table: str, texts: list[str]) -> bytes:
    """Write a file."""
    if table == "AWSCloudTrail":
        return f'{{"Records":[{",".join(texts)}]}}'.encode()
    return "\n".join(text.replace("\n", " ") for text in texts).encode()


@pytest.mark.parametrize("table", WRITERS)
def test_made_up_records_agree_with_an_independent_reading(stack: Stack, start: Start, table: str) -> None:
    source, (column, read) = Records(SEED), READINGS[table]
    function = start(LEDGER_TABLE="")
    wrong: list[tuple[int, str, list[str]]] = []
    for first in range(0, RECORDS, FILE_RECORDS):
        texts = [WRITERS[table](source, number) for number in range(first, min(first + FILE_RECORDS, RECORDS))]
        key = trail.key(f"fuzz-{first}").replace("CloudTrail", table.removeprefix("AWS"))
        with stack.quiet_bucket():
            stack.put_object(key, gzip.compress(content(table, texts)))
        stack.standin.reset()
        answer = function.invoke(notification(key), 120)
        assert (answer.kind, answer.body["dead_letters"]) == ("response", 0), answer
        now = datetime.now(timezone.utc)
        rows = {row[column]: text for row, text in zip(stack.standin.rows(table), stack.standin.row_texts(table), strict=True)}
        for number, text in enumerate(texts, first):
            expected = read(text, now)
            if "EventTime_CF" in expected:
                # The stand-in replaces such times, as the service does.
                expected["TimeGenerated"] = TimeOfReading(now)
            row = rows.get(str(number))
            if found := ["no row"] if row is None else differences(expected, row):
                wrong.append((len(text), text, found))
        assert stack.standin.state()["refusals"]["total"] == 0
    wrong.sort(key=lambda one: one[0])
    assert not wrong, f"seed {SEED}: {len(wrong)} differ; the smallest: {wrong[0][1]}\n{wrong[0][2]}"
