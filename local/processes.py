"""Child processes that never outlive what they were started for."""

import atexit
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_STOP_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1

Answer = TypeVar("Answer")


class Failure(Exception):
    """What went wrong, in words for the person at the terminal."""


def free_port() -> int:
    """Return a port of the loopback host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, seconds: float, probe: Callable[[], Answer | None], pause: float = 0.1) -> Answer:
    """Ask again and again until the probe answers with something, or the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise Failure(f"{what}: not within {seconds:g} seconds")
        time.sleep(pause)


def _die_with_parent() -> None:
    """Let the kernel end the child when its parent dies, however it dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A program with a process group of its own, and its log in a file."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], log: Path, outlives: bool = False
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if outlives else _die_with_parent,
            )
        self.pid = self._process.pid
        if not outlives:
            atexit.register(self.stop)

    def check(self) -> None:
        """Raise with the end of its log when the program has ended."""
        if self._process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise Failure(f"{self.name} ended with status {self._process.returncode}:\n{tail}")

    def stop(self) -> None:
        """End the program and everything it started."""
        stop_group(self.pid, lambda: self._process.poll() is None)
        self._process.wait(timeout=_STOP_SECONDS)
        atexit.unregister(self.stop)


def stop_group(group: int, alive: Callable[[], bool]) -> None:
    """End a process group: politely, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while alive() and time.monotonic() < deadline:
            time.sleep(0.05)


def exit_on_signals() -> None:
    """Turn the signals that end a program into an ordinary exit, so that children are stopped."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, leave)
