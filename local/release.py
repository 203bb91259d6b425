"""The files of a release: for each processor a zip of the function and its bill of materials; and checksums.

Two builds of one commit give the same bytes, wherever they lie: no path of the machine and no time of the day gets into them.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

from local.processes import Failure

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "target" / "release-files"
# Apart from other builds, whose flags are others.
BUILD = ROOT / "target" / "release-build"
TRIPLES = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
# A zip knows no time before 1980.
EARLIEST = 315_532_800


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def commit_time() -> int:
    """Return SOURCE_DATE_EPOCH, or else the time of the commit, in seconds since 1970."""
    given = os.environ.get("SOURCE_DATE_EPOCH") or _output("git", "log", "-1", "--format=%ct")
    return max(int(given), EARLIEST)


def build_environment(epoch: int) -> dict[str, str]:
    """Return this environment, with flags that keep the machine's paths out of the binary."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    prefixes = {str(ROOT): "/source"} | {str(path): "/crates" for path in sorted((home / "registry" / "src").glob("*"))}
    if any(" " in prefix for prefix in prefixes):
        raise Failure("build a release where no folder has a blank in its name; the compiler's flags are split at them")
    return os.environ | {
        "SOURCE_DATE_EPOCH": str(epoch),
        "CARGO_TARGET_DIR": str(BUILD),
        "CARGO_INCREMENTAL": "0",
        "RUSTFLAGS": " ".join(f"--remap-path-prefix={old}={new}" for old, new in prefixes.items()),
        "CFLAGS": " ".join(f"-ffile-prefix-map={old}={new}" for old, new in prefixes.items()),
    }


def build(cargo_lambda: Path, arch: str, environment: dict[str, str]) -> Path:
    """Build the function for a processor."""
    if not (Path(_output("rustc", "--print", "sysroot")) / "lib" / "rustlib" / TRIPLES[arch]).is_dir():
        others = " ".join(other for other in TRIPLES if other != arch)
        raise Failure(
            f"Rust's standard library for {arch} is not installed: rustup target add {TRIPLES[arch]}, "
            f"or make release RELEASE_ARCHES={others}"
        )
    folder = BUILD / "lambda" / arch
    arguments = ["--locked", "--release", "--no-default-features", "--bin", "sentinel-forwarder", "--lambda-dir", folder]
    target = "--arm64" if arch == "arm64" else "--x86-64"
    subprocess.run([cargo_lambda, "lambda", "build", *arguments, target], cwd=ROOT, env=environment, check=True)
    return folder / "sentinel-forwarder" / "bootstrap"


def pack(bootstrap: Path, package: Path, epoch: int) -> None:
    """Write a zip that depends on nothing but the program; not compressed, since libraries compress differently."""
    entry = zipfile.ZipInfo("bootstrap", time.gmtime(epoch)[:6])
    entry.create_system = 3
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, bootstrap.read_bytes())


def bill_of_materials(cargo_cyclonedx: Path, arch: str, file: Path, environment: dict[str, str]) -> None:
    """Write a CycloneDX document of all crates that the function of a processor is made of."""
    arguments = ["--format", "json", "--spec-version", "1.5", "--no-default-features", "--target", TRIPLES[arch]]
    made = ROOT / f"{file.stem}.json"
    try:
        subprocess.run(
            [cargo_cyclonedx, "cyclonedx", *arguments, "--override-filename", file.stem],
            cwd=ROOT,
            env=environment,
            check=True,
        )
        document = json.loads(made.read_text().replace(f"path+file://{ROOT}", "path+file:///source"))
    finally:
        made.unlink(missing_ok=True)
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def main(cargo_lambda: str, cargo_cyclonedx: str, *arches: str) -> None:
    """Write all files of a release anew."""
    if changed := _output("git", "status", "--porcelain"):
        print(f"This is no build of a commit; these have changed:\n{changed}", file=sys.stderr)
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    epoch = commit_time()
    environment = build_environment(epoch)
    bootstraps = {arch: build(Path(cargo_lambda).resolve(), arch, environment) for arch in arches}
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir(parents=True)
    for arch, bootstrap in bootstraps.items():
        name = f"sentinel-forwarder-{version}-{arch}"
        pack(bootstrap, FILES / f"{name}.zip", epoch)
        bill_of_materials(Path(cargo_cyclonedx).resolve(), arch, FILES / f"{name}.cdx.json", environment)
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(FILES.iterdir())]
    (FILES / "SHA256SUMS").write_text("".join(sums))
    print(f"{FILES.relative_to(ROOT)}:\n{''.join(sums)}", end="")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(str(failure))
