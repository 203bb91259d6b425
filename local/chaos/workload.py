"""What a round delivers: CloudTrail files, findings, and their announcements in every shape."""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from hashlib import md5
from typing import Any
from urllib.parse import quote_plus, unquote_plus
from uuid import UUID

from local import trail
from local.chaos.plan import AT_ONCE_SHARE, MOST_ANNOUNCEMENTS, REFUSED_MARK, Plan
from local.deployment import BUCKET
from local.samples import FINDING

RECORDS = 400
_LONG = 4
"""How many times longer a long file is: more batches than lie between two checkpoints."""
_NUMBERS_A_FILE = 100_000
_FINDINGS_FOLDER = "AWSLogs/111122223333/GuardDuty/us-east-1/2026/03/10"
STRANGER = '{"order":"one that nobody knows"}'
"""A message that can only become a letter."""


@dataclass(frozen=True)
class Record:
    """A record or finding: its place in an object, and everything that announces it."""

    identity: str
    key: str
    index: int
    announced_by: frozenset[str]


@dataclass(frozen=True)
class Thing:
    """An object of the bucket."""

    key: str
    content: bytes
    refused: frozenset[int] = frozenset()
    is_cut: bool = False

    @property
    def etag(self) -> str:
        """The entity tag that S3 gives it."""
        return md5(self.content, usedforsecurity=False).hexdigest()


@dataclass
class Workload:
    """All of a round."""

    things: dict[str, Thing] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    announcements: list[tuple[float, str]] = field(default_factory=list)
    """When, as a share of the time for it, and the message."""

    @classmethod
    def planned(cls, plan: Plan, files: int) -> "Workload":
        """Make up a workload of so many files."""
        workload, chance = cls(), plan.stream("workload")
        for number in range(files):
            workload._add_file(chance, number)
        workload._add_findings(chance, max(4, files // 4))
        for thing in workload.things.values():
            workload._announce(chance, [list(_shapes(thing))[shape] for shape in _picks(chance, 3)])
        workload.announcements.append((chance.random(), STRANGER))
        workload.announcements.sort()
        return workload

    def _add_file(self, chance: random.Random, number: int) -> None:
        # One in ten is long, one holds a record that is refused, one is cut off.
        count = RECORDS * _LONG if number % 10 == 3 else RECORDS
        refused = frozenset({chance.randrange(count)} if number % 10 == 5 else ())
        first = number * _NUMBERS_A_FILE
        records = [
            trail.record(first + index, requestParameters=_parameters(chance, index in refused))
            for index in range(count)
        ]
        content = gzip.compress(json.dumps({"Records": records}).encode(), 1)
        is_cut = number % 10 == 7
        if is_cut:
            content = content[: int(len(content) * chance.uniform(0.3, 0.9))]
        key = trail.key(f"{number:016}")
        self.things[key] = Thing(key, content, refused, is_cut)
        for index in range(count):
            identity = trail.event_id(first + index)
            self.records[identity] = Record(identity, key, index, frozenset({key}))

    def _add_findings(self, chance: random.Random, count: int) -> None:
        event = json.loads(FINDING.read_text(encoding="utf-8"))
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        lines = []
        key = f"{_FINDINGS_FOLDER}/{UUID(int=chance.getrandbits(128), version=4)}.jsonl.gz"
        for index in range(count):
            identity = f"{chance.getrandbits(128):032x}"
            finding = event["detail"] | {"id": identity, "createdAt": now, "updatedAt": now}
            lines.append(json.dumps(finding))
            self.records[identity] = Record(identity, key, index, frozenset({identity, key}))
            body = json.dumps(event | {"id": str(UUID(int=chance.getrandbits(128), version=4)), "detail": finding})
            self._announce(chance, [body] * chance.randint(1, 3))
        self.things[key] = Thing(key, gzip.compress("\n".join(lines).encode()))

    def _announce(self, chance: random.Random, bodies: list[str]) -> None:
        at_once = chance.random() if chance.random() < AT_ONCE_SHARE else None
        for body in bodies:
            moment = chance.random()
            self.announcements.append((moment if at_once is None else at_once, body))


def _parameters(chance: random.Random, refused: bool) -> dict[str, str]:
    return {
        "bucketName": "example-bucket",
        "key": f"{chance.getrandbits(1200):0300x}",
        "note": REFUSED_MARK if refused else "x" * 600,
    }


def _picks(chance: random.Random, shapes: int) -> list[int]:
    """Every shape before one comes again."""
    picks: list[int] = []
    while len(picks) < MOST_ANNOUNCEMENTS:
        picks += chance.sample(range(shapes), shapes)
    return picks[: chance.randint(1, MOST_ANNOUNCEMENTS)]


def _shapes(thing: Thing) -> Iterator[str]:
    size = len(thing.content)
    told = {"key": quote_plus(thing.key, safe="/"), "size": size, "eTag": thing.etag}
    notification = {
        "eventVersion": "2.5",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": BUCKET}, "object": told},
    }
    yield json.dumps({"Records": [notification]})
    yield json.dumps(
        {
            "version": "0",
            "detail-type": "Object Created",
            "source": "aws.s3",
            "account": "111122223333",
            "region": "us-east-1",
            "detail": {
                "bucket": {"name": BUCKET},
                "object": {"key": thing.key, "size": size, "etag": thing.etag},
                "reason": "PutObject",
            },
        }
    )
    pointer = {"bucket": BUCKET, "key": thing.key, "etag": thing.etag}
    yield json.dumps({"schema": "sentinel-forwarder/task/1", "object": pointer})


def announced(body: str) -> frozenset[str]:
    """Return the key of the object, or the id of the finding, that a message is about."""
    document: dict[str, Any] = json.loads(body)
    if "Records" in document:
        return frozenset(unquote_plus(record["s3"]["object"]["key"]) for record in document["Records"])
    detail = document.get("detail", {})
    if document.get("detail-type") == "GuardDuty Finding":
        return frozenset({detail["id"]})
    task = document.get("task", document)
    pointer = detail.get("object") or task.get("object")
    return frozenset({pointer["key"]} if pointer else ())
