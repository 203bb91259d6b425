"""`sentinelctl doctor` on a deployed stack: all is well, then one thing after the other is not."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certificate import Certificate
from conftest import keep_secret, stack_environment
from local import standin
from local.chaos.relay import Answer, Call, Exchange, Relay
from local.deployment import BUCKET, STACK_NAME
from local.processes import free_port
from local.stack import Binaries, Stack
from terminal import on_a_terminal

AWS_SECRET = "made-up-aws-secret-access-key"
SECRETS = {
    "the client secret": standin.CLIENT_SECRET,
    "the AWS secret": AWS_SECRET,
    "a web identity token": "eyJ",
    "an access token": "standin.",
    "a private key": "PRIVATE KEY",
}
OPERATOR = "arn:aws:iam::000000000000:root"
ROLE = "arn:aws:iam::000000000000:role/sentinel-forwarder-us-east-1"
ISSUER = "https://00000000-0000-0000-0000-000000000000.tokens.sts.global.api.aws"
OTHER_ID = "99999999-9999-9999-9999-999999999999"
OTHER_RULE = "dcr-99999999999999999999999999999999"
PROBE = "SentinelForwarderProbe"
# A question takes 8 seconds at most.
PATIENCE_SECONDS = 8
WIDTH = 80

Visit = Callable[..., "Report"]


@dataclass(frozen=True)
class Report:
    """What the doctor found."""

    code: int
    checks: list[dict[str, Any]]

    def of(self, check: str) -> list[dict[str, Any]]:
        """Return the findings of a check."""
        return [finding for finding in self.checks if finding["check"] == check]

    def one(self, check: str) -> dict[str, Any]:
        """Return the only finding of a check."""
        (finding,) = self.of(check)
        return finding

    def with_status(self, status: str) -> list[str]:
        """Name the checks that went so."""
        return [finding["check"] for finding in self.checks if finding["status"] == status]

    def fails_alone(self, check: str, *words: str) -> None:
        """Hold that nothing but this check fails, and that it is told in these words."""
        assert self.code == 1
        assert set(self.with_status("FAIL")) == {check}, self.checks
        for finding in self.of(check):
            told = f"{finding['what']} {finding.get('next', '')}"
            assert [word for word in words if word not in told] == [], told


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor, and hold that it tells no secret."""
    done = subprocess.run(
        [str(Binaries.built().sentinelctl), "doctor", *arguments],
        env=environment | {"AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = done.stdout + done.stderr
    assert [what for what, secret in SECRETS.items() if secret in told] == [], told
    return done


@pytest.fixture
def deployed(stack: Stack) -> dict[str, str]:
    """The environment of the deployed function, with an operator's identity."""
    return stack_environment(stack) | {"AWS_SECRET_ACCESS_KEY": AWS_SECRET}


@pytest.fixture(scope="module", autouse=True)
def watching(session_stack: Stack) -> Iterator[None]:
    """Let the schedule run, which rests in other tests; it is longer than these take."""
    schedules = session_stack.client("scheduler")
    schedule = session_stack.watch_schedule()
    schedules.update_schedule(**schedule | {"State": "ENABLED"})
    yield
    schedules.update_schedule(**schedule)


@pytest.fixture
def visit(deployed: dict[str, str]) -> Visit:
    """Let the doctor visit; keywords change the environment, and None takes a variable away."""

    def see(*arguments: str, **changes: str | None) -> Report:
        changed = deployed | changes
        environment = {name: value for name, value in changed.items() if value is not None}
        done = run(environment, "--output", "json", *arguments)
        assert done.stderr == ""
        report = json.loads(done.stdout)
        assert report["status"] == ("FAIL" if done.returncode else "ok")
        return Report(done.returncode, report["checks"])

    return see


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """Start a stand-in of one's own with more options; return the variables that point to it."""
    children = []

    def begin(*options: str) -> dict[str, str]:
        other, child = standin.start(Binaries.built().sentinelctl, tmp_path, options=options)
        children.append(child)
        return {"SENTINEL_ENDPOINT": other.url, "AZURE_AUTHORITY_HOST": other.url}

    yield begin
    for child in children:
        child.stop()


def test_all_is_well_on_a_deployed_stack(stack: Stack, visit: Visit) -> None:
    report = visit("--probe", SENTINEL_HEALTH_ROWS="true", SENTINEL_COMPLETENESS_ROWS="true")
    assert report.code == 0
    assert set(report.with_status("ok")) == {finding["check"] for finding in report.checks}, report.checks
    proof = report.one("proof of identity")
    assert proof["details"] == [f"issuer: {ISSUER}", f"subject: {OPERATOR}", "audience: api://AzureADTokenExchange"]
    assert report.one("AWS identity")["what"] == OPERATOR
    # One row in each table, which names itself; nothing of it was refused.
    state = stack.standin.state()
    assert len(state["tables"]) == len(report.of("stream")) > 1
    for table in state["streams"].values():
        (row,) = stack.standin.rows(table)
        assert PROBE in row.values(), row
    assert not state["refusals"]["total"]


def test_without_probe_nothing_is_posted(stack: Stack, visit: Visit) -> None:
    report = visit()
    assert report.code == 0
    assert set(report.with_status("skipped")) == {"stream"}
    assert all("--probe" in finding["next"] and "billed" in finding["next"] for finding in report.of("stream"))
    assert not stack.standin.state()["tables"]


def test_the_text_has_the_same_statuses_and_is_80_columns_wide(deployed: dict[str, str], visit: Visit) -> None:
    broken = {"AZURE_CLIENT_ID": OTHER_ID, "WORK_QUEUE_URL": f"{deployed['WORK_QUEUE_URL']}-2"}
    report = visit("--role-arn", ROLE, **broken)
    done = run(deployed | broken, "--role-arn", ROLE)
    assert done.returncode == report.code == 1
    *lines, blank, summary = done.stdout.splitlines()
    assert re.findall(r"^(?:ok|warning|skipped|FAIL)(?= +)", "\n".join(lines), re.M) == [
        finding["status"] for finding in report.checks
    ]
    assert "\x1b" not in done.stdout
    # Only a word that fits no line at all is longer.
    too_long = [line for line in lines if len(line) > WIDTH]
    assert all(max(map(len, line.split())) > WIDTH - 13 for line in too_long), too_long
    assert blank == ""
    assert summary == f"8 ok, 1 warning, {len(report.of('stream')) + 5} skipped, 2 FAIL"


def test_the_status_alone_is_coloured_on_a_terminal(deployed: dict[str, str]) -> None:
    _, shown = on_a_terminal([str(Binaries.built().sentinelctl), "doctor"], deployed)
    assert shown.count("\x1b[0m") == len(re.findall(r"^\x1b\[[0-9;]+m(?:ok|skipped)\x1b\[0m ", shown, re.M)) > 5


def test_a_wrong_call_is_told_from_a_failed_check(deployed: dict[str, str]) -> None:
    for arguments in (["--prob"], ["--output", "xml"], ["--role-arn", "sentinel-forwarder"]):
        assert run(deployed, *arguments).returncode == 2, arguments


def test_help_tells_of_the_row_and_shows_examples(deployed: dict[str, str]) -> None:
    told = run(deployed, "--help").stdout
    for word in ("billed", PROBE, "Examples:", "get-function-configuration", "export-credentials"):
        assert word in told


def test_the_command_of_the_help_takes_the_variables_over(deployed: dict[str, str], tmp_path: Path) -> None:
    lines = run(deployed, "--help").stdout.splitlines()
    begin = next(number for number, line in enumerate(lines) if "get-function-configuration" in line)
    command = "\n".join(lines[begin : lines.index("", begin)])
    values = {"SENTINEL_DCR_ID": "a b", "ALLOWED_BUCKETS": "it's $HOME"}
    aws = tmp_path / "aws"
    aws.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(values)}\nEND\n")
    aws.chmod(0o755)
    search = f"{tmp_path}:{Path(sys.executable).parent}:/usr/bin:/bin"
    script = f'{command}\nprintf "%s|" "$SENTINEL_DCR_ID" "$ALLOWED_BUCKETS"'
    shown = subprocess.run(["bash", "-c", script], env={"PATH": search}, capture_output=True, text=True, check=True)
    assert shown.stdout == "a b|it's $HOME|"


def test_missing_variables_are_all_named_and_the_rest_is_skipped(visit: Visit) -> None:
    missing = ["SENTINEL_DCR_ID", "AZURE_TENANT_ID", "WORK_QUEUE_URL", "DEAD_LETTER_QUEUE_URL"]
    report = visit(**dict.fromkeys(missing))
    report.fails_alone("configuration", "README, Configuration")
    details = report.one("configuration")["details"]
    assert [detail.split(":")[0] for detail in details] == missing
    assert report.with_status("ok") == ["AWS identity"]
    assert len(report.with_status("skipped")) == 15


def test_a_misspelt_variable_is_a_failure(visit: Visit) -> None:
    report = visit(SENTINEL_STREAM="AWSCloudTrail=Custom-Mine")
    assert "SENTINEL_STREAM" in report.one("configuration")["details"][0]


def test_nobody_at_aws_is_told_how_to_sign_in(visit: Visit) -> None:
    report = visit(AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    report.fails_alone("AWS identity", "export-credentials")
    assert set(report.with_status("ok")) == {"configuration", "tenant", "endpoint", "clock"}


def test_a_missing_region_is_told(visit: Visit) -> None:
    visit(AWS_REGION=None).fails_alone("AWS identity", "AWS_REGION")


def test_an_aws_that_can_not_be_reached_is_told(visit: Visit) -> None:
    began = time.monotonic()
    visit(AWS_ENDPOINT_URL=f"http://127.0.0.1:{free_port()}").fails_alone("AWS identity", "can't be reached")
    assert time.monotonic() - began < PATIENCE_SECONDS + 4


def test_a_wrong_tenant(visit: Visit) -> None:
    report = visit(AZURE_TENANT_ID=OTHER_ID)
    report.fails_alone("tenant", "AADSTS90002", "AZURE_TENANT_ID", "AZURE_CLOUD")
    assert report.one("token")["what"] == "it depends on the tenant"


def test_a_wrong_client(visit: Visit) -> None:
    visit(AZURE_CLIENT_ID=OTHER_ID).fails_alone("token", "AADSTS700016", "AZURE_CLIENT_ID")


def test_a_wrong_cloud(visit: Visit) -> None:
    visit(AZURE_CLOUD="usgovernment").fails_alone("token", "AADSTS500011", "AZURE_CLOUD")


@pytest.mark.parametrize(
    ("option", "code", "word"),
    [
        ("--issuer", "AADSTS700211", "issuer"),
        ("--subject", "AADSTS700213", "subject"),
        ("--audience", "AADSTS700212", "audience"),
    ],
    ids=["issuer", "subject", "audience"],
)
def test_a_wrong_trust(visit: Visit, azure: Callable[..., dict[str, str]], option: str, code: str, word: str) -> None:
    report = visit("--probe", **azure(option, "another"))
    report.fails_alone("token", code, f"no federated credential has this {word}", f"Set the {word}")
    assert {finding["what"] for finding in report.of("stream")} == {"it depends on the token"}


def test_an_application_without_any_federated_credential(stack: Stack, visit: Visit) -> None:
    stack.standin.fault(kind="status", status=401, code="AADSTS70025", match="token")
    visit().fails_alone("token", "AADSTS70025", "no federated credential at all", "step 3")


def test_an_unknown_code_is_looked_up(stack: Stack, visit: Visit) -> None:
    stack.standin.fault(kind="status", status=400, code="AADSTS12345", match="token")
    visit().fails_alone("token", "AADSTS12345", "https://login.microsoftonline.com/error?code=12345")


def test_the_operator_need_not_be_trusted(visit: Visit, azure: Callable[..., dict[str, str]]) -> None:
    report = visit("--role-arn", ROLE, **azure("--subject", ROLE))
    assert report.code == 0
    assert report.with_status("warning") == ["proof of identity", "token"]
    proof = report.one("proof of identity")
    assert f"subject: {ROLE}" in proof["details"]
    assert OPERATOR in proof["what"]
    assert "AADSTS700213" in report.one("token")["what"]


def test_a_role_of_another_account_is_a_warning(visit: Visit) -> None:
    report = visit("--role-arn", ROLE.replace("000000000000", "123456789012"))
    assert "account" in report.one("AWS identity")["what"]
    assert report.one("AWS identity")["status"] == "warning"


def test_a_client_secret(stack: Stack, visit: Visit) -> None:
    right, wrong = keep_secret(stack, standin.CLIENT_SECRET), keep_secret(stack, f"not-{standin.CLIENT_SECRET}")
    report = visit("--probe", AZURE_CREDENTIAL="secret", AZURE_CLIENT_SECRET_ARN=right)
    assert (report.code, report.one("proof of identity")["what"]) == (0, "the client secret could be read")
    report = visit(AZURE_CREDENTIAL="secret", AZURE_CLIENT_SECRET_ARN=wrong)
    report.fails_alone("token", "AADSTS7000215", "not its id", "AZURE_CLIENT_SECRET_ARN")
    report = visit(AZURE_CREDENTIAL="secret", AZURE_CLIENT_SECRET_ARN=f"{right[:-6]}-gone")
    report.fails_alone("proof of identity", "ResourceNotFound", "AZURE_CLIENT_SECRET_ARN")
    report = visit(AZURE_CREDENTIAL="secret", AZURE_CLIENT_SECRET=standin.CLIENT_SECRET)
    assert report.one("token")["status"] == "ok"


def test_a_client_secret_that_has_expired(stack: Stack, visit: Visit) -> None:
    stack.standin.fault(kind="status", status=401, code="AADSTS7000222", match="token")
    report = visit(AZURE_CREDENTIAL="secret", AZURE_CLIENT_SECRET=standin.CLIENT_SECRET)
    report.fails_alone("token", "expired", "AADSTS7000222")


def test_a_certificate(stack: Stack, visit: Visit, azure: Callable[..., dict[str, str]]) -> None:
    certificate = Certificate()
    kept = {"AZURE_CREDENTIAL": "certificate", "AZURE_CLIENT_CERTIFICATE_ARN": keep_secret(stack, certificate.pem())}
    report = visit("--probe", **kept, **azure("--certificate-thumbprint", certificate.thumbprint()))
    assert report.code == 0, report.checks
    details = report.one("proof of identity")["details"]
    assert details[0] == f"thumbprint: {certificate.fingerprint()}"
    assert [detail.split(":")[0] for detail in details] == ["thumbprint", "valid from", "valid until"]


def test_a_certificate_that_is_not_registered(stack: Stack, visit: Visit, azure: Callable[..., dict[str, str]]) -> None:
    kept = {"AZURE_CREDENTIAL": "certificate", "AZURE_CLIENT_CERTIFICATE_ARN": keep_secret(stack, Certificate().pem())}
    report = visit(**kept, **azure("--certificate-thumbprint", Certificate().thumbprint()))
    report.fails_alone("token", "AADSTS700027", "not registered", "AZURE_CLIENT_CERTIFICATE_ARN")


def mixed(one: Certificate, other: Certificate) -> str:
    """Return the PEM of one's key and of the other's certificate."""
    border = "-----BEGIN CERTIFICATE"
    return one.pem().split(border)[0] + border + other.pem().split(border)[1]


@pytest.mark.parametrize(
    ("pem", "status", "word"),
    [
        (Certificate(days=-1).pem(), "FAIL", "has expired"),
        (Certificate(days=10).pem(), "warning", "expires within 30 days"),
        ("no PEM", "FAIL", "it holds no certificate"),
        (Certificate(elliptic=True).pem(), "FAIL", "no RSA key"),
        (mixed(Certificate(), Certificate()), "FAIL", "not that of its certificate"),
    ],
    ids=["expired", "soon", "no-pem", "elliptic", "another-key"],
)
def test_a_certificate_that_will_not_do(stack: Stack, visit: Visit, pem: str, status: str, word: str) -> None:
    report = visit(AZURE_CREDENTIAL="certificate", AZURE_CLIENT_CERTIFICATE_ARN=keep_secret(stack, pem))
    proof = report.one("proof of identity")
    assert (proof["status"], word in proof["what"]) == (status, True), proof


@pytest.mark.parametrize(
    ("seconds", "status", "direction"),
    [(120, "warning", "behind"), (-120, "warning", "ahead of"), (400, "FAIL", "behind"), (-400, "FAIL", "ahead of")],
)
def test_a_clock_that_is_off(
    visit: Visit, azure: Callable[..., dict[str, str]], seconds: int, status: str, direction: str
) -> None:
    changes = azure("--clock-ahead", str(seconds)) | {
        "AZURE_CREDENTIAL": "secret",
        "AZURE_CLIENT_SECRET": standin.CLIENT_SECRET,
    }
    report = visit(**changes)
    clock = report.one("clock")
    assert (clock["status"], report.code) == (status, int(status == "FAIL"))
    assert re.search(rf"(?:{abs(seconds)}|{abs(seconds) + 1}|{abs(seconds) - 1}) s {direction} Azure's", clock["what"])
    assert "NTP" in clock["next"]


def test_a_proof_that_the_clock_made_too_old(visit: Visit, azure: Callable[..., dict[str, str]]) -> None:
    report = visit(**azure("--clock-ahead", "400"))
    assert report.with_status("FAIL") == ["clock", "token"]
    token = report.one("token")
    assert ("AADSTS700024" in token["what"], "clock" in token["next"]) == (True, True)


def test_a_wrong_rule(visit: Visit) -> None:
    report = visit("--probe", SENTINEL_DCR_ID=f"{standin.DCR},{OTHER_RULE}")
    statuses = {(finding["about"].split(" of ")[1], finding["status"]) for finding in report.of("stream")}
    assert statuses == {(standin.DCR, "ok"), (OTHER_RULE, "FAIL")}
    failed = next(finding for finding in report.of("stream") if finding["status"] == "FAIL")
    assert ("404" in failed["what"], "SENTINEL_DCR_ID" in failed["next"]) == (True, True)


def test_a_wrong_stream(visit: Visit) -> None:
    report = visit("--probe", SENTINEL_STREAMS="AWSGuardDuty=Custom-Mine")
    (failed,) = (finding for finding in report.checks if finding["status"] == "FAIL")
    assert failed["about"].startswith("Custom-Mine of dcr-")
    assert ("400 InvalidStream" in failed["what"], "SENTINEL_STREAMS" in failed["next"]) == (True, True)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, ["401", "AZURE_CLOUD"]),
        ({"status": 403, "code": "OperationFailed"}, ["403 OperationFailed", "Metrics Publisher", "30 minutes"]),
        ({"status": 400, "code": "InvalidTransformOutput"}, ["400 InvalidTransformOutput", "the Azure template"]),
        ({"status": 503, "retry_after": 60}, ["503", "Try again"]),
    ],
    ids=["401", "403", "400", "503"],
)
def test_a_stream_that_refuses(stack: Stack, visit: Visit, fault: dict[str, Any], words: list[str]) -> None:
    stack.standin.fault(kind="status", **fault)
    visit("--probe").fails_alone("stream", *words)


def test_an_endpoint_that_does_not_answer(visit: Visit) -> None:
    report = visit(SENTINEL_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    report.fails_alone("endpoint", "no connection", "SENTINEL_ENDPOINT")


def test_an_entra_that_never_answers_does_not_hold_the_doctor_up(stack: Stack, visit: Visit) -> None:
    stack.standin.fault(kind="hang", match="token")
    began = time.monotonic()
    visit().fails_alone("token", "does not answer")
    assert time.monotonic() - began < PATIENCE_SECONDS + 4


def test_a_wrong_queue(deployed: dict[str, str], visit: Visit) -> None:
    report = visit(WORK_QUEUE_URL=f"{deployed['WORK_QUEUE_URL']}-2")
    report.fails_alone("work queue", "does not exist", "WORK_QUEUE_URL", "AWS_REGION")
    report = visit(DEAD_LETTER_QUEUE_URL=f"{deployed['DEAD_LETTER_QUEUE_URL']}-2")
    report.fails_alone("dead letter queue", "does not exist", "DEAD_LETTER_QUEUE_URL")


@pytest.fixture
def queue(stack: Stack) -> Iterator[str]:
    """A queue of one's own."""
    queues = stack.client("sqs")
    url = str(queues.create_queue(QueueName="doctors-own", Attributes={"VisibilityTimeout": "1800"})["QueueUrl"])
    yield url
    queues.delete_queue(QueueUrl=url)


def test_a_work_queue_that_loses_messages(stack: Stack, visit: Visit, queue: str) -> None:
    def told(*words: str) -> None:
        finding = visit(WORK_QUEUE_URL=queue).one("work queue")
        text = f"{finding['what']} {finding['next']}"
        assert finding["status"] == "FAIL" and [word for word in words if word not in text] == [], finding

    told("no redrive policy", "after 100 receipts")
    queues = stack.client("sqs")
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "30"})
    told("come again after 30 s", "1800 s")
    letters = "arn:aws:sqs:us-east-1:000000000000:doctors-own"
    policy = json.dumps({"deadLetterTargetArn": letters, "maxReceiveCount": 100})
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1800", "RedrivePolicy": policy})
    report = visit(WORK_QUEUE_URL=queue)
    assert report.one("work queue")["status"] == "warning"
    assert letters in report.one("work queue")["what"]


def test_letters_that_wait_are_told_with_their_age_and_stay(stack: Stack, visit: Visit) -> None:
    url = stack.outputs["DeadLetterQueueUrl"]
    for _ in range(2):
        stack.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    for _ in range(2):
        letters = visit().one("dead letter queue")
        assert letters["status"] == "warning"
        assert re.fullmatch(r"2 letters wait, the oldest seen \d+ s old", letters["what"]), letters
    assert stack.depth("DeadLetterQueueUrl") == 2


def test_a_wrong_ledger(stack: Stack, visit: Visit) -> None:
    tables = stack.client("dynamodb")
    tables.create_table(
        TableName="doctors-own",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    try:
        visit(LEDGER_TABLE="doctors-own").fails_alone("ledger", "pk HASH S, sk RANGE S", "partition key pk")
    finally:
        tables.delete_table(TableName="doctors-own")
    visit(LEDGER_TABLE="doctors-own").fails_alone("ledger", "does not exist", "LEDGER_TABLE")
    report = visit(LEDGER_TABLE=None)
    assert (report.code, report.with_status("warning")) == (0, ["ledger"])


def test_a_ledger_whose_entries_never_expire(stack: Stack, visit: Visit) -> None:
    tables, table = stack.client("dynamodb"), stack.outputs["LedgerTable"]
    expiry = {"Enabled": False, "AttributeName": "expires_at"}
    tables.update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)
    try:
        report = visit()
    finally:
        tables.update_time_to_live(TableName=table, TimeToLiveSpecification=expiry | {"Enabled": True})
    assert report.with_status("warning") == ["ledger"]
    assert "update-time-to-live" in report.one("ledger")["next"]


def test_a_bucket_that_tells_nobody(stack: Stack, visit: Visit) -> None:
    with stack.quiet_bucket():
        visit().fails_alone("bucket", "tells nobody", "put-bucket-notification-configuration", BUCKET)


def test_a_bucket_that_tells_a_queue(stack: Stack, visit: Visit, queue: str) -> None:
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue.rsplit('/', 1)[1]}"
    told = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    storage = stack.client("s3")
    storage.create_bucket(Bucket="doctors-own")
    storage.put_bucket_notification_configuration(Bucket="doctors-own", NotificationConfiguration=told)
    report = visit(ALLOWED_BUCKETS=f"{BUCKET},doctors-own,doctors-missing")
    first, second, third = report.of("bucket")
    assert (first["status"], second["status"], second["details"]) == ("ok", "ok", [arn])
    assert (third["status"], "ALLOWED_BUCKETS" in third["next"]) == ("FAIL", True)
    storage.delete_bucket(Bucket="doctors-own")


def test_a_mapping_that_is_off(stack: Stack, visit: Visit) -> None:
    functions = stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=stack.outputs["FunctionName"])["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        visit().fails_alone("event source mapping", f"--uuid {mapping['UUID']} --enabled")
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def test_a_queue_that_no_function_reads(stack: Stack, visit: Visit, queue: str) -> None:
    letters = "arn:aws:sqs:us-east-1:000000000000:" + stack.outputs["DeadLetterQueueUrl"].rsplit("/", 1)[1]
    policy = json.dumps({"deadLetterTargetArn": letters, "maxReceiveCount": 100})
    stack.client("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    report = visit(WORK_QUEUE_URL=queue)
    assert set(report.with_status("FAIL")) == {"event source mapping", "rule"}
    assert "no function reads" in report.one("event source mapping")["what"]


def test_rules_that_are_off(stack: Stack, visit: Visit) -> None:
    rules = stack.client("events")
    work = "arn:aws:sqs:us-east-1:000000000000:" + stack.outputs["WorkQueueUrl"].rsplit("/", 1)[1]
    names = rules.list_rule_names_by_target(TargetArn=work)["RuleNames"]
    (objects,) = (name for name in names if "ObjectCreated" in name)
    (findings,) = (name for name in names if "FindingRule" in name)
    for name in names:
        rules.disable_rule(Name=name)
    try:
        report = visit()
    finally:
        for name in names:
            rules.enable_rule(Name=name)
    report.fails_alone("rule", "is forwarded")
    told = {finding["about"]: (finding["status"], finding["next"]) for finding in report.of("rule")}
    assert told[objects] == ("FAIL", f"aws events enable-rule --name {objects}")
    assert told[findings][0] == "warning" and "GuardDutyFindings" in told[findings][1]


def test_a_function_that_may_not_run(stack: Stack, visit: Visit) -> None:
    functions, name = stack.client("lambda"), stack.outputs["FunctionName"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        visit().fails_alone("function", "reserved concurrency is 0", "delete-function-concurrency")
    finally:
        functions.delete_function_concurrency(FunctionName=name)


def test_a_schedule_that_is_off(stack: Stack, visit: Visit) -> None:
    schedules, schedule = stack.client("scheduler"), stack.watch_schedule()
    schedules.update_schedule(**schedule | {"State": "DISABLED"})
    try:
        report = visit()
    finally:
        schedules.update_schedule(**schedule)
    assert (report.code, report.with_status("warning")) == (0, ["schedule"])
    assert "it is off" in report.one("schedule")["what"]


def test_an_alarm_that_rings_is_named(stack: Stack, visit: Visit) -> None:
    alarms = stack.client("cloudwatch")
    (alarm,) = (
        alarm for alarm in alarms.describe_alarms()["MetricAlarms"] if "DeadLetterAlarm" in alarm["AlarmName"]
    )
    alarms.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="test")
    try:
        report = visit()
    finally:
        alarms.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="OK", StateReason="test")
    assert report.one("alarms")["status"] == "warning"
    assert alarm["AlarmName"] in report.one("alarms")["details"]


def test_a_stack_says_which_function_is_meant_and_which_role(stack: Stack) -> None:
    you = {name: value for name, value in stack_environment(stack).items() if name.startswith("AWS_")}
    you |= {"AWS_SECRET_ACCESS_KEY": AWS_SECRET}
    done = run(you, "--stack", STACK_NAME, "--output", "json")
    report = Report(done.returncode, json.loads(done.stdout)["checks"])
    assert report.one("configuration")["status"] == "ok", report.checks
    assert f"subject: {stack.outputs['RoleArn']}" in report.one("proof of identity")["details"]
    assert report.one("event source mapping")["about"] == stack.outputs["FunctionName"]
    missing = run(you, "--stack", "no-such-stack")
    assert missing.returncode == 1 and "no-such-stack" in missing.stderr


def test_buckets_that_are_not_named_are_skipped(visit: Visit) -> None:
    report = visit(ALLOWED_BUCKETS=None)
    assert (report.code, report.one("bucket")["status"]) == (0, "skipped")


class Denier(Relay):
    """An AWS that denies some actions, as IAM does."""

    def __init__(self, upstream: str, *actions: str, code: str = "AccessDenied") -> None:
        super().__init__(upstream)
        self._actions = actions
        self._code = code

    def __enter__(self) -> "Denier":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def take(self, exchange: Exchange, call: Call) -> None:
        """Deny, or pass on."""
        wanted = f"{call.header('x-amz-target')} {call.path} {call.body.decode(errors='replace')}"
        if not any(action in wanted for action in self._actions):
            return super().take(exchange, call)
        if call.header("x-amz-target"):
            body, kind = json.dumps({"__type": f"{self._code}Exception", "message": "no"}), "application/x-amz-json-1.0"
        else:
            body, kind = f"<Error><Code>{self._code}</Code><Message>no</Message></Error>", "application/xml"
            if "Action=" in wanted:
                body = f"<ErrorResponse>{body}</ErrorResponse>"
        exchange.answer(Answer(403, [("Content-Type", kind)], body.encode()))


def test_what_the_operator_may_not_look_at_is_skipped_with_the_permission(stack: Stack, visit: Visit) -> None:
    actions = ["GetQueueAttributes", "DescribeTable", "?notification", "Action=GetWebIdentityToken"]
    around = ["event-source-mappings", "ListRuleNamesByTarget"]
    with Denier(stack.endpoint, *actions) as aws:
        report = visit("--probe", AWS_ENDPOINT_URL=aws.url)
    assert report.code == 0, report.checks
    for check, permission in [
        ("proof of identity", "sts:GetWebIdentityToken"),
        ("work queue", "sqs:GetQueueAttributes"),
        ("dead letter queue", "sqs:GetQueueAttributes"),
        ("ledger", "dynamodb:DescribeTable"),
        ("bucket", "s3:GetBucketNotification"),
    ]:
        finding = report.one(check)
        assert (finding["status"], permission in finding["what"]) == ("skipped", True), finding
    assert report.one("token")["status"] == "skipped"
    for check in ("event source mapping", "function", "rule", "schedule", "alarms"):
        assert report.one(check)["what"] == "it depends on the work queue"
    with Denier(stack.endpoint, *around) as aws:
        report = visit(AWS_ENDPOINT_URL=aws.url)
    assert report.code == 0, report.checks
    for check, permission in [
        ("event source mapping", "lambda:ListEventSourceMappings"),
        ("rule", "events:ListRuleNamesByTarget"),
    ]:
        assert permission in report.one(check)["what"], report.one(check)
    with Denier(stack.endpoint, "/configuration", "/schedules", "DescribeAlarms") as aws:
        report = visit(AWS_ENDPOINT_URL=aws.url)
    assert report.code == 0, report.checks
    for check, permission in [
        ("function", "lambda:GetFunctionConfiguration"),
        ("schedule", "scheduler:ListSchedules"),
        ("alarms", "cloudwatch:DescribeAlarms"),
    ]:
        assert permission in report.one(check)["what"], report.one(check)



def test_an_account_that_signs_no_tokens(stack: Stack, visit: Visit) -> None:
    code = "OutboundWebIdentityFederationDisabledException"
    with Denier(stack.endpoint, "Action=GetWebIdentityToken", code=code) as aws:
        report = visit(AWS_ENDPOINT_URL=aws.url)
    report.fails_alone("proof of identity", code, "aws iam enable-outbound-web-identity-federation")


def test_credentials_that_have_expired(stack: Stack, visit: Visit) -> None:
    with Denier(stack.endpoint, "Action=GetCallerIdentity", code="ExpiredToken") as aws:
        visit(AWS_ENDPOINT_URL=aws.url).fails_alone("AWS identity", "ExpiredToken", "Sign in again")


def legacy(url: str, **changes: str) -> dict[str, str]:
    """Return the variables of the legacy API."""
    return {
        "SENTINEL_API": "data-collector",
        "LOG_ANALYTICS_WORKSPACE_ID": "44444444-4444-4444-4444-444444444444",
        "LOG_ANALYTICS_ENDPOINT": url,
        "LOG_ANALYTICS_SHARED_KEY": "bWFkZS11cC1zaGFyZWQta2V5",
        **changes,
    }


def test_the_legacy_api(stack: Stack, visit: Visit) -> None:
    report = visit("--probe", **legacy(stack.standin.url))
    assert (report.code, report.with_status("warning")) == (0, ["configuration"]), report.checks
    assert {"proof of identity", "endpoint", "clock", "stream", "work queue", "ledger"} <= set(report.with_status("ok"))
    (row,) = stack.standin.rows("AWSCloudTrail_CL")
    assert row["EventName"] == PROBE
    assert {finding["status"] for finding in visit(**legacy(stack.standin.url)).of("stream")} == {"skipped"}


def test_a_wrong_key_of_the_legacy_api(stack: Stack, visit: Visit) -> None:
    url = stack.standin.url
    report = visit("--probe", **legacy(url, LOG_ANALYTICS_SHARED_KEY="d3Jvbmc="))
    report.fails_alone("stream", "403", "LOG_ANALYTICS_WORKSPACE_ID")
    report = visit(**legacy(url, LOG_ANALYTICS_SHARED_KEY="?"))
    report.fails_alone("proof of identity", "no base64", "LOG_ANALYTICS_SHARED_KEY_ARN")
