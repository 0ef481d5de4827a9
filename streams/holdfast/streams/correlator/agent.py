"""The correlator's part of a worker: what it does with a batch, after a recovery, and when something comes due.

Commit order of a batch: what may be repeated (refusals, expired events, events that everybody is told of), awaited;
then rows, awaited; then the handovers that the rows owe, awaited; then memory and timers; then the acknowledgement. So
nobody is handed an event before a row says so, and after a crash every handover that a row still owes is made again.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any

from holdfast.schemas import ids, topics
from holdfast.schemas.codec import encode
from holdfast.schemas.correlations import FireExpiry
from holdfast.schemas.headers import cloud_event
from holdfast.streams.clock import Clock
from holdfast.streams.correlator.batch import Batch, CorrelationFolder, partition_row
from holdfast.streams.correlator.rows import EVENT, SUBSCRIPTION, due_at_ms, read_key
from holdfast.streams.correlator.table import DeskTable
from holdfast.streams.faustkit.pulse import Pulse
from holdfast.streams.faustkit.send import Appended, Outgoing, Sender
from holdfast.streams.folding import Store
from holdfast.streams.membership import Membership
from holdfast.streams.timers import SOURCE, Firing, Timers, firing_meta

log = logging.getLogger(__name__)


class Correlator:
    """The parts of one worker, and what it does with a batch."""

    def __init__(
        self, *, topic_prefix: str, store: Store, sender: Sender, membership: Membership, pulse: Pulse, clock: Clock
    ) -> None:
        self._membership = membership
        self._store = store
        self._sender = sender
        self._pulse = pulse
        self._input = topic_prefix + topics.CORRELATIONS.name
        self.table = DeskTable(store.rows)
        self.folder = CorrelationFolder(self.table, topic_prefix)
        self.timers = Timers(store.rows, sender, firing_of_entries(topic_prefix), due_at_ms, clock)
        self._recovered: frozenset[int] = frozenset()

    def owned(self) -> Collection[int]:
        """The partitions that this worker may act for now; none while a rebalance or recovery is under way."""
        if not self._membership.active:
            return frozenset()
        return self._recovered & self._membership.assigned(self._input)

    async def recover(self) -> None:
        """Find the rows again, and make every handover that one still owes. Runs before any batch of a generation."""
        self._membership.hold()
        assigned = self._membership.assigned(self._input)
        self.table.rebuild()
        owed = [self.folder.handover(at, event, event.handed_to) for at, event in self.table.handed_over()]
        await self._pulse.watched(self._sender.send_all, owed)
        if owed:
            log.warning("%s events are handed over again", len(owed))
        self.timers.rebuild()
        self._recovered = assigned

    async def fold(self, events: Sequence[Any]) -> None:
        """Fold one micro-batch, in the commit order that the module describes."""
        generation = self._membership.generation
        batch = self.folder.fold(events)
        await self._pulse.watched(self._sender.send_all, batch.reports)
        if generation != self._membership.generation:
            return
        written = await self._pulse.watched(self._sender.send_all, self.folder.changelog(batch))
        await self._pulse.watched(self._sender.send_all, batch.handovers)
        if generation != self._membership.generation:
            return
        self._publish(batch, written)
        for event in events:
            event.ack()

    def _publish(self, batch: Batch, written: Sequence[Appended]) -> None:
        for meta in written:
            self._store.set_persisted_offset(meta.topic_partition, meta.offset)
        for partition, offset in batch.folded.items():
            self.table.store.partition_rows[partition] = partition_row(offset)
        for row in batch.rows:
            self.table.publish(row.key, row.value, row.partition)
            self.timers.set(row.partition, row.key, row.value)
        self.table.cool_down()


def firing_of_entries(topic_prefix: str) -> Firing:
    """Tells the correlator that one of its rows is due."""

    def fire(partition: int, key: bytes, due_ms: int, now_ms: int) -> Outgoing:
        row = read_key(key)
        tenant, event_type, correlation = ids.split_correlation_key(row.at.decode())
        body = FireExpiry(
            event_type=event_type,
            correlation=correlation,
            subscription_id=row.name if row.kind == SUBSCRIPTION else "",
            source_id=row.name if row.kind == EVENT else "",
            due_at_ms=due_ms,
        )
        meta = firing_meta("FireExpiry", tenant, "", key, due_ms, now_ms)
        topic = topic_prefix + topics.CORRELATIONS.name
        return Outgoing(topic, partition, row.at, encode(body, meta), cloud_event(body, meta, SOURCE))

    return fire
