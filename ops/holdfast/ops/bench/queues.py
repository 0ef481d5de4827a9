"""`holdfast bench queues`: how long calls wait for a slot, alone and next to a noisy tenant or a slow class."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.ops.bench.steps import PARTITIONS, Report, percentiles
from holdfast.ops.bench.tools import bench_quick, bench_slow
from holdfast.ops.client import Client
from holdfast.ops.errors import CommandError
from holdfast.ops.roles import ROLES
from holdfast.ops.trial.reading import messages, reader, whole
from holdfast.ops.trial.sandbox import Sandbox, new_home, sandbox
from holdfast.schemas import topics
from holdfast.schemas.codec import decode
from holdfast.schemas.events import ToolCallCompleted, ToolCallRequested
from holdfast.schemas.record import Message, Record
from holdfast.streams.core.definition import Definition

QUIET, NOISY = "quiet", "noisy"
STARTS_AT_ONCE = 200
STALL_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`noise` calls of the noisy tenant, or of the slow class, are queued before `probes` others, one at a time."""

    noise: int
    probes: int
    slots: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """One comparison: who is measured, and next to whom; each a tenant and a definition."""

    name: str
    probe: tuple[str, str]
    noise: tuple[str, str]


CASES = (
    Case(name="tenant", probe=(QUIET, "bench-quick"), noise=(NOISY, "bench-slow")),
    Case(name="class", probe=(QUIET, "bench-quick"), noise=(QUIET, "bench-slow")),
)


def bench_queues(plan: Plan, report: Report) -> dict[str, Any]:
    """Run a plan in a project of its own and return waits in ms, alone and next to others, and their ratio."""
    roles = tuple(role for role in ROLES if role.name in ("broker", "orchestrator", "executor-tool"))
    with sandbox(
        new_home("bench"),
        environment={},
        roles=roles,
        report=report,
        tool_modules=("holdfast.ops.bench.tools",),
        executor_slots=plan.slots,
        partitions=PARTITIONS,
    ) as project:
        return asyncio.run(_measure(project, plan, report))


async def _measure(project: Sandbox, plan: Plan, report: Report) -> dict[str, Any]:
    async with _client(project, QUIET) as quiet, _client(project, NOISY) as noisy:
        clients = {QUIET: quiet, NOISY: noisy}
        for tool in (bench_quick, bench_slow):
            await quiet.publish(one_call(tool.manifest.to_json()))
        tenant, definition = CASES[0].probe
        await _one_by_one(project, clients[tenant], definition, "warm", 5, lambda _: None)
        done = _part(report, "alone", plan.probes)
        await _one_by_one(project, clients[tenant], definition, "alone", plan.probes, done)
        for case in CASES:
            tenant, definition = case.noise
            names = [f"{case.name}-noise-{number}" for number in range(plan.noise)]
            await _start(clients[tenant], definition, names)
            await _until_all(project, ToolCallRequested, names)  # the orchestrator has nothing else to do by then
            tenant, definition = case.probe
            done = _part(report, f"next to a {'noisy tenant' if case.name == 'tenant' else 'slow class'}", plan.probes)
            await _one_by_one(project, clients[tenant], definition, f"{case.name}-probe", plan.probes, done)
            if not await _still_queued(project, names):
                raise CommandError("the queue ran empty while it was measured", cure="raise --noise")
            if case is not CASES[-1]:
                await _until_all(project, ToolCallCompleted, names)
    waits = await _waits(project)
    alone = percentiles(waits_of(waits, "alone-"))
    figures: dict[str, Any] = {"alone_ms": alone}
    for case in CASES:
        beside = percentiles(waits_of(waits, f"{case.name}-probe-"))
        figures[f"{case.name}_ms"] = beside
        figures[f"{case.name}_ratio"] = round(beside["p50"] / max(alone["p50"], 0.1), 2)
    return figures


def one_call(tool: Mapping[str, Any]) -> Definition:
    """A definition that makes one call of a tool."""
    return Definition.model_validate(
        {
            "name": tool["name"].replace("_", "-"),
            "deadline": "1h",
            "start": "call",
            "steps": {
                "call": {"kind": "tool", "tool": tool["name"], "next": "done"},
                "done": {"kind": "succeed"},
            },
            "tools": {tool["name"]: tool},
        }
    )


def waits_of(waits: Mapping[str, float], prefix: str) -> list[float]:
    """The waits of workflows whose ids begin so."""
    return [wait for workflow_id, wait in waits.items() if workflow_id.startswith(prefix)]


def waits_from(events: Iterable[Message[Record]]) -> dict[str, float]:
    """By workflow, the time in ms from the request of its call to its result, without the call itself."""
    requested: dict[str, int] = {}
    waits: dict[str, float] = {}
    for message in events:
        workflow_id, at_ms = message.meta.workflow_id, message.meta.recorded_at_ms
        if isinstance(message.body, ToolCallRequested):
            requested[workflow_id] = at_ms
        elif isinstance(message.body, ToolCallCompleted):
            waits[workflow_id] = max(at_ms - requested[workflow_id] - message.body.duration_ms, 0)
    return waits


async def _waits(project: Sandbox) -> dict[str, float]:
    return waits_from([decode(record.value) async for record in whole(project.bootstrap, _journal(project))])


async def _still_queued(project: Sandbox, names: Iterable[str]) -> bool:
    return bool(set(names) - set(await _waits(project)))


@asynccontextmanager
async def _client(project: Sandbox, tenant: str) -> AsyncIterator[Client]:
    async with Client(project.bootstrap, project.prefix, tenant, "bench") as client:
        yield client


async def _start(client: Client, definition: str, names: list[str]) -> None:
    for first in range(0, len(names), STARTS_AT_ONCE):
        batch = names[first : first + STARTS_AT_ONCE]
        await asyncio.gather(*(client.start(definition, {}, workflow_id=name, event_id=name) for name in batch))


async def _until_all(project: Sandbox, kind: type[Record], names: Iterable[str]) -> None:
    """Wait until every workflow has an event of a type."""
    left = set(names)
    async with reader(project.bootstrap, [_journal(project)]) as consumer:
        found = messages(consumer)
        while left:
            _, message = await asyncio.wait_for(anext(found), STALL_S)
            if isinstance(message.body, kind):
                left.discard(message.meta.workflow_id)


async def _one_by_one(
    project: Sandbox, client: Client, definition: str, name: str, count: int, done: Callable[[int], None]
) -> None:
    async with reader(project.bootstrap, [project.prefix + topics.RESULTS.name], from_end=True) as consumer:
        endings = messages(consumer)
        for number in range(count):
            workflow_id = f"{name}-{number}"
            await _start(client, definition, [workflow_id])
            while (await asyncio.wait_for(anext(endings), STALL_S))[1].meta.workflow_id != workflow_id:
                continue
            done(number + 1)


def _journal(project: Sandbox) -> str:
    return project.prefix + topics.JOURNAL.name


def _part(report: Report, what: str, total: int) -> Callable[[int], None]:
    report(what, 0, total)
    return lambda done: report(what, done, total)
