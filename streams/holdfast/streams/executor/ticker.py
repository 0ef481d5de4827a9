"""Time for all running attempts at once: timeouts, heartbeats and fencing by one ticker instead of timers per call."""

import asyncio
from collections.abc import Mapping

from holdfast.streams.clock import Clock
from holdfast.streams.executor.attempt import Attempt, AttemptKey, Phase, Spawn
from holdfast.streams.executor.limits import HEARTBEATS_PER_LEASE, TICK_S
from holdfast.streams.executor.reports import Reporter


class Ticker:
    """Looks at every running attempt each tick. Limits are kept to within one tick, which is `tick_s` long."""

    def __init__(
        self,
        running: Mapping[AttemptKey, Attempt],
        reporter: Reporter,
        spawn: Spawn,
        clock: Clock,
        tick_s: float = TICK_S,
    ) -> None:
        self._running = running
        self._reporter = reporter
        self._spawn = spawn
        self._clock = clock
        self._tick_s = tick_s
        self._round: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._tick_s)
            if self._running:
                self._tick(self._clock.monotonic_s())

    def _tick(self, now: float) -> None:
        due = []
        for attempt in self._running.values():
            why = attempt.overdue(now)
            if why is not None and attempt.stopped is None:
                attempt.stop(why)
            elif _heartbeat_due(attempt, now):
                due.append(attempt)
        # One round at a time: while the broker does not answer, a second one could only queue up behind it.
        if due and (self._round is None or self._round.done()):
            self._round = self._spawn(self._extend(due, now))

    async def _extend(self, due: list[Attempt], sent_at: float) -> None:
        await asyncio.gather(*(self._reporter.extend(attempt) for attempt in due))
        for attempt in due:
            attempt.leased_at = sent_at


def _heartbeat_due(attempt: Attempt, now: float) -> bool:
    return (
        attempt.leased
        and attempt.phase in (Phase.WAITING, Phase.ACTING)
        and attempt.stopped is None
        and now >= attempt.leased_at + attempt.lease_s / HEARTBEATS_PER_LEASE
    )
