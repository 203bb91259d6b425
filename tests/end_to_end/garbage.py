"""What a bucket may hold that is no sound CloudTrail file, made as small as it can be."""

import gzip
import json
import random
import zlib
from typing import Any

from local import trail

# A bomb's size once it is inflated.
BOMB_BYTES = 600_000_000
LEVELS = 200_000
_BLOCK_BYTES = 1_000_000


def record(number: int, **members: Any) -> bytes:
    """Return the text of a sound record, with further members."""
    return json.dumps(trail.record(number) | members).encode()


def raw(number: int, members: bytes) -> bytes:
    """Return the text of a record that ends with these members, sound or not."""
    return record(number)[:-1] + b"," + members + b"}"


def records(*texts: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a document with these records, and members before and after them."""
    return b"{" + before + b'"Records":[' + b",".join(texts) + b"]" + after + b"}"


def sound(*numbers: int) -> bytes:
    """Return a document with sound records."""
    return records(*map(record, numbers))


def pack(document: bytes) -> bytes:
    """Compress, as CloudTrail does."""
    return gzip.compress(document)


def dressed(document: bytes) -> bytes:
    """Compress, with all that the head of a gzip stream may hold: further fields, a name, a comment, a checksum."""
    packed = gzip.compress(document)
    head = packed[:3] + b"\x1f" + packed[4:10]
    head += (60_000).to_bytes(2, "little") + bytes(60_000) + b"name.json\0" + b"a comment\0"
    return head + (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little") + packed[10:]


def nested(inside: bytes = b"") -> bytes:
    """Return an array in an array in an array …"""
    return b"[" * LEVELS + inside + b"]" * LEVELS


def long(count: int) -> bytes:
    """Return a file of so many records that do not compress well, so that a part of it holds whole records."""
    noise = random.Random(count)
    return pack(records(*(record(number, userAgent=noise.randbytes(400).hex()) for number in range(1, count + 1))))


def whole_records(part: bytes) -> int:
    """Count the records that come whole out of the beginning of a file, by another inflater than the function's."""
    text = zlib.decompressobj(wbits=31).decompress(part).decode()
    decoder, place, count = json.JSONDecoder(), text.index("[") + 1, 0
    while True:
        try:
            _, place = decoder.raw_decode(text, place)
        except ValueError:
            return count
        count += 1
        place += len(", ") if text.startswith(", ", place) else len(",")


def damaged(document: bytes, rest: bytes) -> bytes:
    """Return a gzip stream whose second block can't be read."""
    packer = zlib.compressobj(wbits=31)
    begun = packer.compress(document) + packer.flush(zlib.Z_FULL_FLUSH)
    # A block of the type that deflate reserves.
    return begun + b"\x07" + packer.compress(rest) + packer.flush()


def bomb(before: bytes, filler: bytes, after: bytes) -> bytes:
    """Return a gzip stream with 600 MB of one byte between two texts."""
    packer = zlib.compressobj(wbits=-15)
    stream = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    block, blocks = filler * _BLOCK_BYTES, BOMB_BYTES // _BLOCK_BYTES
    # After a full flush nothing refers back, so that the block's bytes can be repeated.
    stream += (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)) * blocks
    stream += packer.compress(after) + packer.flush()
    checksum = zlib.crc32(before)
    for _ in range(blocks):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(after, checksum)
    size = len(before) + len(block) * blocks + len(after)
    return gzip.compress(b"")[:10] + stream + checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
