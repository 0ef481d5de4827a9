"""Branches, items and child workflows on a real broker, with a worker that is killed in the middle of them."""

import asyncio
import random
from collections import Counter
from typing import Any

from holdfast.ops.embedded.broker import Broker
from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core.definition import Definition
from support.orchestrators import NewWorker, Outside, assert_whole
from support.scenario import define

ITEMS, CONCURRENCY, KILLS = 60, 10, 5
Steps = dict[str, Any]


def calls(prefix: str, count: int) -> Steps:
    """So many tool calls in a row, then the end of their scope; its output is the last result."""
    names = [f"{prefix}{number}" for number in range(count)]
    steps: Steps = {
        name: {"kind": "tool", "tool": "look", "arguments": {"at": name}, "next": following}
        for name, following in zip(names, [*names[1:], f"{prefix}_end"], strict=True)
    }
    return {**steps, f"{prefix}_end": {"kind": "succeed", "output": f"${{steps.{names[-1]}.output}}"}}


CHILD = define(calls("c", 4), name="child").definition
PARENT = define(
    {
        "both": {
            "kind": "parallel",
            "branches": {"left": "l0", "right": "r0"},
            "timeout": "30m",
            "next": "quick",
        },
        **calls("l", 4),
        **calls("r", 4),
        # The first one to come in wins, and the other one's calls are given up.
        "quick": {
            "kind": "parallel",
            "branches": {"a": "a0", "b": "b0"},
            "join": "any",
            "timeout": "30m",
            "next": "each",
        },
        **calls("a", 2),
        **calls("b", 3),
        "each": {
            "kind": "map",
            "items": "${input.items}",
            "do": "i0",
            "concurrency": CONCURRENCY,
            "timeout": "30m",
            "next": "ask",
        },
        **calls("i", 2),
        "ask": {"kind": "child", "definition": "child", "input": {}, "timeout": "30m", "next": "leave"},
        "leave": {
            "kind": "child",
            "definition": "child",
            "wait": False,
            "on_parent_end": "leave",
            "timeout": "30m",
            "next": "done",
        },
        "done": {"kind": "succeed", "output": "${steps.each.output}"},
    },
    name="parent",
    children={"child": CHILD.hash},
).definition


def started_for(outside: Outside) -> Counter[tuple[str, str, int, int]]:
    """How many workflows began for each place in a parent: its id, the step, the visit, the item."""
    begun = [message.body for message in outside.events if isinstance(message.body, e.WorkflowStarted)]
    return Counter((b.parent_id, b.parent_step, b.parent_visit, b.parent_index) for b in begun if b.parent_id)


async def start(outside: Outside, definition: Definition, *names: str) -> None:
    given: Json = {"items": list(range(ITEMS))}
    await asyncio.gather(
        *(outside.client.start(definition.name, given, workflow_id=name, event_id=name) for name in names)
    )


async def test_what_runs_side_by_side_survives_a_worker_that_is_killed_again_and_again(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    rng = random.Random(7)
    async with Outside(broker.bootstrap, topics) as outside:
        await outside.client.publish(CHILD)
        await outside.client.publish(PARENT)
        only = worker()
        await start(outside, PARENT, "w-1", "w-2")
        wanted = 2 * (1 + ITEMS + 2)
        for kill in range(KILLS):
            # Somewhere in the branches first, then all through the items.
            await outside.until(lambda: len(outside.events) > 20 + kill * 2 * ITEMS * 2)  # noqa: B023 - called at once
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            only.kill()
            only.start()

        def all_ended() -> bool:
            only.restart_if_ended()
            return len(outside.endings) == wanted

        await outside.until(all_ended, timeout_s=120.0)
    assert set(outside.endings.values()) == {"WorkflowCompleted"}
    assert set(started_for(outside).values()) == {1}
    assert len(started_for(outside)) == wanted - 2
    await assert_whole(broker.bootstrap, topics, wanted)


async def test_a_cancel_reaches_every_item_although_the_worker_is_killed_on_the_way(
    broker: Broker, topics: str, worker: NewWorker
) -> None:
    async with Outside(broker.bootstrap, topics, answering=False) as outside:
        items = define(
            {
                "each": {
                    "kind": "map",
                    "items": "${input.items}",
                    "do": "i0",
                    "concurrency": CONCURRENCY,
                    "timeout": "30m",
                    "next": "end",
                },
                **calls("i", 2),
            },
            name="items",
        ).definition
        await outside.client.publish(items)
        only = worker()
        names = [f"w-{number}" for number in range(6)]
        await start(outside, items, *names)
        await outside.until(lambda: len(outside.tasks) == len(names) * CONCURRENCY)
        await asyncio.gather(*(outside.client.cancel(name, "not needed", event_id=f"c-{name}") for name in names))
        await outside.until(lambda: "WorkflowCancelled" in outside.endings.values())
        only.kill()
        only.start()
        wanted = len(names) * (1 + CONCURRENCY)

        def all_ended() -> bool:
            only.restart_if_ended()
            return len(outside.endings) == wanted

        await outside.until(all_ended)
    assert set(outside.endings.values()) == {"WorkflowCancelled"}
    await assert_whole(broker.bootstrap, topics, wanted)
