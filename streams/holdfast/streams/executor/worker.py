"""One attempt after the other, many at a time: claim, wait for the grant, act, report.

A call without a lease is cheap and repeatable: it acts at once and its offset is finished by its report. A call with
a lease is claimed first, its offset is finished by the claim, and the fold issues the next attempt if the lease ends.
A claim that is refused gives the slot back; the fold sends the task again once the attempt can be claimed.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from holdfast.schemas.record import Message
from holdfast.streams.clock import Clock
from holdfast.streams.executor import outcomes
from holdfast.streams.executor.attempt import Attempt, AttemptKey, Delivery, Phase, Prepared, Spawn, Stop, Task
from holdfast.streams.executor.calls import Calls
from holdfast.streams.executor.limits import REMEMBERED_LIMIT
from holdfast.streams.executor.outcomes import Failure, Outcome
from holdfast.streams.executor.reports import Reporter
from holdfast.tools.errors import TOOL_ERROR

_log = logging.getLogger(__name__)
# A call stopped for one of these had begun to act, so its end is reported.
_REPORTED_STOPS = frozenset({Stop.TIMEOUT, Stop.STOPPING, Stop.WITHDRAWN})
# An attempt stopped for one of these before it acted is not ours to give back.
_NOT_OURS = frozenset({Stop.CLAIM_LOST, Stop.REFUSED, Stop.WITHDRAWN})


class Worker:
    """Runs attempts. `on_end` is called when one is over.

    `spawn` starts a coroutine whose failure ends the process: a report that cannot be written is a fatal error.
    """

    on_end: Callable[[Attempt], None]

    def __init__(
        self,
        calls: Calls,
        reporter: Reporter,
        *,
        executor_id: str,
        spawn: Spawn,
        clock: Clock,
    ) -> None:
        self.running: dict[AttemptKey, Attempt] = {}
        self._finished = _Memory()
        self._withdrawn = _Memory()
        self._calls = calls
        self._reporter = reporter
        self._executor_id = executor_id
        self._spawn = spawn
        self._clock = clock
        self._draining = False
        self._claiming = 0
        self._no_claims = asyncio.Event()
        self._no_claims.set()

    @property
    def abandoned(self) -> int:
        """How many slots are held by threads that outlived their calls."""
        return self._calls.abandoned

    @property
    def busy(self) -> int:
        """How many slots are in use."""
        return len(self.running) + self._calls.abandoned

    def knows(self, key: AttemptKey) -> bool:
        """True if an attempt runs here, was finished here, or is not wanted any more."""
        return key in self.running or key in self._finished or key in self._withdrawn

    def take(self, message: Message[Task], delivery: Delivery) -> bool:
        """Start a task; or, and then False, recognise it as one that is running or was finished here."""
        key = message.body.effect_key, message.body.attempt
        if key in self._finished or key in self._withdrawn:
            delivery.finish()
        elif (known := self.running.get(key)) is None:
            attempt = self.running[key] = Attempt(message, key, [delivery])
            attempt.runner = self._spawn(self._run(attempt))
            return True
        elif known.lease_s and known.phase is not Phase.REPORTING:
            # The fold asks again if it refused the last claim, or has not seen it: either way this one is new to it.
            self._spawn(self._claim_again(known, delivery))
        else:
            known.deliveries.append(delivery)
        return False

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

    def refuse(self, key: AttemptKey, claim_id: str) -> None:
        """The fold refused a claim, maybe the newest of this executor."""
        attempt = self.running.get(key)
        if attempt is not None and attempt.claim_id == claim_id:
            attempt.refuse()

    def withdraw(self, key: AttemptKey) -> None:
        """Nobody waits for an attempt any more, wherever it is: running, in the queue, or still to come."""
        self._withdrawn.add(key)
        attempt = self.running.get(key)
        if attempt is not None:
            attempt.withdraw()

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
            self.on_end(attempt)

    async def _attempt(self, attempt: Attempt) -> None:
        started = self._clock.monotonic_s()
        prepared = self._prepare(attempt.message)
        if isinstance(prepared, Failure):
            outcome: Outcome | None = prepared
        else:
            attempt.prepared = prepared
            if not await self._may_begin(attempt):
                return
            outcome = await self._act(attempt, prepared)
        attempt.units = outcomes.units_of(outcome)
        attempt.enter(Phase.REPORTING)
        if outcome is None:
            _log.error("%s#%d is not reported: %s", *attempt.key, attempt.stopped)
            return
        await self._reporter.outcome(attempt, outcome, int((self._clock.monotonic_s() - started) * 1000))
        attempt.finish_deliveries()
        self._finished.add(attempt.key)

    def _prepare(self, message: Message[Task]) -> Prepared | Failure:
        if message.body.deadline_at_ms <= self._clock.now_ms():
            return Failure(
                error_class=outcomes.TIMEOUT,
                error_message="the deadline had passed before an executor was free",
                retryable=True,
                # Without a claim nobody knows whether this is the first executor that has the task.
                outcome_unknown=not message.body.lease_ms and not self._calls.harmless(message.body),
            )
        return self._calls.prepare(message)

    async def _may_begin(self, attempt: Attempt) -> bool:
        """True if the call may begin now: it is held where it needs a lease, and nobody has given it up."""
        if attempt.lease_s:
            return await self._hold(attempt)
        if attempt.stopped is Stop.WITHDRAWN:
            attempt.finish_deliveries()
        return attempt.stopped is None

    async def _hold(self, attempt: Attempt) -> bool:
        """Claim the attempt and, where the call must not be made twice, wait for the grant. False: it was given up."""
        if self._calls.needs_grant(attempt.message.body):
            attempt.grant = asyncio.get_running_loop().create_future()
        await self._claim(attempt, attempt.deliveries.pop())
        attempt.enter(Phase.WAITING, attempt.fence_at, Stop.NO_GRANT)
        try:
            if attempt.stopped is None and attempt.grant is not None:
                await attempt.grant
        except asyncio.CancelledError:
            if not _stopped_by_us(attempt):
                raise
        if attempt.stopped is None and self._draining:
            attempt.stopped = Stop.STOPPING
        if attempt.stopped is None and self._clock.monotonic_s() >= attempt.fence_at:
            attempt.stopped = Stop.FENCED
        if attempt.stopped is None:
            return True
        attempt.enter(Phase.REPORTING)
        if attempt.stopped in _NOT_OURS:
            _log.info("%s#%d is not begun: %s", *attempt.key, attempt.stopped)
        else:
            _log.warning("%s#%d is given back: %s", *attempt.key, attempt.stopped)
            await self._reporter.release(attempt, attempt.stopped)
        return False

    async def _claim_again(self, attempt: Attempt, delivery: Delivery) -> None:
        """Answer another delivery of an attempt that runs here."""
        await self._claim(attempt, delivery)
        if self.running.get(attempt.key) is not attempt and attempt.key not in self._finished:
            await self._reporter.release(attempt, "it was given up before it was claimed again")

    async def _claim(self, attempt: Attempt, delivery: Delivery) -> None:
        self._claiming += 1
        self._no_claims.clear()
        sent_at = self._clock.monotonic_s()
        try:
            await self._reporter.claim(attempt, delivery)
            attempt.claimed(sent_at)
            delivery.finish()
        finally:
            self._claiming -= 1
            if not self._claiming:
                self._no_claims.set()

    async def _act(self, attempt: Attempt, prepared: Prepared) -> Outcome | None:
        """What came of the call; None if it was cancelled and must not be reported."""
        task = attempt.message.body
        left_ms = min(task.timeout_ms, task.deadline_at_ms - self._clock.now_ms())
        attempt.enter(Phase.ACTING, self._clock.monotonic_s() + left_ms / 1000)
        try:
            outcome = await prepared.act()
        except asyncio.CancelledError:
            if _stopped_by_us(attempt):
                prepared.give_up()  # a function in a thread goes on, unless it listens
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


class _Memory:
    """The attempts that were added last, so many of them."""

    def __init__(self) -> None:
        self._keys: OrderedDict[AttemptKey, None] = OrderedDict()

    def add(self, key: AttemptKey) -> None:
        self._keys[key] = None
        if len(self._keys) > REMEMBERED_LIMIT:
            self._keys.popitem(last=False)

    def __contains__(self, key: AttemptKey) -> bool:
        return key in self._keys


def _stopped_by_us(attempt: Attempt) -> bool:
    """True if a CancelledError came from `Attempt.stop`; it is taken back, so that later waits work as usual."""
    if attempt.stopped is None:
        return False
    if attempt.runner is not None:
        attempt.runner.uncancel()
    return True
