"""CloudTrail files made up: for tests, and for chaos."""

import gzip
import json
from datetime import datetime, timezone
from typing import Any

FOLDER = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/10"


def key(name: str) -> str:
    """Return a key as CloudTrail makes them, with the name in place of the random part."""
    return f"{FOLDER}/111122223333_CloudTrail_us-east-1_20260310T1000Z_{name}.json.gz"


def event_id(number: int) -> str:
    """Return the id of the record with that number."""
    return f"00000000-0000-0000-0000-{number:012}"


def record(number: int, **members: Any) -> dict[str, Any]:
    """Return a small record of now that is told from others by its number, with further members."""
    return {
        "eventVersion": "1.11",
        "eventTime": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "s3.amazonaws.com",
        "eventName": "GetObject",
        "awsRegion": "us-east-1",
        "eventID": event_id(number),
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
        **members,
    }


def file(*numbers: int) -> bytes:
    """Return a whole file of such records."""
    return gzip.compress(json.dumps({"Records": [record(number) for number in numbers]}).encode())
