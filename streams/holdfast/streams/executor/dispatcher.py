"""The waiting tasks of an executor: they begin when the schedule says so and there is a slot.

Whatever may let one begin calls `begin`: tasks that came, calls that ended, limits that changed, time that passed.
"""

import asyncio
from collections.abc import Callable, Mapping

from holdfast.streams.clock import Clock
from holdfast.streams.core.queues.limit import Limit, Share
from holdfast.streams.core.queues.schedule import Schedule
from holdfast.streams.core.queues.scope import Scope
from holdfast.streams.core.queues.ticket import Ticket, room_for
from holdfast.streams.executor.attempt import Attempt, AttemptKey
from holdfast.streams.executor.limits import KEEP_ALIVE_S, STUCK_LIMIT_S
from holdfast.streams.executor.tickets import Waiting, ticket_of
from holdfast.streams.executor.worker import Worker


class AllSlotsStuckError(Exception):
    """Every slot is held by a thread that outlived its call."""


class Dispatcher:
    """Lets tasks begin in `slots` slots, and in `spare` more those of tenants and classes with nothing in flight.

    `shrunk` is set whenever fewer tasks wait.
    """

    def __init__(self, worker: Worker, *, slots: int, spare: int, clock: Clock) -> None:
        self.schedule: Schedule[Waiting] = Schedule()
        self.waiting_bytes = 0
        self._strays: list[Waiting] = []
        self.shrunk = asyncio.Event()
        self.slots = slots
        self._spare = spare
        self._worker = worker
        self._clock = clock
        self._open = True
        self._timer: asyncio.TimerHandle | None = None
        worker.on_end = self._ended

    async def run(self) -> None:
        """Watch, until cancelled. Raises AllSlotsStuckError if no slot can ever become free."""
        stuck_s = 0.0
        while stuck_s <= STUCK_LIMIT_S:
            await asyncio.sleep(KEEP_ALIVE_S)
            stuck = not self._worker.running and self._worker.abandoned >= self.slots
            stuck_s = stuck_s + KEEP_ALIVE_S if stuck else 0.0
        raise AllSlotsStuckError(f"{self._worker.abandoned} calls that timed out hold all slots")

    def now_ms(self) -> int:
        """The clock of the schedule."""
        return int(self._clock.monotonic_s() * 1000)

    def close(self) -> None:
        """Let nothing more begin."""
        self._open = False
        self._set_timer(0)

    def offer(self, waiting: Waiting) -> None:
        """Let a task begin at once or wait, or recognise it as one that is known."""
        task, worker, schedule = waiting.message.body, self._worker, self.schedule
        key = task.effect_key, task.attempt
        if worker.knows(key):
            worker.take(waiting.message, waiting.delivery)
        elif key in schedule:
            waiting.delivery.finish()  # the one that waits stands for it
        else:
            ticket, now = ticket_of(waiting), self.now_ms()
            if self._open and worker.busy < self.slots and schedule.begin(ticket, now):
                worker.take(waiting.message, waiting.delivery)
            elif schedule.offer(ticket, now):
                self.waiting_bytes += waiting.size_bytes
            else:
                self._strays.append(waiting)

    def begin(self) -> None:
        """Let begin what may begin now of what waits."""
        if self._timer is not None:
            self._set_timer(0)
        if not len(self.schedule):
            return
        now = self.now_ms()
        while self._open and len(self.schedule):
            ticket = self.schedule.next(now, room_for(self._worker.busy, self.slots, self._spare))
            if ticket is None:
                self._set_timer(self.schedule.wake_at_ms)
                return
            self._left(ticket)
            if not self._worker.take(ticket.item.message, ticket.item.delivery):
                self.schedule.finished(ticket.key, 0)

    def withdraw(self, key: AttemptKey) -> None:
        """Nobody waits for an attempt any more."""
        ticket = self.schedule.withdraw(key)
        if ticket is not None:
            self._left(ticket)
            ticket.item.delivery.finish()

    def take_out(self, chosen: Callable[[Ticket[Waiting]], bool]) -> list[Waiting]:
        """Let the chosen ones wait no more here: somebody else will have them."""
        found = self.schedule.withdraw_all(chosen)
        for ticket in found:
            self._left(ticket)
        return [ticket.item for ticket in found]

    def take_strays(self) -> list[Waiting]:
        """Take out what waits for limits of which this executor has no part: another one will have it."""
        found, self._strays = self._strays, []
        return found

    def control(self, controls: Mapping[Scope, Limit]) -> None:
        """Operators have set other limits."""
        self.schedule.controls(controls, self.now_ms())
        self._limits_changed()

    def share(self, share: Share, elsewhere: Mapping[str, int]) -> None:
        """This executor has another part of the limits, or others have other calls in flight."""
        self.schedule.share(share, self.now_ms())
        self.schedule.elsewhere(elsewhere, self.now_ms())
        self._limits_changed()

    def _limits_changed(self) -> None:
        self._strays += self.take_out(lambda ticket: ticket.stranger)
        self.begin()

    def _left(self, ticket: Ticket[Waiting]) -> None:
        self.waiting_bytes -= ticket.item.size_bytes
        self.shrunk.set()

    def _ended(self, attempt: Attempt) -> None:
        self.schedule.finished(attempt.key, attempt.units)
        if attempt.lease_s and self._open:
            for delivery in attempt.deliveries:  # came while the attempt was being given up
                self.offer(Waiting(attempt.message, delivery))
        self.begin()

    def _set_timer(self, at_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at_ms:
            self._timer = asyncio.get_running_loop().call_later(max(at_ms - self.now_ms(), 1) / 1000, self.begin)


class Attempts:
    """Word about attempts, for those that run and those that wait."""

    def __init__(self, worker: Worker, dispatcher: Dispatcher) -> None:
        self.grant = worker.grant
        self.refuse = worker.refuse
        self._worker = worker
        self._dispatcher = dispatcher

    def withdraw(self, key: AttemptKey) -> None:
        """Nobody waits for an attempt any more, and nobody ever will."""
        self._worker.withdraw(key)
        self._dispatcher.withdraw(key)
