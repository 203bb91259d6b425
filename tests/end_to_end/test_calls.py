"""What an invocation calls is counted, call by call: calls are what costs money at scale."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import md5
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from conftest import Start, batch, notification
from local import trail
from local.chaos.relay import Call, Exchange, Relay
from local.run import counts
from local.runtime_api import Function
from local.samples import FINDING
from local.stack import Stack

OBJECTS, FINDINGS = 10, 3
RECORDS = 4
# The token is fetched from the start on, beside the first invocation.
TOKEN_CALLS = ["GetWebIdentityToken", "token"]
_STREAM = re.compile(r"/streams/Custom-(\w+)")


class Counted(Relay):
    """Passes calls on, and counts them by what they ask for."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.calls: Counter[str] = Counter()
        self.token_calls: Counter[str] = Counter()

    def take(self, exchange: Exchange, call: Call) -> None:
        """Count a call when it comes, answered well or not."""
        name = _name(call)
        (self.token_calls if name in TOKEN_CALLS else self.calls)[name] += 1
        super().take(exchange, call)


def _name(call: Call) -> str:
    path = urlsplit(call.path).path
    if stream := _STREAM.search(path):
        return f"upload {stream[1]}"
    if path.endswith("/oauth2/v2.0/token"):
        return "token"
    if target := call.header("x-amz-target"):
        return target.rsplit(".", 1)[1]
    if call.method == "POST":
        return parse_qs(call.body.decode())["Action"][0]
    return f"{call.method} {'object' if unquote(path).strip('/').count('/') else 'bucket'}"


class Clouds:
    """Both clouds of a function, counted."""

    def __init__(self, stack: Stack, start: Start) -> None:
        self.stack = stack
        self._aws, self._sentinel = Counted(stack.endpoint), Counted(stack.standin.url)
        self.function: Function = start(
            AWS_ENDPOINT_URL=self._aws.url,
            SENTINEL_ENDPOINT=self._sentinel.url,
            AZURE_AUTHORITY_HOST=self._sentinel.url,
        )

    def calls(self, *messages: str) -> tuple[dict[str, int], list[str]]:
        """Invoke with messages of the work queue; return the calls of that, and what comes again."""
        event = json.loads(batch(*messages))
        account, name = self.stack.outputs["WorkQueueUrl"].rsplit("/", 2)[1:]
        for message in event["Records"]:
            message["eventSourceARN"] = f"arn:aws:sqs:us-east-1:{account}:{name}"
        self._aws.calls.clear()
        self._sentinel.calls.clear()
        answer = self.function.invoke(json.dumps(event))
        again = [failure["itemIdentifier"] for failure in answer.body["batchItemFailures"]]
        return dict(self._aws.calls + self._sentinel.calls), again

    def token_calls(self) -> dict[str, int]:
        """All calls for the token since the start."""
        return dict(self._aws.token_calls + self._sentinel.token_calls)

    def end(self) -> None:
        """Listen no more."""
        self._aws.end()
        self._sentinel.end()


@pytest.fixture
def clouds(stack: Stack, start: Start) -> Iterator[Clouds]:
    """A function whose calls are counted."""
    clouds = Clouds(stack, start)
    yield clouds
    clouds.end()


def announced(stack: Stack, name: str, content: bytes) -> str:
    """Put an object, and return the notification that names its content."""
    key = trail.key(name)
    with stack.quiet_bucket():
        stack.put_object(key, content)
    event = json.loads(notification(key))
    event["Records"][0]["s3"]["object"]["eTag"] = md5(content, usedforsecurity=False).hexdigest()
    return json.dumps(event)


def small_things(stack: Stack, name: str) -> list[str]:
    """Announce ten small objects and three findings."""
    numbers = range(0, OBJECTS * RECORDS, RECORDS)
    messages = [
        announced(stack, f"{name}-{first}", trail.file(*range(first, first + RECORDS))) for first in numbers
    ]
    event = json.loads(FINDING.read_text(encoding="utf-8"))
    for number in range(FINDINGS):
        messages.append(json.dumps(event | {"detail": event["detail"] | {"id": f"{name}-{number}"}}))
    return messages


def test_small_things_share_the_token_and_the_uploads(stack: Stack, clouds: Clouds) -> None:
    each = {
        "GET object": OBJECTS,
        "PutItem": 2 * (OBJECTS + FINDINGS),
        "upload AWSCloudTrail": 1,
        "upload AWSGuardDuty": 1,
    }
    assert clouds.calls(*small_things(stack, "first")) == (each, [])
    assert clouds.calls(*small_things(stack, "second")) == (each, [])
    assert clouds.token_calls() == dict.fromkeys(TOKEN_CALLS, 1)
    assert counts(stack) == Counter(AWSCloudTrail=2 * OBJECTS * RECORDS, AWSGuardDuty=2 * FINDINGS)


def test_what_was_delivered_before_is_one_call_to_the_ledger(stack: Stack, clouds: Clouds) -> None:
    messages = small_things(stack, "again")
    clouds.calls(*messages)
    # The announcements name no version: S3 says which one it is.
    assert clouds.calls(*messages) == ({"GET object": OBJECTS, "PutItem": OBJECTS + FINDINGS}, [])


def test_what_must_come_again_is_hidden_ten_messages_in_a_call(stack: Stack, clouds: Clouds) -> None:
    messages = small_things(stack, "denied")
    stack.standin.fault(kind="status", status=403)
    calls, again = clouds.calls(*messages)
    assert set(again) == set(map(str, range(OBJECTS + FINDINGS)))
    assert calls.pop("ChangeMessageVisibilityBatch") == 2
    # Claimed and released.
    assert calls["PutItem"] == 2 * (OBJECTS + FINDINGS)
    assert (calls["upload AWSCloudTrail"], calls["upload AWSGuardDuty"]) == (1, 1)


def test_letters_of_a_batch_are_sent_together(stack: Stack, clouds: Clouds) -> None:
    refused = {"requestID": "refused"}
    records = [trail.record(number, **(refused if number % 3 == 0 else {})) for number in range(12)]
    stack.standin.fault(kind="reject_where", contains="refused")
    content = json.dumps({"Records": records}).encode()
    calls, again = clouds.calls(announced(stack, "refused", content))
    assert not again
    assert calls["SendMessageBatch"] == 1
    assert stack.depth("DeadLetterQueueUrl") == 4


def test_the_log_has_a_line_for_an_object_and_none_for_a_record(stack: Stack, clouds: Clouds) -> None:
    clouds.calls(*small_things(stack, "logged"))
    lines = [json.loads(line) for line in clouds.function.log().splitlines()]
    told = Counter(line["fields"]["message"] for line in lines if "fields" in line)
    assert told == {"forwarded an object": OBJECTS}
