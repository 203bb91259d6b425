"""`make invoke EVENT=…`: the local function invoked with one event, by cargo-lambda."""

import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from local import kept
from local.deployment import Deployment
from local.objects import objects
from local.processes import Failure, exit_on_signals
from local.run import counts
from local.stack import Binaries, Stack


def main(cargo_lambda: Path, event: Path) -> int:
    """Invoke in the stack that was left running, or in one of its own."""
    exit_on_signals()
    if not event.is_file():
        print(f"{event} is no file; make invoke EVENT=events/s3-notification.json", file=sys.stderr)
        return 1
    try:
        running = kept.attach()
        with nullcontext(running) if running else Stack(Binaries.built()) as stack:
            return _invoke(stack, cargo_lambda, event)
    except Failure as failure:
        print(f"make invoke failed: {failure}", file=sys.stderr)
        return 1


def _invoke(stack: Deployment, cargo_lambda: Path, event: Path) -> int:
    # The samples' events name the samples' objects.
    with stack.quiet_bucket():
        for key, content in objects():
            stack.put_object(key, content)
    before = counts(stack)
    # The emulator has the same address for invocations as `cargo lambda watch`.
    address = urlsplit(stack.endpoint)
    command = [str(cargo_lambda), "lambda", "invoke", "--data-file", str(event)]
    command += ["--invoke-address", str(address.hostname), "--invoke-port", str(address.port)]
    ended = subprocess.run([*command, stack.outputs["FunctionName"]], check=False)
    print(f"\nRows that landed: {dict(counts(stack) - before) or 'none'}")
    print(f"Dead letters in the queue: {stack.depth('DeadLetterQueueUrl')}")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
