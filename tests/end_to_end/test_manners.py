"""The manners of the command line, the same for every command."""

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
        assert (done.returncode, done.stdout) == (2, ""), command
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
    for arguments in (["man"], ["completions", "bash"], ["forward", str(SAMPLE)], ["dev", "--port", "0"]):
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
