"""Folding one micro-batch of the correlator's input. Knows records and rows, no Kafka client."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.schemas import ids, topics
from holdfast.schemas import requests as req
from holdfast.schemas import results as res
from holdfast.schemas.codec import encode
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.keys import key_of
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.state import PartitionRow
from holdfast.streams.core.correlator.desk import Desk
from holdfast.streams.core.correlator.entries import Fate, Published
from holdfast.streams.core.correlator.fold import fold
from holdfast.streams.core.rejections import Rejection
from holdfast.streams.correlator.rows import EVENT, SUBSCRIPTION, RowKey, encode_entry, read_key
from holdfast.streams.correlator.table import DeskTable
from holdfast.streams.dead_letters import poison_record
from holdfast.streams.faustkit.schema import Poison
from holdfast.streams.faustkit.send import Outgoing
from holdfast.streams.outbound import rejection_record
from holdfast.streams.rows import PARTITION_ROW_KEY

SOURCE = "/holdfast/correlator"
ACTOR = "correlator"


@dataclass(frozen=True, slots=True)
class RowToWrite:
    """A row of a batch; no value if it is gone."""

    partition: int
    key: bytes
    value: bytes | None


@dataclass(slots=True)
class Batch:
    """What a micro-batch leads to.

    `reports` may be repeated, and are durable before the rows are: dead letters, refusals, events that expired, events
    that everybody is told of. `rows` say whom an event is handed to before anybody hears of it; `handovers` tell them.
    `folded` is how far each partition has been folded.
    """

    reports: list[Outgoing] = field(default_factory=list)
    rows: list[RowToWrite] = field(default_factory=list)
    handovers: list[Outgoing] = field(default_factory=list)
    folded: dict[int, int] = field(default_factory=dict)


def _forgets(row: RowToWrite) -> bool:
    return row.value is None and read_key(row.key).kind == EVENT


def partition_row(offset: int) -> PartitionRow:
    """How far a partition has been folded."""
    return PartitionRow(inbox_offset=offset, journal_offset=-1)


class CorrelationFolder:
    """Folds micro-batches into the desks of a table."""

    def __init__(self, table: DeskTable, topic_prefix: str) -> None:
        self._table = table
        self._prefix = topic_prefix

    def fold(self, events: Sequence[Any]) -> Batch:
        """Fold the records of a batch, in order. The desks show the result at once, so it must be published or lost."""
        batch = Batch()
        touched: dict[RowKey, int] = {}
        for event in events:
            message = event.message
            known = self._table.store.partition_row(message.partition).inbox_offset
            batch.folded[message.partition] = max(message.offset, known)  # a replay moves nothing back
            if message.offset <= known:
                continue
            if isinstance(event.value, Poison):
                batch.reports.append(poison_record(message, event.value, ACTOR, self._prefix))
            else:
                self._fold_one(batch, touched, message, event.value)
        # Events before subscriptions: a broadcast that a crash leaves without its row, and that is folded again,
        # meets everybody whom it met before.
        for key in sorted(touched, key=lambda key: key.kind):
            self._write(batch, touched[key], key)
        return batch

    def changelog(self, batch: Batch) -> list[Outgoing]:
        """The rows of a batch as they are to be appended.

        A partition row says that everything before it is there. Only after it is an event forgotten: a repeat of it
        that is folded again would find no trace. And it stands last, so that the changelog ends in a live record.
        """
        topic = self._prefix + topics.CORRELATOR_CHANGELOG.name
        forgotten = [row for row in batch.rows if _forgets(row)]
        progress = [
            Outgoing(topic, partition, PARTITION_ROW_KEY, encode(partition_row(offset)))
            for partition, offset in batch.folded.items()
        ]
        records = [Outgoing(topic, row.partition, row.key, row.value) for row in batch.rows if not _forgets(row)]
        records += progress
        if forgotten:
            records += [Outgoing(topic, row.partition, row.key, None) for row in forgotten] + progress
        return records

    def _fold_one(self, batch: Batch, touched: dict[RowKey, int], message: Any, value: Message[Record]) -> None:
        at, now_ms = message.key, round(message.timestamp * 1000)
        outcome = fold(self._table.desk(at), value, offset=message.offset, now_ms=now_ms)
        for event in outcome.forgotten:
            # What led there may have happened in this very batch: it is written before it is forgotten.
            key = RowKey(EVENT, event.event_id, at).encoded()
            batch.rows.append(RowToWrite(message.partition, key, encode_entry(event)))
        for name in outcome.events:
            touched[RowKey(EVENT, name, at)] = message.partition
        for name in outcome.subscriptions:
            touched[RowKey(SUBSCRIPTION, name, at)] = message.partition
        if outcome.refused is not None:
            batch.reports.append(self._refusal(outcome.refused, value.meta, message.partition, now_ms))
        batch.reports += [self.handover(at, told.event, told.subscription_id) for told in outcome.told]
        batch.reports += [self._expiry(at, event, now_ms) for event in outcome.expired]

    def _refusal(self, refused: Rejection, meta: EventMeta, partition: int, now_ms: int) -> Outgoing:
        record = rejection_record(meta, refused, "PublishEvent", now_ms)
        return Outgoing(self._prefix + record.topic.name, partition, record.key, record.value, record.headers)

    def _write(self, batch: Batch, partition: int, key: RowKey) -> None:
        desk: Desk = self._table.desk(key.at)
        entry = desk.events.get(key.name) if key.kind == EVENT else desk.subscriptions.get(key.name)
        value = encode_entry(entry) if entry is not None else None
        batch.rows.append(RowToWrite(partition, key.encoded(), value))
        if isinstance(entry, Published) and entry.fate is Fate.HANDED:
            batch.handovers.append(self.handover(key.at, entry, entry.handed_to))

    def handover(self, at: bytes, event: Published, subscription_id: str) -> Outgoing:
        """What a workflow hears of an event that one of its waits is handed; equal for every repeat."""
        tenant, event_type, correlation = ids.split_correlation_key(at.decode())
        body = req.DeliverEvent(
            event_type=event_type,
            correlation=correlation,
            payload=event.payload,
            subscription_id=subscription_id,
            source_id=event.event_id,
            broadcast=event.broadcast,
        )
        meta = EventMeta(
            event_id=ids.derived_id("DeliverEvent", at.decode(), event.event_id, subscription_id),
            type="DeliverEvent",
            tenant=tenant,
            workflow_id=ids.subscriber(subscription_id),
            cause_id=event.event_id,
            correlation_id=event.correlation_id,
            traceparent=event.traceparent,
            actor_kind=event.actor_kind,
            actor_id=event.actor_id,
            occurred_at_ms=event.published_at_ms,
        )
        return self._outgoing(topics.INBOX, body, meta)

    def _expiry(self, at: bytes, event: Published, now_ms: int) -> Outgoing:
        tenant, event_type, correlation = ids.split_correlation_key(at.decode())
        body = res.EventExpired(
            event_type=event_type,
            correlation=correlation,
            source_id=event.event_id,
            payload=event.payload,
            published_at_ms=event.published_at_ms,
            expires_at_ms=event.expires_at_ms,
            repeats=event.repeats,
        )
        meta = EventMeta(
            event_id=ids.derived_id("EventExpired", at.decode(), event.event_id, event.place),
            type="EventExpired",
            tenant=tenant,
            workflow_id="",
            cause_id=event.event_id,
            correlation_id=event.correlation_id,
            traceparent=event.traceparent,
            actor_kind="engine",
            actor_id=ACTOR,
            occurred_at_ms=now_ms,
            recorded_at_ms=now_ms,
        )
        return self._outgoing(topics.RESULTS, body, meta)

    def _outgoing(self, topic: topics.Topic, body: Record, meta: EventMeta) -> Outgoing:
        headers = cloud_event(body, meta, SOURCE)
        return Outgoing(self._prefix + topic.name, None, key_of(meta, body).encode(), encode(body, meta), headers)
