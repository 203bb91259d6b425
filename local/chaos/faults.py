"""Between the function and the clouds: AWS's faults are committed here, what Sentinel took is noted."""

import http.client
import json
import re
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from local.chaos.invocation import Seat, Upload
from local.chaos.plan import Fate, Plan
from local.chaos.relay import DATE, Answer, Call, Exchange, Relay

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/(\w+)/aws4_request")
_SLOWEST_SECONDS = 1.5
LONGEST_WAIT = 3
"""Waits of up to an hour are the queue's answer to an outage: here an hour passes in seconds."""
_WAITS = ("VisibilityTimeout", "DelaySeconds")
_LEASE = re.compile(rb'("lease_until":\s*\{"S":\s*")([^"]+)(")')


class Weather:
    """What goes wrong at the moment, for all relays alike, and a count of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.aws: dict[str, float] = {}
        self.slow: dict[str, float] = {}
        self.longest_allowed = LONGEST_WAIT
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


    def delay(self, dependency: str) -> None:
        """Let a call wait as long as its dependency is slow."""
        if seconds := self.slow.get(dependency):
            with self._lock:
                self.committed[f"{dependency} slow for {seconds:g} s"] += 1
            time.sleep(seconds)


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
        self._weather.delay("dead letters" if service == "sqs" and b"/dead-letters" in call.body else service)
        if fate in (Fate.REFUSED, Fate.THROTTLED):
            return exchange.answer(self._by_its_clock(service, _refusal(service, fate is Fate.THROTTLED, much)))
        if fate is Fate.SLOW:
            time.sleep(much * _SLOWEST_SECONDS)
        if service == "sqs":
            call = self._hastened(call)
        elif service == "dynamodb":
            call = replace(call, body=moved(call.body, self._seat.clock_ahead))
        answer = self._by_its_clock(service, self.pass_on(call))
        self._seat.tick()
        if fate is Fate.UNANSWERED:
            return exchange.drop()
        if fate is Fate.CUT:
            return exchange.answer(answer, bytes_sent=int(much * len(answer.body)))
        if exchange.is_gone():
            return exchange.drop()
        exchange.answer(answer)
        if written and invocation:
            invocation.unanswered[written] = False

    def _by_its_clock(self, service: str, answer: Answer) -> Answer:
        """Tell the ledger's time as it looks to a process whose own clock is ahead of it."""
        if service != "dynamodb":
            return answer
        ahead = self._seat.clock_ahead
        date = format_datetime(datetime.now(timezone.utc) - timedelta(seconds=ahead), usegmt=True)
        headers = [(name, value) for name, value in answer.headers if name.lower() != "x-amz-crc32"]
        return Answer(answer.status, [*headers, (DATE, date)], moved(answer.body, -ahead))

    def _hastened(self, call: Call) -> Call:
        """Shorten the waits that a call to SQS asks for."""
        document = json.loads(call.body or b"{}")
        for asked in (document, *document.get("Entries", [])):
            for name in _WAITS:
                if name in asked:
                    self._weather.longest_wait = max(self._weather.longest_wait, int(asked[name]))
                    asked[name] = min(int(asked[name]), self._weather.longest_allowed)
        return replace(call, body=json.dumps(document).encode())


def moved(body: bytes, seconds: int) -> bytes:
    """Move the end of each lease in a request to DynamoDB, or in an answer of it."""

    def move(found: re.Match[bytes]) -> bytes:
        moved = datetime.fromisoformat(found[2].decode()) + timedelta(seconds=seconds)
        return found[1] + moved.isoformat().replace("+00:00", "Z").encode() + found[3]

    return _LEASE.sub(move, body) if seconds else body


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

    def __init__(self, upstream: str, weather: Weather, seat: Seat, uploads: dict[str, Upload]) -> None:
        super().__init__(upstream)
        self._weather = weather
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
        # What is slow has taken the rows already.
        self._weather.delay("sentinel" if upload else "token")
        self._seat.tick()
        if upload:
            upload.is_late = self._seat.gives_up()
        if exchange.is_gone():
            return exchange.drop()
        exchange.answer(answer)
        if upload and answer.status < 300:
            upload.is_acknowledged = True
