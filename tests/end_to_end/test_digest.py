"""CloudTrail's digests: what they list arrives without an operator, and what was altered, removed or made up is named."""

import gzip
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import Any

import pytest

from conftest import Start, batch, notification
from local import trail
from local.deployment import BUCKET
from local.digests import Chain, Digest, PublicKeys, Signer
from local.processes import wait_for
from local.stack import Stack
from test_killed import let_leases_run_out
from visibility import Hidings, watched

SECONDS = 40
COMPLETENESS = "SentinelForwarderCompleteness_CL"
HEALTH = "SentinelForwarderHealth_CL"
START = datetime(2026, 3, 10, 9, 1, 31, tzinfo=timezone.utc)
HOUR = "hour#111122223333#us-east-1#2026-03-10T{:02}"
RECORDS_A_FILE = 3


class World:
    """The stack, with a trail whose digests are signed; a file's records are numbered through."""

    def __init__(self, stack: Stack, hidings: Hidings, signer: Signer) -> None:
        self.stack = stack
        self.hidings = hidings
        self.chain = Chain(signer, BUCKET, START)
        self.numbers = 0

    def file(self, hour: int, name: str) -> tuple[str, bytes]:
        """Make a file of an hour: its key and uncompressed content."""
        numbers = range(self.numbers, self.numbers + RECORDS_A_FILE)
        self.numbers += RECORDS_A_FILE
        content = json.dumps({"Records": [trail.record(number) for number in numbers]}).encode()
        return f"{self.chain.files(hour)}{name}.json.gz", content

    def files(self, hour: int, *names: str) -> dict[str, bytes]:
        """Make files of an hour."""
        return dict(self.file(hour, name) for name in names)

    def put(self, files: dict[str, bytes]) -> None:
        """Put files, and wait until they are delivered."""
        for key, content in files.items():
            self.stack.put_object(key, gzip.compress(content))
        self.settle()

    def put_quietly(self, files: dict[str, bytes]) -> None:
        """Put files without anybody being told."""
        with self.stack.quiet_bucket():
            for key, content in files.items():
                self.stack.put_object(key, gzip.compress(content))

    def put_digest(self, digest: Digest, **changes: Any) -> None:
        """Put a digest, with parts of the object changed."""
        parts = {"Key": digest.key, "Body": digest.body, "Metadata": digest.metadata, **changes}
        self.stack.client("s3").put_object(Bucket=BUCKET, **parts)

    def check(self, digest: Digest, **changes: Any) -> dict[str, Any]:
        """Put a digest, let all work end, and return the row that tells of it."""
        self.put_digest(digest, **changes)
        self.settle()
        (row,) = self.rows(digest)
        return row

    def rows(self, digest: Digest) -> list[dict[str, Any]]:
        """Return what is told of a digest."""
        return [row for row in self.stack.standin.rows(COMPLETENESS) if row.get("DigestKey") == digest.key]

    def settle(self) -> None:
        """Let what was hidden come back until the work queue is empty."""

        def is_done() -> bool:
            self.hidings.end_waits()
            return not self.stack.depth("WorkQueueUrl")

        wait_for("all work is done", SECONDS, is_done)

    def landed(self) -> Counter[str]:
        """Count the events in Sentinel by their ids."""
        return Counter(row["AwsEventId"] for row in self.stack.standin.rows("AWSCloudTrail"))

    def all_landed_once(self) -> bool:
        """Say whether every record of every file that was made is there, once."""
        return self.landed() == Counter(map(trail.event_id, range(self.numbers)))

    def item(self, pk: str) -> dict[str, Any]:
        """Return an item of the ledger, without DynamoDB's types at the first level."""
        found = self.stack.client("dynamodb").get_item(
            TableName=self.stack.outputs["LedgerTable"], Key={"pk": {"S": pk}}, ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in found.get("Item", {}).items()}

    def health(self, column: str) -> int:
        """Sum a column of the health rows."""
        return sum(row.get(column, 0) for row in self.stack.standin.rows(HEALTH))

    def letters(self) -> list[tuple[str, str]]:
        """Return reason and key of each letter, sorted."""
        letters = self.stack.dead_letters()
        return sorted((letter["reason"], letter["task"]["object"]["key"]) for letter in letters)


def findings(row: dict[str, Any]) -> list[str]:
    """Name what a row says is not as it should be."""
    return [finding["Name"] for finding in row.get("Findings", [])]


def told(row: dict[str, Any]) -> dict[str, int]:
    """Return what a row says became of files, as far as it is not nothing."""
    return {name.removeprefix("Files"): count for name, count in row.items() if name.startswith("Files") and count}


def received(queues: Any, url: str) -> list[dict[str, Any]]:
    """Receive all messages of a queue."""
    found: list[dict[str, Any]] = []
    while messages := queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += messages
    return found


def metrics(log: str) -> dict[str, int]:
    """Sum the metrics without dimensions in a log."""
    sums: Counter[str] = Counter()
    for line in log.splitlines():
        written = json.loads(line)
        for directive in written.get("_aws", {}).get("CloudWatchMetrics", []):
            if directive["Dimensions"] == [[], ["FunctionName"]]:
                sums.update({metric["Name"]: written[metric["Name"]] for metric in directive["Metrics"]})
    return dict(sums)


@pytest.fixture(scope="module")
def signer() -> Signer:
    """CloudTrail's key."""
    return Signer()


@pytest.fixture(scope="module")
def module_hidings(session_stack: Stack, signer: Signer) -> Iterator[Hidings]:
    """The deployed function, which asks the stand-in for keys and tells of its checks."""
    with PublicKeys(signer) as keys, watched(
        session_stack,
        AWS_ENDPOINT_URL_CLOUDTRAIL=keys.url,
        SENTINEL_COMPLETENESS_ROWS="true",
        SENTINEL_HEALTH_ROWS="true",
    ) as hidings:
        yield hidings


@pytest.fixture
def world(stack: Stack, module_hidings: Hidings, signer: Signer) -> Iterator[World]:
    """An empty stack and bucket, and a new chain."""
    module_hidings.seen.clear()
    storage = stack.client("s3")
    with stack.quiet_bucket():
        for page in storage.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="AWSLogs/111122223333/"):
            for found in page.get("Contents", []):
                if "/2026/03/10/" in found["Key"]:
                    storage.delete_object(Bucket=BUCKET, Key=found["Key"])
    yield World(stack, module_hidings, signer)


def test_a_good_chain_is_verified_and_accounts_for_every_record(world: World) -> None:
    for hour in range(3):
        files = world.files(hour, "a", "b")
        world.put(files)
        row = world.check(world.chain.grow(files))
        assert findings(row) == [] and row["IsGenuine"]
        assert told(row) == {"Listed": 2, "Delivered": 2}
        assert (row["Records"], row["Rows"]) == (2 * RECORDS_A_FILE, 2 * RECORDS_A_FILE)
        assert (row["AwsAccountId"], row["AwsRegion"], row["Trail"]) == ("111122223333", "us-east-1", "main")
        assert row["Hour"] == f"2026-03-10T{9 + hour:02}:00:00Z"
        hour_item = world.item(HOUR.format(9 + hour))
        assert (hour_item["files_listed"], hour_item["rows"]) == ("2", str(2 * RECORDS_A_FILE))
    # An hour without files has a digest too.
    assert told(world.check(world.chain.grow({}))) == {}
    # It is announced again, and in another order.
    world.put_digest(world.chain.digests[1])
    world.settle()
    assert len(world.rows(world.chain.digests[1])) == 1
    assert world.all_landed_once()
    assert world.letters() == []
    assert world.health("Objects") == 6, "a digest is no log file"
    assert world.health("FilesMissing") == 0


def test_files_that_were_never_announced_are_delivered_without_an_operator(world: World) -> None:
    announced, withheld = world.files(0, "announced"), world.files(0, "withheld", "too")
    world.put(announced)
    world.put_quietly(withheld)
    row = world.check(world.chain.grow(announced | withheld))
    assert (findings(row), told(row)) == ([], {"Listed": 3, "Delivered": 3})
    assert world.all_landed_once()
    assert world.letters() == []


def test_a_file_that_was_altered_is_named_with_both_hashes(world: World) -> None:
    files = world.files(0, "altered", "kept")
    world.put(files)
    key = next(iter(files))
    other = files[key].replace(b"GetObject", b"PutObject")
    world.put({key: other})
    row = world.check(world.chain.grow(files))
    assert (findings(row), told(row)) == (["Altered"], {"Listed": 2, "Delivered": 1, "Altered": 1})
    assert world.letters() == [("Corrupt", key)]
    (letter,) = world.stack.dead_letters()
    assert "the log was altered" in letter["message"]
    # Of the listed files, another one was altered before anybody was told of it.
    files = world.files(1, "later")
    key = next(iter(files))
    world.put_quietly({key: files[key].replace(b"GetObject", b"PutObject")})
    assert findings(world.check(world.chain.grow(files))) == ["Altered"]


def test_a_file_that_is_gone_is_missing(world: World) -> None:
    files = world.files(0, "gone", "kept")
    gone, kept = files
    world.put({kept: files[kept]})
    row = world.check(world.chain.grow(files))
    assert (findings(row), told(row)) == (["Gone"], {"Listed": 2, "Delivered": 1, "Missing": 1, "Gone": 1})
    assert world.letters() == [("NotFound", gone)]
    assert world.health("FilesMissing") == 1


def test_a_digest_that_was_removed_leaves_a_gap(world: World) -> None:
    first, *removed, last = [world.chain.grow({}) for _ in range(5)]
    assert findings(world.check(first)) == []
    row = world.check(last)
    assert findings(row) == ["Gap"] and row["IsGenuine"]
    message = row["Findings"][0]["Message"]
    assert removed[-1].key in message
    assert "from 2026-03-10T10:01:31Z to 2026-03-10T13:01:31Z" in message
    assert world.letters() == [("Corrupt", last.key)]


def test_a_digest_that_was_removed_after_its_check_is_named_by_the_next_one(world: World) -> None:
    first, second = world.chain.grow({}), world.chain.grow({})
    world.check(first)
    world.stack.client("s3").delete_object(Bucket=BUCKET, Key=first.key)
    assert findings(world.check(second)) == ["PreviousRemoved"]


def test_a_digest_that_was_never_announced_is_checked_once_the_next_one_names_it(world: World) -> None:
    first = world.chain.grow({})
    world.check(first)
    withheld = world.files(1, "withheld")
    world.put_quietly(withheld)
    second, third = world.chain.grow(withheld), world.chain.grow({})
    with world.stack.quiet_bucket():
        world.put_digest(second)
    assert findings(world.check(third)) == []
    (row,) = world.rows(second)
    assert (findings(row), told(row)) == ([], {"Listed": 1, "Delivered": 1})
    assert world.all_landed_once()


def test_a_forged_chain_with_a_good_looking_name_is_found_and_nothing_of_it_is_believed(world: World) -> None:
    good = world.chain.grow({})
    world.check(good)
    evil = Chain(Signer(), BUCKET, START)
    # Not a file of the trail, so that whoever believes the digest forwards it.
    bait = {"AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/10/bait.json.gz": b'{"Records":[{"eventName":"Bait"}]}'}
    world.put_quietly(bait)
    evil.digests.append(good)
    for digest, name in [
        (evil.digest(1, bait, good), "UnknownKey"),
        (evil.digest(2, bait, good, digestPublicKeyFingerprint=world.chain.signer.fingerprint), "BadSignature"),
    ]:
        row = world.check(digest)
        assert (findings(row), row["IsGenuine"], told(row)) == ([name], False, {})
    # A good digest, in another's place.
    moved = world.chain.digest(5, {}, good)
    world.put_digest(good, Key=moved.key)
    world.settle()
    (row,) = world.rows(moved)
    assert findings(row) == ["Moved"]
    unsigned, followed = world.chain.digest(6, {}, good), world.chain.digest(7, {}, good)
    assert findings(world.check(unsigned, Metadata={})) == ["Unsigned"]
    assert findings(world.check(followed, Body=followed.body + gzip.compress(b"{}"))) == ["Malformed"]
    assert world.landed() == Counter()
    assert [reason for reason, _ in world.letters()] == ["Corrupt"] * 5


def test_a_backfill_stands_beside_the_chain(world: World) -> None:
    files, late = world.files(0, "in-time"), world.files(0, "late")
    world.put(files)
    first = world.chain.grow(files)
    world.check(first)
    second = world.chain.grow({})
    world.check(second)
    world.put(late)
    row = world.check(world.chain.digest(0, late, first, suffix="_backfill"))
    assert (findings(row), told(row)) == ([], {"Listed": 1, "Delivered": 1})
    assert findings(world.check(world.chain.grow({}))) == []
    hour = world.item(HOUR.format(9))
    assert (hour["files_listed"], len(hour["digests"])) == ("2", 2)


def test_all_accounts_and_regions_of_an_organisation_are_checked_alike(world: World) -> None:
    for account in ("111122223333", "444455556666"):
        for region in ("us-east-1", "eu-west-1"):
            world.chain = Chain(
                world.chain.signer, BUCKET, START, account, region, prefix="AWSLogs/o-exampleorg1/"
            )
            files = world.files(0, "a")
            world.put_quietly(files)
            row = world.check(world.chain.grow(files))
            assert (findings(row), told(row)) == ([], {"Listed": 1, "Delivered": 1})
            assert (row["AwsAccountId"], row["AwsRegion"]) == (account, region)
            assert row["OrganizationId"] == "o-exampleorg1"
    assert world.all_landed_once()


def test_a_digest_waits_for_files_that_are_being_delivered(world: World) -> None:
    files = world.files(0, "waits")
    digest = world.chain.grow(files)
    world.put_quietly(files)
    world.stack.standin.fault(kind="status", status=503)
    world.put_digest(digest)
    wait_for("its rows are refused", SECONDS, lambda: world.stack.standin.state()["refusals"])
    assert world.rows(digest) == []
    world.stack.standin.clear_faults()
    world.settle()
    (row,) = world.rows(digest)
    assert (findings(row), told(row)) == ([], {"Listed": 1, "Delivered": 1})


def test_a_file_that_nobody_begins_to_deliver_is_missing_in_the_end(world: World, start: Start, signer: Signer) -> None:
    files = world.files(0, "lost", "delivered")
    lost, delivered = files
    world.put({delivered: files[delivered]})
    world.put_quietly({lost: files[lost]})
    digest = world.chain.grow(files)
    with world.stack.quiet_bucket():
        world.put_digest(digest)
    queues = world.stack.client("sqs")
    # Nobody reads it.
    nowhere = queues.create_queue(QueueName="nowhere")["QueueUrl"]
    try:
        with PublicKeys(signer) as keys:
            function = start(
                AWS_ENDPOINT_URL_CLOUDTRAIL=keys.url, SENTINEL_COMPLETENESS_ROWS="true", WORK_QUEUE_URL=nowhere
            )
            answers = [function.invoke(batch(notification(digest.key))).body for _ in range(9)]
            assert keys.calls == 1, "keys are kept"
        again = {"batchItemFailures": [{"itemIdentifier": "0"}]}
        assert answers == [again] * 7 + [{"batchItemFailures": []}] * 2
        sent = [json.loads(message["Body"])["object"]["key"] for message in received(queues, nowhere)]
        assert sent == [lost] * 3, "announced at the first look, the fourth and the seventh"
    finally:
        queues.delete_queue(QueueUrl=nowhere)
    (row,) = world.rows(digest)
    assert (findings(row), told(row)) == (["Missing"], {"Listed": 2, "Delivered": 1, "Missing": 1})
    assert world.letters() == [], "whoever holds the file's message may still deliver it"
    assert metrics(function.log()) == {"FilesMissing": 1, "DigestsVerified": 1, "Continuations": 3, "Duplicates": 1}
    assert f"a log file was not delivered: s3://{BUCKET}/{lost}" in function.log()


def test_a_check_that_is_killed_comes_to_the_same(world: World, start: Start, signer: Signer) -> None:
    files = world.files(0, "altered")
    key = next(iter(files))
    world.put({key: files[key].replace(b"GetObject", b"PutObject")})
    digest = world.chain.grow(files)
    with world.stack.quiet_bucket():
        world.put_digest(digest)
    with ExitStack() as stack:
        keys = stack.enter_context(PublicKeys(signer))
        environment = {"AWS_ENDPOINT_URL_CLOUDTRAIL": keys.url, "SENTINEL_COMPLETENESS_ROWS": "true"}
        function = start(**environment)
        # Takes the row, and never says so.
        world.stack.standin.fault(kind="hang_after")
        function.begin(batch(notification(digest.key)), 60)
        wait_for("the row is taken", SECONDS, lambda: world.rows(digest))
        os.kill(function.process.pid, signal.SIGKILL)
        world.stack.standin.clear_faults()
        let_leases_run_out(world.stack)
        answer = start(**environment).invoke(batch(notification(digest.key)))
        assert answer.body == {"batchItemFailures": []}
    rows = world.rows(digest)
    assert [(findings(row), told(row)) for row in rows] == [(["Altered"], {"Listed": 1, "Altered": 1})] * 2
    assert {letter["id"] for letter in world.stack.dead_letters()} == {world.stack.dead_letters()[0]["id"]}
    assert world.item(HOUR.format(9))["files_altered"] == "1"
