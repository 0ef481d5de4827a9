"""One attempt after the other, many at a time: claim, wait for the grant, act, report.

A call without a lease is cheap and repeatable: it acts at once and its offset is finished by its report. A call with
a lease is claimed first, its offset is finished by the claim, and the fold issues the next attempt if the lease ends.
"""

import asyncio
import logging
import time
from collections import OrderedDict

from holdfast.schemas.record import Message
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.attempt import Attempt, AttemptKey, Delivery, Phase, Spawn, Stop, Task
from holdfast.streams.executor.calls import Act, Calls
from holdfast.streams.executor.limits import FINISHED_LIMIT
from holdfast.streams.executor.outcomes import Failure, Outcome
from holdfast.streams.executor.reports import Reporter
from holdfast.tools.errors import TOOL_ERROR

_log = logging.getLogger(__name__)
# A call stopped for one of these acted and may have had an effect, so its end is reported.
_REPORTED_STOPS = frozenset({Stop.TIMEOUT, Stop.STOPPING})


class Worker:
    """Runs attempts in `slots` slots. `freed` is set whenever a slot becomes free.

    `spawn` starts a coroutine whose failure ends the process: a report that cannot be written is a fatal error.
    """

    def __init__(
        self,
        calls: Calls,
        reporter: Reporter,
        *,
        executor_id: str,
        slots: int,
        freed: asyncio.Event,
        spawn: Spawn,
    ) -> None:
        self.running: dict[AttemptKey, Attempt] = {}
        self._finished: OrderedDict[AttemptKey, None] = OrderedDict()
        self._calls = calls
        self._reporter = reporter
        self._executor_id = executor_id
        self._slots = slots
        self._freed = freed
        self._spawn = spawn
        self._draining = False
        self._claiming = 0
        self._no_claims = asyncio.Event()
        self._no_claims.set()

    def free_slots(self) -> int:
        """How many more attempts can start now."""
        return self._slots - len(self.running) - self._calls.abandoned

    def take(self, message: Message[Task], delivery: Delivery) -> None:
        """Start a task, or recognise it as one that is running or was finished here."""
        key = message.body.effect_key, message.body.attempt
        if key in self._finished:
            delivery.finish()
        elif (known := self.running.get(key)) is None:
            attempt = self.running[key] = Attempt(message, key, [delivery])
            attempt.runner = self._spawn(self._run(attempt))
        elif known.lease_s and known.phase is not Phase.CLAIMING:
            delivery.finish()  # claimed: from here on the lease decides about a repeat
        else:
            known.deliveries.append(delivery)

    def grant(self, key: AttemptKey, executor_id: str) -> None:
        """The fold granted an attempt to an executor, maybe this one."""
        attempt = self.running.get(key)
        if attempt is None:
            return
        if executor_id == self._executor_id:
            if attempt.grant is not None and not attempt.grant.done():
                attempt.grant.set_result(None)
        else:
            attempt.stop(Stop.CLAIM_LOST)

    async def claims_done(self) -> None:
        """Wait until no claim is on its way, so that its offset can be committed."""
        await self._no_claims.wait()

    async def drain(self, grace_s: float) -> None:
        """Give back what has not acted, let the rest run for `grace_s`, then cancel and report it."""
        self._draining = True
        for attempt in self.running.values():
            if attempt.phase is Phase.WAITING:
                attempt.stop(Stop.STOPPING)
        await self._until_idle(grace_s)
        for attempt in self.running.values():
            attempt.stop(Stop.STOPPING)
        await self._until_idle(None)

    async def _until_idle(self, timeout_s: float | None) -> None:
        runners = [attempt.runner for attempt in self.running.values() if attempt.runner is not None]
        if runners:
            await asyncio.wait(runners, timeout=timeout_s)

    async def _run(self, attempt: Attempt) -> None:
        try:
            await self._attempt(attempt)
        finally:
            del self.running[attempt.key]
            self._freed.set()

    async def _attempt(self, attempt: Attempt) -> None:
        started = time.monotonic()
        act = self._prepare(attempt.message)
        if attempt.lease_s and not isinstance(act, Failure) and not await self._hold(attempt):
            return
        outcome = act if isinstance(act, Failure) else await self._act(attempt, act)
        attempt.enter(Phase.REPORTING)
        if outcome is None:
            _log.error("%s#%d is not reported: %s", *attempt.key, attempt.stopped)
            return
        await self._reporter.outcome(attempt, outcome, int((time.monotonic() - started) * 1000))
        attempt.finish_deliveries()
        self._remember(attempt.key)

    def _prepare(self, message: Message[Task]) -> Act | Failure:
        if message.body.deadline_at_ms <= time.time() * 1000:
            return Failure(
                error_class=outcomes.TIMEOUT,
                error_message="the deadline had passed before an executor was free",
                retryable=True,
            )
        return self._calls.prepare(message)

    async def _hold(self, attempt: Attempt) -> bool:
        """Claim the attempt and, where the call must not be made twice, wait for the grant. False: it was given up."""
        if self._calls.needs_grant(attempt.message.body):
            attempt.grant = asyncio.get_running_loop().create_future()
        await self._claim(attempt)
        attempt.enter(Phase.WAITING, attempt.fence_at, Stop.NO_GRANT)
        try:
            if attempt.grant is not None:
                await attempt.grant
        except asyncio.CancelledError:
            if not _stopped_by_us(attempt):
                raise
        if attempt.stopped is None and self._draining:
            attempt.stopped = Stop.STOPPING
        if attempt.stopped is None and time.monotonic() >= attempt.fence_at:
            attempt.stopped = Stop.FENCED
        if attempt.stopped is None:
            return True
        attempt.enter(Phase.REPORTING)
        _log.warning("%s#%d is given back: %s", *attempt.key, attempt.stopped)
        if attempt.stopped is not Stop.CLAIM_LOST:  # then there is nothing of ours to release
            await self._reporter.release(attempt, attempt.stopped)
        return False

    async def _claim(self, attempt: Attempt) -> None:
        self._claiming += 1
        self._no_claims.clear()
        sent_at = time.monotonic()
        try:
            await self._reporter.claim(attempt)
            attempt.leased_at = sent_at
            attempt.finish_deliveries()
        finally:
            self._claiming -= 1
            if not self._claiming:
                self._no_claims.set()

    async def _act(self, attempt: Attempt, act: Act) -> Outcome | None:
        """What came of the call; None if it was cancelled and must not be reported."""
        task = attempt.message.body
        left_ms = min(task.timeout_ms, task.deadline_at_ms - time.time() * 1000)
        attempt.enter(Phase.ACTING, time.monotonic() + left_ms / 1000)
        try:
            outcome = await act()
        except asyncio.CancelledError:
            if _stopped_by_us(attempt):
                assert attempt.stopped is not None
                return self._calls.cut_short(task, attempt.stopped) if attempt.stopped in _REPORTED_STOPS else None
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            # The call cancelled itself: an error like any other, and nobody knows how far it came.
            unknown = self._calls.cut_short(task, Stop.STOPPING).outcome_unknown
            return Failure(
                error_class=TOOL_ERROR,
                error_message="the call raised CancelledError",
                retryable=True,
                outcome_unknown=unknown,
            )
        _stopped_by_us(attempt)  # a call may end well in spite of its cancellation
        return outcome

    def _remember(self, key: AttemptKey) -> None:
        self._finished[key] = None
        if len(self._finished) > FINISHED_LIMIT:
            self._finished.popitem(last=False)


def _stopped_by_us(attempt: Attempt) -> bool:
    """True if a CancelledError came from `Attempt.stop`; it is taken back, so that later waits work as usual."""
    if attempt.stopped is None:
        return False
    if attempt.runner is not None:
        attempt.runner.uncancel()
    return True
