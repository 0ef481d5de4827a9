"""Processes that live, are killed, suspended and started again."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from holdfast.ops.simulate.broker import SESSION_TIMEOUT_S, START_MS, Broker, Group
from holdfast.ops.simulate.faults import Faults
from holdfast.ops.simulate.loop import Owner

Told = Callable[[str], None]


class ProcessEnded(Exception):
    """A process has decided that it cannot go on."""


class Process(Owner):
    """One life of one process, with clocks of its own. `ended` is called once when that life is over."""

    def __init__(self, name: str, life: int, broker: Broker, faults: Faults, tell: Told) -> None:
        super().__init__(name)
        self.life = life
        self.broker = broker
        self.loop = broker.loop
        self.faults = faults
        self.tell = tell
        self.skew_ms = 0
        self.ended: Callable[[], None] = lambda: None
        self.failure: BaseException | None = None
        self.groups: list[Group] = []

    def now_ms(self) -> int:
        """The time of day by this machine."""
        return START_MS + int(self.loop.time() * 1000) + self.skew_ms

    def monotonic_s(self) -> float:
        """Seconds since some moment."""
        return self.loop.time()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a coroutine whose failure ends the process."""
        task = self.loop.spawn(self, work)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled() or not self.alive:
            return
        problem = task.exception()
        if problem is not None:
            if not isinstance(problem, ProcessEnded):
                self.failure = problem
            self.kill(f"ends: {problem!r}")

    def end(self, why: str) -> NoReturn:
        """What a worker does that can no longer vouch for what it does."""
        self.kill(f"ends: {why}")
        raise ProcessEnded(why)

    def kill(self, how: str) -> None:
        """End this life at once. Its groups notice after a while, unless it comes back before."""
        if self.alive:
            self.alive = False
            self.tell(f"{self.name} {how}")
            for group in self.groups:
                self.loop.outside(SESSION_TIMEOUT_S, group.leave, self)
            self.ended()

    def suspend(self, duration_s: float) -> None:
        """Let nothing of it run for so long. Its groups give it up if that is too long for them."""
        if not self.alive or self.suspended:
            return
        self.suspended = True
        self.tell(f"{self.name} is suspended for {duration_s:.0f} s")
        if duration_s > SESSION_TIMEOUT_S:
            for group in self.groups:
                self.loop.outside(SESSION_TIMEOUT_S, group.leave, self)
        self.loop.outside(duration_s, self._wake)

    def _wake(self) -> None:
        if self.alive:
            self.tell(f"{self.name} wakes up")
            self.loop.wake(self)
            self.woken()

    def woken(self) -> None:
        """What a member does that was away."""

    def prepare(self, joined: Callable[[], None]) -> None:
        """A rebalance has begun."""
        raise NotImplementedError

    def assigned(self, generation: int, partitions: frozenset[int]) -> None:
        """A rebalance has ended."""
        raise NotImplementedError
