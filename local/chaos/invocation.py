"""What is remembered of the invocations and of the uploads that they made."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum


class Ending(Enum):
    """How an invocation ended."""

    ANSWERED = "answered"
    ANSWER_LOST = "answered, the answer lost"
    KILLED_LATE = "killed after the answer"
    FAILED = "answered with an error"
    KILLED = "killed"
    TIMED_OUT = "timed out"
    DIED = "died by itself"

    @property
    def is_cut_short(self) -> bool:
        """Whether the function was ended in the middle."""
        return self in (Ending.KILLED, Ending.TIMED_OUT, Ending.DIED)


@dataclass(eq=False)
class Invocation:
    """One invocation with a batch of messages."""

    messages: dict[str, frozenset[str]]
    """What each announces, by message id."""
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
    began_at: float = field(default_factory=time.monotonic)


@dataclass(eq=False)
class Seat:
    """A place for one function process, and the invocation that it is at."""

    number: int
    invocation: Invocation | None = None
    _calls_left: int | None = None
    _kill: Callable[[], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, invocation: Invocation, calls_left: int | None, kill: Callable[[], None]) -> None:
        """Begin an invocation, that may be killed after so many calls."""
        with self._lock:
            self.invocation, self._calls_left, self._kill = invocation, calls_left, kill

    def tick(self) -> None:
        """Count a call that begins or has been answered; the one that is too many kills."""
        with self._lock:
            if self._calls_left is None or self._kill is None or self.invocation is None:
                return
            self._calls_left -= 1
            if self._calls_left > 0:
                return
            self._calls_left = None
            self.invocation.ending = Ending.KILLED
            self.invocation.ended_at = time.monotonic()
            self._kill()
