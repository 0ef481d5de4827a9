"""The real parts against every fault: what holds, and that the simulator notices what does not."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from simulation.mutants import MUTANTS
from typer.testing import CliRunner

from holdfast.ops.cli import build_app
from holdfast.ops.simulate.faults import RATES, Plan
from holdfast.ops.simulate.runs import simulate_all
from holdfast.ops.simulate.shrink import shrink
from holdfast.ops.simulate.world import simulate

RUNS = 200
ENOUGH = 1_000
"""Within so many runs every mutant has to be found. Most are in a few; that of stale attempts shows in one of 150."""
SEEDS: list[dict[str, Any]] = orjson.loads(Path(__file__).with_name("seeds.json").read_bytes())


def first_failure(runs: int) -> Any:
    return next((result for seed in range(runs) if (result := simulate(Plan.of(seed))).broken is not None), None)


def test_everything_holds_in_so_many_runs() -> None:
    total = simulate_all(range(RUNS), os.cpu_count() or 1)
    assert [(result.plan.seed, result.broken) for result in total.failures] == []
    assert total.runs == RUNS
    assert total.invariant_checks > 100 * RUNS
    assert RATES.keys() - total.faults.keys() == set(), "every kind of fault has happened"


@pytest.mark.parametrize("found", SEEDS, ids=lambda found: str(found["seed"]))
def test_what_was_found_once_stays_mended(found: dict[str, Any]) -> None:
    assert simulate(Plan.of(found["seed"])).broken is None, found["was"]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_part_that_is_broken_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[name](monkeypatch)
    assert first_failure(ENOUGH) is not None


def test_a_run_is_the_same_wherever_it_is_made() -> None:
    """Nothing may depend on the order of sets, which differs from process to process."""
    script = "from holdfast.ops.cli import main; main()"
    command = [sys.executable, "-c", script, "simulate", "--seed", "7", "--trace"]
    traces = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True, timeout=120
        ).stdout
        for seed in ("1", "2")
    }
    assert len(traces) == 1
    assert "WorkflowStarted" in traces.pop()


def test_the_number_of_processes_changes_nothing() -> None:
    assert simulate_all(range(24), 1) == simulate_all(range(24), 2)


def test_a_failure_is_made_small_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS["timers_fire_early"](monkeypatch)
    failed = first_failure(ENOUGH)
    small = shrink(failed)
    assert small.broken is not None
    assert small.broken[0] == failed.broken[0]
    assert len(small.plan.rates) < len(failed.plan.rates)
    assert any("BROKEN" in line for line in small.trace)


def test_a_plan_with_one_kind_of_fault_less_draws_the_others_as_before() -> None:
    plan = Plan.of(3)
    kind = next(iter(plan.rates))
    fewer = replace(plan, rates={other: rate for other, rate in plan.rates.items() if other != kind})
    assert kind not in simulate(fewer).faults


def test_the_command_prints_what_was_found_and_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    fine = runner.invoke(build_app(), ["simulate", "--seed", "1", "--runs", "3", "--jobs", "1", "--json"])
    assert fine.exit_code == 0
    said = orjson.loads(fine.stdout)
    assert (said["runs"], said["failures"]) == (3, [])
    MUTANTS["rows_are_durable_before_their_events"](monkeypatch)
    broken = runner.invoke(build_app(), ["simulate", "--seed", "1", "--runs", "2", "--jobs", "1"])
    assert broken.exit_code == 1
    assert "seed 1: I6: the row of" in broken.stdout
