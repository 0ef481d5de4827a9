"""One attempt of one call while this process holds it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiokafka.structs import ConsumerRecord

from holdfast.schemas.record import Message
from holdfast.schemas.tasks import RunModelCall, RunToolCall
from holdfast.streams.executor.limits import FENCE_MARGIN
from holdfast.streams.executor.outcomes import Outcome
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
    REFUSED = "its claim was refused"
    WITHDRAWN = "nobody waits for it any more"
    STOPPING = "the executor stops"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that can begin. `act` makes it, at most once; `give_up` tells it, if it listens, that nobody waits for it.

    `harmless` says that it changes nothing outside, so that it may be cut off and leaves nobody in doubt.
    """

    act: Callable[[], Awaitable[Outcome]]
    give_up: Callable[[], None]
    harmless: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a task was read."""

    progress: PartitionProgress
    record: ConsumerRecord

    def finish(self) -> None:
        """The task needs no repeat."""
        self.progress.finish(self.record.offset)

    @property
    def place(self) -> str:
        """Topic, partition and offset of the task: equal for repeats of the same record only."""
        topic, partition = self.progress.partition
        return f"{topic}/{partition}/{self.record.offset}"


@dataclass(slots=True, eq=False)
class Attempt:
    """A running attempt. Times ending in `_at` are monotonic seconds.

    `grant` exists from before the claim on if the call must wait for its grant. `claim_id` is the id of the newest
    claim. It is `leased` from that claim's acknowledgement until the claim is refused or the attempt withdrawn.
    `leased_at` is when the newest acknowledged claim or heartbeat was *sent*, so by the broker's clock the lease ends
    no earlier than `leased_at` plus its length. `stop_at` is when `stop_as` applies; 0 is never. `units` is what the
    call has used, if that is known.
    """

    message: Message[Task]
    key: AttemptKey
    deliveries: list[Delivery]
    phase: Phase = Phase.CLAIMING
    runner: "asyncio.Task[None] | None" = None
    prepared: Prepared | None = None
    grant: "asyncio.Future[None] | None" = None
    claim_id: str = ""
    leased: bool = False
    leased_at: float = 0.0
    heartbeats: int = 0
    stop_at: float = 0.0
    stop_as: Stop = Stop.TIMEOUT
    stopped: Stop | None = None
    units: int | None = None

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

    def claimed(self, sent_at: float) -> None:
        """A claim that was sent then is acknowledged."""
        self.leased, self.leased_at = True, sent_at
        if self.phase is Phase.WAITING:
            self.stop_at = self.fence_at

    def stop(self, why: Stop) -> None:
        """End it, once, unless it is over: now if it waits or acts, and otherwise before it acts."""
        if self.stopped is not None or self.phase is Phase.REPORTING:
            return
        self.stopped = why
        if self.phase is not Phase.CLAIMING:
            assert self.runner is not None
            self.runner.cancel()

    def refuse(self) -> None:
        """Its claim was refused: it does not begin. What has begun goes on, and what comes of it is recorded."""
        self.leased = False
        if self.phase is not Phase.ACTING:
            self.stop(Stop.REFUSED)

    def withdraw(self) -> None:
        """Nobody waits for it any more: it does not begin, and what has begun is told so.

        Only what changes nothing is cut off: of anything else nobody would know how far it came, while its result,
        late as it is, says what there is to undo.
        """
        self.leased = False
        if self.phase is Phase.ACTING:
            assert self.prepared is not None
            self.prepared.give_up()
            if not self.prepared.harmless:
                return
        self.stop(Stop.WITHDRAWN)

    def overdue(self, now: float) -> Stop | None:
        """Why it must be stopped now, if it must."""
        if self.stop_at and now >= self.stop_at:
            return self.stop_as
        return Stop.FENCED if self.leased and now >= self.fence_at else None
