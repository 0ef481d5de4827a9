"""What the schedule knows of a task, and what it says about its queues."""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Generic, TypeVar

from holdfast.streams.core.queues.limit import Declared, Gauge
from holdfast.streams.core.queues.scope import Place

if TYPE_CHECKING:
    from holdfast.streams.core.queues.sharers import Queue

PRIORITY = 5
PRIORITY_MAX = 9
AGEING_MS = 60_000
"""How long a task waits to be level with one that has just come and has the next higher priority."""

ItemT = TypeVar("ItemT")


class Room(IntEnum):
    """Whom there is room for: nobody, tenants with nothing in flight, classes with nothing in flight, anybody."""

    NONE = 0
    NEW_TENANT = 1
    NEW_CLASS = 2
    ANY = 3


def room_for(running: int, slots: int, spare: int) -> Room:
    """`spare` slots beyond the others are for who has nothing in flight, half of them for tenants only."""
    if running < slots:
        return Room.ANY
    if running < slots + spare // 2:
        return Room.NEW_CLASS
    return Room.NEW_TENANT if running < slots + spare else Room.NONE


@dataclass(slots=True, eq=False)
class Ticket(Generic[ItemT]):
    """A task to schedule, under a key that is its own. `since_ms` is when it was asked for, by the broker's clock.

    `units` is what it is expected to use. `declared` are the limits of its definition. The rest is the schedule's.
    """

    key: Hashable
    place: Place
    item: ItemT
    since_ms: int
    priority: int = PRIORITY
    units: int = 1
    declared: Declared = ()
    gauges: tuple[Gauge, ...] = ()
    queue: "Queue[ItemT] | None" = None
    waiting: bool = True

    @property
    def order(self) -> int:
        """What is smaller comes first. It never changes, so whatever comes much later is behind."""
        return self.since_ms - self.priority * AGEING_MS

    @property
    def stranger(self) -> bool:
        """True if this executor has no part of one of its limits."""
        return bool(self.gauges) and any(gauge.strange for gauge in self.gauges)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """One queue as it stands. `throttled` of the `waiting` tasks wait for a limit, not for a slot; `why` names it."""

    tenant: str
    task_class: str
    waiting: int
    in_flight: int
    oldest_at_ms: int
    throttled: int
    why: str
