"""One version everywhere, and what a release leaves in its files."""

import time
import tomllib
import zipfile
from pathlib import Path

import cloudformation
import yaml

from local import release
from local.stack import ROOT

PACKAGE = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]


def test_the_template_has_the_version_and_licence_of_the_package() -> None:
    application = cloudformation.template(ROOT / "template.yaml")["Metadata"]["AWS::ServerlessRepo::Application"]
    assert application["SemanticVersion"] == PACKAGE["version"]
    assert application["SpdxLicenseId"] == PACKAGE["license"]
    assert all((ROOT / application[file]).is_file() for file in ("LicenseUrl", "ReadmeUrl"))


def test_the_notes_for_upgrading_know_the_version() -> None:
    assert f"### {PACKAGE['version']}\n" in (ROOT / "UPGRADING.md").read_text()


def test_the_workflow_runs_what_ci_runs_with_the_package_s_rust() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert {step.get("run") for step in steps} >= {".ci/run", "make advisories"}
    assert workflow["env"]["RUST_VERSION"] == PACKAGE["rust-version"]
    # A tag can be moved; a commit can't.
    assert all(len(step["uses"].split("@")[1]) == 40 for step in steps if "uses" in step)


def test_a_package_is_the_same_whenever_and_wherever_it_is_written(tmp_path: Path) -> None:
    packages = []
    for place in ("here", "there"):
        program = tmp_path / place / "bootstrap"
        program.parent.mkdir()
        program.write_bytes(b"\x7fELF")
        program.touch()
        package = tmp_path / f"{place}.zip"
        release.pack(program, package, 1_700_000_000)
        packages.append(package)
        time.sleep(0.01)
    assert packages[0].read_bytes() == packages[1].read_bytes()
    (entry,) = zipfile.ZipFile(packages[0]).infolist()
    assert (entry.filename, entry.external_attr >> 16, entry.date_time[:3]) == ("bootstrap", 0o100755, (2023, 11, 14))
