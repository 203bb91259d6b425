"""`make fuzz`: fills each target's corpus from events/, for the fuzzer to begin with."""

import gzip
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
EVENTS = FUZZ.parent / "events"

# Headers as `arbitrary` reads them: the choice among n variants takes four bytes, of which zeros are the first.
ROW = bytes(1)
ROW_WITH_RUNS = b"\1"
FILE_HEADER_REST = bytes(4 + 8)
PACKINGS = 6
LONG_RUNS = struct.pack("<I", 1 << 31)


def compact(value: object) -> bytes:
    """Write JSON without blanks, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def files(content: bytes) -> Iterator[bytes]:
    """Wrap a content in the header of a file, once for each packing, and packed already."""
    for packing in range(PACKINGS):
        choice = (packing << 32) // PACKINGS + (packing > 0)
        yield struct.pack("<I", choice) + FILE_HEADER_REST + bytes(packing and 3) + content
    yield bytes(4) + FILE_HEADER_REST + gzip.compress(content, mtime=0)


def seeds() -> Iterator[tuple[str, bytes]]:
    """Name each seed's target."""
    for event in EVENTS.glob("*.json"):
        yield "trigger", event.read_bytes()
    documents = [json.loads(file.read_bytes())["Records"] for file in (EVENTS / "objects").rglob("*.json")]
    for records in documents:
        for record in records:
            yield "row", ROW + compact(record)
            yield "row", ROW + json.dumps(record).encode()
        small = {"note": [1, None], "Records": [{"a": "}{"}, 1, *records[-1:]]}
        for seed in files(compact(small)):
            yield "cloudtrail", seed
            yield "sniffing", seed
    for file in (EVENTS / "objects").rglob("*.jsonl"):
        lines = file.read_bytes().splitlines(keepends=True)
        for line in lines:
            yield "row", ROW + line.strip()
        for seed in files(b"[1]\n" + b"".join(lines[:2])):
            yield "lines", seed
        for seed in files(b"".join(lines[:1])):
            yield "sniffing", seed
    yield "row", ROW_WITH_RUNS + b'{"requestParameters":{"a":"\0x"},"userAgent":"\0x"}'
    yield "sniffing", bytes(4) + LONG_RUNS + bytes(8) + b'{"a":"\0x","Records":[{}]}'


def main() -> None:
    """Write each seed once, under the hash of its bytes, as the fuzzer names what it finds."""
    for target, seed in seeds():
        folder = FUZZ / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)


if __name__ == "__main__":
    main()
