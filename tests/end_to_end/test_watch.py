"""Watches: what should have come and has not is told, once, and what can be brought is brought."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import cloudformation
import pytest

from conftest import Start
from local.deployment import BUCKET
from local.digests import Chain, PublicKeys, Signer
from local.guardduty import GuardDuty
from local.processes import wait_for
from local.samples import Samples
from local.stack import ROOT, Stack
from test_digest import COMPLETENESS, World, findings, metrics
from test_killed import let_leases_run_out
from visibility import Hidings, watched

SECONDS = 40
WATCH = (ROOT / "events" / "watch.json").read_text()
WATCH_DIGESTS = '{"schema":"sentinel-forwarder/watch/1","findings":false}'


@pytest.fixture(scope="module")
def signer() -> Signer:
    """CloudTrail's key."""
    return Signer()


@pytest.fixture(scope="module")
def module_guardduty() -> Iterator[GuardDuty]:
    """A GuardDuty."""
    with GuardDuty() as guardduty:
        yield guardduty


@pytest.fixture(scope="module")
def module_hidings(session_stack: Stack, signer: Signer, module_guardduty: GuardDuty) -> Iterator[Hidings]:
    """The deployed function, which asks the stand-ins and tells of what it finds."""
    with PublicKeys(signer) as keys, watched(
        session_stack,
        AWS_ENDPOINT_URL_CLOUDTRAIL=keys.url,
        AWS_ENDPOINT_URL_GUARDDUTY=module_guardduty.url,
        SENTINEL_COMPLETENESS_ROWS="true",
        SENTINEL_HEALTH_ROWS="true",
    ) as hidings:
        yield hidings


@pytest.fixture
def world(stack: Stack, module_hidings: Hidings, signer: Signer) -> Iterator[World]:
    """An empty stack, and a chain whose first digest ended three hours and a half ago."""
    module_hidings.seen.clear()
    world = World(stack, module_hidings, signer)
    now = datetime.now(timezone.utc).replace(microsecond=0)
    world.chain = Chain(signer, BUCKET, now - timedelta(hours=4, minutes=30), trail=f"trail-{now:%H%M%S%f}")
    yield world
    with stack.quiet_bucket():
        for digest in world.chain.digests:
            stack.client("s3").delete_object(Bucket=BUCKET, Key=digest.key)


@pytest.fixture
def guardduty(stack: Stack, module_guardduty: GuardDuty) -> GuardDuty:
    """It has found nothing yet."""
    module_guardduty.findings.clear()
    module_guardduty.calls.clear()
    module_guardduty.refused.clear()
    return module_guardduty


def finding(number: int, age: timedelta, **service: Any) -> dict[str, Any]:
    """Make a finding that was updated so long ago."""
    found = Samples.of_now().finding
    updated_at = (datetime.now(timezone.utc) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    service = {**found["service"], "archived": False, "count": 1, **service}
    return {**found, "id": f"{number:032x}", "updatedAt": updated_at, "service": service}


def watch(world: World) -> None:
    """Let the schedule come, and wait until the watch and what it brings is done."""
    before = watches(world)
    world.stack.keep_watch()
    wait_for("the watch is kept", SECONDS, lambda: watches(world) > before)
    world.settle()


def watches(world: World) -> int:
    """Count the runs that were no message's."""
    return len(world.stack.standin.rows("SentinelForwarderHealth_CL"))


def overdue(world: World) -> list[str]:
    """Return the hours that are told as overdue, in order."""
    rows = [row for row in world.stack.standin.rows(COMPLETENESS) if "Overdue" in findings(row)]
    assert all(row["Trail"] == world.chain.trail and "IsGenuine" not in row for row in rows)
    return sorted(row["DigestEnd"] for row in rows)


def end(world: World, hour: int) -> str:
    """Return the end of an hour of the chain."""
    return f"{world.chain.start + timedelta(hours=hour + 1):%Y-%m-%dT%H:%M:%SZ}"


def landed(stack: Stack) -> list[str]:
    """Return the ids of the findings that landed, in order."""
    return sorted(row["Id"] for row in stack.standin.rows("AWSGuardDuty"))


def test_the_schedule_invokes_the_function_with_what_it_understands(stack: Stack) -> None:
    schedule = stack.watch_schedule()
    assert schedule["ScheduleExpression"] == "rate(15 minutes)"
    assert schedule["Target"]["Arn"] == stack.outputs["FunctionArn"]
    assert json.loads(schedule["Target"]["Input"]) == json.loads(WATCH)
    (deployed,) = cloudformation.resources(ROOT / "template.yaml", "AWS::Scheduler::Schedule").values()
    assert deployed["Target"]["Input"] == {"Fn::If": ["WatchesFindings", schedule["Target"]["Input"], WATCH_DIGESTS]}


def test_a_digest_that_does_not_come_is_told_once_an_hour_and_not_when_it_came(world: World) -> None:
    assert findings(world.check(world.chain.grow({}))) == []
    watch(world)
    assert overdue(world) == [end(world, 1)]
    watch(world)
    assert overdue(world) == [end(world, 1)], "not every quarter of an hour"
    # It is in the bucket, and nobody was told.
    withheld = world.files(1, "withheld")
    world.put_quietly(withheld)
    second = world.chain.grow(withheld)
    head = world.item(f"chain#111122223333#us-east-1#us-east-1#{world.chain.trail}")
    world.stack.client("dynamodb").update_item(
        TableName=world.stack.outputs["LedgerTable"],
        Key={"pk": {"S": f"chain#111122223333#us-east-1#us-east-1#{world.chain.trail}"}},
        UpdateExpression="REMOVE told",
    )
    assert head["told"] == end(world, 1)
    with world.stack.quiet_bucket():
        world.put_digest(second)
    watch(world)
    (row,) = world.rows(second)
    assert (findings(row), row["FilesDelivered"]) == ([], 1)
    assert overdue(world) == [end(world, 1)], "it is not overdue, it was not announced"
    assert world.all_landed_once()
    assert world.letters() == []


def test_a_watch_that_is_killed_is_kept_by_the_next_one(world: World, start: Start, guardduty: GuardDuty) -> None:
    world.check(world.chain.grow({}))
    guardduty.findings = [finding(1, timedelta(hours=1))]
    environment = {"AWS_ENDPOINT_URL_GUARDDUTY": guardduty.url, "SENTINEL_COMPLETENESS_ROWS": "true"}
    function = start(**environment)
    # Takes the row, and never says so.
    world.stack.standin.fault(kind="hang_after")
    function.begin(WATCH, 60)
    wait_for("the row is taken", SECONDS, lambda: overdue(world))
    os.kill(function.process.pid, signal.SIGKILL)
    world.stack.standin.clear_faults()
    function = start(**environment)
    assert function.invoke(WATCH).body["ignored"] == 1, "the dead one's lease still runs"
    let_leases_run_out(world.stack)
    function.invoke(WATCH)
    assert overdue(world) == [end(world, 1)] * 2
    world.settle()
    assert landed(world.stack) == [f"{1:032x}"]
    told = {"DigestsOverdue": 1, "FindingsMissing": 1, "Continuations": 1, "Watches": 1, "Ignored": 1}
    assert metrics(function.log()) == told
    assert '"finding":"Overdue"' in function.log()


def test_findings_whose_events_did_not_come_are_brought_once(world: World, guardduty: GuardDuty) -> None:
    came, fresh = finding(1, timedelta(hours=1)), finding(2, timedelta(minutes=2))
    suppressed, again = finding(3, timedelta(hours=1), archived=True), finding(4, timedelta(hours=1), count=7)
    world.stack.put_finding(came)
    wait_for("it lands", SECONDS, lambda: landed(world.stack) == [came["id"]])
    missing = [finding(number, timedelta(hours=2, minutes=number % 60)) for number in range(10, 130)]
    guardduty.findings = [came, fresh, suppressed, again, *missing]
    watch(world)
    ids = [came["id"], *(found["id"] for found in missing)]
    assert landed(world.stack) == ids
    assert guardduty.refused == [], "every call is signed"
    watch(world)
    # The event comes after all.
    world.stack.put_finding(missing[0])
    world.settle()
    assert landed(world.stack) == ids
    assert world.health("Duplicates") == 1
    assert world.letters() == []


def test_a_finding_lands_as_its_event_would_have_landed_it(world: World, guardduty: GuardDuty) -> None:
    one, other = finding(1, timedelta(hours=1)), finding(2, timedelta(hours=1))
    other["updatedAt"] = one["updatedAt"]
    world.stack.put_finding(one)
    wait_for("it lands", SECONDS, lambda: landed(world.stack))
    guardduty.findings = [one, other]
    watch(world)
    first, second = world.stack.standin.rows("AWSGuardDuty")
    assert {**first, "Id": ""} == {**second, "Id": ""}


def test_a_denial_is_told_and_mended_without_more_ado(stack: Stack, start: Start, guardduty: GuardDuty) -> None:
    guardduty.findings = [finding(1, timedelta(hours=1))]
    function = start(AWS_ENDPOINT_URL_GUARDDUTY=guardduty.url)
    guardduty.denies = True
    try:
        assert function.invoke(WATCH).kind == "response"
    finally:
        guardduty.denies = False
    assert metrics(function.log()) == {}
    assert function.log().count('"ActionNeeded":1') == 1
    assert "guardduty:ListDetectors" in function.log()
    function.invoke(WATCH)
    assert metrics(function.log()) == {"FindingsMissing": 1, "Continuations": 1, "Watches": 1}
    assert function.invoke(WATCH_DIGESTS).kind == "response"
    assert metrics(function.log())["Watches"] == 2
    wait_for("it lands", SECONDS, lambda: landed(stack) == [f"{1:032x}"])
