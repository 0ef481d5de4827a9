"""Queues of real executors on a real broker: shares, limits, what a crash leaves, what people are shown."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.ops.client import Client
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.queues import Queues, read_queues
from holdfast.schemas.controls import LimitRemoved, LimitSet
from holdfast.schemas.reports import ReportToolResult
from support.executors import TENANT, Executor, Fleet, Orchestrator, eventually, tool_task


@pytest.fixture
async def operator(broker: Broker, topics: str) -> AsyncIterator[Client]:
    async with Client(broker.bootstrap, topics, TENANT, "olga") as client:
        yield client


def limit(scope: str, **given: Any) -> LimitSet:
    """A limit with these numbers and no others."""
    nothing: dict[str, Any] = {"max_in_flight": 0, "requests": "", "units": "", "weight": 1, "paused": False}
    return LimitSet(scope=scope, reason="a test", **{**nothing, **given})


async def shown(fleet: Fleet, **wanted: object) -> Queues:
    """The queues once there is one with these values."""
    for _ in range(100):
        found = await read_queues(fleet.bootstrap, fleet.prefix)
        if any(wanted.items() <= queue.items() for queue in found.queues):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"no {wanted} in {found}")


def assigned(executor: Executor) -> set[str]:
    """The partitions that an executor was assigned last."""
    said = [line for line in executor.said().splitlines() if "Setting newly assigned partitions" in line]
    return set(re.findall(r"partition=(\d+)", said[-1])) if said else set()


def most_at_a_time(fleet: Fleet) -> int:
    running = most = 0
    for what, *_ in fleet.probes():
        running += {"begin": 1, "end": -1}.get(what, 0)
        most = max(most, running)
    return most


async def test_a_quiet_tenant_and_a_quick_tool_are_not_behind_a_noisy_tenant_and_its_slow_tool(
    fleet: Fleet, orchestrator: Orchestrator
) -> None:
    fleet.tools(slots=4)
    noisy = [tool_task("slow_keyed", {"ms": 100}, effect="keyed", n=n) for n in range(200)]
    await asyncio.gather(*(orchestrator.send(task) for task in noisy))
    await orchestrator.wait_for(ReportToolResult, 4)
    quiet = tool_task("slow_read", {"ms": 1}, n=1_000)
    quick = tool_task("slow_read", {"ms": 1}, n=1_001)
    await orchestrator.send(quiet, tenant="bcorp")
    await orchestrator.send(quick)
    for task in (quiet, quick):
        await orchestrator.wait_for(ReportToolResult, effect_key=task.effect_key)
    assert len(orchestrator.of(ReportToolResult)) < 100


async def test_operators_limit_and_pause_while_executors_run_and_see_what_waits_for_what(
    fleet: Fleet, orchestrator: Orchestrator, operator: Client
) -> None:
    await operator.control(limit("tool:slow_keyed,tenant:*", max_in_flight=2))
    fleet.tools(slots=8)
    for n in range(8):
        await orchestrator.send(tool_task("slow_keyed", {"ms": 300}, effect="keyed", n=n))
    await eventually(lambda: fleet.probes())
    await operator.control(limit(f"tenant:{TENANT}", paused=True))
    paused = await shown(fleet, in_flight=0, depth=6)
    (queue,) = paused.queues
    assert queue["why"] == f"paused of tenant:{TENANT}"
    assert queue["throttled"] == queue["depth"]
    assert queue["oldest_age_ms"] > 0
    assert [(found["scope"], found["set_by"], found["reason"]) for found in paused.limits] == [
        (f"tenant:{TENANT}", "olga", "a test"),
        ("tool:slow_keyed,tenant:*", "olga", "a test"),
    ]

    await operator.control(LimitRemoved(scope=f"tenant:{TENANT}", reason="over"))
    await orchestrator.wait_for(ReportToolResult, 8)
    assert most_at_a_time(fleet) == 2
    assert len((await read_queues(fleet.bootstrap, fleet.prefix)).limits) == 1


async def test_executors_keep_a_limit_together_while_another_one_joins(
    fleet: Fleet, orchestrator: Orchestrator, operator: Client
) -> None:
    await operator.control(limit("tool:slow_keyed", max_in_flight=1))
    both = [fleet.tools(), fleet.tools()]
    await eventually(lambda: all(len(assigned(executor)) == 2 for executor in both))
    for n in range(16):
        await orchestrator.send(tool_task("slow_keyed", {"ms": 150}, effect="keyed", n=n), partition=n % 4)
    fleet.tools()
    results = await orchestrator.wait_for(ReportToolResult, 16)
    assert most_at_a_time(fleet) == 1
    assert len({result.effect_key for result in results}) == 16


async def test_what_was_finished_behind_a_task_that_waits_is_not_done_again_after_a_crash(
    fleet: Fleet, orchestrator: Orchestrator, operator: Client
) -> None:
    await operator.control(limit("tool:slow_once", paused=True))
    first = fleet.tools(instance_id="stable")
    waiting = tool_task("slow_keyed", {"ms": 1}, effect="keyed", n=0)
    held = tool_task("slow_once", {"ms": 1}, effect="once", lease_ms=60_000, n=1)
    done = [tool_task("slow_keyed", {"ms": 1}, effect="keyed", n=n) for n in range(2, 30)]
    for task in (waiting, held, *done):
        await orchestrator.send(task, partition=1)
    await orchestrator.wait_for(ReportToolResult, 29)
    await orchestrator.settle(1.2)  # the note is committed by now
    first.kill()

    fleet.tools(instance_id="stable")
    after = tool_task("slow_keyed", {"ms": 1}, effect="keyed", n=100)
    await orchestrator.send(after, partition=1)
    await orchestrator.wait_for(ReportToolResult, effect_key=after.effect_key)
    assert [fleet.begun(task.effect_key) for task in done] == [1] * 28
    (queue,) = (await shown(fleet, task_class="tool:slow_once", depth=1)).queues
    assert queue["why"] == "paused of tool:slow_once"


async def test_a_few_tasks_that_wait_do_not_stop_those_behind_them_however_many_come(
    fleet: Fleet, orchestrator: Orchestrator, operator: Client
) -> None:
    await operator.control(limit("tool:slow_read", paused=True))
    fleet.tools(open_limit=40, waiting_limit=20)
    held = [tool_task("slow_read", {"ms": 1}, n=n) for n in range(4)]
    others = [tool_task("slow_keyed", {"ms": 1}, effect="keyed", n=n) for n in range(10, 160)]
    for task in (*held, *others):
        await orchestrator.send(task, partition=2)
    await orchestrator.wait_for(ReportToolResult, 150)
    await operator.control(LimitRemoved(scope="tool:slow_read", reason="over"))
    await orchestrator.wait_for(ReportToolResult, 154)
    assert [fleet.begun(task.effect_key) for task in (*held, *others)] == [1] * 154
