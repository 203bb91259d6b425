"""Between the function and the clouds: AWS's faults are committed here, what Sentinel took is noted."""

import http.client
import json
import re
import threading
import time
from collections import Counter
from typing import Any

from local.chaos.invocation import Seat, Upload
from local.chaos.plan import Fate, Plan
from local.chaos.relay import Answer, Call, Exchange, Relay

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/(\w+)/aws4_request")
_SLOWEST_SECONDS = 1.5
_LONGEST_WAIT = 3
"""Waits of up to an hour are the queue's answer to an outage: here an hour passes in seconds."""
_WAITS = ("VisibilityTimeout", "DelaySeconds")


class Weather:
    """What goes wrong at the moment, for all relays alike, and a count of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.aws: dict[str, float] = {}
        self.committed: Counter[str] = Counter()
        self.longest_wait = 0
        self._lock = threading.Lock()

    def commit(self, service: str) -> tuple[Fate, float]:
        """Draw the fate of a call and count it."""
        fate, much = self.plan.fate(service, self.aws.get(service, 0.0))
        if fate is not Fate.PASSES:
            with self._lock:
                self.committed[f"{service} {fate.value}"] += 1
        return fate, much


class AwsRelay(Relay):
    """To AWS, with the weather's faults."""

    def __init__(self, upstream: str, weather: Weather, seat: Seat) -> None:
        super().__init__(upstream)
        self._weather = weather
        self._seat = seat

    def take(self, exchange: Exchange, call: Call) -> None:
        """Let the weather decide."""
        self._seat.tick()
        scope = _SCOPE.search(call.header("authorization"))
        service = scope[1] if scope else "unsigned"
        invocation = self._seat.invocation
        written = _ledger_key(call) if service == "dynamodb" else None
        fate, much = self._weather.commit(service)
        if written and invocation:
            # Until it is known better.
            invocation.unanswered[written] = True
        if fate is Fate.DROPPED:
            return exchange.drop()
        if fate in (Fate.REFUSED, Fate.THROTTLED):
            return exchange.answer(_refusal(service, fate is Fate.THROTTLED, much))
        if fate is Fate.SLOW:
            time.sleep(much * _SLOWEST_SECONDS)
        answer = self.pass_on(self._hastened(call) if service == "sqs" else call)
        self._seat.tick()
        if fate is Fate.UNANSWERED:
            return exchange.drop()
        if fate is Fate.CUT:
            return exchange.answer(answer, bytes_sent=int(much * len(answer.body)))
        exchange.answer(answer)
        if written and invocation:
            invocation.unanswered[written] = False

    def _hastened(self, call: Call) -> Call:
        """Shorten the waits that a call to SQS asks for."""
        document = json.loads(call.body or b"{}")
        for asked in (document, *document.get("Entries", [])):
            for name in _WAITS:
                if name in asked:
                    self._weather.longest_wait = max(self._weather.longest_wait, int(asked[name]))
                    asked[name] = min(int(asked[name]), _LONGEST_WAIT)
        return Call(call.method, call.path, call.headers, json.dumps(document).encode())


def _ledger_key(call: Call) -> str | None:
    """Return the key of the item that a call to DynamoDB writes."""
    document: dict[str, Any] = json.loads(call.body or b"{}")
    written = document.get("Item") or document.get("Key") or {}
    return next(iter(written.get("pk", {}).values()), None)


def _refusal(service: str, throttled: bool, much: float) -> Answer:
    if service in ("s3", "sts"):
        status, code = (503, "SlowDown") if throttled else (500, "InternalError")
        text = f"<Error><Code>{code}</Code><Message>chaos</Message></Error>"
        return Answer(status, [("Content-Type", "application/xml")], text.encode())
    if throttled:
        own = "ProvisionedThroughputExceededException" if service == "dynamodb" else "RequestThrottled"
        status, code = 400, "ThrottlingException" if much < 0.5 else own
    else:
        status, code = (500, "InternalServerError") if much < 0.5 else (503, "ServiceUnavailable")
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", "chaos")]
    return Answer(status, headers, json.dumps({"__type": code, "message": "chaos"}).encode())


class SentinelRelay(Relay):
    """To the stand-in, which commits its own faults; notes who sent a batch and whether the answer arrived."""

    def __init__(self, upstream: str, seat: Seat, uploads: dict[str, Upload]) -> None:
        super().__init__(upstream)
        self._seat = seat
        self._uploads = uploads

    def take(self, exchange: Exchange, call: Call) -> None:
        """Pass on, and note."""
        self._seat.tick()
        upload = None
        if call.path.startswith("/dataCollectionRules/"):
            upload = Upload(self._seat.invocation)
            self._uploads[call.header("x-ms-client-request-id").lower()] = upload
        try:
            answer = self.pass_on(call)
        except (OSError, http.client.HTTPException):
            return exchange.drop()
        self._seat.tick()
        if exchange.is_gone():
            return exchange.drop()
        exchange.answer(answer)
        if upload and answer.status < 300:
            upload.is_acknowledged = True
