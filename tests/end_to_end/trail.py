"""CloudTrail files made for a test."""

import gzip
import json
from datetime import datetime, timezone
from typing import Any

FOLDER = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/10"


def key(name: str) -> str:
    """Return a key as CloudTrail makes them, with the name in place of the random part."""
    return f"{FOLDER}/111122223333_CloudTrail_us-east-1_20260310T1000Z_{name}.json.gz"


def record(number: int) -> dict[str, Any]:
    """Return a small record of now that is told from others by its number."""
    return {
        "eventVersion": "1.11",
        "eventTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "us-east-1",
        "eventID": f"00000000-0000-0000-0000-{number:012}",
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
    }


def file(*numbers: int) -> bytes:
    """Return a whole file of such records."""
    return gzip.compress(json.dumps({"Records": [record(number) for number in numbers]}).encode())
