"""The ways to a token: federated, a client secret in Secrets Manager or Parameter Store, a certificate."""

from pathlib import Path

import pytest

from certificate import Certificate, Door
from conftest import Start, batch, keep_secret
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


@pytest.mark.parametrize("form", ["pkcs8", "pkcs1"])
def test_a_certificate_signs_the_assertion(stack: Stack, start: Start, form: str) -> None:
    certificate = Certificate()
    arn = keep_secret(stack, certificate.pem(form))
    with Door(certificate, stack.standin.url) as door:
        function = start(
            AZURE_CREDENTIAL="certificate", AZURE_CLIENT_CERTIFICATE_ARN=arn, AZURE_AUTHORITY_HOST=door.url
        )
        assert function.invoke(FINDING).kind == "response"
        assert door.checked == 1
    assert counts(stack) == {"AWSGuardDuty": 1}
    assert "PRIVATE KEY" not in function.log()


def test_the_stand_in_takes_the_assertion_by_its_claims(stack: Stack, start: Start) -> None:
    arn = keep_secret(stack, Certificate().pem())
    function = start(AZURE_CREDENTIAL="certificate", AZURE_CLIENT_CERTIFICATE_ARN=arn)
    assert function.invoke(FINDING).kind == "response"
    assert counts(stack) == {"AWSGuardDuty": 1}


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        ("no PEM at all", "it holds no certificate"),
        (Certificate().pem().split("-----BEGIN CERTIFICATE")[0], "it holds no certificate"),
        ("-----BEGIN CERTIFICATE" + Certificate().pem().split("-----BEGIN CERTIFICATE")[1], "it holds no private key"),
        (Certificate(elliptic=True).pem(), "no RSA key"),
    ],
    ids=["no-pem", "no-certificate", "no-key", "elliptic"],
)
def test_a_certificate_that_will_not_do_is_said_so(stack: Stack, start: Start, pem: str, why: str) -> None:
    arn = keep_secret(stack, pem)
    function = start(AZURE_CREDENTIAL="certificate", AZURE_CLIENT_CERTIFICATE_ARN=arn)
    # It waits in the queue until it is mended.
    assert function.invoke(batch(FINDING)).body == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert why in function.log()
    assert counts(stack) == {}
    assert stack.depth("DeadLetterQueueUrl") == 0
