"""Asking the engine for something: one producer, one method per request; and the definitions that are published.

A request that Kafka has acknowledged is accepted, not yet done: `answers` tells what the engine makes of it.
"""

import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, closed, consumer_at, partition_count, reaching
from holdfast.schemas import requests as req
from holdfast.schemas.codec import DecodeError, decode, encode
from holdfast.schemas.definitions import DefinitionPublished
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.record import EventMeta, Json, Message, Record
from holdfast.schemas.topics import DEFINITIONS, REQUESTS, Topic

if TYPE_CHECKING:
    from holdfast.streams.core.definition import Definition

SOURCE = "/holdfast/client"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Where a request stands in its topic. Whoever repeats it with the same `event_id` changes nothing more."""

    event_id: str
    workflow_id: str
    partition: int
    offset: int


class Client:
    """Sends requests of one tenant in the name of `actor`; an async context manager.

    `actor_kind` is `person` or `service`; only persons decide approvals. Every method returns when Kafka has the
    record for good. They raise CommandError if a value does not fit its schema, no broker answers in time, or the
    topic is missing. `event_id` is an idempotency key; without it a UUID is made.
    """

    def __init__(
        self, bootstrap: str, topic_prefix: str, tenant: str, actor: str, *, actor_kind: str = "person"
    ) -> None:
        self._bootstrap = bootstrap
        self._prefix = topic_prefix
        self._tenant = tenant
        self._actor = actor
        self._actor_kind = actor_kind
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> "Client":
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True, acks="all")
        try:
            await reaching(self._bootstrap, self._producer.start())
        except BaseException:
            await closed(self._producer.stop())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await closed(self._producer.stop())

    async def publish(self, definition: "Definition", *, event_id: str | None = None) -> Receipt:
        """Make a definition the newest of its name; workflows that run keep theirs."""
        body = DefinitionPublished(name=definition.name, definition_hash=definition.hash, body=definition.body())
        return await self._send(DEFINITIONS, definition.hash, body, "", event_id)

    async def start(
        self,
        definition: str,
        input: Json,
        *,
        workflow_id: str | None = None,
        definition_hash: str = "",
        event_id: str | None = None,
    ) -> Receipt:
        """Start a workflow by the newest definition of a name, or by the exact one that `definition_hash` names."""
        chosen = workflow_id or new_workflow_id(definition)
        body = req.StartWorkflow(definition=definition, definition_hash=definition_hash, input=input)
        return await self.ask(chosen, body, event_id)

    async def deliver(
        self, workflow_id: str, event_type: str, payload: Json, *, correlation: str = "", event_id: str | None = None
    ) -> Receipt:
        """Hand an event from outside to a workflow."""
        body = req.DeliverEvent(event_type=event_type, correlation=correlation, payload=payload)
        return await self.ask(workflow_id, body, event_id)

    async def decide(
        self,
        workflow_id: str,
        approval_id: str,
        decision: str,
        action_hash: str,
        *,
        comment: str = "",
        event_id: str | None = None,
    ) -> Receipt:
        """Decide an approval: `approve` or `reject` the exact call that `action_hash` identifies."""
        body = req.DecideApproval(approval_id=approval_id, decision=decision, action_hash=action_hash, comment=comment)
        return await self.ask(workflow_id, body, event_id)

    async def cancel(self, workflow_id: str, reason: str, *, event_id: str | None = None) -> Receipt:
        """End a workflow."""
        return await self.ask(workflow_id, req.CancelWorkflow(reason=reason), event_id)

    async def ask(self, workflow_id: str, body: Record, event_id: str | None = None) -> Receipt:
        """Send any request of `schemas.requests` about a workflow."""
        return await self._send(REQUESTS, workflow_key(self._tenant, workflow_id), body, workflow_id, event_id)

    async def _send(self, topic: Topic, key: str, body: Record, workflow_id: str, event_id: str | None) -> Receipt:
        assert self._producer is not None, "a Client is entered before it is used"
        meta = self._meta(body, workflow_id, event_id or str(uuid.uuid4()))
        try:
            value, record_key, headers = encode(body, meta), key.encode(), cloud_event(body, meta, SOURCE)
        except (ValueError, TypeError) as exc:
            raise CommandError(f"this cannot be sent as a {type(body).__name__}: {exc}") from exc
        sending = self._producer.send_and_wait(self._prefix + topic.name, value, key=record_key, headers=headers)
        try:
            placed = await reaching(self._bootstrap, sending)
        except TimeoutError as exc:
            raise CommandError(
                f"Kafka did not acknowledge {meta.event_id} within {KAFKA_TIMEOUT_S:.0f} s: it may be kept",
                cure="`holdfast doctor`; to repeat it with the same event id is harmless",
            ) from exc
        return Receipt(
            event_id=meta.event_id, workflow_id=workflow_id, partition=placed.partition, offset=placed.offset
        )

    def _meta(self, body: Record, workflow_id: str, event_id: str) -> EventMeta:
        return EventMeta(
            event_id=event_id,
            type=type(body).__name__,
            tenant=self._tenant,
            workflow_id=workflow_id,
            correlation_id=event_id,
            actor_kind=self._actor_kind,
            actor_id=self._actor,
            occurred_at_ms=int(time.time() * 1000),
        )


def new_workflow_id(definition: str) -> str:
    """An id that nobody has used, and that says by what definition."""
    return f"{definition}-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A definition on the topic. `newest` is true for the one that its name stands for."""

    name: str
    hash: str
    body: Json
    published_at_ms: int
    published_by: str
    newest: bool


async def read_definitions(bootstrap: str, topic_prefix: str) -> tuple[Published, ...]:
    """Every published definition, by name and then in the order of publishing. Raises CommandError."""
    topic = topic_prefix + DEFINITIONS.name
    try:
        async with consumer_at(bootstrap) as consumer:
            messages = await reaching(bootstrap, _whole_topic(consumer, topic))
    except TimeoutError as exc:
        raise CommandError(
            f"the topic {topic} could not be read within {KAFKA_TIMEOUT_S:.0f} s",
            cure="`holdfast topics check`, `holdfast doctor`",
        ) from exc
    return definitions_of(messages)


def definitions_of(messages: list[Message[DefinitionPublished]]) -> tuple[Published, ...]:
    """The definitions that the records of the topic, in their order, amount to."""
    latest: dict[str, Message[DefinitionPublished]] = {}
    newest: dict[str, str] = {}
    for message in messages:
        latest.pop(message.body.definition_hash, None)  # what is published again is the latest of its name again
        latest[message.body.definition_hash] = message
        newest[message.body.name] = message.body.definition_hash
    found = [
        Published(
            name=message.body.name,
            hash=message.body.definition_hash,
            body=message.body.body,
            published_at_ms=message.meta.occurred_at_ms,
            published_by=message.meta.actor_id,
            newest=newest[message.body.name] == message.body.definition_hash,
        )
        for message in latest.values()
    ]
    return tuple(sorted(found, key=lambda published: published.name))


async def _whole_topic(consumer: AIOKafkaConsumer, topic: str) -> list[Message[DefinitionPublished]]:
    await partition_count(consumer, topic)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: list[Message[DefinitionPublished]] = []
    while await consumer.position(partition) < end:
        for record in (await consumer.getmany(partition, timeout_ms=200)).get(partition, ()):
            try:
                message = decode(record.value)
            except DecodeError:
                continue  # tombstones and strangers; workers report what they cannot use
            if isinstance(message.body, DefinitionPublished):
                found.append(cast("Message[DefinitionPublished]", message))
    return found
