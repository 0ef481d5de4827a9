"""Kafka records to rows, gathered until they are worth an insert. Pure: no client, no clock.

Nothing is dropped: what cannot be read, or is not what the topic carries, becomes a dead letter with its bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from holdfast.projections.rows import (
    EVENT_COLUMNS,
    EXPIRED_COLUMNS,
    PROMOTED,
    REJECTION_COLUMNS,
    Place,
    Row,
    event_row,
    expired_row,
    rejection_row,
)
from holdfast.schemas import topics
from holdfast.schemas.codec import DecodeError, decode
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.results import EventExpired, RequestRejected

ROWS_LIMIT = 10_000
BYTES_LIMIT = 8 << 20
MESSAGE_LIMIT_CHARACTERS = 2_000


class KafkaRecord(Protocol):
    """What is read of aiokafka's ConsumerRecord. `timestamp` is in ms."""

    @property
    def topic(self) -> str: ...  # noqa: D102
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


DEAD_LETTER_COLUMNS: tuple[str, ...] = (
    "topic",
    "kafka_partition",
    "kafka_offset",
    "stage",
    "code",
    "message",
    "record_at",
    "record_key",
    "record_value",
    "headers",
)


def dead_letter_row(record: KafkaRecord, stage: str, code: str, message: str) -> Row:
    """The row of a record that came to nothing, in the order of DEAD_LETTER_COLUMNS.

    `stage` is where: decode, key, chain or insert; `code` is stable.
    """
    return [
        record.topic,
        record.partition,
        record.offset,
        stage,
        code,
        message[:MESSAGE_LIMIT_CHARACTERS],
        max(record.timestamp, 0),
        record.key or b"",
        record.value or b"",
        [(name, value.decode(errors="replace")) for name, value in record.headers],
    ]


@dataclass(kw_only=True)
class Rows:
    """Rows for one table, and the record that each came from."""

    table: str
    columns: Sequence[str]
    rows: list[Row] = field(default_factory=list)
    records: list[KafkaRecord] = field(default_factory=list)

    def add(self, row: Row, record: KafkaRecord) -> None:
        """Append the row of a record."""
        self.rows.append(row)
        self.records.append(record)


class Batch:
    """Rows for all tables, and the offset after the last record of each (topic, partition)."""

    def __init__(self, topic_prefix: str) -> None:
        self.events = Rows(table="events", columns=EVENT_COLUMNS)
        self.rejections = Rows(table="request_rejections", columns=REJECTION_COLUMNS)
        self.expired = Rows(table="expired_events", columns=EXPIRED_COLUMNS)
        self.dead_letters = Rows(table="dead_letters", columns=DEAD_LETTER_COLUMNS)
        self.positions: dict[tuple[str, int], int] = {}
        self.records = 0
        self.size_bytes = 0
        self._prefix_length = len(topic_prefix)

    @property
    def full(self) -> bool:
        """True if no more records should be added."""
        return self.records >= ROWS_LIMIT or self.size_bytes >= BYTES_LIMIT

    @property
    def tables(self) -> tuple[Rows, ...]:
        """The tables in the order in which they are to be written: what went wrong comes first."""
        return (self.dead_letters, self.rejections, self.expired, self.events)

    def add(self, records: Sequence[KafkaRecord]) -> None:
        """Add records of one (topic, partition), in order."""
        if not records:
            return
        topic, partition = records[0].topic, records[0].partition
        read = _READERS[topic[self._prefix_length :]]
        for record in records:
            try:
                read(self, record)
            except DecodeError as exc:
                self._refuse(record, "decode", exc.code, str(exc))
            self.size_bytes += len(record.value or b"") + len(record.key or b"")
        self.records += len(records)
        self.positions[(topic, partition)] = records[-1].offset + 1

    def _refuse(self, record: KafkaRecord, stage: str, code: str, message: str) -> None:
        self.dead_letters.add(dead_letter_row(record, stage, code, message), record)

    def _journal(self, record: KafkaRecord) -> None:
        message = decode(record.value)
        meta = message.meta
        if type(message.body) not in PROMOTED:
            raise DecodeError("unexpected_type", f"{type(message.body).__name__} is not an event of the journal")
        row, intact = event_row(message, _place(record))
        self.events.add(row, record)
        # The row is stored all the same: an auditor wants to see what stands in the journal.
        if not intact:
            self._refuse(record, "chain", "hash_mismatch", f"the hash of sequence {meta.sequence} is not the event's")
        if record.key != workflow_key(meta.tenant, meta.workflow_id).encode():
            self._refuse(record, "key", "wrong_key", f"the event belongs to {meta.tenant}/{meta.workflow_id}")

    def _result(self, record: KafkaRecord) -> None:
        message = decode(record.value)
        if isinstance(message.body, RequestRejected):
            self.rejections.add(rejection_row(message.meta, message.body, _place(record)), record)
        elif isinstance(message.body, EventExpired):
            self.expired.add(expired_row(message.meta, message.body, _place(record)), record)
        elif type(message.body) not in topics.RESULTS.records:
            raise DecodeError("unexpected_type", f"{type(message.body).__name__} is not a result")
        # Endings are copies of journal events, which have their rows already.

    def _dead_letter(self, record: KafkaRecord) -> None:
        self.dead_letters.add(_forwarded(record), record)


def _place(record: KafkaRecord) -> Place:
    return Place(topic=record.topic, partition=record.partition, offset=record.offset)


def _forwarded(record: KafkaRecord) -> Row:
    """The row of a dead letter that another role wrote: it goes by where the original record stood."""
    said = {name: value.decode(errors="replace") for name, value in record.headers if name.startswith("x-dlq-")}
    row = dead_letter_row(
        record,
        said.get("x-dlq-stage", "unknown"),
        said.get("x-dlq-error-class", "unknown"),
        said.get("x-dlq-error-message", "the dead letter does not say why"),
    )
    try:
        partition, offset, at_ms = (int(said[f"x-dlq-{name}"]) for name in ("partition", "offset", "timestamp"))
        topic = said["x-dlq-topic"]
    except (KeyError, ValueError):
        return row
    if min(partition, offset, at_ms) < 0:
        return row
    return [topic, partition, offset, *row[3:6], at_ms, *row[7:]]


_READERS: Mapping[str, Callable[[Batch, KafkaRecord], None]] = {
    topics.JOURNAL.name: Batch._journal,
    topics.RESULTS.name: Batch._result,
    topics.DEAD_LETTERS.name: Batch._dead_letter,
}
TOPIC_NAMES: tuple[str, ...] = tuple(_READERS)
"""The topics that the sink reads, without prefix."""


def decoded(value: bytes) -> dict[str, Any]:
    """What can be said about a record's bytes: its type, meta and body, or why it cannot be read."""
    try:
        message = decode(value)
    except DecodeError as exc:
        return {"error": exc.code, "message": str(exc)}
    meta = {name: v.hex() if isinstance(v, bytes) else v for name, v in vars(message.meta).items()}
    return {"type": type(message.body).__name__, "meta": meta, "body": vars(message.body)}
