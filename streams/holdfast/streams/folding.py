"""What a worker does with a batch of its inbox or of requests, and before the first one: the commit order.

Journal and everything that it leads to, awaited; then rows, awaited; then memory and timers; then the acknowledgement.
So "row durable" implies "its records durable", and "offset committed" implies "row durable".
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from holdfast.schemas import topics
from holdfast.schemas.codec import encode
from holdfast.streams.batch import BatchFolder
from holdfast.streams.clock import Clock
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.driver import Driver
from holdfast.streams.faustkit.pulse import Pulse
from holdfast.streams.faustkit.send import Outgoing, Sender
from holdfast.streams.membership import Membership
from holdfast.streams.recovery import Tail
from holdfast.streams.row_store import RowStore
from holdfast.streams.row_table import RowTable
from holdfast.streams.rows import PARTITION_ROW_KEY, due_at_ms, encode_row
from holdfast.streams.timers import Timers, firing_of_workflows

log = logging.getLogger(__name__)
ReadTails = Callable[[RowTable, Iterable[int]], Awaitable[dict[int, Tail]]]
"""Reads the journal of partitions from what a table knows of them to its end."""


class Store(Protocol):
    """A table's rows, and how far its changelog is in memory."""

    @property
    def rows(self) -> RowStore:
        """The rows."""

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Remember that a changelog offset is in memory."""


class Definitions(Protocol):
    """The definitions that are published, as far as they were read."""

    def by_hash(self, definition_hash: str) -> CompiledDefinition | None:
        """The definition of that hash, if it was read."""

    async def ensure(self, hashes: Iterable[str]) -> None:
        """Read on if any of the hashes is not known yet."""


class Folding:
    """The fold of one worker: its table, its timers, and what it does with a batch."""

    def __init__(
        self,
        *,
        topic_prefix: str,
        store: Store,
        sender: Sender,
        definitions: Definitions,
        membership: Membership,
        pulse: Pulse,
        read_tails: ReadTails,
        clock: Clock,
    ) -> None:
        self._store = store
        self._sender = sender
        self._definitions = definitions
        self._membership = membership
        self._pulse = pulse
        self._read_tails = read_tails
        self.table = RowTable(store.rows)
        self.folder = BatchFolder(Driver(definitions.by_hash), self.table, topic_prefix)
        self.timers = Timers(store.rows, sender, firing_of_workflows(topic_prefix), due_at_ms, clock)
        self._inbox = topic_prefix + topics.INBOX.name
        self._changelog = topic_prefix + topics.CHANGELOG.name
        self._recovered: frozenset[int] = frozenset()

    def owned(self) -> Collection[int]:
        """The partitions that this worker may act for now; none while a rebalance or recovery is under way."""
        if not self._membership.active:
            return frozenset()
        return self._recovered & self._membership.assigned(self._inbox)

    async def recover(self) -> None:
        """Fold the journal's tail into the rows of every assigned partition. Runs before any batch of a generation."""
        self._membership.hold()
        partitions = self._membership.assigned(self._inbox)
        self.table.forget_decoded()
        self.folder.cut_short.clear()
        tails = await self._read_tails(self.table, partitions)
        await self._definitions.ensure(
            row.state.definition_hash for tail in tails.values() for row in tail.rows.values()
        )
        for partition, tail in tails.items():
            self.folder.cut_short.update(tail.cut_short)
            owed = [
                self.folder.outgoing(record, partition)
                for key, row in tail.rows.items()
                for record in (*tail.announced.get(key, ()), *self.folder.driver.owed(row))
            ]
            await self._sender.send_all(owed)
            rows = [(key, partition, row, encode_row(row)) for key, row in tail.rows.items()]
            await self._write_rows(rows, {})
            if tail.rows or tail.cut_short:
                log.warning(
                    "partition %s: folded %s workflows from the journal's tail, %s decisions were cut short",
                    partition,
                    len(tail.rows),
                    len(tail.cut_short),
                )
        self.timers.rebuild()
        self._recovered = partitions

    async def fold(self, events: Sequence[Any]) -> None:
        """Fold one micro-batch, in the commit order that the module describes."""
        generation = self._membership.generation
        await self._definitions.ensure(self.folder.definitions_needed(events))
        batch = self.folder.fold(events)
        written = await self._pulse.watched(self._sender.send_all, batch.records)
        if generation != self._membership.generation:
            return
        offsets = [meta.offset for meta in written]
        rows = self.folder.rows_to_write(batch, offsets)
        await self._write_rows(rows, self.folder.partition_rows(batch, offsets), generation)
        if generation != self._membership.generation:
            return
        for event in events:
            event.ack()

    async def _write_rows(self, rows: Any, partition_rows: Any, generation: int | None = None) -> None:
        records = [Outgoing(self._changelog, partition, key, value) for key, partition, _, value in rows]
        records += [
            Outgoing(self._changelog, partition, PARTITION_ROW_KEY, encode(row))
            for partition, row in partition_rows.items()
        ]
        written = await self._pulse.watched(self._sender.send_all, records)
        if generation is not None and generation != self._membership.generation:
            return
        for meta in written:
            self._store.set_persisted_offset(meta.topic_partition, meta.offset)
        self.table.store.partition_rows.update(partition_rows)
        for key, partition, row, value in rows:
            self.table.publish(key, row, value, partition)
            self.timers.set(partition, key, value)
