"""Child processes: how they are started, so that they do not outlive us however we end, and how they are ended.

Linux sends a child the signal it asked for when its parent dies. The child must ask for itself, between fork and
exec; this file is therefore also a program: `python tether.py PARENT_PID COMMAND...` asks and becomes the command.
Elsewhere children may survive a SIGKILL of their parent; the next `holdfast up` ends those it finds.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PR_SET_PDEATHSIG = 1
# "Parent" means the thread that forked, so all children are started by one thread that lives as long as the process.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start `command`, tethered to this process; `options` are those of subprocess.Popen."""
    tethered = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(tethered, **options)  # noqa: S603 - all commands are our own

    return _SPAWNER.submit(start).result()


def end(process: subprocess.Popen[bytes], grace_s: float) -> bool:
    """Ask a process to end (SIGTERM), by force after `grace_s`; returns when it is gone. False if it was killed."""
    process.terminate()
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        kill(process)
        return False
    return True


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process at once (SIGKILL), as a crash would; returns when it is gone."""
    process.kill()
    process.wait()


def _become(parent_pid: int, command: Sequence[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before we could ask
            sys.exit(1)
    os.execvp(command[0], list(command))  # noqa: S606 - that is its job


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
