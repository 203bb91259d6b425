"""A function process with relays of its own, so that what it does is known as its own also after it was frozen."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from local.chaos.faults import AwsRelay, SentinelRelay, Weather
from local.chaos.invocation import Seat, Upload
from local.chaos.relay import Relay
from local.runtime_api import Function


class Worker:
    """One process, which can be frozen and thawed."""

    def __init__(
        self,
        start: Callable[[str, str], Function],
        upstreams: tuple[str, str],
        weather: Weather,
        uploads: dict[str, Upload],
        clock_ahead: int,
    ) -> None:
        self.seat = Seat(clock_ahead)
        aws, sentinel = upstreams
        relays = AwsRelay(aws, weather, self.seat), SentinelRelay(sentinel, weather, self.seat, uploads)
        self._relays: tuple[Relay, ...] = relays
        self.function = start(*(relay.url for relay in relays))

    def freeze(self) -> None:
        """Stop the process where it stands."""
        self.seat.is_frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process go on."""
        self._signal(signal.SIGCONT)
        self.seat.is_frozen = False

    def lose_connections(self, deaf: bool) -> None:
        """Outlive the life of its connections while it is frozen."""
        self.freeze()
        for relay in self._relays:
            relay.end_connections(deaf)
        self.thaw()

    def _signal(self, sign: signal.Signals) -> None:
        if not self.function.has_ended():
            os.kill(self.function.process.pid, sign)

    def end(self) -> None:
        """Kill the process, and end its relays."""
        self.function.kill()
        for relay in self._relays:
            relay.end()


Start = Callable[[Path], Worker]
