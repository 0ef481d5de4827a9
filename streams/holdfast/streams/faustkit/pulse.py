"""Noticing that this process was suspended, whatever runs first after it wakes up."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, ParamSpec, TypeVar

from holdfast.streams.clock import SYSTEM_CLOCK, Clock
from holdfast.streams.faustkit.exit import die

BEATS_PER_LIMIT = 20
Given = ParamSpec("Given")
ResultT = TypeVar("ResultT")


class Pulse:
    """A clock that stands still while the process is suspended.

    A worker that was away for longer than its session may have lost its partitions to another, and whatever it still
    holds in memory or in hand is stale: it must not write any more.
    """

    def __init__(self, limit_ms: int, clock: Clock = SYSTEM_CLOCK, die: Callable[[str], NoReturn] = die) -> None:
        """`limit_ms` is the session timeout; `die` ends the process."""
        self._clock = clock
        self._die = die
        self._limit_s = limit_ms / 1000
        self._last_beat = 0.0

    def check(self) -> None:
        """End the process if the last beat is too long ago. Before the first beat there is nothing to compare."""
        if self._last_beat and self._clock.monotonic_s() - self._last_beat > self._limit_s:
            self._die("this process was suspended for longer than its session lasts")

    async def watched(
        self, append: Callable[Given, Awaitable[ResultT]], *given: Given.args, **more: Given.kwargs
    ) -> ResultT:
        """The result of `append(...)`. Ends the process, before and after, if it was suspended for too long."""
        self.check()
        before = self._clock.monotonic_s()
        result = await append(*given, **more)
        self.check()
        if self._clock.monotonic_s() - before > self._limit_s:
            self._die("an append took longer than the session timeout")
        return result

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Beat until `stopping`."""
        while not stopping():
            self.check()
            self._last_beat = self._clock.monotonic_s()
            await asyncio.sleep(self._limit_s / BEATS_PER_LIMIT)
