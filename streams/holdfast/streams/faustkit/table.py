"""Tables: encoded rows in memory, never replaced by older ones, rows of lost partitions dropped."""

from collections.abc import Iterable
from typing import Any

import faust
from faust.stores.memory import Store as MemoryStore

from holdfast.streams.row_store import RowStore


class GuardedStore(MemoryStore):
    """Fills `rows` from a changelog, and remembers how far.

    The stock store reads the whole changelog again on each assignment, forgets which partition a row that this worker
    wrote belongs to, and deletes rows whose value is merely falsy.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rows = RowStore()
        self._known: dict[Any, int] = {}
        self._generation: int | None = None

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Take rows from the changelog."""
        del to_key, to_value
        for event in batch:
            message = event.message
            self.set_persisted_offset(message.tp, message.offset)
            self.rows.take(message.key, message.value, message.partition)

    def persisted_offset(self, tp: Any) -> int | None:
        """The last changelog offset of a partition that is in memory."""
        return self._known.get(tp)

    def set_persisted_offset(self, tp: Any, offset: int) -> None:
        """Remember that a changelog offset is in memory."""
        if offset > self._known.get(tp, -1):
            self._known[tp] = offset

    async def on_rebalance(self, assigned: Any, revoked: Any, newly_assigned: Any, generation_id: int = 0) -> None:
        """Keep what is known of retained partitions, unless a generation was missed."""
        del assigned
        if self._generation is None or generation_id != self._generation + 1:
            self._known.clear()
        self._generation = generation_id
        for tp in revoked | newly_assigned:
            self._known.pop(tp, None)

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Drop the rows of partitions that this worker does not have."""
        self.rows.keep_partitions({tp.partition for tp in active_tps | standby_tps})


class GuardedTable(faust.Table):
    """A table on a GuardedStore. Never set through the mapping interface: its sends are not durable."""

    def _new_store(self) -> GuardedStore:
        return GuardedStore(
            "memory://",
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
            loop=self.loop,
            options=self.options,
        )
