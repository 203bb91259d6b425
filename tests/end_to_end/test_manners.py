"""The manners of the command line, the same for every command."""

import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import ROOT, Binaries

PATH = {"PATH": os.environ["PATH"]}
SHELLS = {"bash": ["-n"], "zsh": ["-n"], "fish": ["--no-execute"]}
SAMPLE = next((ROOT / "events" / "objects").rglob("*_CloudTrail_us-east-1_*.json"))


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that says nothing."""
    program = str(Binaries.built().sentinelctl)
    return subprocess.run(
        [program, *arguments], env=PATH | variables, capture_output=True, text=True, timeout=60, check=False
    )


def commands(*before: str) -> Iterator[tuple[str, ...]]:
    """Name every command, those below others too."""
    listed = re.search(r"^Commands:\n((?:  .*\n)+)", run(*before, "--help").stdout, re.MULTILINE)
    names = re.findall(r"^  (\S+)", listed[1], re.MULTILINE) if listed else []
    for name in names:
        if name != "help":
            yield (*before, name)
            yield from commands(*before, name)


def test_every_command_helps_with_examples_that_name_it() -> None:
    found = list(commands())
    assert ("dlq", "replay") in found and len(found) > 8
    for command in found:
        told = run(*command, "--help")
        assert (told.returncode, told.stderr) == (0, "")
        assert "Example" in told.stdout, command
        assert f"  sentinelctl {' '.join(command)}" in told.stdout, command


def test_a_wrong_option_is_wrong_usage_and_told_on_standard_error() -> None:
    for command in commands():
        done = run(*command, "--no-such-option")
        # With these two, 2 says that something could not be checked.
        status = 64 if command[0] in ("verify", "report") else 2
        assert (done.returncode, done.stdout) == (status, ""), command
        assert "--no-such-option" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_completions_know_every_command(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(run("completions", shell).stdout)
    for command in commands():
        assert command[-1] in script.read_text(), command
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its script was not parsed")
    subprocess.run([shell, *SHELLS[shell], str(script)], check=True, timeout=60)


def test_the_manual_has_a_page_for_every_command(tmp_path: Path) -> None:
    folder = tmp_path / "man" / "man1"
    assert run("man", "--output-dir", str(folder)).returncode == 0
    pages = {page.name for page in folder.iterdir()}
    assert pages == {"sentinelctl.1"} | {f"sentinelctl-{'-'.join(command)}.1" for command in commands()}
    for page in folder.iterdir():
        assert ".SH SYNOPSIS" in page.read_text()
        # So that the page is the same on every machine.
        assert str(Path.home()) not in page.read_text()
    assert run("man").stdout == (folder / "sentinelctl.1").read_text()
    refused = run("man", "--output-dir", str(SAMPLE))
    assert refused.returncode == 1 and str(SAMPLE) in refused.stderr


def test_a_pipe_that_nobody_reads_is_no_failure() -> None:
    for arguments in (["man"], ["completions", "bash"], ["convert", str(SAMPLE)], ["dev", "--port", "0"]):
        with subprocess.Popen(
            [str(Binaries.built().sentinelctl), *arguments],
            env=PATH,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as running:
            assert running.stdout and running.stderr
            running.stdout.close()
            assert running.wait(60) == 0, arguments
            assert "Broken pipe" not in running.stderr.read()


@pytest.mark.parametrize("command", ["convert", "forward"])
def test_a_result_replaces_its_file_only_when_it_is_whole(command: str, tmp_path: Path) -> None:
    rows, missing = tmp_path / "rows.jsonl", tmp_path / "missing.json"
    rows.write_text("precious")
    for arguments in ([str(missing)], [str(SAMPLE), str(missing)], [str(SAMPLE), str(tmp_path)]):
        done = run(command, *arguments, "-o", str(rows))
        assert (done.returncode, rows.read_text()) == (1, "precious"), done
        assert arguments[-1] in done.stderr
    # Not even the one that is read is lost, and nothing is left beside it.
    rows.write_text(SAMPLE.read_text())
    assert run(command, str(rows), "--output", str(rows)).returncode == 0
    assert rows.read_text() == run(command, str(SAMPLE)).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_errors_of_files_name_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    for arguments in (
        ["convert", str(SAMPLE), "-o", str(folder / "rows.jsonl")],
        ["azure-template", "--output-dir", str(SAMPLE)],
        ["dev", "--port", "0", "--ready-file", str(folder / "ready")],
    ):
        done = run(*arguments)
        assert done.returncode == 1 and arguments[-1] in done.stderr, done


def test_a_dash_is_standard_input_and_standard_output(tmp_path: Path) -> None:
    program = str(Binaries.built().sentinelctl)
    for content in (SAMPLE.read_bytes(), gzip.compress(SAMPLE.read_bytes())):
        done = subprocess.run(
            [program, "convert", "-", "-o", "-"], input=content, env=PATH, cwd=tmp_path, capture_output=True, check=True
        )
        assert done.stdout.decode() == run("convert", str(SAMPLE)).stdout
    assert not list(tmp_path.iterdir())


def test_the_version_names_the_commit() -> None:
    assert re.fullmatch(r"sentinelctl \d+\.\d+\.\d+ \(commit ([0-9a-f]{7,40}(-dirty)?|unknown)\)\n", run("--version").stdout)


def test_quiet_leaves_the_result_alone_and_color_colours_a_pipe() -> None:
    loud, quiet = run("convert", str(SAMPLE)), run("--quiet", "convert", str(SAMPLE))
    assert (quiet.stdout, quiet.stderr, quiet.returncode) == (loud.stdout, "", 0)
    assert "rows" in loud.stderr
    failing = run("convert", "-q", "/nonexistent")
    assert failing.returncode == 1 and "/nonexistent" in failing.stderr
    for color, coloured in [("always", True), ("never", False), ("auto", False)]:
        assert ("\x1b[" in run("doctor", "--color", color).stdout) == coloured


def test_verbose_tells_of_each_call_and_of_no_secret() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAMADEUP", "AWS_SECRET_ACCESS_KEY": "made-up", "AWS_REGION": "us-east-1"}
    url = "http://127.0.0.1:1/000000000000/letters"
    done = run("dlq", "list", "--queue-url", url, "-v", AWS_ENDPOINT_URL="http://127.0.0.1:1", **keys)
    assert done.returncode == 1 and "AmazonSQS.GetQueueAttributes" in done.stderr, done
    assert "AKIAMADEUP" not in done.stderr and "made-up" not in done.stderr
    silent = run("dlq", "list", "--queue-url", url, AWS_ENDPOINT_URL="http://127.0.0.1:1", **keys)
    assert len(silent.stderr.splitlines()) == 1


def test_the_profile_that_is_named_counts_whatever_the_environment_says(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile there]\nregion = eu-west-1\n[profile bare]\n")
    (tmp_path / "credentials").write_text("[there]\naws_access_key_id = AKIA\naws_secret_access_key = s\n")
    files = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    keys = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "e", "AWS_EC2_METADATA_DISABLED": "true"}
    command = ["dlq", "list", "--queue-url", "http://127.0.0.1:1/0/q", "--profile"]
    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    there = run(*command, "there", **files, **keys, **endpoint)
    assert there.returncode == 1 and "can't be reached" in there.stderr, there
    for profile in ("bare", "no-such-profile"):
        done = run(*command, profile, "--region", "us-east-1", **files, **keys, **endpoint)
        assert done.returncode == 1 and "no AWS credentials" in done.stderr, done
