"""Searches for traces of calls: they change nothing, so they need no claim and may be made twice.

They have slots of their own, as many as calls have: a search that waits for its time takes none, and what it finds out
may be what a busy executor waits for. An offset is finished by the report; that of a search whose time is far off at
once, because it would hold back all those behind it, and the fold asks again for a search that is lost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.schemas.record import Message
from holdfast.schemas.tasks import LookUpEffect
from holdfast.streams.clock import Clock
from holdfast.streams.executor.attempt import Delivery, Spawn
from holdfast.streams.executor.limits import SEARCH_OPEN_S
from holdfast.streams.executor.outcomes import Looked
from holdfast.streams.executor.reports import Reporter

Search = Callable[[Message[LookUpEffect]], Awaitable[Looked]]


@dataclass(slots=True, eq=False)
class _Running:
    far_off: bool
    deliveries: list[Delivery] = field(default_factory=list)
    runner: "asyncio.Task[None] | None" = None

    def take(self, delivery: Delivery) -> None:
        if self.far_off:
            delivery.finish()
        else:
            self.deliveries.append(delivery)


class Searches:
    """Makes searches when their time has come. `spawn` starts a coroutine whose failure ends the process."""

    def __init__(self, search: Search, reporter: Reporter, *, slots: int, spawn: Spawn, clock: Clock) -> None:
        self._search = search
        self._reporter = reporter
        self._slots = asyncio.Semaphore(slots)
        self._spawn = spawn
        self._clock = clock
        self._running: dict[tuple[str, int, int], _Running] = {}

    def take(self, message: Message[LookUpEffect], delivery: Delivery) -> None:
        """Start a search, or recognise it as one that is running here."""
        task = message.body
        key = task.effect_key, task.attempt, task.lookup
        known = self._running.get(key)
        if known is None:
            wait_s = max(task.not_before_at_ms - self._clock.now_ms(), 0) / 1000
            known = self._running[key] = _Running(far_off=wait_s > SEARCH_OPEN_S)
            known.runner = self._spawn(self._run(message, key, wait_s))
        known.take(delivery)

    async def stop(self) -> None:
        """Drop every search: whoever gets its task next makes it."""
        runners = [known.runner for known in self._running.values() if known.runner is not None]
        for runner in runners:
            runner.cancel()
        if runners:
            await asyncio.wait(runners)

    async def _run(self, message: Message[LookUpEffect], key: tuple[str, int, int], wait_s: float) -> None:
        try:
            await asyncio.sleep(wait_s)
            async with self._slots:
                looked = await self._search(message)
            await self._reporter.looked(message, looked)
            for delivery in self._running[key].deliveries:
                delivery.finish()
        finally:
            del self._running[key]
