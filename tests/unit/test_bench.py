"""The arithmetic of the benchmark, and the definition that it runs."""

from pathlib import Path

import pytest

from holdfast.ops.bench.chain import chain
from holdfast.ops.bench.queues import one_call, waits_from, waits_of
from holdfast.ops.bench.steps import cpu_per_step, percentiles
from holdfast.ops.bench.storage import topic_bytes
from holdfast.ops.bench.tools import bench_quick, bench_slow
from holdfast.ops.commands.bench import GOALS, goal_rows
from holdfast.ops.errors import CommandError
from holdfast.schemas.events import ToolCallCompleted, ToolCallRequested
from holdfast.schemas.record import EventMeta, Message, Record, changed
from holdfast.streams.core.compile import compile_definition
from support.samples import sample

FIGURES = {
    "steps": 100,
    "steps_per_s": 1_500,
    "cpu_ms_per_step": {
        "broker": 0.1,
        "orchestrator": 0.4,
        "executor": 0.1,
        "sink": 0.5,
        "engine": 0.6,
        "total": 1.1,
    },
    "handoff_ms": {"p50": 7.5, "p99": 20.0},
    "event_to_row_ms": {"p50": 300.0, "p99": 900.0},
    "journal_to_row_ms": {"p50": 200.0, "p99": 700.0},
}


def test_a_chain_has_as_many_tool_calls_as_steps_and_may_run() -> None:
    definition = chain(7)
    assert [step.kind for step in definition.steps.values()] == ["tool"] * 7 + ["succeed"]
    assert compile_definition(definition).hash == definition.hash


def test_cpu_time_is_split_by_part_and_summed() -> None:
    before = {"broker": 1.0, "orchestrator": 2.0, "executor-tool": 3.0, "sink": 4.0}
    after = {"broker": 1.1, "orchestrator": 2.4, "executor-tool": 3.1, "sink": 4.2}
    assert cpu_per_step(before, after, 1_000) == {
        "broker": 0.1,
        "orchestrator": 0.4,
        "executor": 0.1,
        "sink": 0.2,
        "engine": 0.6,
        "total": 0.8,
    }


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([float(n) for n in range(1, 201)]) == {"p50": 100.0, "p99": 198.0}
    assert percentiles([3.0]) == {"p50": 3.0, "p99": 3.0}


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(CommandError, match="too small"):
        percentiles([])


def test_each_figure_stands_beside_its_goal() -> None:
    verdicts = {row["figure"]: row[""] for row in goal_rows(FIGURES)}
    assert len(verdicts) == len(GOALS)
    assert verdicts["throughput"] == "met"
    assert verdicts["CPU per step, engine (the first three)"] == "met"
    assert verdicts["CPU per step, total"] == "missed"
    assert verdicts["hand-off when idle, p50"] == "missed"
    assert verdicts["CPU per step, sink"] == ""


def test_the_size_of_a_topic_is_that_of_its_segments(tmp_path: Path) -> None:
    for partition, size in (("holdfast.tasks.tool-0", 10), ("holdfast.tasks.tool-1", 5), ("other-0", 7)):
        folder = tmp_path / "data" / partition
        folder.mkdir(parents=True)
        (folder / "00000000000000000000.log").write_bytes(b"x" * size)
        (folder / "00000000000000000000.index").write_bytes(b"x" * 1_000)
    assert topic_bytes(tmp_path, "holdfast.") == {"tasks.tool": 15}


def journal(workflow_id: str, *, requested_at_ms: int, completed_at_ms: int, duration_ms: int) -> list[Message[Record]]:
    """The events of one call."""
    asked, answered = sample(ToolCallRequested), changed(sample(ToolCallCompleted), duration_ms=duration_ms)
    meta = EventMeta(
        event_id="", type="", tenant="acme", workflow_id=workflow_id, actor_kind="", actor_id="", occurred_at_ms=0
    )
    return [
        Message(meta=changed(meta, recorded_at_ms=at_ms), body=body)
        for at_ms, body in ((requested_at_ms, asked), (completed_at_ms, answered))
    ]


def test_the_wait_of_a_call_is_the_time_from_its_request_to_its_result_without_the_call() -> None:
    events = [
        *journal("a-1", requested_at_ms=100, completed_at_ms=190, duration_ms=50),
        *journal("a-2", requested_at_ms=100, completed_at_ms=130, duration_ms=40),
        *journal("b-1", requested_at_ms=0, completed_at_ms=9, duration_ms=1),
    ]
    assert waits_of(waits_from(events), "a-") == [40, 0]


def test_the_definitions_whose_calls_are_measured_may_run() -> None:
    for tool in (bench_quick, bench_slow):
        definition = one_call(tool.manifest.to_json())
        assert compile_definition(definition).hash == definition.hash
