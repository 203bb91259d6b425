"""A function that is killed between upload and acknowledgement loses nothing."""

import os
import signal
import subprocess

from local import trail
from local.processes import wait_for
from local.run import counts
from local.stack import Stack

SECONDS = 60


def bootstraps(stack: Stack) -> list[int]:
    """Find the function's processes: those that run from the stack's own folder."""
    shown = subprocess.run(["ps", "-ww", "-eo", "pid=,command="], capture_output=True, text=True, check=True)
    lines = [line.split(None, 1) for line in shown.stdout.splitlines()]
    return [int(pid) for pid, command in lines if str(stack.folder) in command and command.rstrip().endswith("bootstrap")]


def let_leases_run_out(stack: Stack) -> None:
    """Do what five minutes, the longest invocation, would do."""
    ledger, table = stack.client("dynamodb"), stack.outputs["LedgerTable"]
    for item in ledger.scan(TableName=table, ProjectionExpression="pk")["Items"]:
        ledger.update_item(
            TableName=table,
            Key=item,
            UpdateExpression="SET lease_until = :past",
            ExpressionAttributeValues={":past": {"S": "2026-01-01T00:00:00Z"}},
        )


def test_a_killed_function_gets_the_message_again(stack: Stack) -> None:
    queues, url = stack.client("sqs"), stack.outputs["WorkQueueUrl"]
    queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "10"})
    try:
        # Takes the rows, and never says so.
        stack.standin.fault(kind="hang_after")
        stack.put_object(trail.key("killed"), trail.file(1, 2))
        wait_for("the rows are taken", SECONDS, lambda: counts(stack)["AWSCloudTrail"] == 2)
        assert stack.depth("WorkQueueUrl") == 1
        running = bootstraps(stack)
        assert running
        stack.standin.clear_faults()
        for pid in running:
            os.kill(pid, signal.SIGKILL)
        let_leases_run_out(stack)
        wait_for("the message is done with", SECONDS, lambda: not stack.depth("WorkQueueUrl"))
    finally:
        queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1800"})
    landed = {row["AwsEventId"][-1] for row in stack.standin.rows("AWSCloudTrail")}
    assert landed == {"1", "2"}
    assert counts(stack)["AWSCloudTrail"] > 2, "the message came again"
    assert stack.depth("DeadLetterQueueUrl") == 0
