"""A Lambda Runtime API for one process, so that the real binary can be invoked, killed, and its answer read.

Protocol: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local import standin
from local.deployment import BUCKET

_PREFIX = "/2018-06-01/runtime/"
_ARN = "arn:aws:lambda:us-east-1:111122223333:function:sentinel-forwarder"


@dataclass(frozen=True)
class Answer:
    """What the function made of an invocation; `kind` is response, error or init."""

    kind: str
    body: Any


class _Api(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        # None ends the wait of a process that is gone.
        self.invocations: queue.Queue[tuple[str, str, int] | None] = queue.Queue()
        self.answers: queue.Queue[Answer] = queue.Queue()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Api

    def do_GET(self) -> None:
        """Hand out the next invocation, however long it takes to come."""
        invocation = self.server.invocations.get()
        if invocation is None:
            self.close_connection = True
            return
        identity, event, deadline_ms = invocation
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", identity)
        self.send_header("Lambda-Runtime-Deadline-Ms", str(deadline_ms))
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", _ARN)
        self._end(event.encode())

    def do_POST(self) -> None:
        """Take an answer or an error."""
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else self._chunks()
        kind = "init" if "/init/" in self.path else self.path.rsplit("/", 1)[1]
        self.server.answers.put(Answer(kind, json.loads(body) if body else None))
        self.send_response(202)
        self._end(b"{}")

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _end(self, body: bytes) -> None:
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Serve a connection; that the process at its other end was killed is no news."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def function_environment(
    aws: str, sentinel: str, work_url: str, letters_url: str, ledger: str | None
) -> dict[str, str]:
    """Return the environment that template.yaml gives the function, and the addresses of the stand-ins."""
    environment = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws,
        "SENTINEL_ENDPOINT": sentinel,
        "SENTINEL_DCR_ID": standin.DCR,
        "AZURE_AUTHORITY_HOST": sentinel,
        "AZURE_TENANT_ID": standin.TENANT,
        "AZURE_CLIENT_ID": standin.CLIENT_ID,
        "ALLOWED_BUCKETS": BUCKET,
        "WORK_QUEUE_URL": work_url,
        "DEAD_LETTER_QUEUE_URL": letters_url,
    }
    return environment | ({"LEDGER_TABLE": ledger} if ledger else {})


class Function:
    """The binary, running as Lambda would run it; a context manager that ends it."""

    def __init__(self, binary: Path, environment: dict[str, str], log: Path) -> None:
        self._api = _Api()
        # Its end is waited for, and it looks that often whether it has come.
        threading.Thread(target=self._api.serve_forever, args=(0.02,), daemon=True).start()
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(binary)],
                env={
                    "PATH": os.environ["PATH"],
                    "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._api.server_address[1]}",
                    "AWS_LAMBDA_FUNCTION_NAME": "sentinel-forwarder",
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
                    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                    "AWS_LAMBDA_LOG_FORMAT": "JSON",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "Function":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End the process at once, wherever it is, and its API."""
        self.process.kill()
        self.process.wait()
        self._api.invocations.put(None)
        self._api.shutdown()
        self._api.server_close()

    def begin(self, event: str, seconds: float) -> None:
        """Invoke with the event's text and so many seconds until the deadline."""
        deadline_ms = int((time.time() + seconds) * 1000)
        self._api.invocations.put((str(uuid.uuid4()), event, deadline_ms))

    def answer(self, seconds: float) -> Answer | None:
        """Wait for the answer to an invocation that began; none when the time is up or the process has ended."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                return self._api.answers.get(timeout=min(left, 0.2))
            except queue.Empty:
                if self.has_ended() and self._api.answers.empty():
                    return None
        return None

    def peak_bytes(self) -> int:
        """Return the most memory that the process ever had, where the kernel tells it and while it lives."""
        if sys.platform != "linux" or self.has_ended():
            return 0
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def has_ended(self) -> bool:
        """Say whether the process has ended by itself."""
        return self.process.poll() is not None

    def invoke(self, event: str, seconds: float = 60.0) -> Answer:
        """Invoke with the event's text, and wait for the answer as long as Lambda would."""
        self.begin(event, seconds)
        answer = self.answer(seconds)
        if answer is None:
            what = "the function ended" if self.has_ended() else f"no answer within {seconds:g} seconds"
            raise AssertionError(f"{what}:\n{self.log()}")
        return answer

    def log(self) -> str:
        """Return all that it wrote."""
        return self._log.read_text(errors="replace")
