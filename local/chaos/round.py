"""One round: everything started, the plan carried out, the faults ended, the rest drained, the audit taken."""

import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from local import standin
from local.chaos.audit import Audit, judge
from local.chaos.cloud import LEDGER, Cloud
from local.chaos.faults import LONGEST_WAIT, Weather
from local.chaos.invocation import Ending, Invocation, Upload
from local.chaos.plan import REFUSED_MARK, SLOTS, Plan
from local.chaos.poller import CALM, Poller
from local.chaos.worker import Worker
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
_EARLY_PART = 6
"""One in so many announcements comes during the first outage."""
_OUTAGE_SECONDS = 40.0
_SHORT_SECONDS = 1.5
"""So long an invocation takes at most in that outage."""
_PAUSE_SECONDS = 0.3
"""Lets no message run into the queue's own limit of receipts, for nobody is waited for."""
_PATIENCE_RECEIVES = 10
"""After so many receipts a fault that an operator should have mended becomes a letter."""
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
    outage_receives: int
    seconds: float
    folder: Path


class Round:
    """A round with one seed; a context manager that ends what it started."""

    def __init__(self, binaries: Binaries, seed: int, files: int, keeps_ledger: bool = True) -> None:
        self.plan = Plan(seed)
        self.workload = Workload.planned(self.plan, files)
        self.weather = Weather(self.plan)
        self.uploads: dict[str, Upload] = {}
        self.outage_receives = 0
        self._spread = max(_LEAST_SPREAD_SECONDS, files * _SECONDS_A_FILE)
        self._binaries = binaries
        self._keeps_ledger = keeps_ledger
        self._folder = FOLDER / "chaos" / f"seed-{seed}"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._children: list[Child] = []
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
        early, rest = self._announcements()
        self._live_through_outage(early)
        announcer = threading.Thread(target=self._announce, args=(rest,), daemon=True)
        announcer.start()
        for window in self.plan.windows(self._spread * _STORM_FACTOR):
            self.weather.aws, self.weather.slow = window.aws, window.slow
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
        upstreams = self._cloud.endpoint, self._standin.url
        for slot in range(SLOTS):

            def start(log: Path, ahead: int = self.plan.clocks[slot]) -> Worker:
                def function(aws: str, sentinel: str) -> Function:
                    return Function(self._binaries.forwarder, self._environment(aws, sentinel), log)

                return Worker(function, upstreams, self.weather, self.uploads, ahead)

            self._pollers.append(Poller(slot, self.plan, self._cloud, start, self._folder))

    def _environment(self, aws: str, sentinel: str) -> dict[str, str]:
        ledger = LEDGER if self._keeps_ledger else None
        environment = function_environment(aws, sentinel, self._cloud.work_url, self._cloud.letters_url, ledger)
        return environment | {"SENTINEL_MAX_REQUEST_BYTES": str(_MAX_REQUEST_BYTES)}

    def _announcements(self) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
        """Divide the announcements into those that come during the first outage, and the rest."""
        announcements = self.workload.announcements
        early = len(announcements) // _EARLY_PART
        return announcements[:early], announcements[early:]

    def _live_through_outage(self, early: list[tuple[float, str]]) -> None:
        """Let Sentinel be down until all that was announced has been received more often than an operator is waited for."""
        self._storm(({"kind": "status", "status": 503},))
        self.weather.longest_allowed = 0
        for poller in self._pollers:
            poller.always = replace(CALM, seconds=_SHORT_SECONDS)
            poller.pause_seconds = _PAUSE_SECONDS
            poller.start()
        for _, body in early:
            self._cloud.send(body)
        ends = time.monotonic() + _OUTAGE_SECONDS
        while time.monotonic() < ends:
            self._wait(0.2)
            receives: dict[str, int] = {}
            for poller in self._pollers:
                for name, count in dict(poller.receives).items():
                    receives[name] = max(count, receives.get(name, 0))
            known = sorted(receives.values(), reverse=True)[: self._cloud.depth()]
            self.outage_receives = min(known, default=0)
            if len(known) and self.outage_receives > _PATIENCE_RECEIVES:
                break
        self.weather.longest_allowed = LONGEST_WAIT
        for poller in self._pollers:
            poller.pause_seconds = 0.0
            poller.always = None

    def _announce(self, announcements: list[tuple[float, str]]) -> None:
        began = time.monotonic()
        for moment, body in announcements:
            time.sleep(max(0.0, began + moment * self._spread - time.monotonic()))
            self._cloud.send(body)

    def _storm(self, faults: tuple[dict[str, object], ...]) -> None:
        self._standin.clear_faults()
        # First, for the first that strikes wins.
        self._standin.fault(kind="reject_where", contains=REFUSED_MARK)
        for fault in faults:
            self._standin.fault(**fault)

    def _calm_down(self) -> None:
        self.weather.aws, self.weather.slow = {}, {}
        self._storm(())
        for poller in self._pollers:
            poller.always = CALM

    def _drain(self) -> None:
        """Wait until nothing has been on the queue for a while."""
        ends, empty_since = time.monotonic() + _DRAIN_SECONDS, None
        while time.monotonic() < ends:
            self._wait(0.2)
            if self._cloud.depth() or any(poller.has_sleepers() for poller in self._pollers):
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
            outage_receives=self.outage_receives,
            seconds=seconds,
            folder=self._folder,
        )
