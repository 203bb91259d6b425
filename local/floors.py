"""`make floors`: imports between the rooms of src/ go down only, and the pure rooms stay pure."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

FLOORS = {
    "credential": 0,
    "deadline": 0,
    "delivery": 0,
    "failure": 0,
    "json": 0,
    "record": 0,
    "report": 0,
    "task": 0,
    "config": 1,
    "trigger": 1,
    "decode": 1,
    "digest": 1,
    "table": 1,
    "rules": 1,
    "batch": 1,
    # Both adapters stand on it.
    "http_client": 1.5,
    "aws": 2,
    "sentinel": 2,
    "forward": 3,
    "notary": 3,
    "watch": 3,
    "handler": 4,
    "wiring": 4,
    "backfill": 5,
    "main": 5,
    "azure_template": 5,
    "dlq": 5,
    "doctor": 5,
    "standin": 5,
    "verify": 5,
    "sentinelctl": 6,
}
LAST_PURE_FLOOR = 1
ADAPTERS_FLOOR = 2

IMPURE = {
    "tokio": r"\btokio::",
    "an AWS SDK": r"\baws_(?:config|sdk_\w+|smithy_\w+)::",
    "reqwest": r"\breqwest::",
    "hyper": r"\bhyper(?:_util)?::",
    "the environment": r"\b(?:std::)?env::vars?(?:_os)?\b",
    "the clock": r"\b(?:SystemTime|Instant|Timestamp|Zoned)::now\b",
}
ONLY_CONFIG = "the environment"

_OWN_PATH = re.compile(r"\b(?:crate|sentinel_forwarder)::(\{|\w+)")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)
_TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:mod\s+\w+\s*\{.*\Z|mod\s+\w+\s*;)", re.DOTALL)


def room_of(file: Path, source: Path) -> str | None:
    """Name the room that a file stands in; none for the map, lib.rs."""
    parts = file.relative_to(source).with_suffix("").parts
    if parts == ("lib",):
        return None
    return parts[1] if parts[0] == "bin" else parts[0]


def imports(code: str) -> Iterator[str]:
    """Name the rooms that a file's paths lead to, those of grouped imports too."""
    for path in _OWN_PATH.finditer(code):
        if path[1] != "{":
            yield path[1]
            continue
        depth, name = 1, ""
        for character in code[path.end() :]:
            depth += (character == "{") - (character == "}")
            if depth == 0 or (depth == 1 and character == ","):
                yield from re.findall(r"^\s*(\w+)", name)
                name = ""
                if depth == 0:
                    break
            else:
                name += character


def faults(file: Path, source: Path) -> Iterator[str]:
    """Say what is wrong with a file's imports; its tests may use what they like."""
    room = room_of(file, source)
    if room is None or file.stem == "tests":
        return
    if room not in FLOORS:
        yield f"the room `{room}` stands on no floor: add it to local/floors.py"
        return
    floor = FLOORS[room]
    code = _TESTS.sub("", _STRING.sub('""', _COMMENT.sub("", file.read_text(encoding="utf-8"))))
    for other in sorted(set(imports(code)) & FLOORS.keys() - {room}):
        if FLOORS[other] > floor:
            yield f"`{room}` (floor {floor}) imports `{other}` (floor {FLOORS[other]}), which is above it"
        elif FLOORS[other] == floor == ADAPTERS_FLOOR:
            yield f"`{room}` imports `{other}`: adapters never import each other"
    if floor <= LAST_PURE_FLOOR:
        for what, pattern in IMPURE.items():
            if re.search(pattern, code) and not (room == "config" and what == ONLY_CONFIG):
                yield f"`{room}` is pure and uses {what}"


def main(source: Path) -> int:
    """Check every file and print what is wrong."""
    found = [f"{file}: {fault}" for file in sorted(source.rglob("*.rs")) for fault in faults(file, source)]
    print("\n".join(found) or "Imports go down only.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
