"""Reports to the fold: built from the task they answer, written to the inbox, acknowledged before anything goes on."""

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from holdfast.schemas import codec, headers, ids, topics
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.reports import (
    ClaimTask,
    ExtendLease,
    ReleaseTask,
    ReportLookup,
    ReportModelResult,
    ReportTaskFailure,
    ReportToolResult,
)
from holdfast.schemas.tasks import LookUpEffect
from holdfast.streams.clock import Clock
from holdfast.streams.executor.attempt import Attempt, Delivery
from holdfast.streams.executor.outcomes import Failure, Looked, ModelAnswer, Outcome, ToolAnswer

SOURCE = "/holdfast/executor"
ACTOR_KIND = "executor"

_REPORT_OF: Mapping[type[Outcome], Callable[..., Record]] = {
    ToolAnswer: ReportToolResult,
    ModelAnswer: ReportModelResult,
    Failure: ReportTaskFailure,
}


class Reporter:
    """Writes reports for one executor. Every method returns once the broker has the record, and raises KafkaError."""

    def __init__(self, producer: AIOKafkaProducer, topic_prefix: str, executor_id: str, clock: Clock) -> None:
        self._producer = producer
        self._topic = topic_prefix + topics.INBOX.name
        self._executor_id = executor_id
        self._clock = clock

    async def claim(self, attempt: Attempt, delivery: Delivery) -> None:
        """Hold the attempt, as one delivery of its task asks. The same delivery always makes the same claim."""
        body = ClaimTask(**self._common(attempt), lease_ms=attempt.message.body.lease_ms)
        meta = self._meta(attempt.message.meta, body, *attempt.key, delivery.place)
        attempt.claim_id = meta.event_id  # before it is sent: the answer may come before the acknowledgement
        await self._send(body, meta)

    async def extend(self, attempt: Attempt) -> None:
        """Say that the attempt is still at work."""
        attempt.heartbeats += 1
        body = ExtendLease(**self._common(attempt), lease_ms=attempt.message.body.lease_ms)
        identity = (*attempt.key, attempt.claim_id, attempt.heartbeats)
        await self._send(body, self._meta(attempt.message.meta, body, *identity))

    async def release(self, attempt: Attempt, reason: str) -> None:
        """Give the attempt back: it has not acted and never will."""
        body = ReleaseTask(**self._common(attempt), reason=reason)
        await self._send(body, self._meta(attempt.message.meta, body, *attempt.key, attempt.claim_id))

    async def outcome(self, attempt: Attempt, outcome: Outcome, duration_ms: int) -> None:
        """Say what came of the attempt."""
        body = _REPORT_OF[type(outcome)](**self._common(attempt), duration_ms=duration_ms, **_values(outcome))
        await self._send(body, self._meta(attempt.message.meta, body, *attempt.key))

    async def looked(self, message: Message[LookUpEffect], looked: Looked) -> None:
        """Say what came of a search."""
        task = message.body
        key, attempt, lookup = task.effect_key, task.attempt, task.lookup
        body = ReportLookup(
            effect_key=key, attempt=attempt, lookup=lookup, executor_id=self._executor_id, **_values(looked)
        )
        await self._send(body, self._meta(message.meta, body, key, attempt, lookup))

    def _common(self, attempt: Attempt) -> dict[str, Any]:
        effect_key, number = attempt.key
        return {"effect_key": effect_key, "attempt": number, "executor_id": self._executor_id}

    def _meta(self, task: EventMeta, body: Record, *identity: str | int) -> EventMeta:
        type_ = codec.schema_of(type(body)).subject
        effect_key, number, *more = identity
        return EventMeta(
            # The executor is part of the identity: two executors that claim one attempt say two different things.
            event_id=ids.derived_id(effect_key, number, type_, self._executor_id, *more),
            type=type_,
            tenant=task.tenant,
            workflow_id=task.workflow_id,
            cause_id=task.event_id,
            correlation_id=task.correlation_id,
            traceparent=task.traceparent,
            actor_kind=ACTOR_KIND,
            actor_id=self._executor_id,
            occurred_at_ms=self._clock.now_ms(),
        )

    async def _send(self, body: Record, meta: EventMeta) -> None:
        acknowledged = await self._producer.send(
            self._topic,
            codec.encode(body, meta),
            key=ids.workflow_key(meta.tenant, meta.workflow_id).encode(),
            headers=headers.cloud_event(body, meta, SOURCE),
        )
        await acknowledged


def _values(of: Outcome | Looked) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__dataclass_fields__}
