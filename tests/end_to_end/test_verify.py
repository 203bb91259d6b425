"""`sentinelctl verify` and `report` against the stack: what is wrong is named, nothing else is, and nothing is changed."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from conftest import stack_environment
from local.deployment import BUCKET
from local.digests import Chain, PublicKeys, Signer
from local.stack import Binaries, Stack
from terminal import on_a_terminal
from test_backfill import take_away
from test_digest import World, module_hidings, signer, world  # noqa: F401

PREFIX = "AWSLogs/verified/"
HOURS = 6
START = datetime(2026, 3, 10, 9, 1, 31, tzinfo=timezone.utc)
TIME = ("--from", "2026-03-10T09:00:00Z", "--to", "2026-03-10T15:00:00Z")
GOOD, BAD = "111122223333", "444455556666"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Auditor:
    """Whoever asks, and a trail of two accounts whose digests nobody has checked."""

    def __init__(self, world: World, keys: PublicKeys) -> None:
        self.world = world
        self.keys = keys
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "AWS_ENDPOINT_URL_CLOUDTRAIL": keys.url,
            **stack_environment(world.stack),
        }
        self.storage = world.stack.client("s3")

    def chain(self, account: str, signer: Signer | None = None, trail: str = "main") -> Chain:
        """Begin a chain."""
        return Chain(
            signer or self.world.chain.signer, BUCKET, START, account, "us-east-1", trail, prefix=f"{PREFIX}AWSLogs/"
        )

    def grow(self, account: str) -> tuple[Chain, list[dict[str, bytes]]]:
        """Make a chain with a file in each hour; all files arrive, and no digest is announced."""
        self.world.chain = chain = self.chain(account)
        files = [self.world.files(hour, "a") for hour in range(HOURS)]
        self.world.put({key: content for each in files for key, content in each.items()})
        for each in files:
            chain.grow(each)
        with self.world.stack.quiet_bucket():
            for digest in chain.digests:
                self.world.put_digest(digest)
        return chain, files

    def run(self, command: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run a command over all of it."""
        return subprocess.run(
            self.command(command, *arguments),
            env=self.environment | changes,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def command(self, command: str, *arguments: str) -> list[str]:
        """Write a command."""
        return [str(Binaries.built().sentinelctl), command, f"s3://{BUCKET}/{PREFIX}", *TIME, *arguments]

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Return how it ended and what it told."""
        ran = self.run("verify", "--output", "json", *arguments)
        assert ran.stderr == "" and ran.stdout, ran.stderr
        return ran.returncode, dict(json.loads(ran.stdout))

    def items(self) -> list[dict[str, Any]]:
        """Return all that the ledger holds."""
        table = self.world.stack.outputs["LedgerTable"]
        found = self.world.stack.client("dynamodb").scan(TableName=table, ConsistentRead=True)["Items"]
        return sorted(found, key=lambda item: str(item["pk"]))


def named(told: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name what is wrong, with account and hour."""
    return [(each["account"], each["hour"][11:13], each["name"]) for each in told["exceptions"]]


@pytest.fixture
def auditor(world: World, signer: Signer) -> Iterator[Auditor]:  # noqa: F811
    """Whoever asks."""
    with PublicKeys(signer) as keys:
        yield Auditor(world, keys)
    with world.stack.quiet_bucket():
        take_away(world.stack, PREFIX)


def spoil(auditor: Auditor) -> list[tuple[str, str, str]]:
    """Let something go wrong in most hours of an account; what must be named."""
    world = auditor.world
    chain = world.chain = auditor.chain(BAD)
    withheld, altered, gone, good = (world.files(hour, "a") for hour in range(4))
    world.put(good)
    world.put({key: content.replace(b"GetObject", b"PutObject") for key, content in altered.items()})
    world.put_quietly(withheld)
    for files in (withheld, altered, gone, good, {}, {}, {}):
        chain.grow(files)
    # Between the third and the fifth; and a forged one with a good-looking name goes on behind a genuine one.
    removed, last = chain.digests[3], chain.digests[4]
    evil = auditor.chain(BAD, Signer(), "main2").digest(
        2, {}, chain.digests[1], digestPublicKeyFingerprint=chain.signer.fingerprint
    )
    with world.stack.quiet_bucket():
        for digest in [*chain.digests[:3], last, evil]:
            world.put_digest(digest)
    world.put_quietly(dict([world.file(0, "never-announced")]))
    assert removed.key < last.key
    return [
        (BAD, "09", "Missing"),
        (BAD, "10", "Altered"),
        (BAD, "11", "BadSignature"),
        (BAD, "11", "Gone"),
        (BAD, "12", "Gap"),
        (BAD, "14", "Ended"),
    ]


def test_all_that_is_wrong_is_named_and_nothing_is_changed(auditor: Auditor) -> None:
    auditor.grow(GOOD)
    code, told = auditor.json()
    assert (code, told["answer"], told["states"]) == (0, "proven", {"complete": HOURS})
    assert (told["totals"]["files_delivered"], told["totals"]["rows"]) == (HOURS, 3 * HOURS)
    assert len(told["digests"]) == HOURS and all(digest["is_genuine"] for digest in told["digests"])

    expected = spoil(auditor)
    before = auditor.items()
    code, told = auditor.json()
    assert (code, told["answer"], named(told)) == (1, "wrong", expected)
    assert told["totals"]["unlisted_under_way"] == 1, "it may still be on its way"
    states = {hour["hour"][11:13]: hour["state"] for hour in told["hours"] if hour["account"] == BAD}
    assert states == {
        "09": "incomplete",
        "10": "altered",
        "11": "unverified",
        "12": "unsealed",
        "13": "complete",
        "14": "unsealed",
    }
    assert auditor.items() == before
    assert auditor.world.stack.depth("WorkQueueUrl") == 0
    # Of the good account alone nothing is wrong.
    assert auditor.json("--accounts", GOOD)[0] == 0

    text = auditor.run("verify")
    assert text.returncode == 1
    for account, hour, name in expected:
        assert re.search(rf"^2026-03-10T{hour} {account} us-east-1 {name}: ", text.stdout, re.MULTILINE), name
    code, shown = on_a_terminal(auditor.command("verify"), auditor.environment)
    assert code == 1 and "things are not as they should be." in shown


def test_a_source_without_digests_is_compared_with_the_ledger(auditor: Auditor) -> None:
    world = auditor.world
    world.chain = auditor.chain(GOOD)
    world.put(world.files(0, "a", "b"))
    code, told = auditor.json()
    assert (code, told["answer"], named(told), told["states"]) == (2, "unknown", [], {"unvouched": HOURS})
    code, told = auditor.json("--allow-unvouched")
    assert (code, told["answer"], named(told), told["states"]) == (0, "proven", [], {"unvouched": HOURS})
    assert (told["totals"]["unlisted"], told["totals"]["unlisted_delivered"], told["totals"]["rows"]) == (2, 2, 6)
    assert "no digest vouches for them" in auditor.run("verify", "--allow-unvouched").stdout


def test_what_can_not_be_checked_is_not_proven(auditor: Auditor) -> None:
    auditor.grow(GOOD)
    denied = auditor.run("verify", "--output", "json", LEDGER_TABLE="no-such-table")
    told = json.loads(denied.stdout)
    assert (denied.returncode, told["answer"], told["states"]) == (2, "unknown", {"unchecked": HOURS})
    (error,) = told["errors"]
    assert "no-such-table" in error["message"] and "there is no such table" in error["message"]
    assert "Nothing could be checked" in auditor.run("verify", LEDGER_TABLE="no-such-table").stdout
    for arguments, name in ((["--accounts", "999988887777"], "999988887777"), (["--regions", "nonsense"], "nonsense")):
        code, told = auditor.json(*arguments)
        (exception,) = told["exceptions"]
        assert (code, told["answer"], exception["name"]) == (1, "wrong", "NotFound")
        assert name in (exception["account"], exception["region"])


def test_wrong_usage_is_no_word_about_the_logs(auditor: Auditor) -> None:
    ran = auditor.run("verify", "--from", "2027-01-01", "--until", "2026-01-01")
    assert (ran.returncode, ran.stdout) == (64, "") and "cannot be used multiple times" in ran.stderr
    ran = auditor.run("verify", LEDGER_TABLE="")
    assert ran.returncode == 64 and "--ledger-table" in ran.stderr


def test_a_file_that_was_removed_is_known_by_the_ledger(auditor: Auditor) -> None:
    _, files = auditor.grow(GOOD)
    key = next(iter(files[2]))
    with auditor.world.stack.quiet_bucket():
        auditor.storage.delete_object(Bucket=BUCKET, Key=key)
    code, told = auditor.json()
    # The emulator keeps no versions: only the ledger knows that it was delivered.
    assert (code, told["answer"], named(told)) == (1, "wrong", [(GOOD, "11", "Removed")])


def test_the_page_tells_the_same(auditor: Auditor, tmp_path: Path) -> None:
    chain, _ = auditor.grow(GOOD)
    expected = spoil(auditor)
    file = tmp_path / "report.html"
    ran = auditor.run("report", "--out", str(file))
    assert (ran.returncode, ran.stdout) == (1, "") and str(file) in ran.stderr
    page = file.read_text(encoding="utf-8")
    assert page.count('<tr id="e') == len(expected)
    assert page.count(' title="2026-03-10 ') == 2 * HOURS
    for digest in chain.digests:
        assert digest.key in page
    assert chain.signer.fingerprint in page and "SentinelForwarderCompleteness_CL" in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page), "nothing is fetched"
    outputs = auditor.world.stack.outputs
    for named in (outputs["LedgerTable"], "arn:aws:", "all there are"):
        assert named in page, "ledger, identity and filters"
    calls = auditor.keys.calls
    unwritable = auditor.run("report", "--out", str(tmp_path))
    assert unwritable.returncode == 64 and str(tmp_path) in unwritable.stderr
    assert auditor.keys.calls == calls, "it shows before the work"


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to show the page with")
def test_a_browser_shows_the_page_in_light_and_dark(auditor: Auditor, tmp_path: Path) -> None:
    auditor.grow(GOOD)
    spoil(auditor)
    file = tmp_path / "report.html"
    auditor.run("report", "--out", str(file))

    def browse(*options: str) -> str:
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        always = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", profile, "--window-size=1300,1600"]
        command = [str(CHROMIUM), *always, *options, file.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert "Content Security Policy" not in done.stderr
        return done.stdout

    shown = browse("--dump-dom", "--enable-logging=stderr")
    # A way into each map, into each list that may be wider than the window, and into the query.
    assert len(re.findall(r'tabindex="0"', shown)) == 6
    pictures = {}
    for name, options in {"light": [], "dark": ["--blink-settings=preferredColorScheme=0"]}.items():
        picture = tmp_path / f"{name}.png"
        browse(f"--screenshot={picture}", *options)
        pictures[name] = picture.read_bytes()
    assert pictures["light"] != pictures["dark"]
    paper = tmp_path / "page.pdf"
    browse(f"--print-to-pdf={paper}")
    assert paper.read_bytes().startswith(b"%PDF")
