"""`sentinelctl backfill` against the stack: what it selects, and that each record lands once however it is interrupted.

BACKFILL_FILES=20000 takes that many files instead of some hundred.
"""

import csv
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from conftest import Start, stack_environment
from local import trail
from local.deployment import BUCKET
from local.processes import wait_for
from local.stack import Binaries, Stack
from storage import Storage
from terminal import on_a_terminal
from test_batch_job import job, results
from test_killed import let_leases_run_out

FILES = int(os.environ.get("BACKFILL_FILES", "300"))
# The emulator hands out some tens of messages a second.
SECONDS = 120 + FILES / 10
CONCURRENCY = 8
DAY = "2026/03/10"


def command(*arguments: str) -> list[str]:
    return [str(Binaries.built().sentinelctl), "backfill", *arguments]


def environment(stack: Stack, **changes: str | None) -> dict[str, str]:
    found = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **stack_environment(stack), **changes}
    return {name: value for name, value in found.items() if value is not None}


def run(stack: Stack, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=environment(stack, **changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )


def report(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def key(
    folder: str, number: int = 0, account: str = "111122223333", region: str = "us-east-1", day: str = DAY, time: str = "1000"
) -> str:
    stamp = f"{day.replace('/', '')}T{time}Z"
    name = f"{account}_CloudTrail_{region}_{stamp}_{number:06}.json.gz"
    return f"{folder}{account}/CloudTrail/{region}/{day}/{name}"


def put(stack: Stack, files: dict[str, bytes]) -> None:
    """Put files that nobody is told of."""
    with stack.quiet_bucket(), ThreadPoolExecutor(8) as several:
        list(several.map(stack.put_object, files.keys(), files.values()))


def take_away(stack: Stack, prefix: str) -> None:
    bucket = stack.client("s3")
    for page in bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if keys:
            bucket.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})


def landed(stack: Stack) -> Counter[int]:
    """Count the rows of each record."""
    return Counter(int(row["AwsEventId"][-12:]) for row in stack.standin.rows("AWSCloudTrail"))


def test_a_selection_takes_accounts_regions_and_days_and_no_others(stack: Stack) -> None:
    layout = "select/AWSLogs/"
    organization = f"{layout}o-abc123/"
    keys = [
        key(layout, day="2025/12/31", time="2355"),
        key(layout, day="2026/01/01", time="0000"),
        key(layout, day="2026/01/01", time="1200"),
        key(layout, day="2026/02/28"),
        key(layout, day="2026/03/01"),
        key(layout, region="eu-west-1", day="2026/01/01"),
        key(layout, account="444455556666", day="2026/01/01"),
        key(organization, account="777788889999", day="2026/01/01"),
        key(layout).replace("/CloudTrail/", "/CloudTrail-Digest/"),
        f"{layout}111122223333/GuardDuty/us-east-1/2026/01/01/finding.jsonl.gz",
    ]
    put(stack, {name: trail.file(1) for name in keys})
    for arguments, files in (
        ([], 8),
        (["--from", "2026-01-01"], 7),
        (["--from", "2026-01-01", "--until", "2026-01-02"], 5),
        (["--from", "2025-12-31", "--until", "2026-01-01"], 1),
        (["--from", "2026-02-28", "--until", "2026-03-01"], 1),
        (["--until", "2026-01-01T12:00:00Z", "--regions", "us-east-1", "--accounts", "111122223333"], 2),
        (["--from", "2026-01-01T12:00:00Z", "--until", "2026-01-01T12:00:01Z"], 1),
        (["--accounts", "111122223333,777788889999", "--from", "2026-01-01", "--until", "2026-01-02"], 4),
        (["--regions", "eu-west-1,us-east-2"], 1),
        (["--service", "GuardDuty"], 1),
        (["--service", "GuardDuty,CloudTrail", "--accounts", "111122223333"], 7),
        (["--raw"], 9),
    ):
        ended = run(stack, f"s3://{BUCKET}/select/", "--plan", "--output", "json", *arguments)
        assert report(ended)["plan"]["files"] == files, arguments
    assert stack.depth("WorkQueueUrl") == 0 and not landed(stack)


def test_a_plan_tells_rows_and_money_by_the_files_themselves(stack: Stack) -> None:
    put(stack, {key("plan/AWSLogs/", number): trail.file(*range(100)) for number in range(30)})
    plan = report(run(stack, f"s3://{BUCKET}/plan", "--plan", "--output", "json", "--rate", "10"))["plan"]
    estimate = plan["estimate"]
    assert (plan["files"], estimate["files_read"], estimate["seconds"]) == (30, 20, 3)
    # The files differ in the time of their making at most.
    assert 2900 < estimate["records"] < 3100
    text = run(stack, f"s3://{BUCKET}/plan", "--plan", "--price-per-gb", "2.5").stdout
    assert "at $2.50 a GB" in text and "EventTime_CF" in text


def wait_for_state(state: Path, files: int, running: subprocess.Popen[str]) -> None:
    def is_so_far() -> bool:
        assert running.poll() is None, running.communicate()
        return state.exists() and json.loads(state.read_text())["files"] >= files

    wait_for(f"{files} files are done", SECONDS, is_so_far, pause=0.02)


def begin(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments),
        env=environment(stack),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted_and_killed(stack: Stack, state: Path, mend: Callable[[], None], *arguments: str) -> dict[str, Any]:
    """Interrupt the first run, kill the second, and let the third come to its end."""
    arguments = (*arguments, "--yes", "--state", str(state), "--output", "json")
    first = begin(stack, *arguments)
    wait_for_state(state, FILES // 10, first)
    first.send_signal(signal.SIGINT)
    out, errors = first.communicate(timeout=SECONDS)
    assert first.returncode == 1, errors
    told = json.loads(out)["report"]
    assert told["ended"] == "interrupted" and FILES // 10 <= told["files"] < FILES
    assert json.loads(state.read_text())["files"] == told["files_in_all"]

    second = begin(stack, *arguments)
    wait_for_state(state, told["files_in_all"] + FILES // 10, second)
    second.kill()
    second.communicate()
    mend()

    done = json.loads(state.read_text())["files"]
    third = report(run(stack, *arguments))
    assert third["plan"]["files"] == FILES
    assert third["report"]["ended"] == "finished" and third["report"]["files_in_all"] == FILES
    # What was done is neither listed nor sent again.
    assert third["report"]["files"] == FILES - done
    again = report(run(stack, *arguments))
    assert again["plan"]["is_finished"] and "report" not in again
    return dict(third["report"])


def account_for(stack: Stack, what: str, most_doubles: int, began: float) -> None:
    wait_for("all records land", SECONDS, lambda: len(landed(stack)) == FILES, pause=1)
    seconds = time.monotonic() - began
    wait_for("the work queue is empty", SECONDS, lambda: not stack.depth("WorkQueueUrl"), pause=1)
    rows = landed(stack)
    lost, doubles = set(range(FILES)) - set(rows), rows.total() - len(rows)
    print(f"{what}: {FILES} files in {seconds:.0f} s, {FILES / seconds:.1f} a second, {doubles} doubles, {len(lost)} lost")
    assert not lost and doubles <= most_doubles
    assert stack.depth("DeadLetterQueueUrl") == 0


def test_by_the_queue_each_record_lands_once_though_it_was_interrupted_and_killed(stack: Stack, tmp_path: Path) -> None:
    put(stack, {key("queue/AWSLogs/", number): trail.file(number) for number in range(FILES)})
    began = time.monotonic()
    rate = str(max(60, FILES // 60))
    source = f"s3://{BUCKET}/queue/"

    def let_all_be_done() -> None:
        # A task that two functions hold at once would hide for as long as the first may take.
        wait_for("the work queue is empty", SECONDS, lambda: not stack.depth("WorkQueueUrl"))

    interrupted_and_killed(stack, tmp_path / "state.json", let_all_be_done, source, "--rate", rate)
    account_for(stack, "queue", 0, began)
    take_away(stack, "queue/")


def test_directly_no_record_is_lost_though_it_was_interrupted_and_killed(stack: Stack, tmp_path: Path) -> None:
    put(stack, {key("direct/AWSLogs/", number): trail.file(number) for number in range(FILES)})
    began = time.monotonic()
    arguments = f"s3://{BUCKET}/direct/", "--via", "direct", "--concurrency", str(CONCURRENCY)
    if FILES < 2000:
        # Long enough to be interrupted, and in the middle of uploads.
        stack.standin.fault(kind="slow", ms=200)
    state = tmp_path / "state.json"
    told = interrupted_and_killed(stack, state, lambda: let_leases_run_out(stack), *arguments)
    assert told["rows"] + told["duplicates"] == told["files"] and not told["dead_letters"]
    # Rows that were taken when it was killed, before the ledger knew.
    account_for(stack, "direct", CONCURRENCY, began)
    take_away(stack, "direct/")


@pytest.mark.parametrize("via", ["queue", "direct"])
def test_what_was_delivered_as_it_came_is_not_delivered_again(stack: Stack, via: str) -> None:
    names = [key(f"Audit Zürich+2026/{via}/AWSLogs/", number) for number in range(5)]
    for number, name in enumerate(names[:3]):
        stack.put_object(name, trail.file(number))
    wait_for("three land", SECONDS, lambda: landed(stack).total() == 3)
    wait_for("the work queue is empty", SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    put(stack, {name: trail.file(number + 3) for number, name in enumerate(names[3:])})
    source = f"s3://{BUCKET}/Audit Zürich+2026/{via}"
    told = report(run(stack, source, "--via", via, "--yes", "--output", "json"))["report"]
    assert told["files"] == 5
    assert via == "queue" or told["duplicates"] == 3
    wait_for("all land", SECONDS, lambda: len(landed(stack)) == 5)
    wait_for("the work queue is empty", SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    assert landed(stack).total() == 5


def test_directly_a_role_that_is_missing_ends_the_run_and_no_file_becomes_a_letter(stack: Stack, tmp_path: Path) -> None:
    put(stack, {key("refused/AWSLogs/", number): trail.file(number) for number in range(20)})
    arguments = [f"s3://{BUCKET}/refused", "--via", "direct", "--yes", "--state", str(tmp_path / "state.json")]
    stack.standin.fault(kind="status", status=403)
    ended = run(stack, *arguments)
    assert ended.returncode == 1 and "Monitoring Metrics Publisher" in ended.stdout, ended.stdout
    assert stack.depth("DeadLetterQueueUrl") == 0
    stack.standin.clear_faults()
    told = report(run(stack, *arguments, "--output", "json"))["report"]
    assert told["ended"] == "finished" and told["files_in_all"] == 20
    assert landed(stack) == Counter(range(20))


def test_directly_a_damaged_file_is_a_letter_and_the_rest_goes_on(stack: Stack) -> None:
    files = {key("damaged/AWSLogs/", number): trail.file(number) for number in range(5)}
    files[key("damaged/AWSLogs/", 2)] = trail.file(2)[:-12]
    put(stack, files)
    told = report(run(stack, f"s3://{BUCKET}/damaged", "--via", "direct", "--yes", "--output", "json"))["report"]
    assert (told["files"], told["dead_letters"]) == (5, 1)
    (letter,) = stack.dead_letters()
    assert letter["reason"] == "Corrupt" and letter["task"]["object"]["key"] == key("damaged/AWSLogs/", 2)


def at_a_terminal(stack: Stack, answer: str, *arguments: str) -> tuple[int, str]:
    """Answer the question at a terminal; the exit code, and all that was shown."""
    return on_a_terminal(command(*arguments), environment(stack), answer)


def test_at_a_terminal_it_shows_the_plan_and_asks(stack: Stack) -> None:
    put(stack, {key("asked/AWSLogs/", number): trail.file(number) for number in range(20)})
    arguments = f"s3://{BUCKET}/asked", "--rate", "10"
    status, shown = at_a_terminal(stack, "n\n", *arguments)
    assert status == 1 and "Forward them? [y/N]" in shown and "Nothing was done." in shown
    assert not landed(stack)
    status, shown = at_a_terminal(stack, "y\n", *arguments)
    assert status == 0 and "Sent the tasks of 20 files" in shown
    assert "[############............] 10 of 20 files (50 %)" in shown
    wait_for("all land", SECONDS, lambda: len(landed(stack)) == 20)


def test_a_second_interruption_ends_it_at_once_and_the_next_run_goes_on(stack: Stack) -> None:
    put(stack, {key("twice/AWSLogs/", number): trail.file(number) for number in range(3)})
    stack.standin.fault(kind="hang")
    arguments = f"s3://{BUCKET}/twice", "--via", "direct", "--yes"
    running = begin(stack, *arguments)
    ledger, table = stack.client("dynamodb"), stack.outputs["LedgerTable"]
    wait_for("all are under way", SECONDS, lambda: ledger.scan(TableName=table)["Count"] == 3)
    running.send_signal(signal.SIGINT)
    assert running.stderr is not None
    while "once more" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=10)
    assert running.returncode == 1 and "ended at once" in errors
    stack.standin.clear_faults()
    let_leases_run_out(stack)
    assert report(run(stack, *arguments, "--output", "json"))["report"]["rows"] == 3
    assert landed(stack) == Counter(range(3))


ODD = ["a b+c.json.gz", 'comma,"quote".json.gz', "Zürich/100%25.json.gz", "tab\tand\nline.json.gz", "x'y&z=?#.json.gz"]


def test_a_manifest_names_every_key_as_the_function_reads_it(stack: Stack, start: Start) -> None:
    put(stack, {f"odd/{name}": trail.file(number) for number, name in enumerate(ODD)})
    manifest = f"s3://{BUCKET}/jobs/it's a manifest.csv"
    arguments = [f"s3://{BUCKET}/odd/", "--raw", "--via", "batch", "--manifest", manifest, "--output", "json"]
    function = "arn:aws:lambda:us-east-1:111122223333:function:f"
    told = report(run(stack, *arguments, "--yes", "--function-arn", function))["report"]
    written = stack.client("s3").get_object(Bucket=BUCKET, Key="jobs/it's a manifest.csv")
    lines = list(csv.reader(written["Body"].read().decode().splitlines()))
    assert all(bucket == BUCKET for bucket, _ in lines)
    assert sorted(unquote(encoded) for _, encoded in lines) == sorted(f"odd/{name}" for name in ODD)
    assert told["files"] == len(ODD) and told["etag"] == written["ETag"].strip('"')
    words = shell_words(told["command"])
    assert words[:3] == ["aws", "s3control", "create-job"] and words[words.index("--account-id") + 1] == "111122223333"
    location = json.loads(words[words.index("--manifest") + 1])["Location"]
    assert location == {"ObjectArn": f"arn:aws:s3:::{BUCKET}/jobs/it's a manifest.csv", "ETag": told["etag"]}
    # The job hands the function what the manifest says.
    answer = start().invoke(job("1.0", *(encoded for _, encoded in lines)))
    assert [code for _, code, _ in results(answer, "1.0")] == ["Succeeded"] * len(ODD)
    assert landed(stack) == Counter(range(len(ODD)))


def shell_words(text: str) -> list[str]:
    shown = subprocess.run(["sh", "-c", f"printf '%s\\0' {text}"], capture_output=True, text=True, check=True)
    return shown.stdout.split("\0")[:-1]


def test_a_manifest_on_this_machine_is_whole_or_not_there(stack: Stack, tmp_path: Path) -> None:
    put(stack, {f"odd/{name}": trail.file(number) for number, name in enumerate(ODD)})
    path = tmp_path / "manifest.csv"
    arguments = [f"s3://{BUCKET}/odd/", "--raw", "--via", "batch", "--yes", "--manifest", str(path)]
    ended = run(stack, *arguments)
    assert ended.returncode == 0 and "put-object" in ended.stdout and "create-job" in ended.stdout
    assert len(path.read_text().splitlines()) == len(ODD)
    assert list(tmp_path.iterdir()) == [path]


def test_files_in_glacier_are_left_out_and_told(stack: Stack) -> None:
    put(stack, {key("cold/AWSLogs/", number): trail.file(number) for number in range(2)})
    stack.client("s3").put_object(
        Bucket=BUCKET, Key=key("cold/AWSLogs/", 2), Body=trail.file(2), StorageClass="DEEP_ARCHIVE"
    )
    plan = report(run(stack, f"s3://{BUCKET}/cold", "--plan", "--output", "json"))["plan"]
    assert (plan["files"], plan["left_out"]["archived"]) == (2, 1)
    assert any("restore" in note for note in plan["notes"])


def test_what_is_wrong_is_told_with_what_to_do(stack: Stack, tmp_path: Path) -> None:
    put(stack, {key("wrong/AWSLogs/"): trail.file(1)})
    source = f"s3://{BUCKET}/wrong"
    foreign = tmp_path / "foreign.json"
    foreign.write_text("{}")
    keyless = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_EC2_METADATA_DISABLED": "true"}
    for arguments, changes, status, advice in (
        ([source], {}, 2, "--yes"),
        ([source, "--yes"], {"WORK_QUEUE_URL": None}, 2, "--work-queue-url"),
        ([source, "--yes", "--via", "batch"], {}, 2, "--manifest"),
        ([source, "--yes", "--via", "direct"], {"DEAD_LETTER_QUEUE_URL": None}, 2, "DEAD_LETTER_QUEUE_URL"),
        ([source, "--yes", "--via", "direct"], {"SENTINEL_DCR_ID": None}, 2, "SENTINEL_DCR_ID"),
        ([source, "--yes", "--via", "direct"], {"ALLOWED_BUCKETS": "another"}, 2, "ALLOWED_BUCKETS"),
        ([source, "--plan", "--from", "2026-02-01", "--until", "2026-02-01"], {}, 2, "not after --from"),
        ([source, "--plan", "--service", "vpcflowlogs"], {}, 2, "GuardDuty"),
        ([source, "--plan", "--accounts", "1234"], {}, 2, "12 digits"),
        ([source, "--raw", "--regions", "us-east-1", "--plan"], {}, 2, "cannot be used with"),
        (["bucket/prefix", "--plan"], {}, 2, "s3://"),
        ([f"s3://{BUCKET}/nowhere", "--plan"], {}, 1, "--raw"),
        ([f"s3://{BUCKET}-is-not-there", "--plan"], {}, 1, "there is no bucket"),
        ([source, "--plan"], keyless, 1, "export-credentials"),
        ([source, "--plan"], {"AWS_REGION": None}, 1, "set AWS_REGION"),
        ([source, "--plan", "--state", str(foreign)], {}, 1, "another file to --state"),
        ([source, "--yes", "--work-queue-url", f"{stack.endpoint}/000000000000/nowhere"], {}, 1, "there is no queue"),
    ):
        ended = run(stack, *arguments, **changes)
        assert ended.returncode == status and advice in ended.stdout + ended.stderr, (arguments, ended)
    assert stack.depth("WorkQueueUrl") == 0


def test_what_s3_denies_is_told_with_the_permission(stack: Stack) -> None:
    with Storage() as storage:
        storage.refuse_listings(403, "AccessDenied", "Access Denied")
        ended = run(stack, "s3://b/p", "--plan", AWS_ENDPOINT_URL_S3=storage.url)
        assert ended.returncode == 1 and "needs s3:ListBucket on arn:aws:s3:::b" in ended.stderr, ended
        storage.refuse_listings(301, "PermanentRedirect", "Use the other endpoint", {"x-amz-bucket-region": "eu-west-1"})
        ended = run(stack, "s3://b/p", "--plan", AWS_ENDPOINT_URL_S3=storage.url)
        assert ended.returncode == 1 and "set AWS_REGION to eu-west-1" in ended.stderr, ended
