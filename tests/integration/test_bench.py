"""A tiny benchmark: it runs, and every figure is there. How large they are is no test's business."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(cache_dir: Path, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "holdfast.ops.cli", "bench", "steps", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "HOLDFAST_CACHE_DIR": str(cache_dir), "TMPDIR": str(folder)},
        check=False,
    )


SMALL = ("--workflows", "20", "--steps", "5", "--warm-up", "5", "--idle-workflows", "3")


@pytest.mark.timeout(240)
def test_a_small_benchmark_gives_every_figure(cache_dir: Path, tmp_path: Path) -> None:
    done = run(cache_dir, tmp_path, *SMALL, "--json")
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["steps"] == 100
    assert figures["steps_per_s"] > 0
    assert set(figures["cpu_ms_per_step"]) == {"broker", "orchestrator", "executor", "sink", "engine", "total"}
    assert all(value > 0 for value in figures["cpu_ms_per_step"].values())
    for name in ("handoff_ms", "event_to_row_ms", "journal_to_row_ms"):
        assert 0 < figures[name]["p50"] <= figures[name]["p99"]
    written = figures["bytes_per_step_by_store"]
    assert figures["bytes_per_step"] == sum(written.values())
    assert min(written[name] for name in ("inbox", "journal", "tasks.tool", "clickhouse")) > 0
    assert list(tmp_path.glob("holdfast-bench-*")) == []


@pytest.mark.timeout(240)
def test_a_profile_names_the_functions_of_the_role(cache_dir: Path, tmp_path: Path) -> None:
    done = run(cache_dir, tmp_path, *SMALL, "--profile", "orchestrator")
    assert done.returncode == 0, done.stderr
    assert "function calls" in done.stderr
    assert "driver.py" in done.stderr
    assert "throughput" in done.stdout


def test_only_a_role_that_is_measured_can_be_profiled(cache_dir: Path, tmp_path: Path) -> None:
    done = run(cache_dir, tmp_path, "--profile", "gateway")
    assert done.returncode == 2
    assert "cannot be profiled" in done.stderr
