"""One executor at work: its parts, how they take tasks, and how they stop. It is given its Kafka clients."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import TopicPartition

from holdfast.schemas import topics
from holdfast.schemas.record import Record
from holdfast.schemas.tasks import LookUpEffect
from holdfast.streams.clock import SYSTEM_CLOCK, Clock
from holdfast.streams.core.queues.peers import Peers
from holdfast.streams.executor.attempt import Spawn
from holdfast.streams.executor.calls import Calls
from holdfast.streams.executor.config import ExecutorConfig
from holdfast.streams.executor.dispatcher import Attempts, Dispatcher
from holdfast.streams.executor.intake import Intake, Taker
from holdfast.streams.executor.limits import COMMIT_EVERY_S, TICK_S
from holdfast.streams.executor.membership import Membership
from holdfast.streams.executor.news import News, about_attempts, about_limits, about_others
from holdfast.streams.executor.reports import Reporter
from holdfast.streams.executor.searches import Search, Searches
from holdfast.streams.executor.sending_on import SendingOn
from holdfast.streams.executor.ticker import Ticker
from holdfast.streams.executor.worker import Worker

_log = logging.getLogger(__name__)


class Serving:
    """An executor. `intake` is the listener that its group consumer has to have.

    `news` reads what executors hear beside their tasks, from `ends` back to where it stands. `spawn` starts a coroutine
    whose failure ends the process; `replaced` tells whether another process goes by this one's name. `tick_s` and
    `commit_every_s` are how often it looks at its calls and commits offsets.
    """

    def __init__(
        self,
        config: ExecutorConfig,
        calls: Calls,
        *,
        producer: Any,
        news: Any,
        search: Search | None,
        replaced: Callable[[Any], Awaitable[bool]],
        spawn: Spawn,
        clock: Clock = SYSTEM_CLOCK,
        tick_s: float = TICK_S,
        commit_every_s: float = COMMIT_EVERY_S,
    ) -> None:
        self._config = config
        self._spawn = spawn
        self._commit_every_s = commit_every_s
        reporter = Reporter(producer, config.topic_prefix, config.executor_id, clock)
        self.worker = Worker(calls, reporter, executor_id=config.executor_id, spawn=spawn, clock=clock)
        self._dispatcher = Dispatcher(self.worker, slots=config.slots, spare=config.spare_slots, clock=clock)
        calls.when_freed(self._dispatcher.begin)
        self._ticker = Ticker(self.worker.running, reporter, spawn, clock, tick_s)
        takers: dict[type[Record], Taker] = {}
        self._searches = Searches(search, reporter, slots=config.slots, spawn=spawn, clock=clock) if search else None
        if self._searches is not None:
            takers[LookUpEffect] = self._searches.take
        self._membership = Membership(
            Peers(config.executor_id),
            self._dispatcher,
            self.worker,
            producer,
            topic_prefix=config.topic_prefix,
            executor_id=config.executor_id,
            task_class=calls.task_class,
            clock=clock,
        )
        hearers = {
            **about_attempts(Attempts(self.worker, self._dispatcher)),
            **about_limits(self._membership.control),
            **about_others(self._membership.heard, calls.task_class),
        }
        self._news = News(news, hearers)
        self.intake = self._membership.intake = Intake(
            self.worker,
            self._dispatcher,
            calls.record,
            takers,
            SendingOn(producer, config.topic_prefix + topics.DEAD_LETTERS.name),
            waiting_limit=config.waiting_limit,
            open_limit=config.open_limit,
            replaced=replaced,
            assigned=self._membership.assigned,
            spawn=spawn,
        )

    async def catch_up(self, ends: Mapping[TopicPartition, int]) -> None:
        """Hear what was said by now: before the group is joined."""
        await self._news.catch_up(ends)

    async def run(self, stopping: asyncio.Event) -> None:
        """Make calls until `stopping`, then stop in order. Whoever cancels this wants no order."""
        running = [
            self._spawn(loop)
            for loop in (
                self._ticker.run(),
                self._news.follow(),
                self._dispatcher.run(),
                self.intake.commit_regularly(self._commit_every_s),
                self._membership.run(),
            )
        ]
        taking = self._spawn(self.intake.run())
        await stopping.wait()
        _log.info("%s stops: %d calls are running", self._config.executor_id, len(self.worker.running))
        self._dispatcher.close()
        await cancelled(taking)
        if self._searches is not None:
            await self._searches.stop()
        await self.worker.drain(self._config.grace_ms / 1000)
        for task in running:
            await cancelled(task)
        await self.intake.commit()
        await self._membership.say_goodbye()


async def cancelled(task: "asyncio.Task[None]") -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.wait([task])
