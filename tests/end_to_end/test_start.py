"""A wrong environment stops the function at once, and one message names all that is wrong."""

from pathlib import Path

from local.runtime_api import Function
from local.stack import Binaries

WRONG = {
    "AWS_REGION": "us-east-1",
    "SENTINEL_ENDPOINT": "http://example.com",
    "SENTINEL_DCR_ID": "my-rule",
    "SENTINEL_MAX_REQUEST_BYTES": "2000000",
    "AZURE_CLOUD": "moon",
    "AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111",
}
NAMED = [
    "SENTINEL_ENDPOINT",
    "SENTINEL_DCR_ID",
    "SENTINEL_MAX_REQUEST_BYTES",
    "AZURE_CLOUD",
    "AZURE_CLIENT_ID",
    "WORK_QUEUE_URL",
    "DEAD_LETTER_QUEUE_URL",
]


def test_a_wrong_environment_is_told_in_one_message(tmp_path: Path) -> None:
    with Function(Binaries.built().forwarder, WRONG, tmp_path / "log") as function:
        assert function.process.wait(timeout=10) != 0
        log = function.log()
    telling = [line for line in log.splitlines() if NAMED[0] in line]
    assert len(telling) == 1, log
    assert [name for name in NAMED if name not in telling[0]] == []
    assert "AZURE_TENANT_ID" not in telling[0]
