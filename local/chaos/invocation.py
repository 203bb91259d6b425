"""What is remembered of the invocations and of the uploads that they made."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


LATE_SECONDS = 0.3
"""An answer takes so long at most until the function has read it."""


class Ending(Enum):
    """How an invocation ended."""

    ANSWERED = "answered"
    ANSWER_LOST = "answered, the answer lost"
    KILLED_LATE = "killed after the answer"
    FAILED = "answered with an error"
    KILLED = "killed"
    TIMED_OUT = "timed out"
    FROZEN = "timed out while frozen"
    DIED = "died by itself"

    @property
    def is_cut_short(self) -> bool:
        """Whether the function was ended in the middle."""
        return self in (Ending.KILLED, Ending.TIMED_OUT, Ending.FROZEN, Ending.DIED)


@dataclass(eq=False)
class Invocation:
    """One invocation with a batch of messages."""

    messages: dict[str, frozenset[str]]
    """What each announces, by message id."""
    uploads_until: float = math.inf
    """When the function takes an upload for failed whose answer is not there."""
    ending: Ending | None = None
    ended_at: float = math.inf
    returned: set[str] = field(default_factory=set)
    """The messages that the function wants again."""
    unanswered: dict[str, bool] = field(default_factory=dict)
    """Whether the last write of a ledger's item got no good answer."""
    checkpoints: dict[str, int] = field(default_factory=dict)
    """Where each object stood in the ledger when the function was ended."""

    def wants_again(self, things: frozenset[str]) -> bool:
        """Say whether a message about one of these is to come again."""
        return any(self.messages[name] & things for name in self.returned if name in self.messages)


@dataclass(eq=False)
class Upload:
    """One batch on its way."""

    invocation: Invocation | None
    is_acknowledged: bool = False
    """Whether a good answer went back to a caller that was still there."""
    is_late: bool = False
    """Whether it went back when the caller had, or may have, given it up."""
    began_at: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Seat:
    """A place for one function process, and the invocation that it is at."""

    clock_ahead: int = 0
    """By how many seconds the process's own clock is ahead of the ledger's."""
    invocation: Invocation | None = None
    is_frozen: bool = False
    _calls_left: int | None = None
    _strike: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, invocation: Invocation, calls_left: int | None, strike: Callable[[], None]) -> None:
        """Begin an invocation, that may be struck after so many calls."""
        with self._lock:
            self.invocation, self._calls_left, self._strike = invocation, calls_left, strike

    def tick(self) -> None:
        """Count a call that begins or has been answered; the one that is too many strikes."""
        with self._lock:
            if self._calls_left is None or self._strike is None or self.invocation is None:
                return
            self._calls_left -= 1
            if self._calls_left > 0:
                return
            self._calls_left = None
            self._strike()

    def gives_up(self) -> bool:
        """Say whether an answer that goes back now may come too late for its invocation."""
        return self.is_frozen or (
            self.invocation is not None and time.monotonic() > self.invocation.uploads_until - LATE_SECONDS
        )
