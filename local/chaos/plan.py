"""What goes wrong in a round, and when: all of it drawn from one seed.

Threads and processes don't keep step, so a seed repeats the plan and not every moment of the run.
"""

import math
import random
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Any

SLOTS = 4
"""Functions on the queue, one process of each at once; a frozen one comes on top."""

INVOCATION_SECONDS = 6.0
"""The function's time-out."""

LEASE_SECONDS = INVOCATION_SECONDS + 4
"""By then a lease has run out: it lasts a little longer than the invocation, and its clock has whole seconds."""

MOST_MESSAGES = 10
"""Of one poll, as template.yaml has it."""

STRIKES = ("kill", "kill", "freeze", None, None, None, None, None)
"""What becomes of a slot's polls, in an order that is drawn."""

IDLES = ("closed", "deaf", None, None, None, None, None, None, None, None)
"""What becomes of the connections of a slot while it is frozen between two invocations: the other side closes them, or
takes nothing from them any more."""

CLOCKS = (0, 0, 40, -40)
"""By how many seconds a slot's own clock is ahead of the ledger's."""

SHORT_SHARE = 0.1
LOST_ANSWER_SHARE = 0.05
AT_ONCE_SHARE = 0.25
MOST_ANNOUNCEMENTS = 5
REFUSED_MARK = "chaos-refuses-this-record"
"""Text of the records that the stand-in refuses all the time."""

_DEPENDENCIES = ("s3", "sqs", "dead letters", "dynamodb", "sentinel", "token")
_WINDOW_SECONDS = 2.0
_BY_TIME_SHARE = 0.3
_MOST_CALLS = 60
_LEAST_VISIBILITY, _MOST_VISIBILITY = 3, 6
_SLOW_SHARE = 0.5
"""In so many windows one dependency is slow."""
_CALM = 0.08
"""The share of calls to AWS that fail in any weather."""


class Fate(Enum):
    """What becomes of one call to AWS."""

    PASSES = "passes"
    REFUSED = "refused"
    THROTTLED = "throttled"
    DROPPED = "dropped before it is passed on"
    UNANSWERED = "passed on, its answer lost"
    SLOW = "slow"
    CUT = "its answer cut in the middle"


@dataclass(frozen=True)
class Poll:
    """One poll of the queue that found something."""

    messages: int
    """The most that are received."""
    visibility: int
    seconds: float
    strike: str | None
    struck_at: float | None
    """As a share of the time that an invocation takes."""
    struck_after: int | None
    """After so many calls to the clouds, begun and answered ones counted alike."""
    frozen_seconds: float
    idle: str | None
    answer_lost: bool


@dataclass(frozen=True)
class Window:
    """The weather for a while: the share of calls to each AWS service that fail, the stand-in's faults, and by how much
    each call to one dependency is delayed."""

    seconds: float
    aws: dict[str, float]
    sentinel: tuple[dict[str, Any], ...]
    slow: dict[str, float]


class Plan:
    """All draws of a round."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._polls = [self.stream(f"poll {slot}") for slot in range(SLOTS)]
        self._strikes: list[list[str | None]] = [[] for _ in range(SLOTS)]
        self._idles: list[list[str | None]] = [[] for _ in range(SLOTS)]
        clocks = list(CLOCKS)
        self.stream("clocks").shuffle(clocks)
        self.clocks = clocks
        """Of each slot."""
        self._fates = self.stream("fates")
        self._lock = threading.Lock()

    def stream(self, name: str) -> random.Random:
        """Return a source of chance of its own, so that one consumer's draws don't move another's."""
        return random.Random(f"{self.seed}/{name}")

    def poll(self, slot: int) -> Poll:
        """Draw the next poll of a slot."""
        chance = self._polls[slot]
        # Each is drawn whatever the others are: the stream keeps its step.
        messages = chance.choice((1, 2, 5, MOST_MESSAGES))
        visibility = chance.randint(_LEAST_VISIBILITY, _MOST_VISIBILITY)
        short = 1 + chance.random() if chance.random() < SHORT_SHARE else INVOCATION_SECONDS
        moment, kind, lost = chance.random(), chance.random(), chance.random() < LOST_ANSWER_SHARE
        frozen = chance.choice((chance.uniform(0.3, 3.0), LEASE_SECONDS + chance.uniform(2.0, 4.0)))
        strike = self._next(self._strikes[slot], STRIKES, slot)
        return Poll(
            messages,
            visibility,
            short,
            strike,
            moment if strike and kind < _BY_TIME_SHARE else None,
            int(math.exp(moment * math.log(_MOST_CALLS))) if strike and kind >= _BY_TIME_SHARE else None,
            frozen,
            self._next(self._idles[slot], IDLES, slot),
            lost,
        )

    def _next(self, left: list[str | None], all_of_them: tuple[str | None, ...], slot: int) -> str | None:
        """Draw without putting back: chance alone would leave whole rounds in peace."""
        if not left:
            left += all_of_them
            self._polls[slot].shuffle(left)
        return left.pop()

    def fate(self, service: str, share: float) -> tuple[Fate, float]:
        """Draw the fate of one call, and a number between 0 and 1 that says how much of it."""
        with self._lock:
            fails, kind, much = (self._fates.random() for _ in range(3))
        if fails >= share:
            return Fate.PASSES, much
        fates = [Fate.REFUSED, Fate.THROTTLED, Fate.DROPPED, Fate.UNANSWERED, Fate.SLOW]
        if service == "s3":
            fates.append(Fate.CUT)
        return fates[int(kind * len(fates))], much

    def windows(self, seconds: float) -> list[Window]:
        """Draw the weather of a round that long."""
        chance = self.stream("windows")
        return [self._window(chance) for _ in range(max(1, round(seconds / _WINDOW_SECONDS)))]

    @staticmethod
    def _window(chance: random.Random) -> Window:
        aws = dict.fromkeys(("s3", "sqs", "dynamodb", "sts"), _CALM)
        sentinel: list[dict[str, Any]] = []
        for place in chance.sample(("s3", "sqs", "dynamodb", "sentinel", "sentinel", "calm"), 2):
            if place == "sentinel":
                sentinel += _sentinel_faults(chance)
            elif place != "calm":
                aws[place] = chance.choice((0.15, 0.3, 0.6))
        slow = {chance.choice(_DEPENDENCIES): chance.choice((0.2, 0.6, 2.0))} if chance.random() < _SLOW_SHARE else {}
        return Window(_WINDOW_SECONDS, aws, tuple(sentinel), slow)


def _sentinel_faults(chance: random.Random) -> list[dict[str, Any]]:
    kinds: list[dict[str, Any]] = [
        {"kind": "status", "status": 429, "retry_after": chance.choice((0, 1, 2)), "probability": 0.3},
        {"kind": "status", "status": 500, "probability": 0.3},
        {"kind": "status", "status": 503, "probability": chance.choice((0.3, 0.9))},
        {"kind": "status", "status": 503, "probability": 0.5, "match": "token"},
        {"kind": "slow", "ms": chance.choice((100, 400, 1500)), "probability": 0.3},
        {"kind": "hang", "probability": 0.05},
        {"kind": "drop_before", "probability": 0.2},
        {"kind": "drop_after", "probability": 0.15},
        {"kind": "hang_after", "probability": 0.05},
    ]
    return [fault | {"seed": chance.getrandbits(32)} for fault in chance.sample(kinds, 2)]
