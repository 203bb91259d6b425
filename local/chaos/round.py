"""One round: everything started, the plan carried out, the faults ended, the rest drained, the audit taken."""

import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from local import standin
from local.chaos.audit import Audit, judge
from local.chaos.cloud import LEDGER, Cloud
from local.chaos.faults import AwsRelay, SentinelRelay, Weather
from local.chaos.invocation import Ending, Invocation, Seat, Upload
from local.chaos.plan import REFUSED_MARK, SLOTS, Plan
from local.chaos.poller import Poller
from local.chaos.relay import Relay
from local.chaos.workload import Workload
from local.processes import Child, Failure
from local.runtime_api import Function, function_environment
from local.stack import FOLDER, Binaries

_SECONDS_A_FILE = 0.5
_LEAST_SPREAD_SECONDS = 6.0
"""The announcements take so long in all."""

_STORM_FACTOR = 2
"""The faults go on for so many times as long, at most."""
_DRAIN_SECONDS = 120.0
_SETTLED_SECONDS = 1.0
_MAX_REQUEST_BYTES = 20_000
_KEEP_ROWS = 2_000_000


@dataclass(frozen=True)
class Result:
    """What a round came to."""

    seed: int
    workload: Workload
    audit: Audit
    endings: Counter[Ending]
    uploads: int
    faults: Counter[str]
    longest_wait: int
    seconds: float
    folder: Path


class Round:
    """A round with one seed; a context manager that ends what it started."""

    def __init__(self, binaries: Binaries, seed: int, files: int, keeps_ledger: bool = True) -> None:
        self.plan = Plan(seed)
        self.workload = Workload.planned(self.plan, files)
        self.weather = Weather(self.plan)
        self.uploads: dict[str, Upload] = {}
        self._spread = max(_LEAST_SPREAD_SECONDS, files * _SECONDS_A_FILE)
        self._binaries = binaries
        self._keeps_ledger = keeps_ledger
        self._folder = FOLDER / "chaos" / f"seed-{seed}"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._children: list[Child] = []
        self._relays: list[Relay] = []
        self._pollers: list[Poller] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Round":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self) -> Result:
        """Carry out the plan and judge."""
        began = time.monotonic()
        for poller in self._pollers:
            poller.start()
        announcer = threading.Thread(target=self._announce, daemon=True)
        announcer.start()
        for window in self.plan.windows(self._spread * _STORM_FACTOR):
            self.weather.aws = window.aws
            self._storm(window.sentinel)
            self._wait(window.seconds)
            if not announcer.is_alive() and not self._cloud.depth():
                break
        self._calm_down()
        announcer.join()
        self._drain()
        for poller in self._pollers:
            poller.stop.set()
        for poller in self._pollers:
            poller.join()
        return self._result(time.monotonic() - began)

    def stop(self) -> None:
        """End all that runs; keep the logs."""
        for poller in self._pollers:
            poller.stop.set()
        for poller in self._pollers:
            if poller.is_alive():
                poller.join()
        for relay in self._relays:
            relay.end()
        for child in reversed(self._children):
            child.stop()
        shutil.rmtree(self._folder / "scratch", ignore_errors=True)

    def _start(self) -> None:
        self._standin, child = standin.start(self._binaries.sentinelctl, self._folder, keep_rows=_KEEP_ROWS)
        self._children.append(child)
        self._cloud = Cloud(self._folder)
        self._children.append(self._cloud.emulator.child)
        for thing in self.workload.things.values():
            self._cloud.put(thing)
        for number in range(SLOTS):
            seat = Seat(number)
            aws = AwsRelay(self._cloud.endpoint, self.weather, seat)
            sentinel = SentinelRelay(self._standin.url, seat, self.uploads)
            self._relays += [aws, sentinel]
            environment = self._environment(aws.url, sentinel.url)

            def start(log: Path, environment: dict[str, str] = environment) -> Function:
                return Function(self._binaries.forwarder, environment, log)

            self._pollers.append(Poller(seat, self.plan, self._cloud, start, self._folder))

    def _environment(self, aws: str, sentinel: str) -> dict[str, str]:
        ledger = LEDGER if self._keeps_ledger else None
        environment = function_environment(aws, sentinel, self._cloud.work_url, self._cloud.letters_url, ledger)
        return environment | {"SENTINEL_MAX_REQUEST_BYTES": str(_MAX_REQUEST_BYTES)}

    def _announce(self) -> None:
        began = time.monotonic()
        for moment, body in self.workload.announcements:
            time.sleep(max(0.0, began + moment * self._spread - time.monotonic()))
            self._cloud.send(body)

    def _storm(self, faults: tuple[dict[str, object], ...]) -> None:
        self._standin.clear_faults()
        # First, for the first that strikes wins.
        self._standin.fault(kind="reject_where", contains=REFUSED_MARK)
        for fault in faults:
            self._standin.fault(**fault)

    def _calm_down(self) -> None:
        self.weather.aws = {}
        self._storm(())
        for poller in self._pollers:
            poller.calm.set()

    def _drain(self) -> None:
        """Wait until nothing has been on the queue for a while."""
        ends, empty_since = time.monotonic() + _DRAIN_SECONDS, None
        while time.monotonic() < ends:
            self._wait(0.2)
            if self._cloud.depth():
                empty_since = None
            elif empty_since is None:
                empty_since = time.monotonic()
            elif time.monotonic() - empty_since > _SETTLED_SECONDS:
                return

    def _wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(min(0.2, seconds))
            for child in self._children:
                child.check()
            for poller in self._pollers:
                if poller.failure:
                    raise Failure(f"{poller.name} failed") from poller.failure

    def _result(self, seconds: float) -> Result:
        invocations: list[Invocation] = [one for poller in self._pollers for one in poller.invocations]
        rows = self._standin.arrivals("AWSCloudTrail") + self._standin.arrivals("AWSGuardDuty")
        audit = judge(self.workload, rows, self._cloud.letters(), self.uploads, invocations)
        audit.still_queued = self._cloud.depth()
        audit.refusals = self._standin.state()["refusals"]["total"]
        audit.keeps_ledger = self._keeps_ledger
        if not audit.faults():
            shutil.rmtree(self._folder, ignore_errors=True)
        return Result(
            seed=self.plan.seed,
            workload=self.workload,
            audit=audit,
            endings=Counter(one.ending for one in invocations if one.ending),
            uploads=len(self.uploads),
            faults=self.weather.committed,
            longest_wait=self.weather.longest_wait,
            seconds=seconds,
            folder=self._folder,
        )
