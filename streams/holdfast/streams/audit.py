"""Checking a running or stopped engine from outside, from its topics alone.

The journal is folded from zero and compared with the rows on the changelog (I6); every recorded intent must have its
task, and every task its intent.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.schemas import events as e
from holdfast.schemas import tasks as t
from holdfast.schemas.codec import decode
from holdfast.schemas.record import Record
from holdfast.schemas.topics import CHANGELOG, JOURNAL, TASKS_MODEL, TASKS_TOOL
from holdfast.streams.recovery import Tail
from holdfast.streams.rows import PARTITION_ROW_KEY, Row, load_row

POLL_MS = 500


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What the topics of an engine say about each other.

    `rows` are the workflows as the changelog has them, by key; `rows_differ` the keys of those that are not what the
    journal folds to; `journal_events` counts each (workflow, sequence) once, `repeats` the events beyond that;
    `tasks_missing` and `tasks_unexpected` are (effect key, attempt) of intents without a task and the reverse.
    """

    rows: dict[str, Row] = field(repr=False)
    journal_events: int
    repeats: int
    rows_differ: tuple[str, ...]
    decisions_cut_short: int
    tasks_missing: tuple[tuple[str, int], ...]
    tasks_unexpected: tuple[tuple[str, int], ...]

    @property
    def whole(self) -> bool:
        """True if nothing is missing, doubled or different."""
        odd = self.rows_differ or self.decisions_cut_short or self.tasks_missing or self.tasks_unexpected
        return not odd


async def compare(bootstrap: str, topic_prefix: str) -> Comparison:
    """Read the journal, the changelog and the tasks to their present ends, and compare them. Writes nothing.

    Raises Kafka errors, and DecodeError if a journal event or a row cannot be read.
    """
    tail, intents, events, read = Tail(), set[tuple[str, int]](), 0, 0
    async for record in _all_records(bootstrap, topic_prefix + JOURNAL.name):
        message = decode(record.value)
        before = _folded(tail, record.key)
        tail.take(None, record.key, message, record.offset)
        read += 1
        if _folded(tail, record.key) != before:
            events += 1
            if isinstance(message.body, e.ModelCallRequested | e.ToolCallRequested):
                intents.add((message.body.effect_key, message.body.attempt))
    rows: dict[str, Row] = {}
    async for record in _all_records(bootstrap, topic_prefix + CHANGELOG.name):
        if record.key != PARTITION_ROW_KEY and record.value is not None:
            key, row = record.key.decode(), load_row(record.value)
            # As recovery takes them: a zombie's stale row never replaces one that was folded further.
            if key not in rows or row.inbox_offset >= rows[key].inbox_offset:
                rows[key] = row
    tasks: set[tuple[str, int]] = set()
    for topic in (TASKS_MODEL, TASKS_TOOL):
        async for record in _all_records(bootstrap, topic_prefix + topic.name):
            tasks.add(_task_identity(decode(record.value).body))
    refolded = {key.decode(): row for key, row in tail.rows.items()}
    return Comparison(
        rows=rows,
        journal_events=events,
        repeats=read - events,
        rows_differ=tuple(
            sorted(key for key in refolded.keys() | rows.keys() if not _same(refolded.get(key), rows.get(key)))
        ),
        decisions_cut_short=len(tail.cut_short),
        tasks_missing=tuple(sorted(intents - tasks)),
        tasks_unexpected=tuple(sorted(tasks - intents)),
    )


def _folded(tail: Tail, key: bytes) -> int:
    row = tail.rows.get(key)
    return (row.sequence if row is not None else 0) + len(tail.cut_short.get(key, ()))


def _same(one: Row | None, other: Row | None) -> bool:
    if one is None or other is None:
        return False
    if (one.sequence, one.head_hash) != (other.sequence, other.head_hash):
        return False
    return one.text == other.text


def _task_identity(body: Record) -> tuple[str, int]:
    assert isinstance(body, t.RunModelCall | t.RunToolCall)
    return body.effect_key, body.attempt


async def _all_records(bootstrap: str, topic: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        numbers = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(topic, n) for n in sorted(numbers.partitions_for_topic(topic) or ())]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        open_partitions = set(partitions)
        while open_partitions:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                for record in records:
                    yield record
            open_partitions = {tp for tp in open_partitions if await consumer.position(tp) < ends[tp]}
    finally:
        await consumer.stop()
