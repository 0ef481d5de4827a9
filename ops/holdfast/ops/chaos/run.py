"""`holdfast chaos`: a whole project in a folder of its own, workflows through it, faults on it, and the count."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.ops.chaos.checks import count, folded
from holdfast.ops.chaos.driver import World, start_times
from holdfast.ops.chaos.faults import SESSION_TIMEOUT_MS, Fault, Hand
from holdfast.ops.chaos.mix import Mix
from holdfast.ops.chaos.tools import URL_VARIABLE
from holdfast.ops.client import Client
from holdfast.ops.errors import CommandError
from holdfast.ops.restarts import RestartPolicy
from holdfast.ops.scripted_model.child import ChildServer, ScriptedModel
from holdfast.ops.trial.projected import projected
from holdfast.ops.trial.sandbox import Sandbox, new_home, sandbox

MODEL_SCRIPT = Path(__file__).with_name("model_script.yaml")
SLOTS = 16
PARTITIONS = 4
SETTLE_S = 90.0
# Faults are what this is about: no role is ever given up.
TIRELESS = RestartPolicy(first_s=0.1, longest_s=0.5, limit=100_000)
MUST_BE_ZERO = (
    "rows_differ",
    "clickhouse_missing",
    "clickhouse_extra",
    "effects_doubled",
    "effects_missing",
    "tasks_missing",
    "tasks_unexpected",
    "letters_missing",
    "letters_unexpected",
    "starts_unanswered",
    "subscriptions_differ",
    "decisions_cut_short",
    "chain_broken",
    "effects_unasked",
    "not_completed",
)

# (what is done, steps done, steps in total)
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run: what it is drawn from, the workflows, the faults, and after how many seconds of load it is given up."""

    seed: int
    mix: Mix
    faults: Sequence[Fault]
    duration_limit_s: float
    keep: bool = False


def run_chaos(plan: Plan, report: Report) -> dict[str, Any]:
    """Carry out a plan in a project of its own; returns the counts, and where the folder is if it was kept.

    The folder stays if `keep` says so or if any count is off. Raises CommandError if the project does not start.
    """
    home = new_home("chaos")
    target = ChildServer(["-m", "holdfast.ops.chaos.target"], home / "target")
    model = ScriptedModel(MODEL_SCRIPT, home / "model")
    began_s = time.monotonic()
    with (
        target,
        model,
        sandbox(
            home,
            environment={URL_VARIABLE: target.url},
            policy=TIRELESS,
            report=report,
            tool_modules=("holdfast.ops.chaos.tools",),
            model_base_url=model.base_url,
            model_name="scripted",
            session_timeout_ms=SESSION_TIMEOUT_MS,
            executor_slots=SLOTS,
            partitions=PARTITIONS,
        ) as project,
    ):
        counts = asyncio.run(_run(project, target, plan, report))
        restarts = project.restarts()
        project.keep = plan.keep or not passed(counts)
    result = {**counts, "seed": plan.seed, "duration_s": round(time.monotonic() - began_s, 1), "restarts": restarts}
    return {**result, "home": str(home)} if project.keep else result


def passed(counts: Mapping[str, Any]) -> bool:
    """True if every workflow has finished and nothing is missing, doubled or different."""
    return counts["finished"] == counts["workflows"] and not any(counts[name] for name in MUST_BE_ZERO)


async def _run(project: Sandbox, target: ChildServer, plan: Plan, report: Report) -> dict[str, Any]:
    visits, tenant = plan.mix.visits, project.settings.tenant
    faults_seen = _Counter(report, "faults", len(plan.faults))
    hand = Hand(project.supervisor, lambda _: faults_seen.add())
    async with (
        Client(project.bootstrap, project.prefix, tenant, "requester") as requester,
        Client(project.bootstrap, project.prefix, tenant, "reviewer") as reviewer,
    ):
        for definition in plan.mix.definitions:
            await requester.publish(definition)
        world = World(project, requester, reviewer, visits, _Counter(report, "workflows", len(visits)).add)
        await _with_load(world, hand, plan)
    report("checks", 0, 1)
    await _settled(project)
    counts = await count(project, target.journal())
    report("checks", 1, 1)
    return {
        "workflows": len(visits),
        "finished": len(world.finished),
        "faults": {**dict(sorted(hand.done.items())), "total": hand.done.total()},
        **counts,
        "not_completed": sum(ending != "WorkflowCompleted" for ending in world.finished.values()),
    }


async def _with_load(world: World, hand: Hand, plan: Plan) -> None:
    """Load and faults, until both have ended or the time is up; what did not finish is counted, not raised."""
    answering = asyncio.create_task(world.answer_for_ever())
    starts_s = start_times(plan.seed, plan.mix.visits, plan.faults)
    try:
        async with asyncio.timeout(plan.duration_limit_s), asyncio.TaskGroup() as work:
            work.create_task(world.start_all(starts_s))
            work.create_task(hand.carry_out(plan.faults))
            work.create_task(_unless_ended(world.all_finished(), answering))
    except TimeoutError:
        return
    except ExceptionGroup as group:
        raise _first_of(group) from group
    finally:
        answering.cancel()
        await asyncio.wait([answering])


def _first_of(error: Exception) -> Exception:
    return _first_of(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


async def _unless_ended(work: Any, other: "asyncio.Task[None]") -> None:
    """Wait for `work`. Raises what ends `other`, which should not end."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task, other], return_when=asyncio.FIRST_COMPLETED)
    if other.done():
        task.cancel()
        await other
    await task


async def _settled(project: Sandbox) -> None:
    """Wait until the inbox is folded and the journal projected, so that all of it can be compared at rest."""
    if not await folded(project, timeout_s=SETTLE_S):
        raise CommandError(f"the orchestrator did not fold its inbox within {SETTLE_S:.0f} s", cure=_logs(project))
    if not await projected(project, timeout_s=SETTLE_S):
        raise CommandError(f"ClickHouse did not have the journal within {SETTLE_S:.0f} s", cure=_logs(project))


def _logs(project: Sandbox) -> str:
    return f"read the logs in {project.supervisor.project.logs}"


class _Counter:
    """Reports one more each time."""

    def __init__(self, report: Report, what: str, total: int) -> None:
        self._report, self._what, self._total = report, what, total
        self._done = 0
        report(what, 0, total)

    def add(self) -> None:
        self._done += 1
        self._report(self._what, self._done, self._total)
