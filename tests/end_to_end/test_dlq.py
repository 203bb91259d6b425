"""`sentinelctl dlq` on a deployed stack: all that may lie in the dead letter queue, and what becomes of it."""

import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conftest import stack_environment
from local import trail
from local.deployment import BUCKET, STACK_NAME
from local.processes import free_port, wait_for
from local.run import counts
from local.stack import ROOT, Binaries, Stack
from terminal import on_a_terminal

SECONDS = 60
LETTER = "sentinel-forwarder/dead-letter/1"
TASK = "sentinel-forwarder/task/1"
POISON = "Poison"


def event(name: str) -> dict[str, Any]:
    """Return one of the sample events."""
    return dict(json.loads((ROOT / "events" / f"{name}.json").read_text()))


def letter(name: str, reason: str = "Forbidden", **members: Any) -> str:
    """Write a letter as the function does, with an id made of the name."""
    identity = hashlib.sha256(name.encode()).hexdigest()[:32]
    letter = {"schema": LETTER, "id": identity, "reason": reason, "message": f"made up: {name}"}
    return json.dumps(letter | {"failed_at": "2026-03-10T11:24:55.120Z"} | members)


def task(key: str, from_record: int | None = None, until_record: int | None = None) -> dict[str, Any]:
    """Write a task, as it stands in a letter."""
    members = {"from_record": from_record, "until_record": until_record}
    named = {name: value for name, value in members.items() if value is not None}
    return {"schema": TASK, "object": {"bucket": BUCKET, "key": key}} | named


def id_of(body: str) -> str:
    """Return the id that a message is known by."""
    with suppress(ValueError):
        parsed = json.loads(body)
        if parsed.get("schema") == LETTER:
            return str(parsed["id"])
    return hashlib.sha256(body.encode()).hexdigest()[:32]


@dataclass
class Desk:
    """The command line, pointed at the stack."""

    stack: Stack
    environment: dict[str, str]

    @property
    def program(self) -> str:
        """The program."""
        return str(Binaries.built().sentinelctl)

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `dlq`."""
        return subprocess.run(
            [self.program, "dlq", *arguments],
            env=self.environment | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def json(self, *arguments: str, code: int = 0, **changes: str) -> Any:
        """Run a command and read its JSON."""
        done = self.run(*arguments, "--output", "json", **changes)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Begin a command."""
        return subprocess.Popen(
            [self.program, "dlq", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_a_terminal(self, columns: int, *arguments: str, types: str = "", **changes: str) -> tuple[int, str]:
        """Run a command on a terminal of that width; return how it ended, and what it wrote."""
        return on_a_terminal([self.program, *arguments], self.environment | changes, types, columns)

    def put(self, *bodies: str, **attributes: str) -> None:
        """Put messages on the dead letter queue."""
        given = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        queue, url = self.stack.client("sqs"), self.stack.outputs["DeadLetterQueueUrl"]
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(place), "MessageBody": body, "MessageAttributes": given}
                for place, body in enumerate(bodies[start : start + 10])
            ]
            assert not queue.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")

    def depths(self) -> tuple[int, int]:
        """Count the visible and the hidden messages of the dead letter queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.stack.client("sqs").get_queue_attributes(
            QueueUrl=self.stack.outputs["DeadLetterQueueUrl"], AttributeNames=names
        )
        visible, hidden = (int(answer["Attributes"][name]) for name in names)
        return visible, hidden

    def wait_for_the_function(self, seconds: float = SECONDS) -> None:
        """Wait until it has done its work."""
        wait_for("the work is done", seconds, lambda: not self.stack.depth("WorkQueueUrl"))

    def numbers(self) -> list[int]:
        """Return the numbers of the records that landed."""
        return sorted(int(row["AwsEventId"][-12:]) for row in self.stack.standin.rows("AWSCloudTrail"))


@pytest.fixture
def desk(stack: Stack) -> Desk:
    """The command line with the variables of the function."""
    return Desk(stack, stack_environment(stack) | {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"})


@pytest.fixture
def trail_file(stack: Stack) -> str:
    """The key of a file of ten records, of which nobody was told."""
    with stack.quiet_bucket():
        stack.put_object(trail.key("dlq"), trail.file(*range(10)))
    return trail.key("dlq")


@pytest.fixture
def all_kinds(desk: Desk, trail_file: str) -> dict[str, str]:
    """One message of each kind on the queue, by the reason that it is shown with."""
    finding = event("eventbridge-guardduty-finding")
    kinds = {
        "Rejected": letter("r", "Rejected", status=400, table="AWSCloudTrail", task=task(trail_file, 7, 8)),
        "Forbidden": letter("f", "Forbidden", table="AWSGuardDuty", event=finding),
        "UnknownTrigger": letter("u", "UnknownTrigger", event={"order": 4711}),
        "ReceivedTooOften": json.dumps(task(trail_file, 2, 4)),
        "InvocationFailed": json.dumps(
            {
                "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
                "requestPayload": task(trail_file, 4, 5),
                "responsePayload": {"errorMessage": "not to be had"},
            }
        ),
        "UnknownBody": "no json \x85 at all",
    }
    desk.put(*kinds.values())
    handed = json.dumps(event("eventbridge-object-created")).replace("Audit Z", "somewhere else Z")
    desk.put(handed, ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="no", RULE_ARN="arn:aws:events:us-east-1:1:rule/r")
    return kinds | {"NotHandedOver": handed}


def test_all_that_may_lie_there_is_listed_and_stays(desk: Desk, all_kinds: dict[str, str], trail_file: str) -> None:
    found = {message["reason"]: message for message in desk.json("list")}
    assert found.keys() == all_kinds.keys()
    assert {reason: message["id"] for reason, message in found.items()} == {
        reason: id_of(body) for reason, body in all_kinds.items()
    }
    assert found["Rejected"]["tasks"] == [task(trail_file, 7, 8)]
    assert (found["Rejected"]["status"], found["Rejected"]["failed_at"]) == (400, "2026-03-10T11:24:55.12Z")
    tables = {reason: message.get("table") for reason, message in found.items()}
    trails = ("Rejected", "ReceivedTooOften", "InvocationFailed", "NotHandedOver")
    assert tables == {reason: "AWSCloudTrail" if reason in trails else None for reason in found} | {
        "Forbidden": "AWSGuardDuty"
    }
    assert found["NotHandedOver"]["message"] == "NO_PERMISSIONS: no"
    assert found["InvocationFailed"]["message"] == "RetriesExhausted after 3 invocations: not to be had"
    assert desk.depths() == (7, 0)
    # Nobody else receives from this queue: a count of receipts would be that of the operator's looks.
    assert not any("receives" in message for message in found.values())


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (["--reason", "Rejected", "--reason", "unknownbody"], {"Rejected", "UnknownBody"}),
        (["--table", "AWSGuardDuty"], {"Forbidden"}),
        (["--bucket", BUCKET, "--key-prefix", "AWSLogs/"], {"Rejected", "ReceivedTooOften", "InvocationFailed"}),
        (["--key-prefix", "somewhere else"], {"NotHandedOver"}),
        (["--older-than", "1h"], {"Rejected", "Forbidden", "UnknownTrigger"}),
        (["--older-than", "0s", "--bucket", "no-such"], set()),
    ],
)
def test_filters_pick(desk: Desk, all_kinds: dict[str, str], options: list[str], reasons: set[str]) -> None:
    assert {message["reason"] for message in desk.json("list", *options)} == reasons
    assert desk.depths() == (len(all_kinds), 0)


def test_a_summary_says_what_to_do(desk: Desk, all_kinds: dict[str, str], trail_file: str) -> None:
    desk.put(letter("another", "Rejected", task=task(trail_file, 8, 9)))
    groups = desk.json("summary")
    assert {group["reason"]: group["count"] for group in groups} == dict.fromkeys(all_kinds, 1) | {"Rejected": 2}
    assert groups[0]["reason"] == "Rejected" and "Azure template" in groups[0]["advice"]
    assert groups[0]["oldest"] == "2026-03-10T11:24:55.12Z"
    assert desk.depths() == (8, 0)


def test_a_message_is_shown_whole(desk: Desk, all_kinds: dict[str, str]) -> None:
    for reason, body in all_kinds.items():
        shown = desk.json("show", id_of(body)[:12])
        assert shown["reason"] == reason
        assert shown["body"] == (body if reason == "UnknownBody" else json.loads(body))
    assert desk.json("show", id_of(all_kinds["NotHandedOver"]))["attributes"]["RULE_ARN"].endswith("rule/r")
    text = desk.run("show", id_of(all_kinds["UnknownBody"])).stdout
    # Nothing of it commands the terminal.
    assert "no json \N{REPLACEMENT CHARACTER} at all" in text and "\x85" not in text
    gone = desk.run("show", "0" * 32)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "list shows those that there are" in gone.stderr
    assert desk.depths() == (7, 0)


def test_all_kinds_are_replayed_and_what_nobody_knows_comes_back_and_is_held(
    desk: Desk, all_kinds: dict[str, str]
) -> None:
    dry = desk.json("replay", "--all", "--dry-run")
    assert (dry["replayed"], dry["held"], desk.depths()) == (7, 0, (7, 0))
    assert desk.json("replay", "--all")["replayed"] == 7
    wait_for("all comes back that must", SECONDS, lambda: desk.depths()[0] == 3)
    desk.wait_for_the_function()
    assert desk.numbers() == [2, 3, 4, 7]
    assert counts(desk.stack)["AWSGuardDuty"] == 1
    # What nobody knows has letters of the function now; an object that is not there has one too.
    came = {message["id"]: message["reason"] for message in desk.json("list")}
    assert Counter(came.values()) == {"UnknownTrigger": 2, "NotFound": 1}
    again = desk.json("replay", "--all")
    assert (again["replayed"], again["held"], again["late"]) == (3, 0, 0)
    wait_for("they come back", SECONDS, lambda: desk.depths()[0] == 3)
    desk.wait_for_the_function()
    assert {message["id"] for message in desk.json("list")} == came.keys()
    held = desk.json("replay", "--all")
    assert (held["replayed"], held["held"], desk.depths()) == (0, 3, (3, 0))


def test_a_letter_is_delivered_once_however_often_it_is_replayed(desk: Desk, trail_file: str) -> None:
    one = letter("once", task=task(trail_file, 3, 5))
    desk.put(one, one)
    assert desk.json("replay", id_of(one), code=1)["held"] == 1
    desk.wait_for_the_function()
    desk.put(one)
    assert desk.json("replay", id_of(one))["replayed"] == 2
    desk.wait_for_the_function()
    assert desk.numbers() == [3, 4]
    assert desk.depths() == (0, 0)


def test_poison_is_held_until_it_is_asked_for_again(desk: Desk, trail_file: str) -> None:
    desk.stack.standin.fault(kind="reject_where", contains=trail.event_id(6))
    desk.put(letter("poison", task=task(trail_file, 5, 8)))
    assert desk.json("replay", "--all")["replayed"] == 1
    wait_for("its letter", SECONDS, lambda: desk.depths()[0] == 1)
    desk.wait_for_the_function()
    (came,) = desk.json("list")
    assert (came["reason"], came["tasks"][0]["from_record"]) == ("Rejected", 6)
    # The letter is another than the one that was replayed, and may be replayed in its turn.
    assert desk.json("replay", came["id"])["replayed"] == 1
    wait_for("it comes back", SECONDS, lambda: desk.depths()[0] == 1)
    desk.wait_for_the_function()
    assert desk.json("list")[0]["id"] == came["id"]
    assert desk.json("replay", "--all")["held"] == 1
    held = desk.run("replay", came["id"])
    assert held.returncode == 1 and "--again" in held.stdout
    desk.stack.standin.clear_faults()
    assert desk.json("replay", came["id"][:12], "--again")["replayed"] == 1
    desk.wait_for_the_function()
    assert (desk.numbers(), desk.depths()) == ([5, 6, 7], (0, 0))


def test_without_a_ledger_that_is_said(desk: Desk, trail_file: str) -> None:
    desk.put(letter("x", task=task(trail_file, 1, 2)))
    done = desk.run("replay", "--all", LEDGER_TABLE="")
    assert done.returncode == 0 and "LEDGER_TABLE" in done.stderr
    desk.wait_for_the_function()
    assert desk.numbers() == [1]
    desk.put(letter("y", task=task(trail_file, 1, 2)))
    wrong = desk.run("replay", "--all", LEDGER_TABLE="no-such-table")
    assert wrong.returncode == 1 and "does not exist in this account and region" in wrong.stderr
    # Without the ledger, what was replayed before would go round once more: that is no way out.
    assert "unset" not in wrong.stderr
    assert desk.depths() == (1, 0)


def test_a_rate_is_kept(desk: Desk, trail_file: str) -> None:
    desk.put(*[letter(str(number), task=task(trail_file, number, number + 1)) for number in range(9)])
    began = time.monotonic()
    assert desk.json("replay", "--all", "--rate", "4/s")["replayed"] == 9
    assert time.monotonic() - began >= 2
    desk.wait_for_the_function()
    assert desk.numbers() == list(range(9))


def test_what_is_discarded_lies_in_the_archive(desk: Desk, all_kinds: dict[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "letters.jsonl"
    done = desk.json("discard", "--reason", "Rejected", "--reason", "UnknownBody", "--archive", str(archive), "--yes")
    assert (done["deleted"], done["stay"], done["archive"]) == (2, 0, str(archive))
    lines = [json.loads(line) for line in archive.read_text(encoding="utf-8").split("\n") if line]
    assert {line["body"] for line in lines} == {all_kinds["Rejected"], all_kinds["UnknownBody"]}
    assert archive.stat().st_mode & 0o777 == 0o600
    assert {message["reason"] for message in desk.json("list")} == all_kinds.keys() - {"Rejected", "UnknownBody"}
    # An archive is never written over.
    refused = desk.run("discard", "--all", "--archive", str(archive), "--yes")
    assert refused.returncode == 1 and "--archive" in refused.stderr
    assert (desk.depths(), len(archive.read_text(encoding="utf-8").split("\n"))) == ((5, 0), 3)


def test_discard_asks_on_a_terminal_and_nowhere_else(desk: Desk, all_kinds: dict[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "letters.jsonl"
    command = ["dlq", "discard", "--reason", "Rejected", "--archive", str(archive)]
    code, shown = desk.on_a_terminal(80, *command, types="n\n")
    assert (code, archive.exists(), desk.depths()) == (1, False, (7, 0))
    assert "Delete 1 messages (1 Rejected)?" in shown
    code, shown = desk.on_a_terminal(80, *command, types="y\n")
    assert (code, archive.exists(), desk.depths()) == (0, True, (6, 0))
    unasked = desk.run("discard", "--all")
    assert unasked.returncode == 2 and "--yes" in unasked.stderr


def test_wrong_usage_is_told_from_failure(desk: Desk, trail_file: str) -> None:
    desk.put(letter("x", task=task(trail_file, 1, 2)))
    for arguments, words in [
        (["replay"], "which messages are meant"),
        (["replay", "--limit", "1"], "which messages are meant"),
        (["replay", "--all", "--reason", "Rejected"], "--all"),
        (["replay", "short"], "12 characters"),
        (["list", "--reason", "Rejectd"], "Rejected"),
        (["list", "--older-than", "soon"], "12h"),
        (["replay", "--all", "--rate", "0/s"], "10/s"),
        (["discard", "--yes"], "which messages are meant"),
    ]:
        done = desk.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert words in done.stderr, done.stderr
    assert desk.run("list", DEAD_LETTER_QUEUE_URL="").returncode == 2
    assert desk.run("replay", "--all", WORK_QUEUE_URL="").returncode == 2
    assert desk.run("list", "--stack", "", DEAD_LETTER_QUEUE_URL="").returncode == 2
    other = desk.environment["DEAD_LETTER_QUEUE_URL"] + "-other"
    missing = desk.run("list", "--queue-url", other)
    assert missing.returncode == 1 and "outputs of the stack" in missing.stderr
    missing = desk.run("replay", "--all", "--work-queue-url", other)
    assert missing.returncode == 1 and "outputs of the stack" in missing.stderr
    assert desk.depths() == (1, 0)


@pytest.fixture
def other_queue(stack: Stack) -> Iterator[str]:
    """A live queue that has nothing to do with the stack, with a message."""
    queues = stack.client("sqs")
    url = str(queues.create_queue(QueueName="somebody-elses")["QueueUrl"])
    queues.send_message(QueueUrl=url, MessageBody="live")
    yield url
    queues.delete_queue(QueueUrl=url)


def count(stack: Stack, url: str) -> int:
    """Count the messages of a queue, those in flight included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)


def test_letters_go_to_no_other_queue(desk: Desk, trail_file: str, other_queue: str) -> None:
    desk.put(letter("x", task=task(trail_file, 1, 2)))
    dead = desk.environment["DEAD_LETTER_QUEUE_URL"]
    for work, words in [(other_queue, "is not the work queue of"), (dead, "the same queue")]:
        done = desk.run("replay", "--all", "--work-queue-url", work)
        assert (done.returncode, done.stdout) == (1, "") and words in done.stderr, done
        assert "--stack" in done.stderr
    # No risk is worth a message that is deleted where it was just sent to.
    same = desk.run("replay", "--all", "--risk-losing-messages", "--work-queue-url", dead)
    assert same.returncode == 1 and "the same queue" in same.stderr
    assert (desk.depths(), count(desk.stack, other_queue)) == ((1, 0), 1)
    risked = desk.run("replay", "--all", "--risk-losing-messages", "--work-queue-url", other_queue)
    assert (risked.returncode, desk.depths(), count(desk.stack, other_queue)) == (0, (0, 0), 2), risked
    assert "at your risk" in risked.stderr


@pytest.mark.parametrize("variables", [{}, {"WORK_QUEUE_URL": ""}], ids=["work-queue", "no-work-queue"])
def test_messages_of_a_live_queue_are_neither_discarded_nor_restored(
    desk: Desk, other_queue: str, tmp_path: Path, variables: dict[str, str]
) -> None:
    archive = tmp_path / "letters.jsonl"
    archive.write_text(json.dumps({"body": "x"}) + "\n")
    for arguments in (["discard", "--all", "--yes", "--archive", str(tmp_path / "new")], ["restore", str(archive)]):
        done = desk.run(*arguments, "--queue-url", other_queue, **variables)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert ("is not the work queue of" if not variables else "dead letter queue of no queue") in done.stderr
    assert count(desk.stack, other_queue) == 1
    # The stack's own is one, whether the work queue is named or not.
    done = desk.json("restore", str(archive), **variables)
    assert (done["restored"], desk.depths()) == (1, (1, 0))


def test_nothing_is_replayed_into_a_queue_that_nothing_reads(desk: Desk, trail_file: str) -> None:
    desk.put(letter("x", task=task(trail_file, 1, 2)))
    functions = desk.stack.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=desk.stack.outputs["FunctionName"])[
        "EventSourceMappings"
    ]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        done = desk.run("replay", "--all")
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)
    assert done.returncode == 1 and f"--uuid {mapping['UUID']} --enabled" in done.stderr, done
    assert desk.depths() == (1, 0)


def test_a_stack_names_both_queues_and_the_ledger(desk: Desk, trail_file: str) -> None:
    desk.put(letter("x", task=task(trail_file, 1, 2)))
    wrong = {"DEAD_LETTER_QUEUE_URL": "nowhere", "WORK_QUEUE_URL": "nowhere", "LEDGER_TABLE": "nowhere"}
    (listed,) = desk.json("list", "--stack", STACK_NAME, **wrong)
    done = desk.run("replay", listed["id"], "--stack", STACK_NAME, **wrong)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 replayed, 0 held\n", ""), done
    desk.wait_for_the_function()
    assert (desk.numbers(), desk.depths()) == ([1], (0, 0))
    missing = desk.run("list", "--stack", "no-such-stack")
    assert missing.returncode == 1 and "no-such-stack" in missing.stderr and "does not exist" in missing.stderr


def test_what_was_discarded_is_restored_as_it_was(desk: Desk, all_kinds: dict[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "letters.jsonl"
    before = {message["id"]: (message["reason"], message["message"]) for message in desk.json("list")}
    assert desk.json("discard", "--all", "--archive", str(archive), "--yes")["deleted"] == 7
    assert desk.depths() == (0, 0)
    dry = desk.json("restore", str(archive), "--dry-run")
    assert (dry["restored"], dry["dry_run"], desk.depths()) == (7, True, (0, 0))
    first, rest = archive.read_text(encoding="utf-8").split("\n", 1)
    archive.write_text(first + "\n", encoding="utf-8")
    assert desk.run("restore", str(archive)).stdout == "1 restored, 0 in the queue already\n"
    archive.write_text(first + "\n" + rest, encoding="utf-8")
    for restored, present in [(6, 1), (0, 7)]:
        done = desk.json("restore", str(archive))
        assert (done["restored"], done["present"], done["refused"]) == (restored, present, [])
    # The attributes by which EventBridge says why are there too.
    after = {message["id"]: (message["reason"], message["message"]) for message in desk.json("list")}
    assert (after, desk.depths()) == (before, (7, 0))
    archive.write_text(first + "\n{", encoding="utf-8")
    torn = desk.run("restore", str(archive))
    assert torn.returncode == 1 and f"{archive}:2:" in torn.stderr and "nothing was restored" in torn.stderr
    missing = desk.run("restore", str(tmp_path / "none"))
    assert missing.returncode == 1 and str(tmp_path / "none") in missing.stderr


def test_aws_that_refuses_is_told_by_what_helps(desk: Desk) -> None:
    nobody = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    for missing, changes, words in [
        (["AWS_REGION", "AWS_DEFAULT_REGION"], {}, ["no AWS region is set", "--region"]),
        (nobody, {}, ["no AWS credentials", "sign in"]),
        (nobody, {"AWS_PROFILE": "no-such-profile"}, ["no AWS credentials", "AWS_PROFILE"]),
        ([], {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}, ["can't be reached", "network"]),
    ]:
        environment = {name: value for name, value in desk.environment.items() if name not in missing}
        other = Desk(desk.stack, environment | {"HOME": "/nonexistent"} | changes)
        for command in (["list"], ["list", "--stack", STACK_NAME]):
            done = other.run(*command)
            assert (done.returncode, done.stdout) == (1, ""), (command, changes, done)
            assert [word for word in words if word not in done.stderr] == [], done.stderr


def plain(shown: str) -> str:
    """Take away colours, and the line of progress."""
    return re.sub(r"\x1b\[[0-9;]*m|\r\x1b\[K[^\n\r]*(?=\r)|\r\x1b\[K", "", shown)


@pytest.mark.parametrize("columns", [80, 160])
def test_tables_fit_the_terminal(desk: Desk, all_kinds: dict[str, str], columns: int) -> None:
    for command in (["list"], ["summary"], ["replay", "--all", "--dry-run"]):
        code, shown = desk.on_a_terminal(columns, "dlq", *command)
        assert code == 0
        # Coloured, but for the words.
        assert "\x1b[1m" in shown
        lines = plain(shown).splitlines()
        assert max(map(len, lines)) <= columns, lines
        for reason in all_kinds:
            assert any(reason in line for line in lines), lines
    _, bare = desk.on_a_terminal(columns, "dlq", *command, NO_COLOR="1")
    assert "\x1b[1m" not in bare
    # Ages differ.
    assert [re.sub(r" +\d+\w?\b", "", text) for text in plain(bare).splitlines()] == [
        re.sub(r" +\d+\w?\b", "", text) for text in lines
    ]


def test_ctrl_c_puts_back_what_is_hidden(desk: Desk, trail_file: str) -> None:
    desk.put(*[letter(str(number), task=task(trail_file)) for number in range(200)])
    with desk.begin("list") as running:
        wait_for("it is under way", SECONDS, lambda: desk.depths()[1] > 0, 0.01)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=SECONDS)
    assert running.returncode == 1 and "interrupted" in told
    assert desk.depths() == (200, 0)


def test_a_pipe_that_is_closed_early_is_no_failure(desk: Desk, all_kinds: dict[str, str]) -> None:
    for command in ("list", "summary"):
        with desk.begin(command) as running:
            assert running.stdout and running.stderr
            running.stdout.close()
            assert (running.wait(SECONDS), running.stderr.read()) == (0, "")
    assert desk.depths() == (len(all_kinds), 0)


# The whole of it, 10,000 messages, takes minutes on the emulator: DLQ_MESSAGES=10000.
MESSAGES = int(os.environ.get("DLQ_MESSAGES", "120"))
RECORDS_A_FILE = 20


@dataclass
class Mixture:
    """What lies on the queue, and what must become of it."""

    bodies: list[str]
    good: list[int]
    findings: int
    poison: int
    unknown: int


def mixture(stack: Stack, count: int) -> Mixture:
    """Make letters about records, every tenth of which Sentinel rejects; twins, findings, and what nobody knows."""
    unknown = [f"nobody knows {number}" for number in range(count // 20)]
    finding = event("eventbridge-guardduty-finding")
    findings = [
        json.dumps(finding | {"detail": finding["detail"] | {"id": f"{number:032x}"}}) for number in range(count // 20)
    ]
    records = range(count - 3 * (count // 20))
    letters = []
    for number in records:
        key, place = trail.key(f"dlq{number // RECORDS_A_FILE}"), number % RECORDS_A_FILE
        letters.append(letter(str(number), table="AWSCloudTrail", task=task(key, place, place + 1)))
    with stack.quiet_bucket():
        for start in range(0, len(records), RECORDS_A_FILE):
            numbers = records[start : start + RECORDS_A_FILE]
            rows = [trail.record(number, **({"eventName": POISON} if number % 10 == 9 else {})) for number in numbers]
            stack.put_object(trail.key(f"dlq{start // RECORDS_A_FILE}"), json.dumps({"Records": rows}).encode())
    good = [number for number in records if number % 10 != 9]
    bodies = letters + letters[: count // 20] + findings + unknown
    bodies = [bodies[place * 7919 % len(bodies)] for place in range(len(bodies))]
    return Mixture(bodies, good, len(findings), len(records) - len(good), len(unknown))


def test_a_long_queue_is_replayed_though_the_replay_is_killed(desk: Desk) -> None:
    mixed = mixture(desk.stack, MESSAGES)
    assert len(mixed.bodies) == MESSAGES
    desk.stack.standin.fault(kind="reject_where", contains=POISON)
    desk.put(*mixed.bodies)
    began = time.monotonic()
    assert len(desk.json("list")) == MESSAGES
    listed = time.monotonic() - began
    assert desk.depths() == (MESSAGES, 0)

    began = time.monotonic()
    with desk.begin("replay", "--all") as running:
        wait_for("half of it is gone", 600, lambda: sum(desk.depths()) <= MESSAGES * 0.6, 0.01)
        assert running.poll() is None
        running.kill()
    killed = time.monotonic() - began
    # A twin that is sent while the other is in work waits for the other's lease: five minutes.
    desk.wait_for_the_function(900)

    began, runs, replayed, done = time.monotonic(), 0, 0, {"replayed": 1}
    while done["replayed"]:
        runs += 1
        assert runs < 10
        # What the one that was killed had in its hands is visible when its time is over; no run sees it before.
        wait_for("all is visible", SECONDS * 4, lambda: not desk.depths()[1])
        done = desk.json("replay", "--all")
        replayed += done["replayed"]
        desk.wait_for_the_function(1800)
    took = time.monotonic() - began
    print(f"\n{MESSAGES} messages: listed in {listed:.1f} s ({MESSAGES / listed:.0f}/s); killed after {killed:.1f} s;")
    print(f"then {runs} runs, {replayed} replayed and done by the function in {took:.1f} s")

    # Each good record and finding once; nothing else is left but what can't be delivered.
    assert desk.numbers() == mixed.good
    assert counts(desk.stack)["AWSGuardDuty"] == mixed.findings
    left = {message["id"]: message["reason"] for message in desk.json("list")}
    assert Counter(left.values()) == {"Rejected": mixed.poison, "UnknownTrigger": mixed.unknown}
    assert desk.json("replay", "--all", "--dry-run")["replayed"] == 0
