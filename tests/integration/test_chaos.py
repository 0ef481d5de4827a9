"""A short chaos run: everything real, everything killed once, nothing lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNTS = (
    "workflows",
    "finished",
    "faults",
    "rows_differ",
    "clickhouse_missing",
    "clickhouse_extra",
    "effects_doubled",
    "effects_missing",
    "tasks_missing",
)


@pytest.mark.timeout(240)
def test_nothing_is_lost_or_doubled_when_everything_is_killed_under_load(cache_dir: Path, tmp_path: Path) -> None:
    options = ["--workflows", "40", "--kills", "5", "--suspensions", "1", "--seed", "3", "--duration-limit", "150"]
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.ops.cli", "chaos", *options, "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HOLDFAST_CACHE_DIR": str(cache_dir), "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    result = json.loads(done.stdout)
    assert list(result)[: len(COUNTS)] == list(COUNTS)
    assert (result["workflows"], result["finished"], result["not_completed"]) == (40, 40, 0)
    assert result["faults"]["total"] == 6
    assert result["faults"]["kill broker"] == 1
    assert [result[name] for name in COUNTS[3:]] == [0] * 6
    # The faults did happen, and there was something to lose.
    assert all(result["restarts"][role] >= 1 for role in result["restarts"])
    assert result["effects"] > 40
    assert list(tmp_path.glob("holdfast-chaos-*")) == []
