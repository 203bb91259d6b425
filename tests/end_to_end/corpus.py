"""The records and findings that stand in a folder of samples, each as the text that it is in its file.

The folder holds a table INDEX.tsv (path, kind, records, bytes, …); its kinds tell which files hold CloudTrail records
or GuardDuty findings. They stand there bare, in arrays, in `Records` documents, as JSON lines, in EventBridge's
`detail`, or somewhere inside another product's document. Nothing is ever written anew.

`python corpus.py FOLDER` says how many were found in each file.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verbatim import elements, is_array, is_object, members, parse, values

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "corpus"
"""Where the samples are looked for: beside the repository."""

CLOUDTRAIL, GUARDDUTY = "cloudtrail", "guardduty"


@dataclass(frozen=True)
class Sample:
    """One record or finding."""

    path: str
    kind: str
    text: str


@dataclass(frozen=True)
class Listed:
    """A line of INDEX.tsv."""

    path: str
    kind: str
    records: int


def listed(folder: Path = FOLDER) -> list[Listed]:
    """The files that hold CloudTrail records or GuardDuty findings."""
    lines = (folder / "INDEX.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    every = (Listed(path, kind, int(records)) for path, kind, records, *_ in cells)
    return [one for one in every if "cloudtrail" in one.kind.lower() or "guardduty" in one.kind.lower()]


def samples(folder: Path = FOLDER) -> Iterator[Sample]:
    """Every record and finding, file by file."""
    for file in listed(folder):
        for document in values(read(folder / file.path)):
            parse(document)
            for kind, text in find(document):
                yield Sample(file.path, kind, text)


def read(path: Path) -> str:
    """The text of a file, unzipped where its first bytes say so."""
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    return content.decode("utf-8-sig", "replace")


def find(text: str) -> Iterator[tuple[str, str]]:
    """The records and findings in a JSON value, at any depth, in their order."""
    if is_array(text):
        for element in elements(text):
            yield from find(element)
    elif is_object(text):
        inside = list(members(text))
        if kind := kind_of(dict(inside)):
            yield kind, text
            return
        for _, value in inside:
            yield from find(value)


def kind_of(inside: dict[str, str]) -> str | None:
    """What an object is, by the members that every such object has. Other AWS records say `aws:…` as their source."""
    if "eventVersion" in inside and not inside.get("eventSource", '""').startswith('"aws:'):
        if inside.keys() & {"eventSource", "eventName", "insightDetails"}:
            return CLOUDTRAIL
    for schema, updated, service in (("schemaVersion", "updatedAt", "service"), ("SchemaVersion", "UpdatedAt", "Service")):
        if {schema, updated, service} <= inside.keys():
            return GUARDDUTY
    return None


def main() -> None:
    """Says what was found in each file and where that differs from the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    found = Counter((sample.path, sample.kind) for sample in samples(folder))
    for file in listed(folder):
        counts = [found[file.path, CLOUDTRAIL], found[file.path, GUARDDUTY]]
        note = "" if sum(counts) == file.records else f"  (listed: {file.records})"
        print(f"{counts[0]:5} {counts[1]:5}  {file.kind[:40]:40}  {file.path}{note}")
    for kind in (CLOUDTRAIL, GUARDDUTY):
        print(f"{kind}: {sum(n for (_, k), n in found.items() if k == kind)}")


if __name__ == "__main__":
    main()
