"""A wrong environment stops the function at once, and one message names all that is wrong; nothing else does."""

import socket
from pathlib import Path

import pytest

from conftest import Start
from local.processes import wait_for
from local.run import counts
from local.runtime_api import Function, function_environment
from local.stack import Binaries, Stack

SECONDS = 30
FINDING = Path("events/eventbridge-guardduty-finding.json").read_text()
# Needs neither AWS nor Azure.
TEST_EVENT = Path("events/s3-test-event.json").read_text()
NOT_LET_IN = "not let in at start"
LEGACY = {
    "SENTINEL_API": "data-collector",
    "LOG_ANALYTICS_WORKSPACE_ID": "44444444-4444-4444-4444-444444444444",
    "LOG_ANALYTICS_SHARED_KEY_ARN": "arn:aws:secretsmanager:us-east-1:111122223333:secret:key",
}

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


@pytest.mark.parametrize("api", [{}, LEGACY], ids=["logs-ingestion", "data-collector"])
def test_the_first_poll_does_not_wait_for_who_lets_us_in(api: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        url = f"http://127.0.0.1:{hangs.getsockname()[1]}"
        environment = function_environment(url, url, f"{url}/work", f"{url}/letters", None) | api
        with Function(Binaries.built().forwarder, environment, tmp_path / "log") as function:
            assert function.invoke(TEST_EVENT).kind == "response"
            wait_for("it has given up", SECONDS, lambda: NOT_LET_IN in function.log())
            log = function.log()
    assert log.index('"Ignored":1') < log.index(NOT_LET_IN), log
    assert "ERROR" not in log


def test_the_first_upload_asks_again_if_entra_was_down_at_the_start(stack: Stack, start: Start) -> None:
    stack.standin.fault(kind="status", status=503, match="token")
    function = start()
    wait_for("Entra has refused", SECONDS, lambda: NOT_LET_IN in function.log())
    stack.standin.clear_faults()
    assert function.invoke(FINDING).kind == "response"
    assert counts(stack) == {"AWSGuardDuty": 1}
    assert "ERROR" not in function.log()


def test_the_first_upload_takes_the_token_that_was_fetched_at_the_start(stack: Stack, start: Start) -> None:
    function = start()
    wait_for("Entra has given a token", SECONDS, lambda: stack.standin.state()["tokens"]["exchanges"])
    assert function.invoke(FINDING).kind == "response"
    assert counts(stack) == {"AWSGuardDuty": 1}
    assert stack.standin.state()["tokens"]["exchanges"] == 1


# As the operating system hands them over: a byte that is no UTF-8.
ODD = "caf\udce9"


def test_a_variable_that_is_no_utf_8_stops_nothing_unless_it_is_a_setting(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"
    environment = function_environment(url, url, f"{url}/work", f"{url}/letters", None) | {ODD: "1", "ODD": ODD}
    with Function(Binaries.built().forwarder, environment, tmp_path / "log") as function:
        assert function.invoke(TEST_EVENT).kind == "response"
    wrong = environment | {"AZURE_CLIENT_ID": ODD}
    with Function(Binaries.built().forwarder, wrong, tmp_path / "wrong") as function:
        assert function.process.wait(timeout=10) != 0
        log = function.log()
    assert "AZURE_CLIENT_ID: is no UTF-8" in log and "panicked" not in log
