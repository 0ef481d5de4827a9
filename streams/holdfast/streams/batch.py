"""Folding one micro-batch in an overlay over the rows. Knows records and rows, no Kafka client."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from holdfast.schemas import topics
from holdfast.schemas.record import Message, Record
from holdfast.schemas.requests import ForkWorkflow, MigrateWorkflow, StartWorkflow
from holdfast.schemas.state import PartitionRow
from holdfast.streams.dead_letters import poison_record
from holdfast.streams.driver import Driver
from holdfast.streams.faustkit.schema import Poison
from holdfast.streams.faustkit.send import Outgoing
from holdfast.streams.outbound import Outbound
from holdfast.streams.row_table import RowTable
from holdfast.streams.rows import Row, encode_row

PLACED_BY_KEY = frozenset(
    topic.name for topic in (topics.TASKS_MODEL, topics.TASKS_TOOL, topics.GRANTS, topics.INBOX, topics.CORRELATIONS)
)
"""Topics whose records do not stand under the key of the input: tasks spread, letters go to others."""


@dataclass(slots=True)
class Batch:
    """What a micro-batch leads to: records to append, and the rows to write once those are durable.

    `events` are the positions in `records` of journal events, with the workflow key that each belongs to.
    """

    records: list[Outgoing] = field(default_factory=list)
    events: list[tuple[int, bytes]] = field(default_factory=list)
    rows: dict[bytes, tuple[int, Row]] = field(default_factory=dict)
    folded: dict[int, int] = field(default_factory=dict)


class BatchFolder:
    """Folds micro-batches. `cut_short` holds the prefixes of decisions that a crash interrupted, by workflow key."""

    def __init__(self, driver: Driver, table: RowTable, topic_prefix: str) -> None:
        self.driver = driver
        self._table = table
        self._prefix = topic_prefix
        self.cut_short: dict[bytes, list[Message[Record]]] = {}

    def definitions_needed(self, events: Sequence[Any]) -> set[str]:
        """The hashes of the definitions that a batch will ask for."""
        needed: set[str] = set()
        for event in events:
            value = event.value
            if isinstance(value, Poison):
                continue
            if isinstance(value.body, StartWorkflow | ForkWorkflow | MigrateWorkflow):
                needed.add(value.body.definition_hash)
            row = self._table.get(event.message.key)
            if row is not None:
                needed.add(row.state.definition_hash)
        return needed

    def fold(self, events: Sequence[Any]) -> Batch:
        """Fold the records of a batch, in order."""
        batch = Batch()
        for event in events:
            self._fold_one(batch, event.message, event.value)
            batch.folded[event.message.partition] = event.message.offset
        return batch

    def _fold_one(self, batch: Batch, message: Any, value: Message[Record] | Poison) -> None:
        key, partition = message.key, message.partition
        if isinstance(value, Poison):
            batch.records.append(poison_record(message, value, "orchestrator", self._prefix))
            return
        row = batch.rows[key][1] if key in batch.rows else self._table.get(key)
        now_ms = round(message.timestamp * 1000)
        if row is not None and message.offset <= row.inbox_offset:
            repeated = self.driver.repeated(row, value, now_ms=now_ms)
            batch.records.extend(self.outgoing(record, partition) for record in repeated)
            return
        outcome = self.driver.fold(
            row,
            value,
            offset=message.offset,
            now_ms=now_ms,
            prefix=self._prefix_for(key, message.offset),
        )
        for record in outcome.journal:
            batch.events.append((len(batch.records), key))
            batch.records.append(self.outgoing(record, partition))
        batch.records.extend(self.outgoing(record, partition) for record in outcome.outbound)
        if outcome.row is not None:
            batch.rows[key] = (partition, outcome.row)

    def _prefix_for(self, key: bytes, offset: int) -> list[Message[Record]]:
        prefix = self.cut_short.get(key)
        if prefix and prefix[0].meta.cause_offset == offset:
            return self.cut_short.pop(key)
        return []

    def outgoing(self, record: Outbound, partition: int) -> Outgoing:
        """A record of the driver's, addressed: some go by their key, all else stays in the input's partition."""
        by_key = record.topic.name in PLACED_BY_KEY
        return Outgoing(
            self._prefix + record.topic.name, None if by_key else partition, record.key, record.value, record.headers
        )

    def rows_to_write(self, batch: Batch, offsets: Sequence[int]) -> list[tuple[bytes, int, Row, bytes]]:
        """The batch's rows with the journal offsets they now have, encoded: (key, partition, row, value).

        `offsets` are the broker's offsets of `batch.records`.
        """
        last: dict[bytes, int] = {key: offsets[position] for position, key in batch.events}
        written = []
        for key, (partition, row) in batch.rows.items():
            if key in last:
                row = replace(row, journal_offset=last[key])
            written.append((key, partition, row, encode_row(row)))
        return written

    def partition_rows(self, batch: Batch, offsets: Sequence[int]) -> dict[int, PartitionRow]:
        """How far each partition of a batch has been folded now."""
        rows = {}
        for partition, inbox_offset in batch.folded.items():
            journaled = [offsets[p] for p, _ in batch.events if batch.records[p].partition == partition]
            before = self._table.store.partition_row(partition).journal_offset
            rows[partition] = PartitionRow(inbox_offset=inbox_offset, journal_offset=max(journaled, default=before))
        return rows
