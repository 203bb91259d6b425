"""Each run says in Sentinel what it did, where that is asked for; and it never costs a log row."""

import time

import pytest
from conftest import Start, batch, notification
from local import trail
from local.stack import Stack

HEALTH = "SentinelForwarderHealth_CL"
RECORDS = 3
# A run waits 5 s for its row, and has 60 s in all.
MOST_WAIT_SECONDS = 20


def put(stack: Stack, name: str) -> str:
    key = trail.key(name)
    with stack.quiet_bucket():
        stack.put_object(key, trail.file(*range(RECORDS)))
    return key


def test_a_run_tells_what_it_did_and_what_it_could_not(stack: Stack, start: Start) -> None:
    key = put(stack, "told")
    function = start(SENTINEL_HEALTH_ROWS="true")
    invocation = function.invoke(batch(notification(key), '{"what":"is this"}'))
    assert invocation.body == {"batchItemFailures": []}
    (row,) = stack.standin.rows(HEALTH)
    told = {name: row.get(name) for name in ("Objects", "Records", "Rows", "DeadLetters", "Uploads", "Reasons")}
    assert told == {
        "Objects": 1,
        "Records": RECORDS,
        "Rows": RECORDS,
        "DeadLetters": 1,
        "Uploads": 1,
        "Reasons": {"UnknownTrigger": 1},
    }
    lag = row["Tables"]["AWSCloudTrail"].pop("DeliveryLagSeconds")
    assert row["Tables"] == {"AWSCloudTrail": {"Records": RECORDS, "Rows": RECORDS}}
    assert row["DeliveryLagSeconds"] == lag >= 0
    assert (row["AwsAccountId"], row["AwsRegion"]) == ("111122223333", "us-east-1")
    assert row["FunctionName"] == "sentinel-forwarder" and row["FunctionVersion"]
    assert "CircuitOpen" not in row, "what is zero is left out"


def test_nothing_is_told_unless_asked_for(stack: Stack, start: Start) -> None:
    assert start().invoke(batch(notification(put(stack, "untold")))).body == {"batchItemFailures": []}
    assert [table["name"] for table in stack.standin.state()["tables"]] == ["AWSCloudTrail"]


def test_a_rule_without_the_stream_costs_no_row(stack: Stack, start: Start) -> None:
    function = start(SENTINEL_HEALTH_ROWS="true", SENTINEL_STREAMS=f"{HEALTH}=Custom-Nowhere")
    assert function.invoke(batch(notification(put(stack, "unheard")))).body == {"batchItemFailures": []}
    assert len(stack.standin.rows("AWSCloudTrail")) == RECORDS
    assert stack.depth("DeadLetterQueueUrl") == 0
    assert function.log().count("the health row was not taken") == 1


def test_a_sentinel_that_does_not_answer_holds_no_run_up(stack: Stack, start: Start) -> None:
    function = start(SENTINEL_HEALTH_ROWS="true")
    stack.standin.fault(kind="hang")
    key = put(stack, "ignored").replace("CloudTrail/", "Config/")
    with stack.quiet_bucket():
        stack.put_object(key, b"{}")
    began = time.monotonic()
    assert function.invoke(batch(notification(key))).body == {"batchItemFailures": []}
    assert time.monotonic() - began < MOST_WAIT_SECONDS


@pytest.mark.parametrize("refusal", [{"status": 403}, {"status": 401, "code": "AADSTS700016", "match": "token"}])
def test_what_is_refused_with_its_health_row_is_told_by_the_next_one(
    stack: Stack, start: Start, refusal: dict[str, object]
) -> None:
    function = start(SENTINEL_HEALTH_ROWS="true")
    stack.standin.fault(kind="status", **refusal)
    message = notification(put(stack, "refused"))
    for _ in range(2):
        assert function.invoke(batch(message, '{"what":"is this"}')).body["batchItemFailures"]
    assert stack.standin.rows(HEALTH) == []
    stack.standin.clear_faults()
    for _ in range(2):
        assert function.invoke(batch(message)).body == {"batchItemFailures": []}
    first, second = stack.standin.rows(HEALTH)
    told = {name: first.get(name) for name in ("ActionNeeded", "DeadLetters", "Rows", "UnsentRuns", "Reasons")}
    assert told == {
        "ActionNeeded": 2,
        "DeadLetters": 2,
        "Rows": RECORDS,
        "UnsentRuns": 2,
        "Reasons": {"UnknownTrigger": 2},
    }
    assert not {"ActionNeeded", "DeadLetters", "UnsentRuns"} & second.keys(), "nothing is told twice"
