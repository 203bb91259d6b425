"""The stand-in for Azure: `sentinelctl dev`, and what it says of what it took."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.processes import Child, wait_for

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT_ID = "22222222-2222-2222-2222-222222222222"
CLIENT_SECRET = "made-up-client-secret"
DCR = "dcr-33333333333333333333333333333333"
_READY_SECONDS = 20.0


class Standin:
    """The stand-in at an address, in whatever process it runs."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def state(self) -> dict[str, Any]:
        """Return the tables with their counts and times, the requests and the refusals."""
        return dict(json.loads(self._call("GET", "state")))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table in the order they came."""
        return [json.loads(text) for text in self.row_texts(table)]

    def row_texts(self, table: str) -> list[str]:
        """Return the rows of a table as the texts that were sent."""
        return self._lines(f"rows?table={table}")

    def arrivals(self, table: str) -> list[dict[str, Any]]:
        """Return the rows of a table, each within what is known of its arrival, in the order they came."""
        return [json.loads(line) for line in self._lines(f"rows?table={table}&envelope=true")]

    def reset(self) -> None:
        """Forget rows, requests and faults."""
        self._call("DELETE", "faults")
        self._call("DELETE", "state")

    def fault(self, **members: Any) -> None:
        """Arm a fault, such as `kind="status", status=503`."""
        self._call("POST", "faults", json.dumps(members).encode())

    def clear_faults(self) -> None:
        """Behave again."""
        self._call("DELETE", "faults")

    def _lines(self, what: str) -> list[str]:
        # Not splitlines: a row may hold other characters that Python takes for line ends.
        return [line for line in self._call("GET", what).split("\n") if line]

    def _call(self, method: str, path: str, body: bytes | None = None) -> str:
        request = urllib.request.Request(f"{self.url}/_standin/{path}", data=body, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())


def start(
    sentinelctl: Path, folder: Path, outlives: bool = False, keep_rows: int | None = None, options: Sequence[str] = ()
) -> tuple[Standin, Child]:
    """Start the stand-in on a free port, with more options, and wait until it says where it listens."""
    ready_file = folder / "standin.url"
    ready_file.unlink(missing_ok=True)
    command = [str(sentinelctl), "dev", "--port", "0", "--ready-file", str(ready_file)]
    command += ["--tenant", TENANT, "--client-id", CLIENT_ID, "--client-secret", CLIENT_SECRET, "--dcr", DCR]
    if keep_rows:
        command += ["--keep-rows", str(keep_rows)]
    command += options
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_"))}
    child = Child("sentinelctl dev", command, environment, folder / "standin.log", outlives)

    def address() -> str | None:
        child.check()
        return ready_file.read_text().strip() if ready_file.exists() else None

    return Standin(wait_for("the stand-in is ready", _READY_SECONDS, address)), child
