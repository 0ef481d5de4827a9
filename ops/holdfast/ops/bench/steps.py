"""`holdfast bench steps`: chains of tool calls through everything real, first all at once, then one by one."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.ops.bench.chain import chain
from holdfast.ops.bench.cpu import cpu_seconds
from holdfast.ops.bench.handoff import HandoffMeter
from holdfast.ops.bench.lag import rows_lag_ms
from holdfast.ops.bench.load import all_at_once, one_by_one
from holdfast.ops.bench.profiling import top_functions, under_profile
from holdfast.ops.bench.storage import stored_bytes
from holdfast.ops.client import Client
from holdfast.ops.errors import CommandError
from holdfast.ops.roles import ROLES
from holdfast.ops.trial.projected import projected
from holdfast.ops.trial.sandbox import Sandbox, new_home, sandbox

MEASURED = {"broker": "broker", "orchestrator": "orchestrator", "executor-tool": "executor", "sink": "sink"}
"""Roles whose CPU time is measured, and their names in the result."""
ENGINE = ("broker", "orchestrator", "executor")
DRAIN_S = 120.0
PARTITIONS = 4

# (what is done, steps done, steps in total)
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much to run: `workflows` chains of `steps` tool calls, after `warm_up` of them that are not measured.

    `slots` is how many calls the executor makes at a time; `idle_workflows` how many chains are run one by one for
    the hand-off; `profile` names a role to run under cProfile, or is empty.
    """

    workflows: int
    steps: int
    warm_up: int
    slots: int
    idle_workflows: int
    profile: str = ""


def bench_steps(plan: Plan, report: Report) -> dict[str, Any]:
    """Run a plan in a project of its own and return the figures: counts, milliseconds, bytes.

    With `profile` there is one more key of that name, a text. Raises CommandError.
    """
    home = new_home("bench")
    profile = home / "profile"
    roles = under_profile(plan.profile, profile) if plan.profile else ROLES
    with sandbox(
        home,
        environment={},
        roles=roles,
        report=report,
        tool_modules=("holdfast.ops.bench.tools",),
        executor_slots=plan.slots,
        partitions=PARTITIONS,
    ) as project:
        figures = asyncio.run(_measure(project, plan, report))
        if plan.profile:
            figures["profile"] = _profile_of(project, plan.profile, profile)
    return figures


async def _measure(project: Sandbox, plan: Plan, report: Report) -> dict[str, Any]:
    tenant = project.settings.tenant
    async with Client(project.bootstrap, project.prefix, tenant, "bench") as client:
        await client.publish(chain(plan.steps))
        await all_at_once(project, client, "warm", plan.warm_up, _part(report, "warming up", plan.warm_up))
        await _drained(project)
        before, cpu_before = stored_bytes(project), cpu_seconds(project.supervisor, MEASURED)
        window = await all_at_once(project, client, "load", plan.workflows, _part(report, "load", plan.workflows))
        await _drained(project)
        cpu_after, after = cpu_seconds(project.supervisor, MEASURED), stored_bytes(project)
        from_inbox_ms, from_journal_ms = await rows_lag_ms(project, window.began_s)
        part = _part(report, "one by one", plan.idle_workflows)
        async with HandoffMeter(project) as meter:
            await one_by_one(project, client, "idle", plan.idle_workflows, part)
            handoffs_ms = meter.handoffs_ms()
    steps = plan.workflows * plan.steps
    by_store = {name: round((after[name] - before.get(name, 0)) / steps) for name in sorted(after)}
    return {
        "steps": steps,
        "steps_per_s": round(steps / window.seconds),
        "cpu_ms_per_step": cpu_per_step(cpu_before, cpu_after, steps),
        "handoff_ms": percentiles(handoffs_ms),
        "event_to_row_ms": percentiles(from_inbox_ms),
        "bytes_per_step": sum(by_store.values()),
        "bytes_per_step_by_store": by_store,
        "journal_to_row_ms": percentiles(from_journal_ms),
    }


def cpu_per_step(before: Mapping[str, float], after: Mapping[str, float], steps: int) -> dict[str, float]:
    """CPU ms per step by part, for the engine, and in total; `before` and `after` are CPU seconds by role."""
    parts = {part: (after[role] - before[role]) * 1000 / steps for role, part in MEASURED.items()}
    sums = {"engine": sum(parts[part] for part in ENGINE), "total": sum(parts.values())}
    return {name: round(value, 3) for name, value in {**parts, **sums}.items()}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The median and the 99th percentile (nearest rank), to a tenth. Raises CommandError if there are no values."""
    if not values:
        raise CommandError("nothing was measured: the load was too small")
    ranked = sorted(values)
    return {name: round(ranked[math.ceil(len(ranked) * part) - 1], 1) for name, part in _RANKS.items()}


_RANKS = {"p50": 0.5, "p99": 0.99}


def _part(report: Report, what: str, total: int) -> Callable[[int], None]:
    report(what, 0, total)
    return lambda done: report(what, done, total)


async def _drained(project: Sandbox) -> None:
    if not await projected(project, timeout_s=DRAIN_S):
        raise CommandError(f"ClickHouse did not have the journal within {DRAIN_S:.0f} s of its end")


def _profile_of(project: Sandbox, role: str, profile: Path) -> str:
    project.supervisor.stop()
    if not profile.exists():
        raise CommandError(f"{role} wrote no profile: did it have to be killed?")
    return top_functions(profile)
