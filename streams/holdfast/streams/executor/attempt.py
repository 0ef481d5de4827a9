"""One attempt of one call while this process holds it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from holdfast.schemas.record import Message
from holdfast.schemas.tasks import RunModelCall, RunToolCall
from holdfast.streams.executor.limits import FENCE_MARGIN
from holdfast.streams.executor.progress import PartitionProgress

Task = RunToolCall | RunModelCall
AttemptKey = tuple[str, int]
Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class Phase(StrEnum):
    """Where an attempt stands. It can be stopped while it waits for its grant and while it acts."""

    CLAIMING = "claiming"
    WAITING = "waiting for its grant"
    ACTING = "acting"
    REPORTING = "reporting"


class Stop(StrEnum):
    """Why an attempt was stopped from outside."""

    TIMEOUT = "it took too long"
    FENCED = "its lease could not be extended"
    NO_GRANT = "its claim was not granted in time"
    CLAIM_LOST = "another executor's claim was granted"
    STOPPING = "the executor stops"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a task was read."""

    progress: PartitionProgress
    offset: int

    def finish(self) -> None:
        """The task needs no repeat."""
        self.progress.finish(self.offset)


@dataclass(slots=True, eq=False)
class Attempt:
    """A running attempt. Times ending in `_at` are monotonic seconds.

    `grant` exists from before the claim on if the call must wait for its grant. `leased_at` is when the newest
    acknowledged claim or heartbeat was *sent*, so by the broker's clock the lease ends no earlier than `leased_at`
    plus its length. `stop_at` is when `stop_as` applies; 0 is never.
    """

    message: Message[Task]
    key: AttemptKey
    deliveries: list[Delivery]
    phase: Phase = Phase.CLAIMING
    runner: "asyncio.Task[None] | None" = None
    grant: "asyncio.Future[None] | None" = None
    leased_at: float = 0.0
    heartbeats: int = 0
    stop_at: float = 0.0
    stop_as: Stop = Stop.TIMEOUT
    stopped: Stop | None = None

    @property
    def lease_s(self) -> float:
        """Length of the lease; 0 for a call without one."""
        return self.message.body.lease_ms / 1000

    @property
    def fence_at(self) -> float:
        """When a leased attempt must have stopped acting, unless a heartbeat is acknowledged before."""
        return self.leased_at + self.lease_s * (1 - FENCE_MARGIN)

    def finish_deliveries(self) -> None:
        """No delivery of this task needs a repeat."""
        for delivery in self.deliveries:
            delivery.finish()
        self.deliveries.clear()

    def enter(self, phase: Phase, stop_at: float = 0.0, stop_as: Stop = Stop.TIMEOUT) -> None:
        """Go on to the next phase, to be stopped at a time unless that is 0."""
        self.phase, self.stop_at, self.stop_as = phase, stop_at, stop_as

    def stop(self, why: Stop) -> None:
        """Cancel what it waits for, once; an attempt that is not waiting for anything goes on."""
        if self.stopped is None and self.phase in (Phase.WAITING, Phase.ACTING):
            self.stopped = why
            assert self.runner is not None
            self.runner.cancel()

    def overdue(self, now: float) -> Stop | None:
        """Why it must be stopped now, if it must."""
        if self.stop_at and now >= self.stop_at:
            return self.stop_as
        return Stop.FENCED if self.lease_s and now >= self.fence_at else None
