"""A role under cProfile, and what its main thread spent its time on."""

import io
import pstats
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from holdfast.ops.roles import ROLES, Role

TOP = 40


def under_profile(name: str, output: Path) -> Sequence[Role]:
    """All roles, one of which writes a profile of its main thread to `output` when it is stopped."""
    command = (sys.executable, "-m", "cProfile", "-o", str(output), "-m", "holdfast.ops.cli", "run", name)
    return tuple(replace(role, command=command) if role.name == name else role for role in ROLES)


def top_functions(output: Path, count: int = TOP) -> str:
    """Two tables: the functions that took most time themselves, and ours by the time with all they call."""
    text = io.StringIO()
    pstats.Stats(str(output), stream=text).strip_dirs().sort_stats("tottime").print_stats(count)
    pstats.Stats(str(output), stream=text).sort_stats("cumulative").print_stats("holdfast", count)
    return text.getvalue()
