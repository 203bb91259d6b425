"""The sample logs under events/objects/ as the objects that AWS would have put into the bucket.

In the repository they are readable text (`….json`, `….jsonl`); in the bucket they are gzip under the same path with
`.gz`. The bytes depend on the text alone (and on zlib). Their times are of March 2026: a service that looks at the age of
records needs them moved, which changes every time by the same span, wherever it stands, and keeps its form.

Key layout: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html>.

`python local/objects.py FOLDER [--now]` writes the objects into a folder.
"""

from __future__ import annotations

import argparse
import gzip
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent / "events" / "objects"

TIME = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
"""A time in a document."""

EVENT_TIME = re.compile(r'"(?:eventTime|updatedAt)"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)')
"""The times that become TimeGenerated."""

KEY_STAMP = re.compile(r"(?<=_)\d{8}T\d{4}Z(?=_)")
"""When the file was delivered, in its name."""

KEY_DAY = re.compile(r"(?<=/)\d{4}/\d\d/\d\d(?=/)")
"""The day, as folders."""


def objects(root: Path = ROOT, shift_to: datetime | None = None) -> Iterator[tuple[str, bytes]]:
    """Each object's key and bytes, in the order of the keys; with `shift_to`, that is when the newest record happened."""
    sources = sorted((unicodedata.normalize("NFC", path.relative_to(root).as_posix()), path) for path in _files(root))
    span = shift(root, shift_to) if shift_to else timedelta()
    for path, file in sources:
        text = file.read_text(encoding="utf-8")
        yield shifted_key(path, text, span) + ".gz", gzip.compress(shifted(text, span).encode(), mtime=0)


def shift(root: Path, to: datetime) -> timedelta:
    """How far all times have to move for the newest record to happen at that time, in whole seconds."""
    newest = max(_newest(file.read_text(encoding="utf-8")) for file in _files(root))
    return timedelta(seconds=round((to - newest).total_seconds()))


def shifted(text: str, span: timedelta) -> str:
    """The text with every time moved."""

    def move(match: re.Match[str]) -> str:
        moved = datetime.fromisoformat(match[1]) + span
        return f"{moved.isoformat(timespec='seconds')}{match[2] or ''}Z"

    return TIME.sub(move, text)


def shifted_key(path: str, text: str, span: timedelta) -> str:
    """The path with its stamp and its day moved; without a stamp the day is that of the newest record."""
    stamp = KEY_STAMP.search(path)
    delivered = datetime.strptime(stamp[0], "%Y%m%dT%H%MZ") if stamp else _newest(text).replace(tzinfo=None)
    moved = delivered + span
    path = KEY_DAY.sub(moved.strftime("%Y/%m/%d"), path)
    return KEY_STAMP.sub(moved.strftime("%Y%m%dT%H%MZ"), path)


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.suffix in (".json", ".jsonl"))


def _newest(text: str) -> datetime:
    times = (datetime.fromisoformat(match[1]) for match in EVENT_TIME.finditer(text))
    return max(times).replace(tzinfo=timezone.utc)


def main() -> None:
    """Writes the objects into a folder."""
    parser = argparse.ArgumentParser(description="Write the sample objects as they would lie in the bucket.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--now", action="store_true", help="move all times so that the newest record is 3 minutes old")
    arguments = parser.parse_args()
    now = datetime.now(timezone.utc) - timedelta(minutes=3)
    for key, content in objects(shift_to=now if arguments.now else None):
        path = arguments.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(key)


if __name__ == "__main__":
    main()
