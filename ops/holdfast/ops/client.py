"""Asking the engine for something: one producer, one method per request.

A request that Kafka has acknowledged is accepted, not yet done: `answers` tells what the engine makes of it.
"""

import time
import uuid
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from holdfast.ops.errors import CommandError
from holdfast.ops.kafka import KAFKA_TIMEOUT_S, closed, reaching
from holdfast.ops.published import read_definitions, startable_of
from holdfast.schemas import requests as req
from holdfast.schemas.codec import encode
from holdfast.schemas.controls import LimitRemoved, LimitSet
from holdfast.schemas.definitions import DefinitionPublished
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.ids import correlation_key, workflow_key
from holdfast.schemas.record import EventMeta, Json, Record
from holdfast.schemas.topics import CONTROLS, DEFINITIONS, REQUESTS, Topic

if TYPE_CHECKING:
    from holdfast.streams.core.definition import Definition

SOURCE = "/holdfast/client"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Where a request stands in its topic. Whoever repeats it with the same `event_id` changes nothing more.

    `workflow_id` is empty for an event that is for whoever waits.
    """

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
        """Make a definition the newest of its name; workflows that run keep theirs.

        What it is published as is `pinned(definition)`. Raises CommandError also if that cannot be.
        """
        definition = await self.pinned(definition)
        body = DefinitionPublished(name=definition.name, definition_hash=definition.hash, body=definition.body())
        return await self._send(DEFINITIONS, definition.hash, body, "", event_id)

    async def pinned(self, definition: "Definition") -> "Definition":
        """The definition with what its steps start pinned to the newest that is published, unless it is pinned.

        Raises CommandError if something is not published, or does not take the input that it would get.
        """
        from holdfast.streams.core.lint.company_rules import Company, company_findings
        from holdfast.streams.core.startable import unpinned

        if not (wanted := unpinned(definition)):
            return definition
        startable = startable_of(await read_definitions(self._bootstrap, self._prefix))
        if missing := sorted(wanted - startable.keys()):
            raise CommandError(f"{definition.name} starts {', '.join(missing)}, which is not published")
        pinned = {**definition.children, **{name: startable[name].hash for name in sorted(wanted)}}
        started = {name: startable[name] for name in wanted}
        company = Company(name=definition.name, definition=definition, startable=started)
        problems = [str(problem) for problem in company_findings(company)]
        if problems:
            raise CommandError(f"{definition.name} cannot be published: {'; '.join(problems)}")
        return definition.model_copy(update={"children": pinned})

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

    async def publish_event(
        self,
        event_type: str,
        payload: Json,
        *,
        correlation: str = "",
        broadcast: bool = False,
        ttl_ms: int = 0,
        event_id: str | None = None,
    ) -> Receipt:
        """Hand an event from outside to whoever waits for its type and value: the first of them, or everybody.

        It is kept for `ttl_ms` (0 for a day) while nobody does. The receipt names no workflow.
        """
        body = req.PublishEvent(
            event_type=event_type, correlation=correlation, payload=payload, ttl_ms=ttl_ms, broadcast=broadcast
        )
        return await self._send(REQUESTS, correlation_key(self._tenant, event_type, correlation), body, "", event_id)

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

    async def control(self, body: LimitSet | LimitRemoved, *, event_id: str | None = None) -> Receipt:
        """Set or remove the limit of a scope, for all tenants that it names."""
        return await self._send(CONTROLS, body.scope, body, "", event_id)

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
