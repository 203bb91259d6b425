"""What the README lists is what there is."""

import os
import re
import subprocess
from pathlib import Path


def names_in_table(text: str, heading: str) -> list[str]:
    """Return the names in the first column of the table below a heading."""
    section = text.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    return [name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]


def test_every_parameter_of_the_template_has_its_row() -> None:
    template = Path("template.yaml").read_text(encoding="utf-8")
    parameters = template.split("\nParameters:\n", 1)[1].split("\nRules:\n", 1)[0]
    names = re.findall(r"^  (\w+):$", parameters, re.MULTILINE)
    assert sorted(names) == sorted(names_in_table(Path("README.md").read_text(encoding="utf-8"), "### Parameters"))


def test_every_setting_of_the_function_has_its_row() -> None:
    source = Path("src/config.rs").read_text(encoding="utf-8")
    names = set(re.findall(r'"((?:SENTINEL|AZURE)_[A-Z_]+)"', source))
    documented = names_in_table(Path("README.md").read_text(encoding="utf-8"), "## Configuration")
    assert names <= set(documented), names - set(documented)


def made(target: str, tools: Path, *variables: str, **environment: str) -> str:
    """Run a target with tools that only print what they were given."""
    for name in ("sam", "cfn-lint"):
        (tools / name).write_text('#!/bin/sh\necho "$0 in ${AWS_DEFAULT_REGION-no region}: $*"\n')
        (tools / name).chmod(0o755)
    own = {name: value for name, value in os.environ.items() if name not in ("AWS_REGION", "AWS_DEFAULT_REGION")}
    # Newer than the list of requirements: nothing is installed.
    stamp = tools / "stamp"
    stamp.touch()
    command = ["make", "--silent", target, f"DEPLOY={tools}", f"DEPLOY_STAMP={stamp}", *variables]
    return subprocess.run(command, env=own | environment, check=True, capture_output=True, text=True).stdout


def test_a_deployment_goes_to_the_region_of_the_profile(tmp_path: Path) -> None:
    """What the SDK finds in the profile is overridden by AWS_DEFAULT_REGION; AWS_REGION is not known to Python's SDK."""
    parameters = "PARAMETERS=BucketName=b"
    built, deployed = made("deploy", tmp_path, parameters).splitlines()
    assert "in no region: build" in built
    assert "in no region: deploy --parameter-overrides Architecture=arm64 BucketName=b" in " ".join(deployed.split())
    assert "in eu-west-3: deploy " in made("deploy", tmp_path, parameters, AWS_DEFAULT_REGION="eu-west-3")
    assert "--region eu-west-3 " in made("deploy", tmp_path, parameters, AWS_REGION="eu-west-3")
    # Only the linter needs some region.
    assert "in us-east-1: validate" in made("template", tmp_path)


def test_what_builds_a_release_is_known_by_its_hashes() -> None:
    listed = Path("local/requirements-deploy.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    packages = [line.split() for line in listed.splitlines() if not line.startswith("#")]
    assert {"aws-sam-cli", "cargo-lambda", "ziglang"} <= {package[0].split("==")[0] for package in packages}
    for name, *hashes in packages:
        assert re.fullmatch(r"[\w.-]+==[\w.]+", name), name
        assert hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name
    assert re.search(r"call venv,deploy,.*--require-hashes .*--no-deps", Path("Makefile").read_text(encoding="utf-8"))
