"""The real template.yaml, deployed to the emulator with the function built on this machine."""

import io
import os
import platform
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import WaiterError

from local import standin
from local.deployment import BUCKET, STACK_NAME, Deployment
from local.emulator import Emulator
from local.processes import Child, Failure

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "target" / "local"
# The second one holds a blank, a plus and a letter that is not ASCII.
KEY_PREFIXES = "AWSLogs/,Audit Zürich+2026/"
_ARTEFACTS = "deployment-artefacts"
# More than any test sends.
_KEEP_ROWS = 100_000
_DEPLOY_SECONDS = 120


@dataclass(frozen=True)
class Binaries:
    """The two programs under test."""

    forwarder: Path
    sentinelctl: Path

    @classmethod
    def built(cls) -> "Binaries":
        """Find what cargo built; BIN_DIR names another folder."""
        folder = Path(os.environ.get("BIN_DIR", ROOT / "target" / "debug")).resolve()
        binaries = cls(folder / "sentinel-forwarder", folder / "sentinelctl")
        for program in (binaries.forwarder, binaries.sentinelctl):
            if not program.is_file():
                raise Failure(f"{program} is not there; build it first (make run does)")
        return binaries


class Stack(Deployment):
    """Emulator, stand-in and deployed template: all that runs, as one; keywords are parameters of the template."""

    def __init__(self, binaries: Binaries, outlives: bool = False, **parameters: str) -> None:
        self._own_parameters = parameters
        FOLDER.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="stack-", dir=FOLDER))
        self.children: list[Child] = []
        try:
            azure, child = standin.start(binaries.sentinelctl, self.folder, outlives, _KEEP_ROWS)
            self.children.append(child)
            self.emulator = Emulator(self.folder, outlives)
            self.children.append(self.emulator.child)
            super().__init__(self.emulator.endpoint, azure, {})
            self._create_buckets()
            self.outputs = self._deploy(binaries.forwarder)
            self._mend_concurrency()
            self._mend_expiry()
            self._pause_watch()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Stack":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes; keep the logs, drop the rest."""
        for child in reversed(self.children):
            child.stop()
        self.children.clear()
        for log in self.folder.glob("*.log"):
            log.replace(FOLDER / "-".join([*self._own_parameters.values(), log.name]))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create_buckets(self) -> None:
        storage = self.client("s3")
        storage.create_bucket(Bucket=BUCKET)
        storage.create_bucket(Bucket=_ARTEFACTS)
        self.notify(True)

    def _deploy(self, forwarder: Path) -> dict[str, str]:
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
            archive.write(forwarder, "bootstrap")
        self.client("s3").put_object(Bucket=_ARTEFACTS, Key="function.zip", Body=package.getvalue())

        # What `sam package` does: the code's folder becomes its address.
        template = (ROOT / "template.yaml").read_text()
        code = "      CodeUri: .\n"
        if code not in template:
            raise Failure("template.yaml no longer says `CodeUri: .`")
        template = template.replace(code, f"      CodeUri: s3://{_ARTEFACTS}/function.zip\n")

        # As `sam deploy` does: a body in the call itself may be no longer than 51,200 bytes.
        self.client("s3").put_object(Bucket=_ARTEFACTS, Key="template.yaml", Body=template.encode())
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=STACK_NAME,
            TemplateURL=f"{self.endpoint}/{_ARTEFACTS}/template.yaml",
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in self._parameters().items()
            ],
        )
        try:
            formation.get_waiter("stack_create_complete").wait(
                StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": _DEPLOY_SECONDS}
            )
        except WaiterError as error:
            raise Failure(f"the stack could not be created:\n{self._reasons(formation)}") from error
        stack = formation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _parameters(self) -> dict[str, str]:
        return {
            "BucketName": BUCKET,
            "KeyPrefixes": KEY_PREFIXES,
            "Architecture": "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
            "SentinelEndpoint": self.standin.url,
            "SentinelDcrId": standin.DCR,
            "AzureAuthorityHost": self.standin.url,
            "AzureTenantId": standin.TENANT,
            "AzureClientId": standin.CLIENT_ID,
            **self._own_parameters,
        }

    def _mend_concurrency(self) -> None:
        """Give the mapping a number: the emulator keeps parameters as text and cannot compare it."""
        functions = self.client("lambda")
        (mapping,) = functions.list_event_source_mappings(FunctionName=self.outputs["FunctionName"])[
            "EventSourceMappings"
        ]
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": 10})

    def _mend_expiry(self) -> None:
        """Let the ledger's entries expire: the emulator's CloudFormation leaves it out."""
        self.client("dynamodb").update_time_to_live(
            TableName=self.outputs["LedgerTable"],
            TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
        )

    def _pause_watch(self) -> None:
        """Let the schedule rest: there is no GuardDuty in the emulator, and tests keep watches themselves."""
        self.client("scheduler").update_schedule(**self.watch_schedule() | {"State": "DISABLED"})

    @staticmethod
    def _reasons(formation: Any) -> str:
        events = formation.describe_stack_events(StackName=STACK_NAME)["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        return "\n".join(f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed)
