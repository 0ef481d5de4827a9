"""The state table: encoded rows in memory, never replaced by older ones, rows of lost partitions dropped."""

from collections.abc import Iterable
from typing import Any

import faust
from faust.stores.memory import Store as MemoryStore

from holdfast.schemas.codec import decode_row
from holdfast.schemas.state import PartitionRow
from holdfast.streams.rows import PARTITION_ROW_KEY, row_prefix


class GuardedStore(MemoryStore):
    """Rows as changelog values by key (`data`), their partitions (`owner`), and one partition row per partition.

    The stock store reads the whole changelog again on each assignment, forgets which partition a row that this worker
    wrote belongs to, and deletes rows whose value is merely falsy.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.owner: dict[bytes, int] = {}
        self.partition_rows: dict[int, PartitionRow] = {}
        self._known: dict[Any, int] = {}
        self._generation: int | None = None

    def put(self, key: bytes, value: bytes, partition: int) -> None:
        """Publish a row that is durable."""
        self.data[key] = value
        self.owner[key] = partition

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any, to_value: Any) -> None:
        """Take rows from the changelog; a row never replaces one that was folded further."""
        del to_key, to_value
        for event in batch:
            message = event.message
            self.set_persisted_offset(message.tp, message.offset)
            if message.key == PARTITION_ROW_KEY:
                row = decode_row(message.value)
                assert isinstance(row, PartitionRow)
                self.partition_rows[message.partition] = row
            elif message.value is None:
                self.data.pop(message.key, None)
                self.owner.pop(message.key, None)
            else:
                current = self.data.get(message.key)
                if current is None or row_prefix(message.value).inbox_offset >= row_prefix(current).inbox_offset:
                    self.put(message.key, message.value, message.partition)

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
        keep = {tp.partition for tp in active_tps | standby_tps}
        for key in [key for key, partition in self.owner.items() if partition not in keep]:
            self.data.pop(key, None)
            self.owner.pop(key, None)
        for partition in [partition for partition in self.partition_rows if partition not in keep]:
            del self.partition_rows[partition]


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
