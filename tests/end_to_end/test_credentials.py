"""The ways to a token: federated, and a client secret kept in Secrets Manager or in Parameter Store."""

from pathlib import Path

import pytest

from conftest import Start
from local import standin
from local.run import counts
from local.stack import Stack

FINDING = Path("events/eventbridge-guardduty-finding.json").read_text()


@pytest.fixture(scope="session")
def secrets(session_stack: Stack) -> dict[str, str]:
    """The ARN of the client secret in either store."""
    created = session_stack.client("secretsmanager").create_secret(
        Name="client-secret", SecretString=standin.CLIENT_SECRET
    )
    parameters = session_stack.client("ssm")
    parameters.put_parameter(Name="/sentinel/client-secret", Value=standin.CLIENT_SECRET, Type="SecureString")
    parameter = parameters.get_parameter(Name="/sentinel/client-secret")["Parameter"]
    return {"secretsmanager": created["ARN"], "ssm": parameter["ARN"]}


@pytest.mark.parametrize("store", ["secretsmanager", "ssm"])
def test_the_client_secret_is_read_from_its_store(
    stack: Stack, start: Start, secrets: dict[str, str], store: str
) -> None:
    function = start(AZURE_CREDENTIAL="secret", AZURE_CLIENT_SECRET_ARN=secrets[store])
    assert function.invoke(FINDING).kind == "response"
    assert counts(stack) == {"AWSGuardDuty": 1}
    assert standin.CLIENT_SECRET not in function.log()


def test_no_secret_is_needed_when_the_identity_is_federated(stack: Stack, start: Start) -> None:
    assert start().invoke(FINDING).kind == "response"
    assert counts(stack) == {"AWSGuardDuty": 1}
    assert stack.standin.state()["tokens"]["exchanges"] == 1
