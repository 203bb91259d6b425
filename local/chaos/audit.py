"""What became of every record: delivered or in a letter, how often, and why more than once."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from local.chaos.invocation import Ending, Invocation, Upload
from local.chaos.workload import STRANGER, Record, Workload

CHECKPOINT_BATCHES = 32
"""The most batches between two checkpoints of an object."""

UPLOADS_IN_FLIGHT = 8
"""The most that a function sends when it wakes and its invocation has ended."""

_CRASHES = 10
"""From so many ends of the function on, a letter that calls it a crash is explained."""


class Cause(Enum):
    """Why a batch held something that had been delivered before."""

    ANSWER_LOST = "answer of Sentinel lost"
    LATE = "answer of Sentinel came after the deadline"
    FROZEN = "in flight while its function was frozen"
    ENDED = "killed or timed out above the checkpoint"
    LEDGER = "ledger did not answer"
    BESIDE = "BESIDE its holder, or a batch that failed"
    BELOW = "BELOW the checkpoint"
    NONE = "WITHOUT a cause"


_UNCAUSED = (Cause.BESIDE, Cause.BELOW, Cause.NONE)


@dataclass(frozen=True)
class Arrival:
    """A record that Sentinel took."""

    record: Record
    request_id: str
    upload: Upload


@dataclass
class Audit:
    """The finding of a round."""

    lost: list[Record] = field(default_factory=list)
    strange_letters: list[str] = field(default_factory=list)
    strange_rows: list[str] = field(default_factory=list)
    doubles: dict[Cause, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By cause, the batches that held something again."""
    uncaused: list[str] = field(default_factory=list)
    """The records that came again below the checkpoint or without a cause, one of each batch."""
    doubled_records: int = 0
    allowed: dict[Cause, int] = field(default_factory=dict)
    """By cause, how many batches it could have brought again."""
    deaths: int = 0
    refusals: int = 0
    still_queued: int = 0
    keeps_ledger: bool = True

    @property
    def doubled_batches(self) -> int:
        """How many batches held something again."""
        return sum(map(len, self.doubles.values()))

    def faults(self) -> list[str]:
        """Say in words all that must not be."""
        said = [f"lost: record {one.index} of {one.key} ({one.identity})" for one in self.lost]
        said += [f"a letter that nothing explains: {letter}" for letter in self.strange_letters]
        said += [f"a row of nothing that was sent: {row}" for row in self.strange_rows]
        if self.still_queued:
            said.append(f"{self.still_queued} messages are still on the work queue")
        if self.deaths:
            said.append(f"the function ended by itself {self.deaths} times")
        if self.refusals:
            said.append(f"the stand-in refused {self.refusals} requests on its own account")
        if self.keeps_ledger:
            for cause in _UNCAUSED:
                if self.doubles[cause]:
                    said.append(f"{len(self.doubles[cause])} batches delivered again {cause.value}")
            said += [f"delivered again {one}" for one in self.uncaused]
            for cause in (Cause.BESIDE, Cause.FROZEN):
                batches, most = len(self.doubles[cause]), self.allowed.get(cause, 0)
                if batches > most:
                    said.append(f"{batches} batches delivered again {cause.value}, allowed {most}")
            if self.doubled_batches > sum(self.allowed.values()):
                said.append(f"{self.doubled_batches} batches delivered again, allowed {sum(self.allowed.values())}")
        return said


def judge(
    workload: Workload,
    rows: Iterable[dict[str, Any]],
    letters: Iterable[str],
    uploads: dict[str, Upload],
    invocations: list[Invocation],
) -> Audit:
    """Compare what was sent with what arrived."""
    audit = Audit(deaths=sum(one.ending is Ending.DIED for one in invocations))
    arrivals: dict[str, list[Arrival]] = defaultdict(list)
    for row in rows:
        identity = row["row"].get("AwsEventId") or row["row"].get("Id", "")
        record = workload.records.get(identity)
        if record is None:
            audit.strange_rows.append(identity)
            continue
        request_id = row["request_id"].lower()
        arrivals[identity].append(Arrival(record, request_id, uploads[request_id]))
    lettered = _letters(audit, workload, letters, invocations)
    for identity, record in workload.records.items():
        ranges = [one for name in record.announced_by for one in lettered[name]]
        if identity not in arrivals and not any(start <= record.index < end for start, end in ranges):
            audit.lost.append(record)
    _count_doubles(audit, arrivals)
    _count_allowed(audit, arrivals)
    return audit


def _letters(
    audit: Audit, workload: Workload, letters: Iterable[str], invocations: list[Invocation]
) -> dict[str, list[tuple[int, float]]]:
    """Return the ranges that lie in letters, by what they are about."""
    ends = Counter(
        name
        for invocation in invocations
        if invocation.ending and invocation.ending.is_cut_short
        for things in invocation.messages.values()
        for name in things
    )
    lettered: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for text in letters:
        letter = json.loads(text)
        reason, task, event = letter.get("reason"), letter.get("task"), letter.get("event")
        if task:
            thing = workload.things.get(task["object"]["key"])
            start, end = task.get("from_record", 0), task.get("until_record", float("inf"))
            if thing:
                lettered[thing.key].append((start, end))
            explained = thing is not None and (
                (reason == "Rejected" and start in thing.refused and end == start + 1)
                or (reason == "Corrupt" and thing.is_cut)
                or (reason == "Crashed" and ends[thing.key] >= _CRASHES)
            )
        else:
            # The event lies in the letter, or the whole message that brought it.
            about = json.dumps(event).replace("\\", "")
            explained = reason == "UnknownTrigger" and STRANGER.strip("{}") in about.replace(": ", ":")
            for name in {name for record in workload.records.values() for name in record.announced_by}:
                if name in about:
                    lettered[name].append((0, float("inf")))
                    explained |= reason == "Crashed" and ends[name] >= _CRASHES
        if not explained:
            audit.strange_letters.append(text[:600])
    return lettered


def _count_doubles(audit: Audit, arrivals: dict[str, list[Arrival]]) -> None:
    worst: dict[str, Cause] = {}
    order = list(Cause)
    for copies in arrivals.values():
        for before, again in zip(copies, copies[1:], strict=False):
            audit.doubled_records += 1
            cause = _cause(before, again)
            known = worst.get(again.request_id, Cause.ANSWER_LOST)
            if cause in _UNCAUSED and known not in _UNCAUSED:
                audit.uncaused.append(_told(cause, before, again))
            worst[again.request_id] = max(known, cause, key=order.index)
    for request_id, cause in worst.items():
        audit.doubles[cause].add(request_id)


def _told(cause: Cause, before: Arrival, again: Arrival) -> str:
    record, invocation = before.record, before.upload.invocation
    ending = invocation.ending.value if invocation and invocation.ending else "unknown"
    later = again.upload.began_at - before.upload.began_at
    return (
        f"{cause.value}: record {record.index} of {record.key}, {later:.1f} s after an invocation that was {ending}; "
        f"requests {before.request_id} and {again.request_id}"
    )


def _cause(before: Arrival, again: Arrival) -> Cause:
    """Say why a record came again after this arrival of it."""
    invocation, record = before.upload.invocation, before.record
    risk = _risk(before)
    if invocation is None or risk in (Cause.ANSWER_LOST, Cause.LATE):
        return risk
    if _is_overdue(again):
        return Cause.FROZEN
    if invocation.ending and invocation.ending.is_cut_short:
        # What came again before the function was ended came again since it had been let go.
        is_over = again.upload.began_at >= invocation.ended_at
        return risk if is_over else Cause.LEDGER if _ledger_failed(invocation, record) else Cause.BESIDE
    if risk is Cause.NONE and invocation.wants_again(record.announced_by):
        return Cause.BESIDE
    return risk


def _risk(arrival: Arrival) -> Cause:
    """Say what could bring a record again after this arrival of it, whether it does or not."""
    invocation, record = arrival.upload.invocation, arrival.record
    is_cut_short = invocation is not None and invocation.ending is not None and invocation.ending.is_cut_short
    if arrival.upload.is_late and not is_cut_short:
        return Cause.LATE
    if not arrival.upload.is_acknowledged or invocation is None:
        return Cause.ANSWER_LOST
    if is_cut_short:
        return Cause.BELOW if record.index < invocation.checkpoints.get(record.key, 0) else Cause.ENDED
    return Cause.LEDGER if _ledger_failed(invocation, record) else Cause.NONE


def _is_overdue(arrival: Arrival) -> bool:
    """Say whether a frozen function sent it when its invocation had ended."""
    invocation = arrival.upload.invocation
    return (
        invocation is not None
        and invocation.ending is Ending.FROZEN
        and arrival.upload.began_at >= invocation.ended_at
    )


def _ledger_failed(invocation: Invocation, record: Record) -> bool:
    about = {
        key: unanswered
        for key, unanswered in invocation.unanswered.items()
        if any(name in key for name in record.announced_by)
    }
    # The ledger's keys may not show what they are about.
    return any((about or invocation.unanswered).values())


def _count_allowed(audit: Audit, arrivals: dict[str, list[Arrival]]) -> None:
    """Count the batches that each cause could have brought again."""
    for lost in (Cause.ANSWER_LOST, Cause.LATE):
        unanswered: dict[str, set[str]] = defaultdict(set)
        for identity, copies in arrivals.items():
            for copy in copies:
                if _risk(copy) is lost:
                    # A finding that an event announces too may come again by itself, beside the rest of its batch.
                    comes_alone = len(copy.record.announced_by) > 1
                    unanswered[copy.request_id].add(identity if comes_alone else copy.record.key)
        audit.allowed[lost] = sum(map(len, unanswered.values()))
    overdue = {
        (copy.upload.invocation, copy.request_id)
        for copies in arrivals.values()
        for copy in copies
        if _is_overdue(copy)
    }
    of_each = Counter(invocation for invocation, _ in overdue)
    audit.allowed[Cause.FROZEN] = sum(min(count, UPLOADS_IN_FLIGHT) for count in of_each.values())
    open_batches: dict[tuple[Cause, Invocation, str], set[str]] = defaultdict(set)
    for copies in arrivals.values():
        for copy in copies:
            cause, invocation = _risk(copy), copy.upload.invocation
            if cause in (Cause.ENDED, Cause.LEDGER) and invocation:
                open_batches[cause, invocation, copy.record.key].add(copy.request_id)
    for cause in (Cause.ENDED, Cause.LEDGER):
        audit.allowed[cause] = sum(
            min(len(batches), CHECKPOINT_BATCHES) for key, batches in open_batches.items() if key[0] is cause
        )
