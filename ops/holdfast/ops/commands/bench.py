"""`holdfast bench`: what a durable step costs on this machine."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from holdfast.ops.console import JsonOption, emit, progress, say

# Figure, its place in the result, unit, goal (empty if there is none).
GOALS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("steps", ("steps",), "", ""),
    ("throughput", ("steps_per_s",), "steps/s", ">= 1500"),
    ("CPU per step, broker", ("cpu_ms_per_step", "broker"), "ms", ""),
    ("CPU per step, orchestrator", ("cpu_ms_per_step", "orchestrator"), "ms", ""),
    ("CPU per step, executor", ("cpu_ms_per_step", "executor"), "ms", ""),
    ("CPU per step, sink", ("cpu_ms_per_step", "sink"), "ms", ""),
    ("CPU per step, engine (the first three)", ("cpu_ms_per_step", "engine"), "ms", "<= 0.6"),
    ("CPU per step, total", ("cpu_ms_per_step", "total"), "ms", "<= 1.0"),
    ("hand-off when idle, p50", ("handoff_ms", "p50"), "ms", "<= 7"),
    ("hand-off when idle, p99", ("handoff_ms", "p99"), "ms", "<= 25"),
    ("event to row under load, p50", ("event_to_row_ms", "p50"), "ms", ""),
    ("event to row under load, p99", ("event_to_row_ms", "p99"), "ms", "<= 2000"),
    ("of that, journal to row, p99", ("journal_to_row_ms", "p99"), "ms", ""),
)


def register(app: typer.Typer) -> None:
    """Add `holdfast bench`."""
    bench = typer.Typer(no_args_is_help=True, help="Measure the whole engine on this machine, in a project of its own.")
    bench.command("steps")(steps)
    bench.command("queues")(queues)
    app.add_typer(bench, name="bench")


def steps(
    workflows: Annotated[int, typer.Option(min=1, help="Workflows that are measured, all running at once.")] = 1_000,
    chain: Annotated[int, typer.Option("--steps", min=2, max=500, help="Tool calls in each workflow.")] = 20,
    warm_up: Annotated[int, typer.Option(min=1, help="Workflows before them that are not measured.")] = 400,
    slots: Annotated[int, typer.Option(min=1, max=1024, help="Calls that the executor makes at a time.")] = 256,
    idle_workflows: Annotated[int, typer.Option(min=1, help="Workflows run one by one, for the hand-off.")] = 15,
    profile: Annotated[
        str, typer.Option(metavar="ROLE", help="Run this role under cProfile: its figures get worse.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Run chains of tool calls through everything real, and print what a step costs and how long things take.

    Example: holdfast bench steps --json
    """
    from holdfast.ops.bench.steps import MEASURED, Plan, bench_steps

    if profile and profile not in MEASURED:
        raise typer.BadParameter(f"{profile} cannot be profiled (there are: {', '.join(MEASURED)})")
    plan = Plan(
        workflows=workflows, steps=chain, warm_up=warm_up, slots=slots, idle_workflows=idle_workflows, profile=profile
    )
    with progress() as report:
        figures = bench_steps(plan, report)
    text = figures.pop("profile", "")
    if as_json:
        emit(figures, as_json=True)
    else:
        emit(goal_rows(figures))
        emit([{"bytes per step": name, "": size} for name, size in figures["bytes_per_step_by_store"].items()])
    if text:
        say(text)


def queues(
    noise: Annotated[int, typer.Option(min=10, help="Calls that are queued before those that are measured.")] = 1_000,
    probes: Annotated[int, typer.Option(min=1, help="Calls that are measured, one after the other.")] = 20,
    slots: Annotated[int, typer.Option(min=1, max=1024, help="Calls that the executor makes at a time.")] = 8,
    as_json: JsonOption = False,
) -> None:
    """Measure how long calls wait for a slot: alone, next to a noisy tenant, and next to a slow class of calls.

    JSON: alone_ms, tenant_ms and class_ms with p50 and p99 each; tenant_ratio and class_ratio of the medians.

    Example: holdfast bench queues
    """
    from holdfast.ops.bench.queues import Plan, bench_queues

    with progress() as report:
        figures = bench_queues(Plan(noise=noise, probes=probes, slots=slots), report)
    if as_json:
        emit(figures, as_json=True)
        return
    names = {"alone": "alone", "tenant": "next to a noisy tenant", "class": "next to a slow class"}
    emit(
        [
            {"a call waits": words, **figures[f"{name}_ms"], "ratio": figures.get(f"{name}_ratio", 1.0)}
            for name, words in names.items()
        ]
    )


def goal_rows(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures as rows for people, each beside its goal and whether it is met."""
    rows = []
    for name, path, unit, goal in GOALS:
        value: Any = figures
        for key in path:
            value = value[key]
        rows.append({"figure": name, "value": value, "unit": unit, "goal": goal, "": _verdict(value, goal)})
    return rows


def _verdict(value: float, goal: str) -> str:
    if not goal:
        return ""
    relation, _, limit = goal.partition(" ")
    met = value <= float(limit) if relation == "<=" else value >= float(limit)
    return "met" if met else "missed"
