"""Faust's Kafka transport: a fetch loop without four tasks per message, and an idempotent producer."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from mode import Service

from holdfast.streams.faustkit.exit import die

YIELD_EVERY = 256
LOOK_EVERY_S = 1.0
PART_WAIT_MS = 20


def fetch_parts_promptly(fetcher: Any) -> None:
    """Let a fetch for only some of the partitions come back at once, whether it has found anything or not.

    What was fetched and not taken for a tenth of a second, because a batch was being folded, is left out of the next
    fetch. If there is nothing new for the others, that one waits at the broker for its full time; and what comes for
    the ones left out, which are the busy ones, waits with it.
    """
    whole_ms, actions = fetcher._fetch_max_wait_ms, fetcher._get_actions_per_node

    def prompt_actions(assignment: Any) -> Any:
        whole = fetcher._records.keys().isdisjoint(assignment.tps)
        fetcher._fetch_max_wait_ms = whole_ms if whole else PART_WAIT_MS
        return actions(assignment)

    fetcher._get_actions_per_node = prompt_actions


class PromptThread(driver.AIOKafkaConsumerThread):
    """The stock thread of the client, but for what its fetches wait for."""

    async def on_start(self) -> None:
        """Connect, and change what fetches wait for."""
        await super().on_start()
        assert self._consumer is not None
        fetch_parts_promptly(self._consumer._fetcher)


class FastConsumer(driver.Consumer):
    """The stock fetch loop, but a message is only guarded by `wait_first` while something can block it.

    `sought_generation` is the last generation in which every input partition was put to where it has to go on.
    """

    sought_generation = -1

    def _new_consumer_thread(self) -> PromptThread:
        return PromptThread(self, loop=self.loop, beacon=self.beacon)

    @Service.task
    async def _watch_membership(self) -> None:
        """End the process when its membership of the group can no longer change.

        The client's coordinator routine ends at the first error that it does not expect, such as a cluster that does
        not name its brokers yet. Faust never asks what became of it, and would wait for partitions for good.
        """
        while not self.should_stop:
            await self.sleep(LOOK_EVERY_S)
            client = self._thread._consumer
            if client is None or client._coordinator is None:
                continue  # it is still connecting
            routine = client._coordinator._coordination_task
            if routine.done() and not routine.cancelled() and (problem := routine.exception()):
                die("the group's coordination has ended", problem)

    async def perform_seek(self) -> None:
        """Seek each input partition to its committed offset, or to its beginning as long as there is none.

        The stock seek leaves a partition without a commit where it stands: records that were fetched before a
        rebalance, and thrown away by it, would never come again.
        """
        generation = self.app.consumer_generation_id
        try:
            await super().perform_seek()
            inputs = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
            uncommitted = {tp for tp in inputs if not self._read_offset[tp]}
            if uncommitted:
                await self._thread.seek_to_beginning(*(TopicPartition(tp.topic, tp.partition) for tp in uncommitted))
        except Exception:
            if generation == self.app.consumer_generation_id:
                self.sought_generation = -1
            raise
        self.sought_generation = max(self.sought_generation, generation)

    async def _drain_messages(self, fetcher: Any) -> None:
        app, callback, read_offset = self.app, self.callback, self._read_offset
        topics, flow, buffer = app.topics, app.flow_control, app.producer.buffer
        stopped, fetcher_stopped = self._stopped.is_set, fetcher._stopped.is_set
        since_yield = 0
        try:
            while not (stopped() or fetcher_stopped()):
                records = self.getmany(timeout=1.0)
                await asyncio.sleep(0)
                if self.should_stop:
                    continue
                async for tp, message in records:
                    since_yield += 1
                    if since_yield >= YIELD_EVERY:
                        since_yield = 0
                        await asyncio.sleep(0)
                    offset, seen = message.offset, read_offset[tp]
                    if seen is not None and offset < seen:
                        continue
                    if seen and offset - seen > 1 and topics.acks_enabled_for(message.topic):
                        await self._add_gap(tp, seen + 1, offset)
                    free = flow.is_active() and buffer.size <= buffer.max_messages
                    if free and not any(channel.queue.full() for channel in topics._tp_index[tp]):
                        await callback(message)
                    else:
                        await self.wait_first(callback(message), self.suspend_flow.wait())
                    read_offset[tp] = offset
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise


class DurableProducer(driver.Producer):
    """Idempotent, and never flushed by a commit: every send of ours is awaited before its input is acknowledged.

    The stock flush stalls the fetch loop for about 100 ms at each commit.
    """

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def flush(self) -> None:
        """Nothing is left to flush: see the class."""


class FastTransport(driver.Transport):
    """The transport of every Faust application here."""

    Consumer = FastConsumer
    Producer = DurableProducer
