"""One executor among others: which part of each limit it has, and what it tells the others of its queues."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from aiokafka import AIOKafkaProducer, TopicPartition

from holdfast.schemas import codec, headers, ids, topics
from holdfast.schemas.controls import QueuesReported
from holdfast.schemas.record import EventMeta, Json
from holdfast.streams.clock import Clock
from holdfast.streams.core.queues.limit import Limit, Share
from holdfast.streams.core.queues.peers import Peers
from holdfast.streams.core.queues.scope import Scope
from holdfast.streams.executor.dispatcher import Dispatcher
from holdfast.streams.executor.intake import Intake
from holdfast.streams.executor.limits import REPORT_AT_LEAST_EVERY_S, REPORT_EVERY_S
from holdfast.streams.executor.reports import ACTOR_KIND, SOURCE
from holdfast.streams.executor.worker import Worker


class Membership:
    """Reports the queues of an executor every few seconds, and gives its dispatcher its part of the limits."""

    def __init__(
        self,
        peers: Peers,
        dispatcher: Dispatcher,
        worker: Worker,
        producer: AIOKafkaProducer,
        *,
        topic_prefix: str,
        executor_id: str,
        task_class: str,
        clock: Clock,
    ) -> None:
        self.intake: Intake
        self._peers = peers
        self._dispatcher = dispatcher
        self._worker = worker
        self._producer = producer
        self._topic = topic_prefix + topics.QUEUES.name
        self._executor_id = executor_id
        self._task_class = task_class
        self._clock = clock
        self._changed = asyncio.Event()
        self._known: tuple[Share, dict[str, int]] | None = None

    def assigned(self, partitions: Iterable[TopicPartition], count: int, generation: int) -> None:
        """The executor has these partitions now."""
        self._peers.assigned({tp.partition for tp in partitions}, count, generation, self._dispatcher.now_ms())
        self._update()
        self._changed.set()

    def control(self, controls: Mapping[Scope, Limit]) -> None:
        """Operators have set other limits: what waits for them is said at once."""
        self._dispatcher.control(controls)
        self._changed.set()

    def heard(self, report: QueuesReported) -> None:
        """An executor of the class has spoken, maybe this one."""
        limited = report.limited if isinstance(report.limited, dict) else {}
        counts = {scope: count for scope, count in limited.items() if isinstance(count, int)}
        self._peers.heard(
            report.executor_id, report.generation, counts, stopped=report.stopped, now_ms=self._dispatcher.now_ms()
        )
        self._update()

    def _update(self) -> None:
        now = self._dispatcher.now_ms()
        known = self._peers.share(now), self._peers.elsewhere(now)
        if known != self._known:
            self._known = known
            self._dispatcher.share(*known)

    async def run(self) -> None:
        """Report until cancelled."""
        reported_at = 0.0
        while True:
            busy = self._worker.running or len(self._dispatcher.schedule) or self._changed.is_set()
            if busy or self._clock.monotonic_s() - reported_at >= REPORT_AT_LEAST_EVERY_S:
                self._changed.clear()
                await self._report(stopped=False)
                reported_at = self._clock.monotonic_s()
            self._update()
            await self.intake.send_strays()
            await _set_or_late(self._changed, REPORT_EVERY_S)

    async def say_goodbye(self) -> None:
        """Nothing of this executor runs any more."""
        await self._report(stopped=True)

    async def _report(self, *, stopped: bool) -> None:
        queues: list[Json] = (
            [] if stopped else [asdict(queue) for queue in self._dispatcher.schedule.reports(self._dispatcher.now_ms())]
        )
        body = QueuesReported(
            executor_id=self._executor_id,
            task_class=self._task_class,
            generation=self._peers.generation,
            stopped=stopped,
            slots=self._dispatcher.slots,
            running=len(self._worker.running),
            unread=self.intake.unread,
            queues=queues,
            limited=dict(self._dispatcher.schedule.in_flight),
        )
        occurred_at_ms = self._clock.now_ms()
        meta = EventMeta(
            event_id=ids.derived_id(self._executor_id, occurred_at_ms, "QueuesReported"),
            type=codec.schema_of(QueuesReported).subject,
            tenant="",
            workflow_id="",
            actor_kind=ACTOR_KIND,
            actor_id=self._executor_id,
            occurred_at_ms=occurred_at_ms,
        )
        await self._producer.send_and_wait(
            self._topic,
            codec.encode(body, meta),
            key=self._executor_id.encode(),
            headers=headers.cloud_event(body, meta, SOURCE),
        )


async def _set_or_late(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
