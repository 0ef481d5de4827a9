"""Who gets slots by fair shares: tenants, and the classes of a tenant."""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic

from holdfast.streams.core.queues.limit import Gauge
from holdfast.streams.core.queues.ticket import ItemT, QueueReport, Ticket

Rank = tuple[float, float, str]


@dataclass(slots=True, eq=False)
class Sharer:
    """Next is who has the fewest calls in flight for its weight; among equals who has begun the fewest (`virtual`).

    `clock` is the `virtual` of the part that began last: who was idle begins there, and has saved nothing up.
    """

    name: str
    weight: int
    in_flight: int = 0
    waiting: int = 0
    virtual: float = 0.0
    clock: float = 0.0

    @property
    def rank(self) -> Rank:
        """What is smaller is next."""
        return self.in_flight / self.weight, self.virtual, self.name

    def begin(self, whole: "Sharer") -> None:
        """One of its tasks begins; `whole` is what it is a part of."""
        whole.clock = max(self.virtual, whole.clock)
        self.virtual = whole.clock + 1 / self.weight
        self.waiting -= 1
        self.in_flight += 1

    def offer(self, whole: "Sharer") -> None:
        """One more of its tasks waits."""
        if not self.waiting and not self.in_flight:
            self.virtual = max(self.virtual, whole.clock)
        self.waiting += 1


@dataclass(slots=True, eq=False)
class Lane(Generic[ItemT]):
    """Tasks of one queue with the same limits, in their order."""

    gauges: tuple[Gauge, ...]
    heap: list[tuple[int, int, Ticket[ItemT]]] = field(default_factory=list)

    def first(self) -> tuple[int, int, Ticket[ItemT]] | None:
        """The first one that still waits, with its order."""
        while self.heap and not self.heap[0][2].waiting:
            heapq.heappop(self.heap)
        return self.heap[0] if self.heap else None

    def held(self, now_ms: int, units: int) -> tuple[str, int] | None:
        """Which limit holds a task back now, and until when (0: until something ends or changes)."""
        for gauge in self.gauges:
            refusal = gauge.refusal(now_ms, units)
            if refusal is not None:
                return f"{refusal[0]} of {gauge.name}", refusal[1]
        return None


@dataclass(slots=True, eq=False)
class Tenant(Sharer, Generic[ItemT]):
    """The queues of a tenant, by class. `stamp` marks its newest place in the order of tenants."""

    queues: dict[str, "Queue[ItemT]"] = field(default_factory=dict)
    stamp: int = 0


@dataclass(slots=True, eq=False)
class Queue(Sharer, Generic[ItemT]):
    """The tasks of one class of one tenant. Its name is that of the class; its lanes are by definition and limits."""

    tenant: Tenant[ItemT] = field(kw_only=True)
    lanes: dict[Hashable, Lane[ItemT]] = field(default_factory=dict)

    def report(self, now_ms: int) -> QueueReport:
        """How it stands."""
        throttled, whys, times = 0, set(), []
        for lane in self.lanes.values():
            tickets = [ticket for _, _, ticket in lane.heap if ticket.waiting]
            first = lane.first()
            if first is not None:
                times += [ticket.since_ms for ticket in tickets]
                held = lane.held(now_ms, first[2].units)
                if held is not None:
                    throttled += len(tickets)
                    whys.add(held[0])
        return QueueReport(
            tenant=self.tenant.name,
            task_class=self.name,
            waiting=self.waiting,
            in_flight=self.in_flight,
            oldest_at_ms=min(times, default=0),
            throttled=throttled,
            why=", ".join(sorted(whys)),
        )
