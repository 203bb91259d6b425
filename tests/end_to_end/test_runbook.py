"""The commands of the runbook run as they are written, in one shell after the other.

CloudTrail and Organizations are not in the emulator: for these the AWS CLI checks the command against its own model.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local import trail
from local.deployment import BUCKET, STACK_NAME
from local.emulator import REGION
from local.processes import wait_for
from local.stack import ROOT, Binaries, Stack

AWS = ROOT / ".tools" / "judges" / "bin" / "aws"
DOCUMENTS = ["README.md", "RUNBOOK.md", "UPGRADING.md"]
TRAIL = f"arn:aws:cloudtrail:{REGION}:000000000000:trail/main"
SENDER = "sentinel-forwarder-sender"
# The stand-ins for `aws` and `sentinelctl`: what the emulator has not is checked alone, and nobody is there to answer.
SHIM = f"""#!/usr/bin/env bash
set -eu
case "$1 $2" in
  "cloudtrail validate-logs") ;;
  cloudtrail*|organizations*)
    {AWS} "$@" --generate-cli-skeleton output >/dev/null
    if [ "$2" = describe-trails ]; then echo {TRAIL}; fi ;;
  *) exec {AWS} --endpoint-url "$AWS_ENDPOINT_URL" "$@" ;;
esac
"""
ANSWERING = """#!/usr/bin/env bash
case "$1 $2" in
  "dlq discard"|backfill*) exec {program} "$@" --yes ;;
  *) exec {program} "$@" ;;
esac
"""


def blocks(text: str) -> list[str]:
    """Return what stands between fences without a language: commands, and now and then a drawing or KQL."""
    return re.findall(r"^ *```\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[str]:
    """Return the blocks of a document that are commands."""
    found = blocks((ROOT / name).read_text())
    starts = r"(?m)^ *(aws|az|make|sentinelctl|git|sha256sum|[A-Z_]+=|[a-z]+\(\))"
    return [block for block in found if re.search(starts, block)]


def sections() -> dict[str, list[str]]:
    """Return the blocks of each section of the runbook; those before the first one are the setup."""
    parts = re.split(r"(?m)^## ", (ROOT / "RUNBOOK.md").read_text())
    return {part.split("\n", 1)[0] if place else "setup": blocks(part) for place, part in enumerate(parts)}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(stack: Stack, tmp_path: Path) -> Run:
    """Run blocks in a shell of an operator of the stack."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in [("aws", SHIM), ("sentinelctl", ANSWERING.format(program=Binaries.built().sentinelctl))]:
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    keys = "aws_access_key_id = test\naws_secret_access_key = test\n"
    (tmp_path / "credentials").write_text(f"[member]\n{keys}[forwarder]\n{keys}")
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": stack.endpoint,
        "AWS_REGION": REGION,
        # The first version of the CLI knows this name alone.
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_PAGER": "",
    }

    def of(*texts: str, shell: str = "bash") -> subprocess.CompletedProcess[str]:
        script = "\n".join(["set -eu", *texts])
        return subprocess.run(
            [shell, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return of


def shells() -> list[str]:
    """Name the shells of this machine; say which are missing."""
    missing = [shell for shell in ("bash", "zsh") if not shutil.which(shell)]
    if missing:
        print(f"skipped, since not installed: {', '.join(missing)}")
    return [shell for shell in ("bash", "zsh") if shell not in missing]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_is_read_by_the_shells(name: str) -> None:
    assert commands(name)
    for block in commands(name):
        for shell in shells():
            done = subprocess.run([shell, "-n"], input=block, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_mean_the_same_in_zsh(name: str) -> None:
    """An interactive zsh takes no comments: what stands behind `#` would be arguments. `$NAME:r` cuts off an extension."""
    other = re.compile(r"(^|\s)#(\s|$)|\$\w+:[a-zA-Z&]")
    assert [line for block in commands(name) for line in block.splitlines() if other.search(line)] == []


@pytest.fixture
def not_sent(stack: Stack) -> str:
    """A stack that sends to the central bus, with an event that it could not send; its id."""
    formation = stack.client("cloudformation")
    bus = f"arn:aws:events:{REGION}:111122223333:event-bus/sentinel-forwarder"
    formation.create_stack(
        StackName=SENDER,
        TemplateBody=(ROOT / "deploy" / "organization.yaml").read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": "CentralBusArn", "ParameterValue": bus},
            {"ParameterKey": "GuardDutyFindings", "ParameterValue": "DISABLED"},
        ],
    )
    formation.get_waiter("stack_create_complete").wait(StackName=SENDER, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    outputs = formation.describe_stacks(StackName=SENDER)["Stacks"][0]["Outputs"]
    (url,) = [one["OutputValue"] for one in outputs if one["OutputKey"] == "NotSentQueueUrl"]
    event = json.loads((ROOT / "events" / "eventbridge-guardduty-finding.json").read_text())
    event["detail"] |= {"id": "resent", "description": "two\nlines, a\ttab and a \\ backslash"}
    stack.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps(event))
    return str(event["detail"]["description"])


def test_every_section_of_the_runbook_runs(stack: Stack, run: Run, not_sent: str) -> None:
    today = datetime.now(UTC)
    folder = f"AWSLogs/000000000000/CloudTrail/{REGION}/{today:%Y/%m/%d}"
    with stack.quiet_bucket():
        name = f"000000000000_CloudTrail_{REGION}_{today:%Y%m%dT%H%MZ}_AbCdEfGhIjKlMnOp.json.gz"
        stack.put_object(f"{folder}/{name}", trail.file(1))
    assert all(sections().values())
    done = run(*[text for name, texts in sections().items() for text in (f"echo 'In {name}:'", *texts)])
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "\nNone\n" not in done.stdout
    # The last section has sent the event on as it was; that of SilenceAlarm has forwarded the file.
    wait_for("what was sent on lands", 30, lambda: len(stack.standin.rows("AWSGuardDuty")) + len(stack.standin.rows("AWSCloudTrail")) > 1)
    (finding,), (record,) = stack.standin.rows("AWSGuardDuty"), stack.standin.rows("AWSCloudTrail")
    assert (finding["Description"], record["AWSRegion"]) == (not_sent, REGION)
    stack.client("lambda").delete_function_concurrency(FunctionName=stack.outputs["FunctionName"])


def test_the_setup_finds_the_stack(stack: Stack, run: Run) -> None:
    (setup,) = sections()["setup"]
    names = ["FUNCTION", "LOG", "ACCOUNT", "REGION", "BUCKET", "TRAIL", "WORK_QUEUE_URL", "LEDGER_TABLE"]
    outputs = stack.outputs
    expected = [outputs["FunctionName"], outputs["LogGroupName"], "000000000000", REGION, BUCKET, TRAIL]
    expected += [outputs["WorkQueueUrl"], outputs["LedgerTable"]]
    done = run(setup, *[f'echo "${name}"' for name in names])
    assert (done.stdout.splitlines(), done.stderr) == (expected, "")
    assert f"STACK={STACK_NAME}\n" in setup


def test_errors_are_a_line_each(stack: Stack, run: Run) -> None:
    (setup,) = sections()["setup"]
    logs, group = stack.client("logs"), stack.outputs["LogGroupName"]
    logs.create_log_stream(logGroupName=group, logStreamName="runbook")
    now = int(time.time() * 1000)
    lines = [json.dumps({"level": level, "fields": {"message": level}}) for level in ("ERROR", "INFO", "WARN", "ERROR")]
    events = [{"timestamp": now + place, "message": line} for place, line in enumerate(lines)]
    logs.put_log_events(logGroupName=group, logStreamName="runbook", logEvents=events)
    done = run(setup, "errors")
    # The emulator does not know the pattern and prints all of them, and what else is in the log.
    told = [json.loads(line)["level"] for line in done.stdout.splitlines() if line in lines]
    assert [level for level in told if level != "INFO"] == ["ERROR", "WARN", "ERROR"]
    logs.delete_log_stream(logGroupName=group, logStreamName="runbook")
