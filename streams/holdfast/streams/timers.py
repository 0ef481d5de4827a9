"""Timers: rows say what is due, this tells the fold when it is. It never touches rows."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any

from holdfast.schemas import ids, topics
from holdfast.schemas.codec import encode
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.record import EventMeta
from holdfast.schemas.reports import FireTimer
from holdfast.streams.clock import Clock
from holdfast.streams.due_heap import DueHeap
from holdfast.streams.faustkit.send import Outgoing, Sender
from holdfast.streams.row_store import RowStore

log = logging.getLogger(__name__)
SOURCE = "/holdfast/timers"
HORIZON_MS = 2 * 3_600_000
SCAN_EVERY_MS = 3_600_000
SCAN_CHUNK = 5_000
IDLE_MS = 1_000
EARLIEST_SLEEP_S = 0.005


Firing = Callable[[int, bytes, int, int], Outgoing]
"""Makes the record that says that something is due: (partition, row key, due time in ms, now in ms)."""


class Timers:
    """The due times of the partitions that this worker owns. Only the next hours are in memory beside the rows.

    `due_at_ms` reads the due time of an encoded row, 0 for none.
    """

    def __init__(
        self, store: RowStore, sender: Sender, firing: Firing, due_at_ms: Callable[[bytes], int], clock: Clock
    ) -> None:
        self._store = store
        self._sender = sender
        self._firing = firing
        self._due_at_ms = due_at_ms
        self._clock = clock
        self._heap = DueHeap(HORIZON_MS)
        self._wake = asyncio.Event()
        self._next_scan_ms = 0

    def set(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take the due time of a row that is durable; None for one that is gone."""
        if self._heap.set(partition, key, self._due_at_ms(value) if value is not None else 0, self._clock.now_ms()):
            self._wake.set()

    def rebuild(self) -> None:
        """Start over from the rows, soon."""
        self._heap.clear()
        self._next_scan_ms = 0
        self._wake.set()

    async def run(self, owned: Callable[[], Collection[int]], stopping: Callable[[], bool]) -> None:
        """Fire until `stopping`. `owned` gives the partitions to fire for now; none during a rebalance."""
        while not stopping():
            partitions = owned()
            now_ms = self._clock.now_ms()
            if partitions:
                if now_ms >= self._next_scan_ms:
                    await self._scan(partitions)
                await self._fire(now_ms, partitions)
            self._wake.clear()
            delay_s = (self._heap.next_look_ms(now_ms + IDLE_MS) - self._clock.now_ms()) / 1000
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(EARLIEST_SLEEP_S, min(IDLE_MS / 1000, delay_s)))

    async def _fire(self, now_ms: int, partitions: Collection[int]) -> None:
        due = list(self._heap.take_due(now_ms, partitions))
        await self._sender.send_all([self._firing(partition, key, due_ms, now_ms) for partition, key, due_ms in due])

    async def _scan(self, partitions: Collection[int]) -> None:
        self._next_scan_ms = self._clock.now_ms() + SCAN_EVERY_MS
        for number, (key, partition) in enumerate(list(self._store.owner.items())):
            value: Any = self._store.data.get(key)
            if partition in partitions and value is not None:
                self._heap.set(partition, key, self._due_at_ms(value), self._clock.now_ms())
            if number % SCAN_CHUNK == SCAN_CHUNK - 1:
                await asyncio.sleep(0)


def firing_of_workflows(topic_prefix: str) -> Firing:
    """Tells a workflow's inbox that something of it is due."""

    def fire(partition: int, key: bytes, due_ms: int, now_ms: int) -> Outgoing:
        tenant, workflow_id = ids.split_key(key.decode())
        meta = firing_meta("FireTimer", tenant, workflow_id, key, due_ms, now_ms)
        body = FireTimer(timer_id="", due_at_ms=due_ms)
        inbox = topic_prefix + topics.INBOX.name
        return Outgoing(inbox, partition, key, encode(body, meta), cloud_event(body, meta, SOURCE))

    return fire


def firing_meta(name: str, tenant: str, workflow_id: str, key: bytes, due_ms: int, now_ms: int) -> EventMeta:
    """The meta of a record that says that the row under a key is due.

    Each time that it is said is a word of its own: more than one timer may be due at a time, and what a workflow that
    is held does not act on must be said again once it goes on.
    """
    return EventMeta(
        event_id=ids.derived_id(name, key.decode(), due_ms, now_ms),
        type=name,
        tenant=tenant,
        workflow_id=workflow_id,
        actor_kind="timer",
        actor_id="timers",
        occurred_at_ms=now_ms,
    )
