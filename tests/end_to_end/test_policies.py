"""The policies of both templates before judges that others wrote, and beside the calls that the code makes.

parliament and policy_sentry know AWS's actions, resources and conditions; botocore knows its operations.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import cloudformation
import pytest
from cloudformation import Expanded

from local.stack import ROOT, Stack

JUDGES = ROOT / ".tools" / "judges" / "bin" / "python"
TEMPLATE, SENDER = cloudformation.TEMPLATES

SECRET = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:azure-AbCdEf"
KEY = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-0000-0000-000000000000"
FULL = {"OrganizationId": "o-exampleorg1", "AlarmEmail": "alarms@example.com", "KmsKeyArns": KEY, "Tracing": "Active"}
# Together they hold every statement of the templates.
EXPANSIONS = {
    "default": Expanded(TEMPLATE, BucketName="logs"),
    "full": Expanded(TEMPLATE, BucketName="logs", KeyPrefixes="AWSLogs/,other/*/CloudTrail*/*", **FULL),
    "direct": Expanded(TEMPLATE, BucketName="logs", KeyPrefixes="", Delivery="Direct", **FULL),
    "secret": Expanded(TEMPLATE, BucketName="logs", AzureCredential="secret", AzureClientSecretArn=SECRET),
    "certificate": Expanded(TEMPLATE, BucketName="logs", AzureCredential="certificate", AzureClientCertificateArn=SECRET),
    "sender": Expanded(SENDER, BucketName="logs", CentralBusArn="arn:aws:events:eu-west-1:111122223333:event-bus/b"),
}

# What parliament says of which policies, and why it is passed over.
PASSED_OVER = {
    ("PolicyDocument", "UNKNOWN_ACTION: Unknown action sts:GetWebIdentityToken"): "it is of November 2025",
    ("PolicyDocument", "RESOURCE_MISMATCH: [{'action': 'ssm:GetParameter'"): "the ARN decides which of the two it is",
    ("AssumeRolePolicyDocument", "MALFORMED: Statement contains neither Resource"): "a trust policy has none",
    ("KeyPolicy", "RESOURCE_STAR"): "in a key's own policy this is the key",
}
# What is allowed though no call of ours needs it, and who does.
CALLED_BY_OPERATORS = {
    # `sentinelctl verify` reads the whole ledger, with the rights of whoever runs it.
    "scan": {"dynamodb:Scan"},
}
CALLED_BY_OTHERS = {
    "logs:CreateLogStream": "Lambda writes the function's log as its role",
    "logs:PutLogEvents": "Lambda writes the function's log as its role",
    "sqs:DeleteMessage": "Lambda's event source mapping takes messages as the function's role",
    "sqs:GetQueueAttributes": "Lambda's event source mapping takes messages as the function's role",
    "sqs:ReceiveMessage": "Lambda's event source mapping takes messages as the function's role",
    "xray:PutTelemetryRecords": "Lambda sends segments as the function's role",
    "xray:PutTraceSegments": "Lambda sends segments as the function's role",
    "kms:Decrypt": "S3, Secrets Manager and SSM decrypt as the function's role",
    "s3:ListBucket": "without it S3 answers 403, not 404, about an object that is gone",
}
# SQS asks for the action of a single message
# (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html).
ACTIONS_OF_BATCHES = {
    "send_message_batch": ["sqs:SendMessage"],
    "change_message_visibility_batch": ["sqs:ChangeMessageVisibility"],
}

def policies(expanded: Expanded) -> Iterator[tuple[str, dict[str, Any]]]:
    """Find every policy of a template, whatever it is attached to."""

    def within(place: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(node, dict):
            if "Statement" in node:
                yield place, node
            for name, value in node.items():
                yield from within(f"{place}.{name}", value)
        elif isinstance(node, list):
            for value in node:
                yield from within(place, value)

    for name, resource in expanded.resources.items():
        yield from within(name, resource["Properties"])


def statements(policy: dict[str, Any]) -> Iterator[tuple[list[str], list[str]]]:
    """Give actions and resources of all statements that allow."""
    for statement in policy["Statement"]:
        if statement["Effect"] == "Allow":
            actions, resources = statement["Action"], statement.get("Resource", [])
            yield [actions] if isinstance(actions, str) else actions, [resources] if isinstance(resources, str) else resources


def ask(**asked: list[Any]) -> dict[str, Any]:
    """Ask the judges."""
    question = {"policies": [], "services": [], "rest_services": [], "actions": []} | asked
    done = subprocess.run(
        [JUDGES, "-W", "ignore", Path(__file__).with_name("policy_judges.py")],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def role_policy(expanded: Expanded) -> dict[str, Any]:
    """Return what the function's role may do."""
    (policy,) = expanded.of("AWS::IAM::Role")["ForwarderRole"]["Policies"]
    document: dict[str, Any] = policy["PolicyDocument"]
    return document


def granted() -> set[str]:
    """Name all that some deployment allows the function."""
    return {
        action
        for expanded in EXPANSIONS.values()
        if "ForwarderRole" in expanded.resources
        for actions, _ in statements(role_policy(expanded))
        for action in actions
    }


def function_sources() -> dict[str, str]:
    """Read the code that is linked into the function, without tests."""
    sources = {path: path.read_text() for path in (ROOT / "src").rglob("*.rs")}
    only_cli = {
        folder / name
        for path, text in sources.items()
        for folder in [path.parent if path.stem in ("mod", "lib") else path.with_suffix("")]
        for name in re.findall(r'#\[cfg\(feature = "cli"\)\]\s*(?:pub )?mod (\w+);', text)
    }
    only_cli.add(ROOT / "src" / "bin")
    return {
        str(path.relative_to(ROOT)): text.split("#[cfg(test)]")[0]
        for path, text in sources.items()
        if not only_cli & {path.with_suffix(""), *path.parents}
    }


@cache
def called() -> dict[str, tuple[str, ...]]:
    """Find the operations of AWS that the function calls, and the actions that each needs."""
    sources = function_sources()
    by_file = {path: set(re.findall(r"\baws_sdk_(\w+)", text)) for path, text in sources.items()}
    services = sorted(set().union(*by_file.values()))
    judged = ask(services=[*services, "guardduty"], rest_services=["guardduty"])
    found: dict[str, tuple[str, ...]] = {}
    for path, text in sources.items():
        for service in by_file[path]:
            for operation, actions in judged["operations"][service].items():
                if re.search(rf"\.{operation}\(\)", text):
                    found[operation] = tuple(ACTIONS_OF_BATCHES.get(operation, actions))
    # GuardDuty's calls are signed here: method and path say which operation it is.
    requests = {re.sub(r"\{\w+\}", "{}", one): name for one, name in judged["requests"]["guardduty"].items()}
    for method, path in re.findall(r'call\("(\w+)", &?(?:format!\()?"([^"]+)"', sources["src/aws/guardduty.rs"]):
        operation = requests[f"{method} {re.sub(r'{.+?}', '{}', path)}"]
        found[operation] = tuple(judged["operations"]["guardduty"][operation])
    return found


def test_parliament_finds_nothing() -> None:
    every = [(f"{name}.{place}", policy) for name, expanded in EXPANSIONS.items() for place, policy in policies(expanded)]
    answers = ask(policies=[policy for _, policy in every])["problems"]
    passed_over, found = set(), set()
    for (place, _), problems in zip(every, answers, strict=True):
        for problem in problems:
            known = {key for key in PASSED_OVER if place.endswith(f".{key[0]}") and problem.startswith(key[1])}
            passed_over |= known
            if not known:
                found.add((place, problem))
    assert found == set()
    assert passed_over == set(PASSED_OVER), "what is said no longer needs no reason"


def test_the_expansions_hold_every_statement() -> None:
    written = set(re.findall(r"\bSid: (\w+)", TEMPLATE.read_text() + SENDER.read_text()))
    held = {
        statement.get("Sid")
        for expanded in EXPANSIONS.values()
        for _, policy in policies(expanded)
        for statement in policy["Statement"]
    }
    assert written - held == set()


def test_every_action_exists_and_is_bound_to_resources_where_it_can_be() -> None:
    """A key's own policy names the key by `*`, and a bus's policy is bound to the bus: those are no identity's."""
    of_roles = [
        (actions, resources)
        for expanded in EXPANSIONS.values()
        for role in expanded.of("AWS::IAM::Role").values()
        for policy in role["Policies"]
        for actions, resources in statements(policy["PolicyDocument"])
    ]
    kinds = ask(actions=sorted({action for actions, _ in of_roles for action in actions}))["resource_types"]
    assert [action for action, kind in kinds.items() if kind is None] == []
    assert [action for actions, resources in of_roles if "*" in resources for action in actions if kinds[action]] == []


def test_every_call_of_the_function_is_allowed() -> None:
    assert len(called()) > 10, called()
    assert {operation for operation, actions in called().items() if not actions} == set()
    missing = {operation: set(actions) - granted() for operation, actions in called().items()}
    assert {operation: some for operation, some in missing.items() if some} == CALLED_BY_OPERATORS


def test_all_that_is_allowed_is_called() -> None:
    needed = {action for actions in called().values() for action in actions}
    assert granted() - needed == set(CALLED_BY_OTHERS)


def test_only_objects_under_the_prefixes_can_be_read() -> None:
    def readable(**parameters: str) -> set[str]:
        every = statements(role_policy(Expanded(TEMPLATE, BucketName="logs", **parameters)))
        return {resource for actions, resources in every if "s3:GetObject" in actions for resource in resources}

    assert readable() == {"arn:aws:s3:::logs/AWSLogs/*"}
    assert readable(KeyPrefixes="") == {"arn:aws:s3:::logs/*"}
    assert readable(KeyPrefixes="a,b/*/c*/*,d,e") == {f"arn:aws:s3:::logs/{one}*" for one in ("a", "b/*/c*/*", "d", "e")}


@pytest.mark.parametrize("prefixes", ["AWSLogs/", "", "AWSLogs/*/CloudTrail*/*", "Audit Zürich+2026/,x/*/y*"])
def test_the_rules_announce_what_the_role_can_read(session_stack: Stack, prefixes: str) -> None:
    expanded = Expanded(TEMPLATE, BucketName="logs", KeyPrefixes=prefixes, OrganizationId="o-exampleorg1")
    sender = Expanded(SENDER, BucketName="logs", KeyPrefixes=prefixes, CentralBusArn="arn:aws:events:eu-west-1:1:event-bus/b")
    rules = expanded.of("AWS::Events::Rule") | {"Sender": sender.of("AWS::Events::Rule")["ObjectCreatedRule"]}
    patterns = {rule["EventPattern"] for name, rule in rules.items() if "Finding" not in name}
    assert len(patterns) == 1, patterns
    keys = [
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/01/a.json.gz",
        "AWSLogs/o-exampleorg1/111122223333/CloudTrail-Digest/eu-west-1/a.json.gz",
        "AWSLogs/111122223333/elasticloadbalancing/a.log.gz",
        "Audit Zürich+2026/AWSLogs/a.gz",
        "x/1/y2",
        "x/y",
        "other",
    ]
    every = statements(role_policy(expanded))
    (readable,) = [resources for actions, resources in every if "s3:GetObject" in actions]
    announced = 0
    for key in keys:
        event = {"id": "1", "account": "1", "time": "2026-01-01T00:00:00Z", "region": "eu-west-1", "resources": []}
        event |= {"source": "aws.s3", "detail-type": "Object Created"}
        event |= {"detail": {"bucket": {"name": "logs"}, "object": {"key": key}}}
        events = session_stack.client("events")
        matches = events.test_event_pattern(EventPattern=min(patterns), Event=json.dumps(event))["Result"]
        can_be_read = any(fnmatchcase(f"arn:aws:s3:::logs/{key}", resource) for resource in readable)
        assert matches == can_be_read, key
        announced += matches
    assert announced == (len(keys) if not prefixes else {"AWSLogs/": 3, "AWSLogs/*/CloudTrail*/*": 2}.get(prefixes, 2))


def test_prefixes_are_refused_where_policy_or_rule_could_not_hold_them() -> None:
    pattern = cloudformation.template(TEMPLATE)["Parameters"]["KeyPrefixes"]["AllowedPattern"]
    for good in ("", "AWSLogs/", "a,b,c,d", "AWSLogs/*/CloudTrail*/*", "Audit Zürich+2026/"):
        assert re.fullmatch(pattern, good), good
    for bad in ("a,b,c,d,e", "a, b", "a,", "a,,b", 'a"', "a\\", "a**", "監査/", "a\n"):
        assert not re.fullmatch(pattern, bad), bad


def test_only_the_work_queue_may_redrive_into_the_dead_letter_queue() -> None:
    queues = EXPANSIONS["default"].of("AWS::SQS::Queue")
    allow = queues["DeadLetterQueue"]["RedriveAllowPolicy"]
    name = queues["WorkQueue"]["QueueName"]
    assert allow == {
        "redrivePermission": "byQueue",
        "sourceQueueArns": [f"arn:aws:sqs:{cloudformation.REGION}:{cloudformation.ACCOUNT}:{name}"],
    }


def test_what_holds_data_outlives_the_stack() -> None:
    for expanded in EXPANSIONS.values():
        for name, resource in expanded.resources.items():
            if resource["Type"] in ("AWS::SQS::Queue", "AWS::DynamoDB::Table"):
                assert resource["DeletionPolicy"] in ("Retain", "RetainExceptOnCreate"), name
                assert resource["UpdateReplacePolicy"] == "Retain", name
    (ledger,) = EXPANSIONS["default"].of("AWS::DynamoDB::Table").values()
    assert ledger["DeletionProtectionEnabled"] is True


@pytest.mark.parametrize(
    ("fault", "issue"),
    [
        ({"Action": "sqs:SendMesage", "Resource": f"arn:aws:sqs:eu-west-1:{cloudformation.ACCOUNT}:q"}, "UNKNOWN_ACTION"),
        ({"Action": "sqs:SendMessage", "Resource": "arn:aws:s3:::logs"}, "RESOURCE_MISMATCH"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::logs"}, "RESOURCE_MISMATCH"),
        ({"Action": "s3:ListBucket", "Resource": "logs"}, "INVALID_ARN"),
        (
            {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::logs", "Condition": {"StringLike": {"sqs:prefix": "a"}}},
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
    ],
)
def test_a_fault_in_a_policy_is_found(fault: dict[str, Any], issue: str) -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | fault]}
    (found,) = ask(policies=[policy])["problems"]
    assert [one.split(":")[0] for one in found] == [issue]


def test_an_action_that_does_not_exist_and_one_that_could_be_bound_are_known() -> None:
    kinds = ask(actions=["sqs:SendMesage", "sqs:SendMessage", "cloudtrail:ListPublicKeys"])["resource_types"]
    assert kinds == {"sqs:SendMesage": None, "sqs:SendMessage": ["queue"], "cloudtrail:ListPublicKeys": []}


def test_the_calls_are_found_in_the_code() -> None:
    """One of each kind: of the SDK, in several files, in a batch, by a paginator, and signed here."""
    expected = {
        "get_object": ("s3:GetObject", "s3:GetObjectVersion"),
        "put_item": ("dynamodb:PutItem",),
        "send_message_batch": ("sqs:SendMessage",),
        "list_public_keys": ("cloudtrail:ListPublicKeys",),
        "get_findings": ("guardduty:GetFindings",),
    }
    assert expected.items() <= called().items()
    # What the command line alone calls needs no right of the function.
    assert not {"get_caller_identity", "delete_message_batch", "describe_table", "create_multipart_upload"} & set(called())
