"""Runs a command on a terminal, as an operator would."""

import os
import pty
import struct
import subprocess
import termios
from contextlib import suppress
from fcntl import ioctl


def on_a_terminal(
    command: list[str], environment: dict[str, str], types: str = "", columns: int = 80
) -> tuple[int, str]:
    """Run a command on a terminal of that width; return how it ended, and what it wrote."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    with subprocess.Popen(
        command, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
    ) as running:
        os.close(its)
        os.write(ours, types.encode())
        shown = b""
        # A terminal whose other end is closed is an error on Linux, and the end of the text elsewhere.
        with suppress(OSError):
            while more := os.read(ours, 4096):
                shown += more
    os.close(ours)
    return running.returncode, shown.decode().replace("\r\n", "\n")
