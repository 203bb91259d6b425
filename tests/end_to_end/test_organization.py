"""A whole organisation: findings of its accounts and regions, and a bucket in another account.

Accounts, regions, roles, the bus's policy and the organisation are the emulator's, as local/aws.py completes it. What it
does not have: StackSets (a stack is made in each account and region), a delegated administrator of GuardDuty, and buckets
that are read across accounts.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local import trail
from local.emulator import ACCOUNT, LOG_ARCHIVE, MEMBER, REGION, client
from local.processes import wait_for
from local.run import counts
from local.samples import Samples
from local.stack import ROOT, Stack

SECONDS = 30
STRANGER = "222222222222"


@dataclass(frozen=True)
class Place:
    """An account and region with a stack that sends to the central bus."""

    endpoint: str
    account: str
    region: str

    def client(self, service: str) -> Any:
        """Return a boto3 client of that account and region."""
        return client(self.endpoint, service, self.account, self.region)

    def deploy(self, bus: str, **parameters: str) -> None:
        """Make the stack, as a StackSet would."""
        formation = self.client("cloudformation")
        every = {"CentralBusArn": bus} | parameters
        formation.create_stack(
            StackName="sender",
            TemplateBody=(ROOT / "deploy" / "organization.yaml").read_text(),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in every.items()],
        )
        waiter = formation.get_waiter("stack_create_complete")
        waiter.wait(StackName="sender", WaiterConfig={"Delay": 1, "MaxAttempts": SECONDS})

    def put_finding(self, finding: dict[str, Any]) -> None:
        """Play GuardDuty there."""
        entry = {"Source": "aws.guardduty", "DetailType": "GuardDuty Finding", "Detail": json.dumps(finding)}
        assert self.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0

    def not_sent(self) -> list[dict[str, Any]]:
        """Read what could not be sent from there."""
        stack = self.client("cloudformation").describe_stacks(StackName="sender")["Stacks"][0]
        (url,) = [one["OutputValue"] for one in stack["Outputs"] if one["OutputKey"] == "NotSentQueueUrl"]
        answer = self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def finding_of(account: str, region: str) -> dict[str, Any]:
    """Write a finding of its own for an account and region."""
    return Samples.of_now().finding | {"id": uuid.uuid4().hex, "accountId": account, "region": region}


def bucket_policy(role: str) -> dict[str, Any]:
    """Fill in the statement that README shows."""
    section = (ROOT / "README.md").read_text().split("\n## A whole organisation\n")[1].split("\n## ")[0]
    (text,) = [block for block in section.split("```") if "SentinelForwarderReads" in block]
    statement = json.loads(text.removeprefix("json").replace("ROLE_ARN", role).replace("PARTITION", "aws").replace("BUCKET", LOG_ARCHIVE))
    return {"Version": "2012-10-17", "Statement": [statement]}


@pytest.fixture(scope="module")
def senders(full_stack: Stack) -> list[Place]:
    """Another region of the forwarder's account, and a member with three regions and a bucket."""
    bus = full_stack.outputs["OrganizationBusArn"]
    places = [
        Place(full_stack.endpoint, account, region)
        for account, region in [
            (ACCOUNT, "eu-west-1"),
            (MEMBER, REGION),
            (MEMBER, "eu-west-1"),
            (MEMBER, "ap-southeast-2"),
        ]
    ]
    for place in places:
        has_bucket = (place.account, place.region) == (MEMBER, REGION)
        place.deploy(bus, **({"BucketName": LOG_ARCHIVE} if has_bucket else {}))
    storage = places[1].client("s3")
    storage.create_bucket(Bucket=LOG_ARCHIVE)
    storage.put_bucket_notification_configuration(
        Bucket=LOG_ARCHIVE, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    return places


@pytest.fixture
def central(full_stack: Stack) -> Iterator[Stack]:
    """The central stack, with nothing landed yet, and nothing left behind."""
    full_stack.standin.reset()
    yield full_stack
    wait_for("nothing waits", SECONDS, lambda: not full_stack.depth("WorkQueueUrl"))
    assert full_stack.depth("DeadLetterQueueUrl") == 0


def test_findings_of_two_accounts_in_three_regions_land(central: Stack, senders: list[Place]) -> None:
    home = Place(central.endpoint, ACCOUNT, REGION)
    expected = {(place.account, place.region) for place in [home, *senders]}
    assert len(expected) == 5
    for place in [home, *senders]:
        place.put_finding(finding_of(place.account, place.region))
    wait_for("all land", SECONDS, lambda: counts(central).total() == len(expected))
    rows = central.standin.rows("AWSGuardDuty")
    assert {(row["AccountId"], row["Region"]) for row in rows} == expected
    assert [place.not_sent() for place in senders] == [[]] * len(senders)


def test_a_finding_that_the_administrator_sees_too_lands_once(central: Stack, senders: list[Place]) -> None:
    finding, later = finding_of(MEMBER, REGION), finding_of(MEMBER, REGION)
    Place(central.endpoint, ACCOUNT, REGION).put_finding(finding)
    wait_for("it lands", SECONDS, lambda: counts(central).total() == 1 and not central.depth("WorkQueueUrl"))
    senders[1].put_finding(finding)
    senders[1].put_finding(later)
    wait_for("the later one lands", SECONDS, lambda: counts(central).total() > 1 and not central.depth("WorkQueueUrl"))
    assert [row["Id"] for row in central.standin.rows("AWSGuardDuty")] == [finding["id"], later["id"]]


def test_another_organisation_is_refused_and_keeps_its_event(central: Stack) -> None:
    stranger = Place(central.endpoint, STRANGER, REGION)
    stranger.deploy(central.outputs["OrganizationBusArn"])
    finding = finding_of(STRANGER, REGION)
    stranger.put_finding(finding)
    wait_for("the event is kept", SECONDS, stranger.not_sent)
    assert [event["detail"]["id"] for event in stranger.not_sent()] == [finding["id"]]
    assert not counts(central)
    assert central.depth("WorkQueueUrl") == 0


def test_a_file_in_the_bucket_of_another_account_is_announced_and_lands(central: Stack, senders: list[Place]) -> None:
    storage = senders[1].client("s3")
    key, content = trail.key("log-archive"), trail.file(1, 2)
    # In the emulator a function calls as its account, not as its role.
    policy = bucket_policy(f"arn:aws:iam::{ACCOUNT}:root")
    storage.put_bucket_policy(Bucket=LOG_ARCHIVE, Policy=json.dumps(policy))
    storage.put_object(Bucket=LOG_ARCHIVE, Key="elsewhere/" + key, Body=content)
    storage.put_object(Bucket=LOG_ARCHIVE, Key=key, Body=content)
    wait_for("its records land", SECONDS, lambda: counts(central) == {"AWSCloudTrail": 2})

