"""The alarms and the dashboard: they stand on metrics that exist, ring where somebody hears it, and say what to do."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import cloudformation
import pytest

from local.deployment import STACK_NAME
from local.processes import wait_for
from local.stack import ROOT, Stack

NAMESPACE = "SentinelForwarder"
SECONDS = 30


def documented_metrics() -> set[str]:
    """Read the names in the first column of README's table of metrics."""
    section = (ROOT / "README.md").read_text().split("\n## Metrics\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall(r"`(\w+)`", " ".join(rows)))


def alarms() -> dict[str, dict[str, Any]]:
    """Find the alarms of all templates."""
    every = [cloudformation.resources(path, "AWS::CloudWatch::Alarm") for path in cloudformation.TEMPLATES]
    return {name: alarm for some in every for name, alarm in some.items()}


def dashboard(stack: Stack) -> list[dict[str, Any]]:
    """Read the widgets of the deployed dashboard."""
    body = stack.client("cloudwatch").get_dashboard(DashboardName=stack.outputs["Dashboard"])["DashboardBody"]
    widgets: list[dict[str, Any]] = json.loads(body)["widgets"]
    return widgets


def test_every_alarm_has_its_section_in_the_runbook_and_every_section_an_alarm() -> None:
    sections = re.findall(r"^## (.*)$", (ROOT / "RUNBOOK.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(alarms())
    for name, alarm in alarms().items():
        assert alarm["AlarmDescription"].endswith(f" RUNBOOK.md#{name.lower()}"), name


def test_every_section_of_the_runbook_says_what_it_means_how_to_look_and_what_to_do() -> None:
    for section in (ROOT / "RUNBOOK.md").read_text().split("\n## ")[1:]:
        assert re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) == ["Meaning", "Look", "Do"], section[:30]


def test_only_silence_rings_where_nothing_is_measured() -> None:
    breaching = {name for name, alarm in alarms().items() if alarm["TreatMissingData"] != "notBreaching"}
    assert breaching == {"SilenceAlarm", "WatchAlarm"}


def test_alarms_and_dashboard_stand_on_metrics_that_the_readme_tells_of(session_stack: Stack) -> None:
    named = {alarm["MetricName"] for alarm in alarms().values() if alarm["Namespace"] == NAMESPACE}
    for widget in dashboard(session_stack):
        for metric in widget["properties"].get("metrics", []):
            if metric[0] == NAMESPACE:
                named.add(metric[1])
            elif isinstance(metric[0], dict):
                named |= set(re.findall(r'MetricName="(\w+)"', metric[0]["expression"]))
    assert len(named) > 15
    assert named <= documented_metrics()


def test_alarms_and_dashboard_tell_one_function_from_another(session_stack: Stack) -> None:
    """Two stacks of an account and region write the same metrics: each looks at its own."""
    for name, alarm in alarms().items():
        if alarm["Namespace"] == NAMESPACE:
            assert {"Name": "FunctionName", "Value": {"Ref": "ForwarderFunction"}} in alarm["Dimensions"], name
    function = session_stack.outputs["FunctionName"]
    for widget in dashboard(session_stack):
        for metric in widget["properties"].get("metrics", []):
            if metric[0] == NAMESPACE:
                assert metric[2:4] == ["FunctionName", function], metric
            elif isinstance(metric[0], dict) and NAMESPACE in metric[0]["expression"]:
                assert f'FunctionName="{function}"' in metric[0]["expression"], metric


def test_silence_is_that_of_cloudtrail_alone() -> None:
    alarm = alarms()["SilenceAlarm"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("Records", "Sum")
    assert {"Name": "Table", "Value": "AWSCloudTrail"} in alarm["Dimensions"]


def test_what_waits_is_seen_whether_it_is_retried_or_not_received() -> None:
    """SQS leaves out of ApproximateAgeOfOldestMessage what was received three times: the function tells of that itself."""
    retried, idle = alarms()["OldestMessageAlarm"], alarms()["NotReceivedAlarm"]
    assert (retried["Namespace"], retried["MetricName"]) == (NAMESPACE, "WaitingSeconds")
    assert (idle["Namespace"], idle["MetricName"]) == ("AWS/SQS", "ApproximateAgeOfOldestMessage")
    # A message may be hidden for an hour, and the alarm must not end meanwhile.
    assert retried["Period"] * retried["EvaluationPeriods"] > 3600
    assert retried["DatapointsToAlarm"] == 1


def test_the_dashboard_is_whole(session_stack: Stack) -> None:
    widgets = dashboard(session_stack)
    text = json.dumps(widgets)
    assert "${" not in text
    rung = {alarm["AlarmArn"] for alarm in session_stack.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    (shown,) = [widget["properties"]["alarms"] for widget in widgets if widget["type"] == "alarm"]
    assert set(shown) <= rung
    places = {
        place
        for widget in widgets
        for place in itertools.product(
            range(widget["x"], widget["x"] + widget["width"]), range(widget["y"], widget["y"] + widget["height"])
        )
    }
    assert len(places) == sum(widget["width"] * widget["height"] for widget in widgets), "widgets lie on each other"
    assert max(x for x, _ in places) < 24
    for widget in widgets:
        metrics = widget["properties"].get("metrics", [])
        ids = [metric[-1]["id"] for metric in metrics if isinstance(metric[-1], dict) and "id" in metric[-1]]
        assert len(ids) == len(set(ids)), widget["properties"]["title"]


@pytest.fixture
def mail(full_stack: Stack) -> Iterator[str]:
    """A queue that hears what the stack's own topic tells."""
    queues, topics = full_stack.client("sqs"), full_stack.client("sns")
    url = queues.create_queue(QueueName="heard")["QueueUrl"]
    names = ["QueueArn"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]["QueueArn"]
    topics.subscribe(TopicArn=full_stack.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)
    yield url
    queues.delete_queue(QueueUrl=url)


def test_an_alarm_is_heard_and_says_where_to_read_on(full_stack: Stack, mail: str) -> None:
    dimensions = [{"Name": "FunctionName", "Value": full_stack.outputs["FunctionName"]}]
    point = {"MetricName": "ActionNeeded", "Value": 1, "Unit": "Count", "Dimensions": dimensions}
    full_stack.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=[point])
    heard: list[dict[str, Any]] = []

    def rings() -> bool:
        answer = full_stack.client("sqs").receive_message(QueueUrl=mail, MaxNumberOfMessages=10)
        heard.extend(json.loads(json.loads(message["Body"])["Message"]) for message in answer.get("Messages", []))
        return bool(heard)

    wait_for("the alarm is heard", SECONDS, rings)
    assert heard[0]["AlarmName"].startswith(f"{STACK_NAME}-ActionNeededAlarm")
    assert heard[0]["NewStateValue"] == "ALARM"
    assert heard[0]["AlarmDescription"].endswith("RUNBOOK.md#actionneededalarm")


def test_the_topic_is_encrypted_and_only_alarms_of_this_account_publish_to_it(full_stack: Stack) -> None:
    topic = full_stack.outputs["AlarmTopicArn"]
    attributes = full_stack.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    # The emulator keeps the topic's key, but does not tell it.
    (properties,) = cloudformation.resources(ROOT / "template.yaml", "AWS::SNS::Topic").values()
    assert properties["KmsMasterKeyId"] == {"Ref": "AlarmKey"}
    key = full_stack.client("cloudformation").describe_stack_resource(
        StackName=STACK_NAME, LogicalResourceId="AlarmKey"
    )["StackResourceDetail"]["PhysicalResourceId"]
    policy = json.loads(full_stack.client("kms").get_key_policy(KeyId=key)["Policy"])
    encrypting = [one for one in policy["Statement"] if "kms:GenerateDataKey" in one["Action"]]
    assert [one["Principal"] for one in encrypting] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert encrypting[0]["Condition"]["StringEquals"] == {"aws:SourceAccount": topic.split(":")[4]}
    allowed = [one for one in json.loads(attributes["Policy"])["Statement"] if one["Effect"] == "Allow"]
    assert [one["Principal"] for one in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]
    assert list(allowed[0]["Condition"]) == ["StringEquals"]
