"""`aws cloudtrail validate-logs` and `sentinelctl verify` over the same chains: AWS's validator judges what is generated
here and each damage to it; where `verify` is stricter, the table says why."""

import gzip
import json
import os
import subprocess
from collections.abc import Callable

import pytest

from local.deployment import BUCKET
from local.digests import Chain
from local.stack import ROOT
from test_digest import module_hidings, signer, world  # noqa: F401
from test_verify import GOOD, HOURS, PREFIX, Auditor, auditor  # noqa: F401

AWS = ROOT / ".tools" / "judges" / "bin" / "aws"
Files = list[dict[str, bytes]]


def validate_logs(auditor: Auditor) -> tuple[int, str]:  # noqa: F811
    """Ask AWS's validator about the range; how it ended and what it said."""
    endpoint = auditor.environment["AWS_ENDPOINT_URL"]
    ran = subprocess.run(
        [
            *(AWS, "cloudtrail", "validate-logs", "--verbose", "--region", "us-east-1"),
            *("--trail-arn", f"arn:aws:cloudtrail:us-east-1:{GOOD}:trail/main"),
            *("--start-time", "2026-03-10T09:00:00Z", "--end-time", "2026-03-10T15:02:00Z"),
            *("--s3-bucket", BUCKET, "--s3-prefix", PREFIX.rstrip("/")),
        ],
        env=auditor.environment | {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


def put(auditor: Auditor, key: str, body: bytes, **metadata: str) -> None:  # noqa: F811
    """Write over an object; nobody is told."""
    auditor.storage.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)


def remove(auditor: Auditor, key: str) -> None:  # noqa: F811
    """Remove an object."""
    auditor.storage.delete_object(Bucket=BUCKET, Key=key)


def resign(auditor: Auditor, chain: Chain, hour: int, files: Files, **changes: str) -> None:  # noqa: F811
    """Sign a digest anew with members changed, and all behind it."""
    for place in range(hour, len(chain.digests)):
        changed = chain.digest(place, files[place], chain.digests[place - 1], **(changes if place == hour else {}))
        chain.digests[place] = changed
        put(auditor, changed.key, changed.body, **changed.metadata)


def edit(chain: Chain, hour: int) -> bytes:
    """Return a digest that lists no file any more."""
    return gzip.compress(json.dumps(json.loads(chain.digests[hour].content) | {"logFiles": []}).encode())


def names(files: Files, hour: int) -> str:
    """Return the key of an hour's file."""
    return next(iter(files[hour]))


Damage = Callable[[Auditor, Chain, Files], object]
DAMAGES: dict[str, Damage] = {
    "none": lambda _auditor, _chain, _files: None,
    "a log file altered": lambda a, _c, f: put(a, names(f, 2), gzip.compress(b'{"Records":[]}')),
    "a log file removed": lambda a, _c, f: remove(a, names(f, 2)),
    "bytes behind a log file": lambda a, _c, f: put(
        a, names(f, 2), gzip.compress(f[2][names(f, 2)]) + gzip.compress(b"more")
    ),
    "a digest's list emptied": lambda a, c, _f: put(a, c.digests[2].key, edit(c, 2), **c.digests[2].metadata),
    "a digest without a signature": lambda a, c, _f: put(a, c.digests[2].key, c.digests[2].body),
    "a digest signed with another's signature": lambda a, c, _f: put(
        a, c.digests[2].key, c.digests[2].body, **c.digests[3].metadata
    ),
    "a digest replaced by an older one": lambda a, c, _f: put(
        a, c.digests[3].key, c.digests[2].body, **c.digests[2].metadata
    ),
    "a digest in the middle removed": lambda a, c, _f: remove(a, c.digests[3].key),
    "the newest digest removed": lambda a, c, _f: remove(a, c.digests[-1].key),
    "the newest digest and its file removed": lambda a, c, f: (remove(a, c.digests[-1].key), remove(a, names(f, -1))),
    "every digest removed": lambda a, c, _f: [remove(a, digest.key) for digest in c.digests],
    "a digest that belies the content of the one before": lambda a, c, f: resign(
        a, c, 3, f, previousDigestHashValue="00" * 32
    ),
}
# Where `verify` finds wrong what AWS's validator finds valid.
STRICTER = {
    "the newest digest removed": "AWS's validator begins at the newest digest that it finds; the end of a range must be vouched for",
    "the newest digest and its file removed": "likewise; besides, the ledger knows that the file was delivered",
    "every digest removed": "AWS's validator says that it found none and ends with 0; here nothing is vouched for, which is no proof",
    "a digest that belies the content of the one before": "AWS's validator does not read previousDigestHashValue",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_awss_validator_and_verify_agree_but_where_verify_is_stricter(auditor: Auditor, damage: str) -> None:  # noqa: F811
    chain, files = auditor.grow(GOOD)
    with auditor.world.stack.quiet_bucket():
        DAMAGES[damage](auditor, chain, files)
    status, said = validate_logs(auditor)
    ours, told = auditor.json()
    if damage == "none":
        assert f"{HOURS}/{HOURS} digest files valid" in said and f"{HOURS}/{HOURS} log files valid" in said, said
    is_valid = damage == "none" or damage in STRICTER
    assert status == (0 if is_valid else 1), said
    expected = {"none": (0, "proven"), "every digest removed": (2, "unknown")}
    assert (ours, told["answer"]) == expected.get(damage, (1, "wrong"))
