"""The correlator's real folder over its real rows, in memory: it can be killed after any record that it sends.

One partition. What it sends to inboxes is `handed`, what it reports `reports`; time moves when a test says so.
"""

from dataclasses import dataclass, field
from typing import Any

from holdfast.schemas import correlations as c
from holdfast.schemas import ids
from holdfast.schemas import requests as req
from holdfast.schemas.codec import decode
from holdfast.schemas.keys import key_of
from holdfast.schemas.record import EventMeta, Json, Message, Record
from holdfast.streams.core.correlator.entries import Published
from holdfast.streams.correlator.agent import firing_of_entries
from holdfast.streams.correlator.batch import CorrelationFolder, partition_row
from holdfast.streams.correlator.rows import due_at_ms
from holdfast.streams.correlator.table import DeskTable
from holdfast.streams.faustkit.send import Outgoing
from holdfast.streams.row_store import RowStore
from support.scenario import START_MS, TENANT

TYPE = "order.paid"


class Killed(Exception):
    """The worker is gone."""


@dataclass(frozen=True)
class Input:
    """A record of the input as the folder sees it."""

    key: bytes
    value: Message[Record]
    offset: int
    at_ms: int

    @property
    def message(self) -> Any:
        return self

    partition = 0
    topic = "correlations"
    headers = ()

    @property
    def timestamp(self) -> float:
        return self.at_ms / 1000


@dataclass
class Exchange:
    """`log` is the input, `committed` how much of it was acknowledged; `patience` how many sends until a kill."""

    now_ms: int = START_MS
    log: list[Input] = field(default_factory=list)
    committed: int = 0
    handed: list[Message[Any]] = field(default_factory=list)
    reports: list[Message[Any]] = field(default_factory=list)
    changelog: list[tuple[bytes, bytes | None]] = field(default_factory=list)
    patience: int | None = None

    def __post_init__(self) -> None:
        self.recover()

    def recover(self) -> None:
        """Begin as a worker does: rows from the changelog, then the handovers that they owe."""
        self.table = DeskTable(RowStore())
        self.folder = CorrelationFolder(self.table, "")
        for key, value in self.changelog:
            self.table.store.take(key, value, 0)
        self.table.rebuild()
        self._send(self.folder.handover(at, event, event.handed_to) for at, event in self.table.handed_over())

    def append(self, body: Any, *, event_id: str = "", workflow_id: str = "") -> None:
        meta = EventMeta(
            event_id=event_id or f"record-{len(self.log)}",
            type=type(body).__name__,
            tenant=TENANT,
            workflow_id=workflow_id,
            actor_kind="service",
            actor_id="crm",
            occurred_at_ms=self.now_ms,
        )
        self.log.append(Input(key_of(meta, body).encode(), Message(meta=meta, body=body), len(self.log), self.now_ms))

    def open(self, subscription_id: str, value: str = "o-1", *, expires_in_ms: int = 3_600_000) -> None:
        self.append(
            c.SubscriptionOpened(
                event_type=TYPE,
                correlation=value,
                subscription_id=subscription_id,
                expires_at_ms=self.now_ms + expires_in_ms,
            )
        )

    def close(self, subscription_id: str, source_id: str = "", value: str = "o-1") -> None:
        body = c.SubscriptionClosed(
            event_type=TYPE, correlation=value, subscription_id=subscription_id, source_id=source_id
        )
        self.append(body)

    def publish(
        self, event_id: str, payload: Json = None, value: str = "o-1", *, ttl_ms: int = 0, broadcast: bool = False
    ) -> None:
        body = req.PublishEvent(event_type=TYPE, correlation=value, payload=payload, ttl_ms=ttl_ms, broadcast=broadcast)
        self.append(body, event_id=event_id)

    def fire(self) -> None:
        """What the timers do: say of every row that is due that it is."""
        firing = firing_of_entries("")
        for key, value in list(self.table.store.data.items()):
            if 0 < due_at_ms(value) <= self.now_ms:
                message = decode(firing(0, key, due_at_ms(value), self.now_ms).value)
                self.append(message.body, event_id=message.meta.event_id)

    def run(self, size: int = 1_000) -> None:
        """Fold everything that was not acknowledged, in batches. Raises Killed if the patience is at an end."""
        while self.committed < len(self.log):
            events = self.log[self.committed : self.committed + size]
            batch = self.folder.fold(events)
            self._send(batch.reports)
            for record in self.folder.changelog(batch):
                self._count()
                self.changelog.append((record.key or b"", record.value))
            self._send(batch.handovers)
            self._count()
            self.table.store.partition_rows[0] = partition_row(batch.folded[0])
            for row in batch.rows:
                self.table.publish(row.key, row.value, 0)
            self.committed += len(events)

    def _send(self, records: Any) -> None:
        for record in records:
            self._count()
            self._take(record)

    def _take(self, record: Outgoing) -> None:
        message = decode(record.value)
        (self.handed if isinstance(message.body, req.DeliverEvent) else self.reports).append(message)

    def _count(self) -> None:
        if self.patience is not None:
            self.patience -= 1
            if self.patience < 0:
                raise Killed

    def told(self) -> list[tuple[str, str]]:
        """(workflow, event) of every handover since the last look."""
        found = [(message.meta.workflow_id, message.body.source_id) for message in self.handed]
        self.handed.clear()
        return found

    def events(self, value: str = "o-1") -> dict[str, Published]:
        return self.table.desk(ids.correlation_key(TENANT, TYPE, value).encode()).events

    def waiting(self, value: str = "o-1") -> list[str]:
        """The open subscriptions, longest waiting first."""
        return list(self.table.desk(ids.correlation_key(TENANT, TYPE, value).encode()).subscriptions)
