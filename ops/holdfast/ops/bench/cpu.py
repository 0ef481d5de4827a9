"""CPU time by role: user and system time of each role's process and all its children."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil

from holdfast.ops.supervisor import Supervisor

CpuSeconds = Mapping[str, float]


def cpu_seconds(supervisor: Supervisor, roles: Iterable[str]) -> CpuSeconds:
    """CPU seconds that each role's present process has used so far. Raises CommandError if one does not run."""
    return {role: _of_tree(psutil.Process(supervisor.runtime.roles[role].pid)) for role in roles}


def _of_tree(process: psutil.Process) -> float:
    times = process.cpu_times()
    # Children that have ended are in the parent's figures for children.
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            own = child.cpu_times()
            total += own.user + own.system
    return float(total)
