"""GuardDuty's API made up: one detector, its findings, and the four calls that a watch makes.

<https://docs.aws.amazon.com/guardduty/latest/APIReference/API_Operations.html>. Every call must be signed with the keys
that tests have (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
"""

import json
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

DETECTOR = "12abc34d567e8fa901bc2d34e56789f0"
_PAGE = 50


class GuardDuty(ThreadingHTTPServer):
    """The service; a context manager that ends it."""

    daemon_threads = True

    def __init__(self, secret: str = "test") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.findings: list[dict[str, Any]] = []
        self.secret = secret
        self.calls: list[str] = []
        self.refused: list[str] = []
        self.denies = False
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, method: str, path: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        """Answer a call; none if there is no such call."""
        self.calls.append(f"{method} {path}")
        match method, path.strip("/").split("/"):
            case "GET", ["detector"]:
                return {"detectorIds": [DETECTOR]}
            case "GET", ["detector", _]:
                return {"findingPublishingFrequency": "SIX_HOURS", "status": "ENABLED", "tags": {}}
            case "POST", ["detector", _, "findings"]:
                return self._listed(asked)
            case "POST", ["detector", _, "findings", "get"]:
                assert len(asked["findingIds"]) <= _PAGE
                return {"findings": [found for found in self.findings if found["id"] in asked["findingIds"]]}
        return None

    def _listed(self, asked: dict[str, Any]) -> dict[str, Any]:
        criterion = asked["findingCriteria"]["criterion"]
        since = criterion["updatedAt"]["greaterThanOrEqual"]
        archived = criterion["service.archived"]["equals"] == ["true"]
        assert asked["sortCriteria"] == {"attributeName": "updatedAt", "orderBy": "ASC"}
        found = sorted(
            (_milliseconds(finding["updatedAt"]), finding["id"])
            for finding in self.findings
            if finding["service"]["archived"] == archived
        )
        ids = [identity for updated_at, identity in found if updated_at >= since]
        first = int(asked.get("nextToken") or 0)
        last = first + asked["maxResults"]
        return {"findingIds": ids[first:last], "nextToken": str(last) if last < len(ids) else ""}


def _milliseconds(time: str) -> int:
    return round(datetime.fromisoformat(time).astimezone(timezone.utc).timestamp() * 1000)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GuardDuty

    def do_GET(self) -> None:
        """Answer a call."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.denies or not self._is_signed(body):
            self.server.refused.append(self.path)
            return self._end(403, {"message": "no"}, "AccessDeniedException:http://internal.amazon.com/coral/")
        answer = self.server.answer(self.command, self.path, json.loads(body or b"{}"))
        if answer is None:
            return self._end(404, {"message": "no such call"}, "NotFoundException")
        return self._end(200, answer)

    do_POST = do_GET

    def _is_signed(self, body: bytes) -> bool:
        parts = dict(part.strip().split("=", 1) for part in self.headers["Authorization"].split(" ", 1)[1].split(","))
        key, _, region, service, _ = parts["Credential"].split("/")
        names = parts["SignedHeaders"].split(";")
        if service != "guardduty" or not {"host", "x-amz-date"} <= set(names):
            return False
        headers = {name: self.headers[name] for name in names}
        request = AWSRequest(self.command, f"http://{self.headers['Host']}{self.path}", headers, body)
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials(key, self.server.secret), service, region)
        signed = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
        return str(signed) == parts["Signature"]

    def _end(self, status: int, answer: dict[str, Any], kind: str = "") -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if kind:
            self.send_header("x-amzn-ErrorType", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""
