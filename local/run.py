"""`make run`: sample logs through the whole chain, and a table of what landed."""

import json
import os
import sys
import time
from collections import Counter
from typing import Any

from local import kept
from local.deployment import Deployment
from local.processes import Failure, exit_on_signals
from local.samples import Samples
from local.stack import FOLDER, Binaries, Stack

_LAND_SECONDS = 60.0
_POLL_SECONDS = 0.5
_EXAMPLE_CHARACTERS = 100
# What the runs say of themselves; how many there are depends on how the messages came together.
_HEALTH = "SentinelForwarderHealth_CL"


def main() -> int:
    """Run, show, and end all that was started."""
    exit_on_signals()
    if "--stop" in sys.argv[1:]:
        print("Stopped." if kept.stop() else "Nothing was left running.")
        return 0
    keep = os.environ.get("KEEP", "") not in ("", "0")
    if keep and kept.stop():
        print("Stopped the stack that was left running before.")
    try:
        print("Starting the local AWS and the stand-in for Azure, deploying template.yaml …")
        with_started = time.monotonic()
        stack = Stack(Binaries.built(), outlives=keep, HealthRows="true")
        print(f"  deployed in {time.monotonic() - with_started:.1f} s, the function is {stack.outputs['FunctionName']}")
        try:
            landed = _send_and_show(stack)
        except BaseException:
            stack.stop()
            raise
        if keep:
            kept.remember(stack)
            _say_how_to_go_on(stack)
        else:
            stack.stop()
            print(f"\nAll is stopped; KEEP=1 make run leaves it running, with a page to look at. Logs: {FOLDER}/*.log")
        return 0 if landed else 1
    except Failure as failure:
        print(f"\nmake run failed: {failure}\nLogs: {FOLDER}/*.log", file=sys.stderr)
        return 1


def _send_and_show(stack: Stack) -> bool:
    samples = Samples.of_now()
    for key, content in samples.objects.items():
        stack.put_object(key, content)
        print(f"  s3://…/{key}")
    stack.put_finding(samples.finding)
    print(f"  finding {samples.finding['id']} onto the default bus")
    landed = _wait(stack, samples.expected)
    _show(stack, samples.expected)
    letters, refusals = stack.dead_letters(), stack.standin.state()["refusals"]
    return landed and not letters and not refusals["total"]


def counts(stack: Deployment) -> Counter[str]:
    """Count the rows that landed in each table."""
    return Counter({table["name"]: table["rows"] for table in stack.standin.state()["tables"]})


def _wait(stack: Stack, expected: Counter[str]) -> bool:
    print(f"Waiting up to {_LAND_SECONDS:g} s for {expected.total()} rows …")
    started, seen = time.monotonic(), Counter[str]()
    while time.monotonic() - started < _LAND_SECONDS:
        for child in stack.children:
            child.check()
        now = counts(stack)
        if now != seen:
            seen = now
            progress = ", ".join(f"{table} {now[table]} of {rows}" for table, rows in sorted(expected.items()))
            print(f"  {time.monotonic() - started:4.1f} s  {progress}")
        if now >= expected and not stack.depth("WorkQueueUrl"):
            return {table: rows for table, rows in now.items() if table != _HEALTH} == expected
        time.sleep(_POLL_SECONDS)
    return False


def _show(stack: Stack, expected: Counter[str]) -> None:
    state = stack.standin.state()
    landed = {table["name"]: table for table in state["tables"]}
    print(f"\n{'TABLE':<28}{'ROWS':>6}{'EXPECTED':>10}  {'FIRST':<26}{'LAST':<26}")
    for name in sorted(expected.keys() | landed.keys()):
        table: dict[str, Any] = landed.get(name, {"rows": 0, "first": None, "last": None})
        print(
            f"{name:<28}{table['rows']:>6}{expected[name] or '-':>10}  "
            f"{table['first'] or '-':<26}{table['last'] or '-':<26}"
        )
        if table["rows"]:
            text = json.dumps(stack.standin.rows(name)[0], ensure_ascii=False)
            print(f"  {text[:_EXAMPLE_CHARACTERS]}{'…' if len(text) > _EXAMPLE_CHARACTERS else ''}")
    print(f"\nWork queue: {stack.depth('WorkQueueUrl')}. Dead letters: {stack.depth('DeadLetterQueueUrl')}.")
    for letter in stack.dead_letters():
        print(f"  {letter.get('reason')}: {letter.get('message')}")
    refusals = state["refusals"]
    print(f"Requests: {state['requests']['total']}, refused by the stand-in: {refusals['total']}.")
    for refusal in refusals["latest"]:
        print(f"  {refusal['status']} {refusal['code']}: {refusal['message']}")


def _say_how_to_go_on(stack: Stack) -> None:
    print(f"\nLeft running. Tables, rows, requests and refusals: {stack.standin.url}/")
    print(f"AWS: {stack.endpoint}   Logs: {stack.folder}/*.log")
    print("make invoke EVENT=events/….json sends it more; make stop ends it.")


if __name__ == "__main__":
    sys.exit(main())
