"""Journal wins: before the first batch of a partition, what the journal holds beyond the rows is folded into them.

So a crash between the journal and the rows never decides the same record twice, even if the code has changed.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.record import Message, Record
from holdfast.streams.consequences import announced
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.outbound import Outbound
from holdfast.streams.row_table import RowTable
from holdfast.streams.rows import Row, state_json

log = logging.getLogger(__name__)
POLL_MS = 500


class Decided(NamedTuple):
    """A whole decision out of the journal, with the state before and after it."""

    before: WorkflowState | None
    events: list[Message[Record]]
    after: WorkflowState


@dataclass(slots=True)
class Tail:
    """What the journal of a partition held beyond its rows.

    `rows` are the rows that moved; `announced` what others may not have heard of yet because of it; `cut_short` the
    beginnings of decisions that a crash interrupted; `journal_offset` the last offset read, -1 if nothing was.
    """

    rows: dict[bytes, Row] = field(default_factory=dict)
    announced: dict[bytes, list[Outbound]] = field(default_factory=dict)
    cut_short: dict[bytes, list[Message[Record]]] = field(default_factory=dict)
    journal_offset: int = -1

    def take(self, row: Row | None, key: bytes, message: Message[Record], offset: int) -> Decided | None:
        """Fold the next journal event, given the row that the table has. Repeats of a sequence are left out.

        Returns the decision that the event completes, None as long as there is none.
        """
        self.journal_offset = offset
        row = self.rows.get(key, row)
        begun = self.cut_short.get(key, [])
        expected = (row.sequence if row is not None else 0) + len(begun) + 1
        if message.meta.sequence != expected:
            return None  # the first event of a (workflow, sequence) is the only one
        begun = [*begun, message]
        if message.meta.index < message.meta.count - 1:
            self.cut_short[key] = begun
            return None
        self.cut_short.pop(key, None)
        before = row.state if row is not None else None
        state = before
        for event in begun:
            state = evolve(state, event.body, Cause.of(event.meta))
        assert state is not None
        self.rows[key] = Row(
            inbox_offset=message.meta.cause_offset,
            sequence=message.meta.sequence,
            journal_offset=offset,
            head_hash=message.meta.hash,
            state=state,
            text=state_json(state),
        )
        return Decided(before, begun, state)


def known_journal_offset(table: RowTable, partition: int) -> int:
    """The journal offset up to which every row of a partition is known, -1 if there is none.

    It is that of the partition's own row, which is written behind all others of its batch. A workflow's row says
    nothing about the rest: rows of one batch may be several requests, and a kill may come between them.
    """
    return table.store.partition_row(partition).journal_offset


async def read_tails(bootstrap: str, journal: str, table: RowTable, partitions: Iterable[int]) -> dict[int, Tail]:
    """Read the journal of each partition from what its rows know to its end.

    Raises Kafka errors, and DecodeError for an event that this code cannot read: it must not be passed over.
    """
    tails = {partition: Tail() for partition in partitions}
    wanted = [TopicPartition(journal, partition) for partition in tails]
    if not wanted:
        return tails
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(wanted)
        ends = await consumer.end_offsets(wanted)
        for tp in wanted:
            consumer.seek(tp, known_journal_offset(table, tp.partition) + 1)
        for tp in wanted:
            while await consumer.position(tp) < ends[tp]:
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        take_record(tails, table, record)
    finally:
        await consumer.stop()
    return tails


def take_record(tails: Mapping[int, Tail], table: RowTable, record: Any) -> None:
    """Fold a journal record, as it was read, into the tail of its partition. Raises DecodeError."""
    try:
        message = decode(record.value)
    except DecodeError:
        log.critical("journal %s/%s offset %s cannot be read", record.topic, record.partition, record.offset)
        raise
    tail = tails[record.partition]
    if decided := tail.take(table.get(record.key), record.key, message, record.offset):
        told = announced(*decided, Cause.of(message.meta))
        tail.announced.setdefault(record.key, []).extend(told)
