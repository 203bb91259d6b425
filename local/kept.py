"""A stack that was left running: where it is, and how it is ended."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

from local.deployment import Deployment
from local.processes import stop_group
from local.stack import FOLDER, Stack
from local.standin import Standin

_RECORD = FOLDER / "kept.json"
# A number may have been given to another program since; this one is ours.
_OURS = ("local/aws.py", "sentinelctl dev")


def remember(stack: Stack) -> None:
    """Write down what is left running."""
    _RECORD.write_text(
        json.dumps(
            {
                "endpoint": stack.endpoint,
                "standin": stack.standin.url,
                "outputs": stack.outputs,
                "groups": [child.pid for child in stack.children],
                "folder": str(stack.folder),
            }
        )
    )


def attach() -> Deployment | None:
    """Find the stack that was left running, if it still answers."""
    try:
        record = json.loads(_RECORD.read_text())
        urllib.request.urlopen(f"{record['endpoint']}/_ministack/health", timeout=2).close()
    except OSError:
        return None
    return Deployment(record["endpoint"], Standin(record["standin"]), record["outputs"])


def stop() -> bool:
    """End what was left running; say whether there was anything."""
    try:
        record = json.loads(_RECORD.read_text())
    except FileNotFoundError:
        return False
    for group in reversed(record["groups"]):
        if _is_ours(group):
            stop_group(group, lambda group=group: _is_ours(group))
    shutil.rmtree(Path(record["folder"]), ignore_errors=True)
    _RECORD.unlink()
    return True


def _is_ours(pid: int) -> bool:
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return any(part in shown.stdout for part in _OURS) and os.getpgid(pid) == pid
