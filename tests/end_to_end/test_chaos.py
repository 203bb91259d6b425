"""A short round of chaos, and that its audit sees what it is there to see."""

import json
import random
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from local.chaos.__main__ import table
from local.chaos.audit import Audit, Cause, judge
from local.chaos.faults import moved
from local.chaos.invocation import Ending, Invocation, Upload
from local.chaos.plan import Plan
from local.chaos.round import Round
from local.chaos.workload import STRANGER, Record, Thing, Workload, announced
from local.deployment import BUCKET
from local.stack import Binaries

FILES = 8
SEEDS = (20260310, random.randrange(1_000_000))
LATER = time.monotonic() + 3600
KEY = "AWSLogs/111122223333/CloudTrail/one.json.gz"


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_and_every_double_has_a_cause(seed: int) -> None:
    with Round(Binaries.built(), seed, FILES) as one:
        result = one.run()
    print(table(result))
    assert not result.audit.faults(), f"CHAOS_SEED={seed} CHAOS_FILES={FILES} make chaos repeats it"
    assert result.endings[Ending.KILLED] + result.endings[Ending.KILLED_LATE], "nothing was killed"
    assert result.outage_receives > 10, "the first outage was too short"


def test_the_same_seed_makes_the_same_plan() -> None:
    def drawn(seed: int) -> list[Any]:
        plan = Plan(seed)
        polls = [plan.poll(slot) for slot in (0, 1, 2) * 5]
        fates = [plan.fate("s3", 0.5) for _ in range(50)]
        return [polls, fates, plan.windows(20), list(Workload.planned(plan, 2).records)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


def test_an_object_is_announced_in_every_shape() -> None:
    workload = Workload.planned(Plan(1), 8)
    shapes = {frozenset(json.loads(body)) for _, body in workload.announcements if body != STRANGER}
    assert len(shapes) == 4, "notification, created object, task, finding"
    named = frozenset().union(*(announced(body) for _, body in workload.announcements))
    assert workload.things.keys() <= named
    assert all(record.announced_by & named for record in workload.records.values())


def one_file(records: int, **members: Any) -> Workload:
    """Make a workload of one file."""
    names = [f"record-{number}" for number in range(records)]
    made = {name: Record(name, KEY, number, frozenset({KEY})) for number, name in enumerate(names)}
    return Workload(things={KEY: Thing(KEY, b"", **members)}, records=made)


def arrived(request_id: str, *numbers: int) -> list[dict[str, Any]]:
    """Make the rows of one batch, as the stand-in shows them."""
    return [{"request_id": request_id, "row": {"AwsEventId": f"record-{number}"}} for number in numbers]


def letter(reason: str, **task: int) -> str:
    """Make a letter about records of the file."""
    return json.dumps({"reason": reason, "task": {"object": {"bucket": BUCKET, "key": KEY}, **task}})


def judged(
    rows: list[dict[str, Any]],
    uploads: dict[str, Upload],
    workload: Workload | None = None,
    letters: tuple[str, ...] = (),
) -> Audit:
    """Judge rows of a file of two records."""
    invocations = [upload.invocation for upload in uploads.values() if upload.invocation]
    return judge(workload or one_file(2), rows, letters, uploads, invocations)


def upload(
    ending: Ending = Ending.ANSWERED, is_acknowledged: bool = True, is_late: bool = False, **members: Any
) -> Upload:
    """Make an upload of an invocation that ended so."""
    ended = {"ended_at": 0.0} | members
    invocation = Invocation({"message": frozenset({KEY})}, ending=ending, **ended)
    return Upload(invocation, is_acknowledged, is_late)


def test_what_arrived_once_is_well() -> None:
    assert judged(arrived("a", 0, 1), {"a": upload()}).faults() == []


def test_a_record_that_arrived_nowhere_is_lost() -> None:
    audit = judged(arrived("a", 0), {"a": upload()})
    assert [record.index for record in audit.lost] == [1]
    assert audit.faults() == [f"lost: record 1 of {KEY} (record-1)"]


def test_a_record_in_the_range_of_a_letter_is_not_lost() -> None:
    refused = one_file(2, refused=frozenset({1}))
    letters = (letter("Rejected", from_record=1, until_record=2),)
    assert judged(arrived("a", 0), {"a": upload()}, refused, letters).faults() == []
    cut = one_file(3, is_cut=True)
    assert judged(arrived("a", 0), {"a": upload()}, cut, (letter("Corrupt", from_record=1),)).faults() == []
    (left,) = judged(arrived("a", 0), {"a": upload()}, cut, (letter("Corrupt", from_record=2),)).lost
    assert left.index == 1


@pytest.mark.parametrize(
    "text",
    [
        letter("Rejected", from_record=0, until_record=1),
        letter("Corrupt", from_record=0),
        letter("Forbidden", from_record=0),
        letter("Crashed", from_record=0),
        json.dumps({"reason": "UnknownTrigger", "event": {"other": 1}}),
        json.dumps({"Records": []}),
    ],
)
def test_a_letter_that_nothing_calls_for_is_named(text: str) -> None:
    workload = one_file(2, refused=frozenset({1}))
    assert judged(arrived("a", 0, 1), {"a": upload()}, workload, (text,)).strange_letters == [text]


def test_the_message_that_nobody_knows_may_become_a_letter() -> None:
    letters = (json.dumps({"reason": "UnknownTrigger", "event": {"Records": [{"body": STRANGER}]}}),)
    assert judged(arrived("a", 0, 1), {"a": upload()}, letters=letters).faults() == []


@pytest.mark.parametrize(
    ("first", "cause"),
    [
        (upload(is_acknowledged=False), Cause.ANSWER_LOST),
        (upload(is_late=True), Cause.LATE),
        (upload(is_acknowledged=False, is_late=True), Cause.LATE),
        (upload(Ending.KILLED, is_late=True), Cause.ENDED),
        (upload(Ending.FROZEN), Cause.ENDED),
        (upload(Ending.KILLED), Cause.ENDED),
        (upload(Ending.TIMED_OUT, checkpoints={KEY: 0}), Cause.ENDED),
        (upload(Ending.KILLED, checkpoints={KEY: 1}), Cause.BELOW),
        (upload(Ending.KILLED, checkpoints={KEY: 2}, ended_at=LATER), Cause.BESIDE),
        (upload(unanswered={f"object#{KEY}": True}), Cause.LEDGER),
        (upload(unanswered={f"object#{KEY}": False, "object#another": True}), Cause.NONE),
        (upload(Ending.TIMED_OUT, ended_at=LATER), Cause.BESIDE),
        (upload(Ending.TIMED_OUT, ended_at=LATER, unanswered={f"object#{KEY}": True}), Cause.LEDGER),
        (upload(returned={"message"}), Cause.BESIDE),
        (upload(Ending.ANSWER_LOST), Cause.NONE),
        (upload(), Cause.NONE),
    ],
)
def test_a_double_is_counted_by_its_cause(first: Upload, cause: Cause) -> None:
    audit = judged(arrived("a", 0, 1) + arrived("b", 0), {"a": first, "b": upload()})
    assert {found: batches for found, batches in audit.doubles.items() if batches} == {cause: {"b"}}
    assert len(audit.uncaused) == (cause in (Cause.BESIDE, Cause.BELOW, Cause.NONE))
    is_excused = cause in (Cause.ANSWER_LOST, Cause.LATE, Cause.ENDED, Cause.LEDGER)
    assert bool(audit.faults()) is not is_excused


def test_what_a_frozen_function_sends_when_it_wakes_is_told_apart_and_bounded() -> None:
    first, woken = upload(), upload(Ending.FROZEN)
    rows = arrived("a", *range(10))
    uploads = {"a": first}
    for number in range(10):
        rows += arrived(f"b{number}", number)
        uploads[f"b{number}"] = Upload(woken.invocation, is_acknowledged=True)
    audit = judged(rows, uploads, one_file(10))
    assert len(audit.doubles[Cause.FROZEN]) == 10
    assert audit.faults() == ["10 batches delivered again in flight while its function was frozen, allowed 8"]
    # What it sent before its invocation ended has the same causes as all else.
    woken = upload(Ending.FROZEN, ended_at=LATER)
    uploads = {"a": first, "b": Upload(woken.invocation, is_acknowledged=True)}
    assert judged(arrived("a", 0) + arrived("b", 0, 1), uploads).uncaused


@pytest.mark.parametrize("ahead", [0, 40, -40])
def test_a_clock_that_is_ahead_sees_the_ledgers_time_behind(ahead: int) -> None:
    item = b'{"Item": {"lease_until": {"S": "2026-03-10T12:00:00.5Z"}, "pk": {"S": "k"}}}'
    written = moved(item, ahead)
    assert (written == item) is (ahead == 0)
    lease = datetime.fromisoformat(json.loads(written)["Item"]["lease_until"]["S"])
    assert (lease - datetime(2026, 3, 10, 12, 0, 0, 500_000, timezone.utc)).total_seconds() == ahead
    assert json.loads(moved(written, -ahead))["Item"]["pk"] == {"S": "k"}


def test_more_doubles_than_lost_answers_and_kills_allow_are_too_many() -> None:
    uploads = {"a": upload(is_acknowledged=False), "b": upload()}
    assert judged(arrived("a", 0, 1) + arrived("b", 0, 1), uploads).faults() == []
    uploads |= {"c": upload()}
    audit = judged(arrived("a", 0, 1) + arrived("b", 0) + arrived("c", 1), uploads)
    assert audit.faults() == ["2 batches delivered again, allowed 1"]


def test_findings_of_a_batch_whose_answer_was_lost_may_come_again_one_by_one() -> None:
    rows = arrived("a", 0, 1) + arrived("b", 0) + arrived("c", 1)
    uploads = {"a": upload(is_acknowledged=False), "b": upload(), "c": upload()}
    assert judged(rows, uploads).faults() == ["2 batches delivered again, allowed 1"]
    exported = one_file(2)
    for name, record in exported.records.items():
        exported.records[name] = replace(record, announced_by=frozenset({KEY, name}))
    assert judged(rows, uploads, exported).faults() == []


def test_no_kill_allows_more_batches_than_lie_between_two_checkpoints() -> None:
    killed = upload(Ending.KILLED).invocation
    uploads = {str(number): Upload(killed, is_acknowledged=True) for number in range(40)}
    rows = [row for number in range(40) for row in arrived(str(number), number)]
    assert judged(rows, uploads, one_file(40)).allowed[Cause.ENDED] == 32


def test_without_a_ledger_doubles_are_counted_and_not_judged() -> None:
    audit = judged(arrived("a", 0, 1) + arrived("b", 0), {"a": upload(), "b": upload()})
    audit.keeps_ledger = False
    assert audit.doubled_batches == 1
    assert audit.faults() == []
