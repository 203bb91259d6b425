"""The sample logs and the sample finding, moved to the present, and how many rows they must make."""

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from local.objects import ROOT as OBJECTS
from local.objects import objects, shift, shifted

FINDING = Path(__file__).resolve().parent.parent / "events" / "eventbridge-guardduty-finding.json"


@dataclass(frozen=True)
class Samples:
    """Objects by key, a finding, and the rows expected of each table."""

    objects: dict[str, bytes]
    finding: dict[str, Any]
    expected: Counter[str]

    @classmethod
    def of_now(cls) -> "Samples":
        """Read the samples with their newest record three minutes ago."""
        newest = datetime.now(timezone.utc) - timedelta(minutes=3)
        files = dict(objects(shift_to=newest))
        finding = json.loads(shifted(FINDING.read_text(encoding="utf-8"), shift(OBJECTS, newest)))["detail"]
        expected = Counter(AWSGuardDuty=1)
        for key, content in files.items():
            expected += rows_of(key, content)
        return cls(files, finding, expected)


def rows_of(key: str, content: bytes) -> Counter[str]:
    """Count the rows that an object makes in each table."""
    text = gzip.decompress(content).decode()
    if "/GuardDuty/" in key:
        return Counter(AWSGuardDuty=sum("findings" not in json.loads(line) for line in text.splitlines() if line))
    return Counter(AWSCloudTrail=len(json.loads(text)["Records"]))
