"""The waiting tasks of one executor, and which of them is next.

Three choices, one below the other. Tenants share the slots: the next one goes to the tenant with the fewest calls in
flight for its weight, and among equals to the one that has begun the fewest. The classes of a tenant share in the same
way. Within a class, what was asked for first is first, where each step of priority counts like some time of waiting:
so nothing waits for ever behind what is more urgent. What a limit holds back is passed over, and holds back nobody
else.
"""

import heapq
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Generic

from holdfast.streams.core.queues.gauges import Gauges
from holdfast.streams.core.queues.limit import Limit, Share
from holdfast.streams.core.queues.scope import Place, Scope
from holdfast.streams.core.queues.sharers import Lane, Queue, Rank, Sharer, Tenant
from holdfast.streams.core.queues.ticket import ItemT, QueueReport, Room, Ticket


class Schedule(Generic[ItemT]):
    """Waiting tasks and who is next. `now_ms` is of one clock that never goes back; it need not be the broker's."""

    def __init__(self, share: Share | None = None) -> None:
        self._gauges = Gauges(share or Share())
        self._whole = Sharer("", 1)
        self._tenants: dict[str, Tenant[ItemT]] = {}
        self._order: list[tuple[Rank, int, Tenant[ItemT]]] = []
        self._waiting: dict[Hashable, Ticket[ItemT]] = {}
        self._started: dict[Hashable, Ticket[ItemT]] = {}
        self._count = 0
        self.wake_at_ms = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._waiting

    @property
    def in_flight(self) -> dict[str, int]:
        """Calls in flight by limited scope: what other executors have to know."""
        return self._gauges.in_flight

    def controls(self, controls: Mapping[Scope, Limit], now_ms: int) -> None:
        """Operators' limits, in place of those before. What has begun counts for them as well."""
        self._gauges.controls(controls, now_ms)
        for tenant in self._tenants.values():
            tenant.weight = self._gauges.weight(Scope(tenant=tenant.name))
            for queue in tenant.queues.values():
                queue.weight = self._weight(tenant.name, queue.name)
                self._regauge(queue, now_ms)
            self._place(tenant)
        for ticket in self._started.values():
            more = [g for g in self._gauges.of(ticket.place, ticket.declared, now_ms) if g not in ticket.gauges]
            for gauge in more:
                gauge.in_flight += 1
            ticket.gauges += tuple(more)

    def share(self, share: Share, now_ms: int) -> None:
        """Another part of every limit."""
        self._gauges.share(share, now_ms)

    def elsewhere(self, in_flight: Mapping[str, int], now_ms: int) -> None:
        """What other executors have in flight, by limited scope."""
        self._gauges.elsewhere(in_flight, now_ms)

    def offer(self, ticket: Ticket[ItemT], now_ms: int) -> bool:
        """Let a task wait. False, and nothing has happened, if this executor has no part of one of its limits."""
        queue = self._queue_of(ticket.place)
        lane = self._lane_of(queue, ticket, now_ms)
        ticket.queue, ticket.gauges, tenant = queue, lane.gauges, queue.tenant
        if ticket.stranger:
            self._tidy(queue)
            return False
        self._waiting[ticket.key] = ticket
        self._count += 1
        heapq.heappush(lane.heap, (ticket.order, self._count, ticket))
        queue.offer(tenant)
        tenant.offer(self._whole)
        if tenant.waiting == 1:
            self._place(tenant)
        return True

    def begin(self, ticket: Ticket[ItemT], now_ms: int) -> bool:
        """Let a task begin at once: the short way of an offer that is next. True only if nothing waits or limits it."""
        if self._waiting:
            return False
        queue = self._queue_of(ticket.place)
        if self._lane_of(queue, ticket, now_ms).gauges:
            self._tidy(queue)
            return False
        ticket.queue, ticket.waiting = queue, False
        queue.offer(queue.tenant)
        queue.tenant.offer(self._whole)
        queue.begin(queue.tenant)
        queue.tenant.begin(self._whole)
        self._started[ticket.key] = ticket
        return True

    def next(self, now_ms: int, room: Room) -> Ticket[ItemT] | None:
        """The task that begins now; None if there is none, and then `wake_at_ms` says when to ask again.

        That is 0 if only an offer, an end or another limit changes anything.
        """
        self.wake_at_ms = 0
        if room is Room.NONE or not self._waiting:
            return None
        if self._alone:
            (tenant,) = self._tenants.values()
            return None if room is Room.NEW_TENANT and tenant.in_flight else self._next_of(tenant, now_ms, room)
        passed: list[tuple[Rank, int, Tenant[ItemT]]] = []
        found: Ticket[ItemT] | None = None
        while self._order and found is None:
            place = self._order[0]
            tenant = place[2]
            if place[1] != tenant.stamp or not tenant.waiting:
                heapq.heappop(self._order)
                continue
            if room is Room.NEW_TENANT and tenant.in_flight:
                break  # those behind have no fewer in flight
            found = self._next_of(tenant, now_ms, room)
            if found is None:
                passed.append(heapq.heappop(self._order))
        for place in passed:
            heapq.heappush(self._order, place)
        return found

    def finished(self, key: Hashable, units: int | None = None) -> None:
        """A task that had begun is over, having used so many units (None: as many as expected)."""
        ticket = self._started.pop(key, None)
        if ticket is None:
            return
        for gauge in ticket.gauges:
            gauge.end(0 if units is None else ticket.units - units)
        queue = _queue(ticket)
        queue.in_flight -= 1
        queue.tenant.in_flight -= 1
        if not queue.in_flight and not queue.waiting:
            self._tidy(queue)
        self._place(queue.tenant)

    def withdraw(self, key: Hashable) -> Ticket[ItemT] | None:
        """Take a waiting task out; None if it does not wait."""
        ticket = self._waiting.pop(key, None)
        if ticket is not None:
            ticket.waiting = False
            queue = _queue(ticket)
            queue.waiting -= 1
            queue.tenant.waiting -= 1
            self._tidy(queue)
        return ticket

    def withdraw_all(self, chosen: Callable[[Ticket[ItemT]], bool]) -> list[Ticket[ItemT]]:
        """Take the chosen ones of the waiting tasks out."""
        found = [ticket for ticket in self._waiting.values() if chosen(ticket)]
        for ticket in found:
            self.withdraw(ticket.key)
        return found

    def waiting(self, key: Hashable) -> Ticket[ItemT] | None:
        """The waiting task of that key, if there is one."""
        return self._waiting.get(key)

    def reports(self, now_ms: int) -> Iterator[QueueReport]:
        """Every queue that has something in it."""
        for tenant in self._tenants.values():
            for queue in tenant.queues.values():
                yield queue.report(now_ms)

    def _next_of(self, tenant: Tenant[ItemT], now_ms: int, room: Room) -> Ticket[ItemT] | None:
        queues = [queue for queue in tenant.queues.values() if queue.waiting]
        if len(queues) > 1:
            queues.sort(key=_rank)
        for queue in queues:
            if room is Room.NEW_CLASS and queue.in_flight:
                break
            ticket = self._first(queue, now_ms)
            if ticket is not None:
                self._begin(queue, ticket)
                return ticket
        return None

    def _first(self, queue: Queue[ItemT], now_ms: int) -> Ticket[ItemT] | None:
        """The task of a queue that is first among those that no limit holds back."""
        best: tuple[int, int, Ticket[ItemT]] | None = None
        for lane in queue.lanes.values():
            first = lane.first()
            if first is None or (best is not None and best < first):
                continue
            held = lane.held(now_ms, first[2].units)
            if held is None:
                best = first
            elif held[1]:
                self.wake_at_ms = min(self.wake_at_ms or held[1], held[1])
        return best[2] if best is not None else None

    def _begin(self, queue: Queue[ItemT], ticket: Ticket[ItemT]) -> None:
        queue.begin(queue.tenant)
        queue.tenant.begin(self._whole)
        for gauge in ticket.gauges:
            gauge.begin(ticket.units)
        del self._waiting[ticket.key]
        self._started[ticket.key] = ticket
        ticket.waiting = False
        self._place(queue.tenant)

    def _place(self, tenant: Tenant[ItemT]) -> None:
        """Give a tenant its place in the order of tenants; the one before is void."""
        if tenant.waiting and not self._alone:
            self._count += 1
            tenant.stamp = self._count
            heapq.heappush(self._order, (tenant.rank, tenant.stamp, tenant))

    @property
    def _alone(self) -> bool:
        """True if there is one tenant, and so no order to keep."""
        return len(self._tenants) == 1

    def _tidy(self, queue: Queue[ItemT]) -> None:
        if not queue.waiting and not queue.in_flight:
            tenant = queue.tenant
            del tenant.queues[queue.name]
            if not tenant.queues:
                del self._tenants[tenant.name]
                if self._alone:
                    self._order.clear()

    def _queue_of(self, place: Place) -> Queue[ItemT]:
        tenant, name = self._tenants.get(place.tenant), place.task_class
        if tenant is None:
            weight = self._gauges.weight(Scope(tenant=place.tenant))
            tenant = self._tenants[place.tenant] = Tenant(place.tenant, weight)
            if len(self._tenants) == 2:
                for one in self._tenants.values():
                    self._place(one)
        queue = tenant.queues.get(name)
        if queue is None:
            queue = tenant.queues[name] = Queue(name, self._weight(place.tenant, name), tenant=tenant)
        return queue

    def _lane_of(self, queue: Queue[ItemT], ticket: Ticket[ItemT], now_ms: int) -> Lane[ItemT]:
        key = ticket.place.definition, ticket.declared
        lane = queue.lanes.get(key)
        if lane is None:
            lane = queue.lanes[key] = Lane(self._gauges.of(ticket.place, ticket.declared, now_ms))
        return lane

    def _weight(self, tenant: str, task_class: str) -> int:
        kind, _, name = task_class.partition(":")
        own = self._gauges.weight(Scope(kind=kind, name=name, tenant=tenant))
        return own if own != 1 else self._gauges.weight(Scope(kind=kind, name=name))

    def _regauge(self, queue: Queue[ItemT], now_ms: int) -> None:
        """Count the waiting tasks of a queue on the gauges of the limits that are in force now."""
        for key, lane in list(queue.lanes.items()):
            first = lane.first()
            if first is None:
                del queue.lanes[key]
                continue
            lane.gauges = self._gauges.of(first[2].place, first[2].declared, now_ms)
            for _, _, ticket in lane.heap:
                if ticket.waiting:
                    ticket.gauges = lane.gauges


def _rank(sharer: Sharer) -> Rank:
    return sharer.rank


def _queue(ticket: Ticket[ItemT]) -> Queue[ItemT]:
    assert ticket.queue is not None
    return ticket.queue
