"""Ingress: checks requests, pins definitions, writes the inbox, or `correlations` for events for whoever waits.

Keeps no state: repeats are the fold's and the correlator's to notice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from holdfast.schemas import ids, jsontext, topics
from holdfast.schemas.codec import encode
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.keys import key_of
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.requests import DeliverEvent, ForkWorkflow, PublishEvent, StartWorkflow
from holdfast.streams.clock import Clock
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.inputs.events import PAYLOAD_LIMIT_BYTES
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.dead_letters import poison_record
from holdfast.streams.faustkit.schema import Poison
from holdfast.streams.faustkit.send import Outgoing
from holdfast.streams.outbound import rejection_record

SOURCE = "/holdfast/ingress"
TTL_LIMIT_MS = 30 * 86_400_000
_REQUEST_TYPES = frozenset(topics.REQUESTS.records)


class Published(Protocol):
    """The definitions that are published, as far as they were read."""

    def by_hash(self, definition_hash: str) -> CompiledDefinition | None:
        """The definition of that hash."""

    def newest(self, name: str) -> CompiledDefinition | None:
        """The definition that was published last under a name."""

    async def refresh(self) -> None:
        """Read whatever is published by now."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Turns a batch of requests into inbox records, refusals and dead letters."""

    definitions: Published
    topic_prefix: str
    clock: Clock

    async def admit(self, events: Sequence[Any]) -> list[Outgoing]:
        """What to send for a batch; every request gets exactly one answer."""
        starts = [
            event.value.body
            for event in events
            if not isinstance(event.value, Poison) and isinstance(event.value.body, StartWorkflow | ForkWorkflow)
        ]
        # A name means the newest version, so whatever was applied before the request has to be read first.
        if any(not body.definition_hash or self._find(body.definition_hash) is None for body in starts):
            await self.definitions.refresh()
        return [self._admit_one(event.message, event.value) for event in events]

    def _find(self, name_or_hash: str) -> Any:
        return self.definitions.by_hash(name_or_hash) or self.definitions.newest(name_or_hash)

    def _admit_one(self, message: Any, value: Message[Record] | Poison) -> Outgoing:
        if isinstance(value, Poison):
            return poison_record(message, value, "ingress", self.topic_prefix)
        admitted = self._check(value)
        if isinstance(admitted, Rejection):
            return self._refuse(message, value, admitted)
        meta, body = admitted.meta, admitted.body
        topic = topics.CORRELATIONS if isinstance(body, PublishEvent) else topics.INBOX
        return self._outgoing(topic, message.partition, body, meta)

    def _check(self, value: Message[Record]) -> Message[Record] | Rejection:
        meta, body = value.meta, value.body
        if type(body) not in _REQUEST_TYPES:
            return reject("not_a_request", record_type=type(body).__name__)
        if not ids.TENANT.fullmatch(meta.tenant):
            return reject("tenant_invalid", tenant=meta.tenant)
        if isinstance(body, PublishEvent):
            return _refusal_of_published(meta, body) or value
        if not ids.WORKFLOW_ID.fullmatch(meta.workflow_id):
            return reject("workflow_id_invalid", workflow_id=meta.workflow_id)
        if isinstance(body, DeliverEvent) and body.subscription_id:
            return reject("handed_from_outside", subscription_id=body.subscription_id)
        if isinstance(body, StartWorkflow) and body.parent_id:
            return reject("started_as_child", parent=body.parent_id)
        if isinstance(body, StartWorkflow | ForkWorkflow):
            name = body.definition_hash or body.definition
            definition = self._find(name)
            if definition is None:
                return reject("definition_not_found", definition=name)
            body = replace(body, definition=definition.definition.name, definition_hash=definition.hash)
        return Message(meta=meta, body=body)

    def _refuse(self, message: Any, value: Message[Record], refused: Rejection) -> Outgoing:
        record = rejection_record(value.meta, refused, type(value.body).__name__, self.clock.now_ms())
        topic = self.topic_prefix + record.topic.name
        return Outgoing(topic, message.partition, record.key, record.value, record.headers)

    def _outgoing(self, topic: topics.Topic, partition: int, body: Record, meta: EventMeta) -> Outgoing:
        key, headers = key_of(meta, body).encode(), cloud_event(body, meta, SOURCE)
        return Outgoing(self.topic_prefix + topic.name, partition, key, encode(body, meta), headers)


def _refusal_of_published(meta: EventMeta, body: PublishEvent) -> Rejection | None:
    if meta.workflow_id:
        return reject("event_addressed", workflow_id=meta.workflow_id)
    if not ids.EVENT_ID.fullmatch(meta.event_id):
        return reject("event_id_invalid", event_id=meta.event_id)
    if not ids.EVENT_TYPE.fullmatch(body.event_type):
        return reject("event_type_invalid", event_type=body.event_type)
    if (length := len(body.correlation)) > ids.CORRELATION_LENGTH:
        return reject("correlation_too_long", limit=ids.CORRELATION_LENGTH, length=length)
    if not 0 <= body.ttl_ms <= TTL_LIMIT_MS:
        return reject("ttl_invalid", limit=TTL_LIMIT_MS, ttl_ms=body.ttl_ms)
    if (size := len(jsontext.dumps(body.payload).encode())) > PAYLOAD_LIMIT_BYTES:
        return reject("payload_too_large", limit=PAYLOAD_LIMIT_BYTES, size=size)
    return None
