"""The local AWS: ministack, bound to the loopback host, with the services that the template needs."""

import os
import sys
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.processes import Child, Failure, free_port, wait_for

REGION = "us-east-1"
ACCOUNT = "000000000000"
# The account of the emulator and another one are of this organisation, no other is.
ORGANIZATION = "o-exampleorg1"
MEMBER = "111111111111"
# A bucket of that other account.
LOG_ARCHIVE = "example-log-archive"
_SERVICES = (
    "cloudformation,dynamodb,events,iam,kms,lambda,logs,monitoring,s3,scheduler,secretsmanager,sns,sqs,ssm,sts"
)
_ATTEMPTS = 3
_READY_SECONDS = 60.0


class Emulator:
    """A running ministack and clients for it."""

    def __init__(self, folder: Path, outlives: bool = False) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            port = free_port()
            self.endpoint = f"http://127.0.0.1:{port}"
            self.child = Child(
                "ministack",
                [sys.executable, "-P", str(Path(__file__).with_name("aws.py"))],
                self._environment(port, folder),
                folder / "ministack.log",
                outlives,
            )
            try:
                wait_for("ministack is ready", _READY_SECONDS, self._ready)
                return
            except Failure:
                self.child.stop()
                # Another program may have taken the port between the choice and the start.
                if attempt == _ATTEMPTS:
                    raise

    def _environment(self, port: int, folder: Path) -> dict[str, str]:
        scratch = folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        passed_on = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return passed_on | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "SERVICES": _SERVICES,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            # Functions run as processes: leave the Docker of this machine alone.
            "DOCKER_HOST": "unix:///nonexistent",
            "TMPDIR": str(scratch),
            "S3_DATA_DIR": str(scratch / "s3"),
            "STATE_DIR": str(scratch / "state"),
            "MINISTACK_REGION": REGION,
            "ORGANIZATION": ",".join([ORGANIZATION, ACCOUNT, MEMBER]),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            # The functions inherit it: their SDK clients call back to this emulator.
            "AWS_ENDPOINT_URL": self.endpoint,
        }

    def _ready(self) -> bool:
        self.child.check()
        try:
            with urllib.request.urlopen(f"{self.endpoint}/_ministack/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def client(self, service: str) -> Any:
        """Return a boto3 client of one service of this emulator."""
        return client(self.endpoint, service)


@cache
def client(endpoint: str, service: str, account: str = ACCOUNT, region: str = REGION) -> Any:
    """Return a boto3 client that can reach nothing but the emulator; making one takes longer than a call."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        # The emulator takes twelve digits for the account.
        aws_access_key_id=account,
        aws_secret_access_key="test",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
    )
