"""`make chaos`: rounds of faults, and a table of what each came to."""

import os
import random
import sys
import time

from local.chaos.audit import Cause
from local.chaos.invocation import Ending
from local.chaos.round import Result, Round
from local.processes import Failure, exit_on_signals
from local.stack import Binaries

FILES = 40
_SEED_LIMIT = 1_000_000
_SHOWN_FAULTS = 40


def main() -> int:
    """Run a round, or rounds until the time is over; the first that finds a fault is the last."""
    exit_on_signals()
    try:
        seed = int(os.environ.get("CHAOS_SEED") or random.randrange(_SEED_LIMIT))
        files = int(os.environ.get("CHAOS_FILES") or FILES)
        minutes = float(os.environ.get("CHAOS_MINUTES") or 0)
    except ValueError as error:
        print(f"make chaos: CHAOS_SEED, CHAOS_FILES and CHAOS_MINUTES are numbers: {error}", file=sys.stderr)
        return 2
    keeps_ledger = os.environ.get("CHAOS_LEDGER", "1") != "0"
    ends = time.monotonic() + minutes * 60
    try:
        binaries = Binaries.built()
        while True:
            print(f"\nCHAOS_SEED={seed} CHAOS_FILES={files}", flush=True)
            with Round(binaries, seed, files, keeps_ledger) as one:
                result = one.run()
            print(table(result), flush=True)
            if faults := result.audit.faults():
                _complain(result, faults)
                return 1
            if time.monotonic() >= ends:
                return 0
            seed += 1
    except Failure as failure:
        print(f"\nmake chaos failed: {failure}", file=sys.stderr)
        return 1


def table(result: Result) -> str:
    """Show a round in a few lines."""
    audit, workload, endings = result.audit, result.workload, result.endings
    polls = endings.total()
    refused, cut = (sum(map(bool, every)) for every in zip(*((t.refused, t.is_cut) for t in workload.things.values())))
    lines = [
        f"{len(workload.things)} objects ({refused} with a record that is refused, {cut} cut off), "
        f"{len(workload.records)} records, {len(workload.announcements)} announcements; "
        f"{polls} polls, {result.uploads} uploads, {result.seconds:.0f} s",
        "Polls: " + ", ".join(f"{endings[ending]} {ending.value}" for ending in Ending if endings[ending]),
        "AWS: " + ", ".join(f"{count} {fault}" for fault, count in sorted(result.faults.items())),
        f"Longest wait asked of the queue: {result.longest_wait} s; "
        f"receipts of each message in the first outage: {result.outage_receives} at least",
        f"{'BATCHES DELIVERED AGAIN':<44}{'COUNT':>7}{'ALLOWED':>9}",
    ]
    for cause in Cause:
        lines.append(f"  {cause.value:<42}{len(audit.doubles[cause]):>7}{audit.allowed.get(cause, 0):>9}")
    lines.append(
        f"  {'all (' + str(audit.doubled_records) + ' records)':<42}"
        f"{audit.doubled_batches:>7}{sum(audit.allowed.values()):>9}"
        + ("" if audit.keeps_ledger else "  without a ledger: counted, not judged")
    )
    lines.append(f"Lost: {len(audit.lost)}. Letters that nothing explains: {len(audit.strange_letters)}.")
    return "\n".join(lines)


def _complain(result: Result, faults: list[str]) -> None:
    print(f"\nWRONG, seed {result.seed}:", file=sys.stderr)
    for fault in faults[:_SHOWN_FAULTS]:
        print(f"  {fault}", file=sys.stderr)
    if len(faults) > _SHOWN_FAULTS:
        print(f"  and {len(faults) - _SHOWN_FAULTS} more", file=sys.stderr)
    print(f"Logs: {result.folder}/*.log", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
