"""`make large`: one large file through a small function, again and again until all of it is delivered.

The release build of the function runs as in Lambda with 128 MB and a timeout of 12 s, which no file of that size fits
into. What an invocation does not get done comes back as a task on the work queue. Sentinel answers as if it were far
away. Every record has to arrive exactly once, in bounded memory, without a letter.
"""

import gzip
import json
import os
import random
import re
import shutil
import string
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from local import standin, trail
from local.chaos.cloud import LEDGER, Cloud
from local.chaos.poller import record
from local.chaos.relay import Call, Exchange, Relay
from local.deployment import BUCKET
from local.processes import Failure, exit_on_signals
from local.runtime_api import Function, function_environment
from local.stack import FOLDER, Binaries

MB = 1_000_000
_SEED = 20260310
_TIMEOUT_SECONDS = 12.0
_MEMORY_MB = 128
_MOST_PEAK_BYTES = 64 * 1024 * 1024
_ANSWER_MS = 300
"""How long Sentinel takes to answer a post."""

_LEAST_INVOCATIONS = 3
_QUEUE_IS_EMPTY_POLLS = 3
_KEEP_ROWS = 100
_EVENT_ID = re.compile(rb'"AwsEventId":"00000000-0000-0000-0000-(\d{12})"')


@dataclass(frozen=True)
class Invocation:
    """What one invocation came to."""

    process: int
    from_record: int
    seconds: float
    ended: str
    rows: int
    peak_bytes: int


class Arrivals(Relay):
    """Stands before the stand-in and counts each record that it took, by a byte a record."""

    def __init__(self, upstream: str, records: int) -> None:
        super().__init__(upstream)
        self.times = bytearray(records)
        self.strangers = 0
        self.rows = 0
        self._lock = threading.Lock()

    def take(self, exchange: Exchange, call: Call) -> None:
        """Pass a call on; count its rows if they were taken."""
        answer = self.pass_on(call)
        if answer.status == 204:
            numbers = list(map(int, _EVENT_ID.findall(gzip.decompress(call.body))))
            with self._lock:
                self._count(numbers)
        exchange.answer(answer)

    def _count(self, numbers: list[int]) -> None:
        self.rows += len(numbers)
        for number in numbers:
            if number < len(self.times):
                self.times[number] = min(255, self.times[number] + 1)
            else:
                self.strangers += 1


def main(forwarder: Path) -> int:
    """Make the file, forward it, and show how that went."""
    exit_on_signals()
    try:
        megabytes = int(os.environ.get("LARGE_MB") or 1000)
        return Run(forwarder, Binaries.built().sentinelctl, megabytes).run()
    except ValueError as error:
        print(f"make large: LARGE_MB is a number: {error}", file=sys.stderr)
        return 2
    except Failure as failure:
        print(f"\nmake large failed: {failure}", file=sys.stderr)
        return 1


def records(seed: int) -> Iterator[str]:
    """Write records without end, numbered in their eventID, as a busy account's trail holds them."""
    chance = random.Random(seed)
    begins = datetime(2026, 3, 10, tzinfo=timezone.utc)
    letters = string.ascii_uppercase + string.digits
    number = 0
    while True:
        account = 111122223330 + chance.randrange(4)
        token = "".join(chance.choices(letters, k=64))
        key = "".join(chance.choices(letters, k=16))
        members: dict[str, Any] = {
            "eventTime": (begins + timedelta(seconds=number // 40)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "awsRegion": chance.choice(("eu-central-1", "us-east-1", "ap-southeast-2")),
            "sourceIPAddress": f"198.51.100.{chance.randrange(256)}",
            "userAgent": "Boto3/1.34.144 md/Botocore#1.34.144 ua/2.0 os/linux#5.10.220 md/arch#x86_64",
            "userIdentity": {
                "type": "AssumedRole",
                "principalId": f"AROA{key}:ingest",
                "arn": f"arn:aws:sts::{account}:assumed-role/ingest/i-{chance.randrange(16**12):012x}",
                "accountId": str(account),
                "accessKeyId": f"ASIA{key}",
                "sessionContext": {
                    "sessionIssuer": {"type": "Role", "arn": f"arn:aws:iam::{account}:role/ingest"},
                    "attributes": {"creationDate": "2026-03-10T00:00:00Z", "mfaAuthenticated": "false"},
                },
            },
            "requestParameters": {"bucketName": f"app-{key.lower()}", "key": f"in/{token}", "Host": "s3.amazonaws.com"},
            "responseElements": None if chance.random() < 0.7 else {"x-amz-version-id": token, "x-amz-id-2": token * 3},
            "additionalEventData": {"SignatureVersion": "SigV4", "bytesTransferredOut": chance.randrange(10**6)},
            "readOnly": chance.random() < 0.7,
            "managementEvent": False,
            "eventCategory": "Data",
            "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
        }
        yield json.dumps(trail.record(number, **members), separators=(",", ":"))
        number += 1


def made(megabytes: int) -> tuple[Path, int]:
    """Make the file unless it is there, and return it with the number of its records."""
    folder = FOLDER / "large"
    folder.mkdir(parents=True, exist_ok=True)
    if found := list(folder.glob(f"{megabytes}-*.json.gz")):
        return found[0], int(found[0].name.split("-")[1].split(".")[0])
    # Under another name until it is whole, so that a run that was cut short leaves none that looks whole.
    unfinished = folder / f"{megabytes}.unfinished"
    written = count = 0
    opening = '{"Records":['
    with gzip.open(unfinished, "wb", compresslevel=6) as packed:
        lines: list[str] = []
        for text in records(_SEED):
            lines.append(opening + text)
            opening = ","
            written += len(lines[-1])
            count += 1
            if len(lines) == 1000 or written >= megabytes * MB:
                packed.write("".join(lines).encode())
                lines.clear()
            if written >= megabytes * MB:
                break
        packed.write(b"]}")
    return unfinished.rename(folder / f"{megabytes}-{count}.json.gz"), count


class Run:
    """One file on its way."""

    def __init__(self, forwarder: Path, sentinelctl: Path, megabytes: int) -> None:
        print(f"Making a file of {megabytes} MB …", flush=True)
        self._file, self._records = made(megabytes)
        print(f"  {self._records} records, {self._file.stat().st_size / MB:.0f} MB packed", flush=True)
        self._forwarder, self._sentinelctl = forwarder, sentinelctl
        self._key = trail.key(f"large{megabytes}")
        self._function: Function | None = None
        self._processes = 0
        self.invocations: list[Invocation] = []

    def run(self) -> int:
        """Forward the file; end all that was started; judge."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="large-", dir=FOLDER))
        children = []
        try:
            azure, child = standin.start(self._sentinelctl, folder, keep_rows=_KEEP_ROWS)
            children.append(child)
            cloud = Cloud(folder)
            children.append(cloud.emulator.child)
            arrivals = Arrivals(azure.url, self._records)
            azure.fault(kind="slow", ms=_ANSWER_MS)
            with self._file.open("rb") as body:
                cloud.emulator.client("s3").put_object(Bucket=BUCKET, Key=self._key, Body=body)
            task = {"schema": "sentinel-forwarder/task/1", "object": {"bucket": BUCKET, "key": self._key}}
            cloud.send(json.dumps(task))
            print(f"{'INVOCATION':<12}{'PROCESS':>8}{'FROM RECORD':>13}{'SECONDS':>9}{'ROWS':>9}{'PEAK MB':>9}  ENDED")
            began = time.monotonic()
            self._drain(cloud, arrivals, folder)
            took = time.monotonic() - began
            arrivals.end()
            faults = self._faults(arrivals, cloud, azure)
            self._show(arrivals, azure, took)
        finally:
            if self._function:
                self._function.kill()
            for child in reversed(children):
                child.stop()
            for log in folder.glob("*.log"):
                log.replace(FOLDER / f"large-{log.name}")
            shutil.rmtree(folder, ignore_errors=True)
        for fault in faults:
            print(f"WRONG: {fault}", file=sys.stderr)
        return 1 if faults else 0

    def _drain(self, cloud: Cloud, arrivals: Arrivals, folder: Path) -> None:
        idle = 0
        while idle < _QUEUE_IS_EMPTY_POLLS:
            messages = cloud.receive(1, int(_TIMEOUT_SECONDS))
            if not messages:
                idle = 0 if cloud.depth() else idle + 1
                continue
            idle = 0
            function = self._function or self._start(cloud, arrivals, folder)
            rows, began = arrivals.rows, time.monotonic()
            function.begin(json.dumps({"Records": [record(message) for message in messages]}), _TIMEOUT_SECONDS)
            answer = function.answer(_TIMEOUT_SECONDS)
            peak = function.peak_bytes()
            if answer is None:
                ended = "died" if function.has_ended() else "killed at its deadline"
                function.kill()
                self._function = None
            elif answer.kind != "response" or answer.body.get("batchItemFailures"):
                ended = f"must come again: {answer.body}"
            else:
                cloud.delete(messages)
                ended = "answered"
            self._note(messages[0]["Body"], time.monotonic() - began, ended, arrivals.rows - rows, peak)

    def _start(self, cloud: Cloud, arrivals: Arrivals, folder: Path) -> Function:
        environment = function_environment(
            cloud.endpoint, arrivals.url, cloud.work_url, cloud.letters_url, LEDGER
        ) | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(_MEMORY_MB)}
        self._function = Function(self._forwarder, environment, folder / f"function-{self._processes}.log")
        self._processes += 1
        return self._function

    def _note(self, body: str, seconds: float, ended: str, rows: int, peak: int) -> None:
        start = json.loads(body).get("from_record", 0)
        self.invocations.append(Invocation(self._processes, start, seconds, ended, rows, peak))
        numbers = f"{len(self.invocations):<12}{self._processes:>8}{start:>13}{seconds:>9.1f}{rows:>9}{peak / MB:>9.1f}"
        print(f"{numbers}  {ended}", flush=True)

    def _faults(self, arrivals: Arrivals, cloud: Cloud, azure: standin.Standin) -> list[str]:
        times = Counter(arrivals.times)
        again = times.total() - times[0] - times[1]
        letters = cloud.letters()
        peak = max((one.peak_bytes for one in self.invocations), default=0)
        refused = azure.state()["refusals"]["total"]
        judged = [
            (times[0], f"{times[0]} records never arrived"),
            (again, f"{again} records came more than once"),
            (arrivals.strangers, f"{arrivals.strangers} rows of no record"),
            (letters, f"{len(letters)} letters: {letters[:3]}"),
            (refused, f"{refused} requests refused"),
            (len(self.invocations) < _LEAST_INVOCATIONS, "it was not resumed several times"),
            (any(one.ended != "answered" for one in self.invocations), "an invocation did not end well"),
            (peak >= _MOST_PEAK_BYTES, f"{peak / MB:.1f} MB of memory at the peak"),
        ]
        return [text for wrong, text in judged if wrong]

    def _show(self, arrivals: Arrivals, azure: standin.Standin, took: float) -> None:
        times = Counter(arrivals.times)
        requests = azure.state()["requests"]["by_status"]
        peak = max((one.peak_bytes for one in self.invocations), default=0)
        again = times.total() - times[0] - times[1]
        print(f"\nRecords: {self._records}; once: {times[1]}, never: {times[0]}, again: {again}.")
        print(f"Invocations: {len(self.invocations)} in {self._processes} processes, {took:.0f} s; posts: {requests}.")
        print(f"Peak of memory: {peak / MB:.1f} MB of {_MEMORY_MB} (at most {_MOST_PEAK_BYTES / MB:.1f}).")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
