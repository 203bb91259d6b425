"""Objects and findings go the whole way: bucket or bus, queue, function, stand-in."""

from collections import Counter
from urllib.parse import quote_plus

import pytest

from conftest import notification
from local import trail
from local.processes import wait_for
from local.run import counts
from local.samples import Samples
from local.stack import Stack

LAND_SECONDS = 30


def test_every_sample_lands_once_and_nothing_is_refused(stack: Stack) -> None:
    samples = Samples.of_now()
    for key, content in samples.objects.items():
        stack.put_object(key, content)
    stack.put_finding(samples.finding)
    wait_for("all rows land", LAND_SECONDS, lambda: counts(stack) >= samples.expected)
    wait_for("the queue is empty", LAND_SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    assert counts(stack) == samples.expected
    assert stack.standin.state()["refusals"]["total"] == 0
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_a_finding_on_the_bus_becomes_a_row(stack: Stack) -> None:
    finding = Samples.of_now().finding
    stack.put_finding(finding)
    wait_for("the finding lands", LAND_SECONDS, lambda: counts(stack)["AWSGuardDuty"])
    (row,) = stack.standin.rows("AWSGuardDuty")
    assert row["ActivityType"] == finding["type"]
    assert row["AccountId"] == finding["accountId"]


@pytest.mark.parametrize("name", ["a b", "a+b", "a%2Fb", "a%20b", "Zürich", "日本語", "a&b=c?d#e"])
def test_a_key_is_found_however_it_is_spelled(stack: Stack, name: str) -> None:
    key = trail.key(name)
    stack.put_object(key, trail.file(1))
    wait_for("the bus brought it", LAND_SECONDS, lambda: counts(stack)["AWSCloudTrail"])
    with stack.quiet_bucket():
        stack.put_object(key, trail.file(2))
    stack.send_work(notification(quote_plus(key, safe="/")))
    wait_for("the notification brought it", LAND_SECONDS, lambda: counts(stack)["AWSCloudTrail"] >= 2)
    landed = Counter(row["AwsEventId"][-1] for row in stack.standin.rows("AWSCloudTrail"))
    assert landed == {"1": 1, "2": 1}
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_an_object_outside_the_prefixes_is_not_announced(stack: Stack) -> None:
    stack.put_object("elsewhere/" + trail.key("outside"), trail.file(1))
    stack.put_object(trail.key("inside"), trail.file(2))
    wait_for("the one inside lands", LAND_SECONDS, lambda: counts(stack)["AWSCloudTrail"])
    wait_for("the queue is empty", LAND_SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    assert [row["AwsEventId"][-1] for row in stack.standin.rows("AWSCloudTrail")] == ["2"]
