"""`holdfast demo --keep`: the demo runs in a session of its own and stays there after the command has returned."""

import os
import subprocess
import sys
from collections.abc import Sequence

from holdfast.ops.demo.figures import Figures, mistakes
from holdfast.ops.demo.stage import Stage


def run_apart(options: Sequence[str]) -> int:
    """Run `holdfast demo` apart from this process and return its exit code as soon as it is known.

    It goes on running then. An interrupt of ours ends it with everything that it has started, and is raised again.
    """
    ours, theirs = os.pipe()
    command = [sys.executable, "-m", "holdfast.ops.cli", "demo", *options, "--stay", str(theirs)]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, pass_fds=[theirs], start_new_session=True
    )
    os.close(theirs)
    try:
        said = os.read(ours, 1)
        return int(said) if said else process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    finally:
        os.close(ours)


def stay(stage: Stage, figures: Figures, descriptor: int) -> None:
    """Tell the waiting command how it went, leave its terminal, and return when the project is to stop.

    Raises BrokenPipeError if nobody waits any more.
    """
    sys.stdout.flush()
    os.write(descriptor, b"1" if any(mistakes(figures)) else b"0")
    os.close(descriptor)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    try:
        stage.project.supervisor.wait()
    except KeyboardInterrupt:
        return  # SIGTERM, from `holdfast down`
