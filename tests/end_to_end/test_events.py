"""The sample events and objects, held against each other: what an event names has to be there."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).resolve().parent), str(ROOT / "local")]

import corpus
import objects as samples
from oracle import TimeOfReading, cloudtrail_row, guardduty_row
from verbatim import values

EVENTS = sorted((ROOT / "events").glob("*.json"))
BUCKET = "example-trail-logs"

MADE = {
    "s3-batch-job-1.0": (1, 8, 0),
    "s3-batch-job-2.0": (1, 2, 0),
    "s3-notification": (2, 15, 0),
    "s3-test-event": (0, 0, 0),
    "s3-object-removed": (0, 0, 0),
    "eventbridge-object-created": (1, 2, 0),
    "eventbridge-guardduty-finding": (0, 0, 1),
    "eventbridge-cloudtrail-api-call": (0, 1, 0),
    "eventbridge-console-sign-in": (0, 1, 0),
    "cloudtrail-sns-message": (2, 10, 0),
    "sns-s3-notification": (2, 3, 0),
    "sqs-s3-notification": (3, 23, 0),
    "sqs-eventbridge-object-created": (1, 2, 0),
    "sqs-guardduty-finding": (0, 0, 1),
    "sqs-sns-s3-notification": (1, 0, 3),
    "sqs-batch-mixed": (1, 8, 1),
    "task": (1, 8, 0),
    "dead-letter-rejected": (1, 1, 0),
    "on-failure-destination": (1, 8, 0),
    "unknown": (0, 0, 0),
    "watch": (0, 0, 0),
}
"""For each event the objects that it names, and the CloudTrail and GuardDuty rows that it makes."""


@pytest.fixture(scope="module")
def bucket() -> dict[str, bytes]:
    return dict(samples.objects())


def named(value: Any) -> Iterator[tuple[str, str, slice]]:
    """The objects that an event names: bucket, key, range of records."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        yield from named(json.loads(value))
    elif isinstance(value, list):
        for element in value:
            yield from named(element)
    elif isinstance(value, dict):
        if "s3" in value:
            if value["eventName"].startswith("ObjectCreated:"):
                yield value["s3"]["bucket"]["name"], unquote_plus(value["s3"]["object"]["key"]), slice(None)
        elif value.get("detail-type") == "Object Created":
            yield value["detail"]["bucket"]["name"], value["detail"]["object"]["key"], slice(None)
        elif "s3Key" in value:
            bucket = value.get("s3Bucket") or value["s3BucketArn"].removeprefix("arn:aws:s3:::")
            yield bucket, unquote_plus(value["s3Key"]), slice(None)
        elif "s3ObjectKey" in value:
            yield from ((value["s3Bucket"], key, slice(None)) for key in value["s3ObjectKey"])
        elif value.get("schema") == "sentinel-forwarder/task/1":
            thing = value["object"]
            yield thing["bucket"], thing["key"], slice(value.get("from_record"), value.get("until_record"))
        else:
            for member in value.values():
                yield from named(member)


def carried(text: str) -> Iterator[tuple[str, str]]:
    """The records and findings that an event carries itself."""
    yield from corpus.find(text)
    for message in json.loads(text).get("Records", []) if text.startswith("{") else []:
        if "body" in message:
            yield from carried(message["body"])


def records(content: bytes) -> list[tuple[str, str]]:
    """The records and findings of an object."""
    return [found for value in values(gzip.decompress(content).decode()) for found in corpus.find(value)]


def test_there_is_one_event_for_each_shape():
    assert {path.stem for path in EVENTS} == set(MADE)


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_an_event_names_objects_that_are_in_the_bucket(path, bucket):
    objects, cloudtrail, guardduty = MADE[path.stem]
    text = path.read_text(encoding="utf-8")
    found = list(named(json.loads(text)))
    rows = Counter(kind for kind, _ in carried(text))
    for name, key, part in found:
        assert name == BUCKET
        rows.update(kind for kind, _ in records(bucket[key])[part])
    assert (len(found), rows["cloudtrail"], rows["guardduty"]) == (objects, cloudtrail, guardduty)


def test_the_readme_tells_what_each_event_makes():
    lines = re.findall(r"^\| `([\w.-]+)\.json` \| .* \| (.*) \|$", (ROOT / "events/README.md").read_text(encoding="utf-8"), re.M)
    assert len(lines) == len(dict(lines)) == len(MADE)
    for name, made in lines:
        counts = tuple(sum(map(int, re.findall(rf"(\d+) (?:of \d+ )?{table} row", made))) for table in ("CloudTrail", "GuardDuty"))
        assert counts == MADE[name][1:], name


def test_objects_are_the_same_bytes_each_time_and_hold_their_sources(bucket):
    assert bucket == dict(samples.objects())
    for key, content in bucket.items():
        assert key.endswith((".json.gz", ".jsonl.gz"))
        assert gzip.decompress(content) == (samples.ROOT / key.removesuffix(".gz")).read_bytes()


def test_moved_objects_are_fresh_and_keep_everything_else(bucket):
    newest = datetime(2027, 1, 1, 0, 7, 30, tzinfo=timezone.utc)
    moved = dict(samples.objects(shift_to=newest))
    assert len(moved) == len(bucket)
    times = []
    for (key, content), (old_key, old) in zip(sorted(moved.items()), sorted(bucket.items()), strict=True):
        text, old_text = gzip.decompress(content).decode(), gzip.decompress(old).decode()
        assert len(text) == len(old_text) and samples.TIME.sub("", text) == samples.TIME.sub("", old_text)
        assert "/2026/03/10/" not in key and re.sub(r"\d", "0", key) == re.sub(r"\d", "0", old_key)
        if stamp := samples.KEY_STAMP.search(key):
            assert f"/{stamp[0][:4]}/{stamp[0][4:6]}/{stamp[0][6:8]}/" in key
        times += [datetime.fromisoformat(time + "+00:00") for time in samples.EVENT_TIME.findall(text)]
    assert max(times) == newest
    assert newest - min(times) < timedelta(hours=12)


def test_the_samples_fill_every_column_that_a_record_can_fill(bucket):
    now = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)
    rows = [cloudtrail_row(text, now) for content in bucket.values() for kind, text in records(content) if kind == "cloudtrail"]
    findings = [guardduty_row(text, now) for content in bucket.values() for kind, text in records(content) if kind == "guardduty"]
    assert len(rows) == 26 and len(findings) == 3
    assert not any(isinstance(row["TimeGenerated"], TimeOfReading) or "EventTime_CF" in row for row in rows + findings)
    declared = (ROOT / "src/table/columns.rs").read_text(encoding="utf-8").split("AWS_CLOUD_TRAIL: &[Column]")[1].split("];")[0]
    named_columns = set(re.findall(r'column\("(\w+)"', declared)) | {"TimeGenerated"}
    never_from_a_record = {"AwsRequestId", "OperationName"}
    assert {column for row in rows for column in row} == named_columns - never_from_a_record
    assert {name for row in rows for name in getattr(row.get("AdditionalEventData"), "unmapped", {})} == {
        "addendum", "eventContext", "insightDetails", "sessionCredentialFromConsole", "tlsDetails", "userIdentity", "vpcEndpointAccountId"
    }  # fmt: skip
    assert {column for row in findings for column in row} >= {"ResourceDetails", "ServiceDetails", "Severity", "TimeCreated"}
