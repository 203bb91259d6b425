"""The command line signs in to AWS in every way that an operator does: what reaches AWS is signed with those keys."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local.stack import Binaries

FUTURE = "2099-01-01T00:00:00Z"
ACCOUNT = "123456789012"
START = "https://example.awsapps.com/start"
LOGIN = "arn:aws:iam::123456789012:user/operator"
STS = """<{name}Response><{name}Result><Credentials><AccessKeyId>AKIASTS</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>
<AssumedRoleId>a:b</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn></AssumedRoleUser>
</{name}Result></{name}Response>"""


class Aws(ThreadingHTTPServer):
    """An AWS that notes who calls it, and answers what signing in and looking at a queue take."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.calls: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Aws

    def do_POST(self) -> None:
        """Answer STS and SQS."""
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        key = re.search(r"Credential=(\w+)/", self.headers.get("authorization", ""))
        named = re.search(r"Action=(\w+)", body)
        what = named[1] if named else self.headers.get("x-amz-target", "")
        self.server.calls.append((what, key[1] if key else ""))
        if named:
            return self._answer(STS.format(name=what), "text/xml")
        attributes = {"Attributes": {"ApproximateNumberOfMessages": "0"}} if "Attributes" in what else {"Messages": []}
        self._answer(json.dumps(attributes), "application/x-amz-json-1.0")

    def do_GET(self) -> None:
        """Answer IAM Identity Center."""
        self.server.calls.append(("GetRoleCredentials", self.headers.get("x-amz-sso_bearer_token", "")))
        given = {"accessKeyId": "AKIASSO", "secretAccessKey": "s", "sessionToken": "t", "expiration": 4070908800000}
        self._answer(json.dumps({"roleCredentials": given}), "application/json")

    def _answer(self, text: str, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def aws() -> Iterator[Aws]:
    """Start it."""
    server = Aws()
    yield server
    server.shutdown()
    server.server_close()


def signed_by(aws: Aws, home: Path, profile: str) -> tuple[set[str], str]:
    """Look at a queue with a profile; return the keys that SQS saw, and what was told."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        **{f"AWS_ENDPOINT_URL{service}": aws.url for service in ("", "_SIGNIN", "_SSO", "_SSO_OIDC", "_STS")},
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    program = str(Binaries.built().sentinelctl)
    done = subprocess.run(
        [program, "dlq", "list", "--queue-url", f"{aws.url}/0/letters", "--region", "us-east-1", "--profile", profile],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return {key for what, key in aws.calls if what.startswith("AmazonSQS")}, done.stdout + done.stderr


def write(home: Path, config: str, credentials: str = "") -> None:
    """Write the files of the AWS CLI."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(config)
    (home / ".aws" / "credentials").write_text(credentials)


def test_a_program_that_gives_credentials(aws: Aws, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    given = {"Version": 1, "AccessKeyId": "AKIAPROGRAM", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": FUTURE}
    program.write_text(f"print({json.dumps(json.dumps(given))})")
    write(tmp_path, f"[profile p]\ncredential_process = {sys.executable} {program}\n")
    assert signed_by(aws, tmp_path, "p") == ({"AKIAPROGRAM"}, "no messages\n")


def test_a_role_that_is_assumed(aws: Aws, tmp_path: Path) -> None:
    role = f"role_arn = arn:aws:iam::{ACCOUNT}:role/r\nsource_profile = base\n"
    write(tmp_path, f"[profile p]\n{role}", "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = s\n")
    assert signed_by(aws, tmp_path, "p") == ({"AKIASTS"}, "no messages\n")
    assert ("AssumeRole", "AKIABASE") in aws.calls


def test_a_web_identity(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("web-identity")
    role = f"role_arn = arn:aws:iam::{ACCOUNT}:role/r\nweb_identity_token_file = {tmp_path / 'token'}\n"
    write(tmp_path, f"[profile p]\n{role}")
    assert signed_by(aws, tmp_path, "p") == ({"AKIASTS"}, "no messages\n")


def test_a_login_of_the_console(aws: Aws, tmp_path: Path) -> None:
    cache = tmp_path / ".aws" / "login" / "cache"
    write(tmp_path, f"[profile p]\nlogin_session = {LOGIN}\n")
    cache.mkdir(parents=True)
    token = {"accessKeyId": "AKIALOGIN", "secretAccessKey": "s", "sessionToken": "t", "accountId": ACCOUNT}
    rest = {"tokenType": "aws_sigv4", "refreshToken": "r", "clientId": "c", "idToken": "i", "dpopKey": "k"}
    (cache / f"{hashlib.sha256(LOGIN.encode()).hexdigest()}.json").write_text(
        json.dumps({"accessToken": token | {"expiresAt": FUTURE}} | rest)
    )
    assert signed_by(aws, tmp_path, "p") == ({"AKIALOGIN"}, "no messages\n")


SSO = f"""[profile p]
sso_session = s
sso_account_id = {ACCOUNT}
sso_role_name = r
[sso-session s]
sso_region = us-east-1
sso_start_url = {START}
"""


def keep_token(home: Path, expires_at: str) -> None:
    """Keep the token of a session, as `aws sso login` does."""
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    token = {"accessToken": "bearer", "expiresAt": expires_at, "startUrl": START, "region": "us-east-1"}
    (cache / f"{hashlib.sha1(b's').hexdigest()}.json").write_text(json.dumps(token))


def test_an_sso_session(aws: Aws, tmp_path: Path) -> None:
    write(tmp_path, SSO)
    keep_token(tmp_path, FUTURE)
    assert signed_by(aws, tmp_path, "p") == ({"AKIASSO"}, "no messages\n")
    assert ("GetRoleCredentials", "bearer") in aws.calls


def test_an_sso_session_that_has_ended_is_told_as_such(aws: Aws, tmp_path: Path) -> None:
    write(tmp_path, SSO)
    keys, told = signed_by(aws, tmp_path, "p")
    assert keys == set() and "no AWS credentials" in told and "feature" not in told, told
    keep_token(tmp_path, "2020-01-01T00:00:00Z")
    keys, told = signed_by(aws, tmp_path, "p")
    assert keys == set() and "sign in" in told and "expired" in told, told
