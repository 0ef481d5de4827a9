"""Running workflows through a project: as many as there are at once, or one after the other."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Any

from holdfast.ops.bench.chain import NAME
from holdfast.ops.client import Client
from holdfast.ops.errors import CommandError
from holdfast.ops.trial.reading import messages, reader
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.schemas import topics

STARTS_AT_ONCE = 200
STALL_S = 60.0

# (workflows that have ended)
Done = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Window:
    """When a load began and ended, as Unix time in seconds."""

    began_s: float
    ended_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.ended_s - self.began_s


async def all_at_once(project: Sandbox, client: Client, name: str, workflows: int, done: Done) -> Window:
    """Start all workflows as fast as possible, and wait until each has completed. Raises CommandError otherwise."""
    names = [f"{name}-{number}" for number in range(workflows)]
    async with reader(project.bootstrap, [project.prefix + topics.RESULTS.name], from_end=True) as consumer:
        began_s = time.time()
        starting = asyncio.create_task(_start(client, names))
        await _completed(messages(consumer), names, done)
        ended_s = time.time()
        await starting
    return Window(began_s=began_s, ended_s=ended_s)


async def one_by_one(project: Sandbox, client: Client, name: str, workflows: int, done: Done) -> None:
    """Start each workflow when the one before has completed. Raises CommandError if one does not."""
    async with reader(project.bootstrap, [project.prefix + topics.RESULTS.name], from_end=True) as consumer:
        endings = messages(consumer)
        for number in range(workflows):
            names = [f"{name}-{number}"]
            await _start(client, names)
            await _completed(endings, names, lambda _: None)
            done(number + 1)


async def _start(client: Client, names: list[str]) -> None:
    for first in range(0, len(names), STARTS_AT_ONCE):
        batch = names[first : first + STARTS_AT_ONCE]
        await asyncio.gather(*(client.start(NAME, {}, workflow_id=name, event_id=name) for name in batch))


async def _completed(endings: AsyncIterator[Any], names: Collection[str], done: Done) -> None:
    left = set(names)
    while left:
        try:
            _, message = await asyncio.wait_for(anext(endings), STALL_S)
        except TimeoutError as exc:
            raise CommandError(f"no workflow ended for {STALL_S:.0f} s, {len(left)} still run") from exc
        if message.meta.workflow_id not in left:
            continue
        if message.meta.type != "WorkflowCompleted":
            raise CommandError(f"{message.meta.workflow_id} did not complete: {message.meta.type} {message.body}")
        left.remove(message.meta.workflow_id)
        done(len(names) - len(left))
