"""Reports to the fold: built from the task they answer, written to the inbox, acknowledged before anything goes on."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer

from holdfast.schemas import codec, headers, ids, topics
from holdfast.schemas.record import EventMeta, Record
from holdfast.schemas.reports import (
    ClaimTask,
    ExtendLease,
    ReleaseTask,
    ReportModelResult,
    ReportTaskFailure,
    ReportToolResult,
)
from holdfast.streams.executor.attempt import Attempt
from holdfast.streams.executor.outcomes import Failure, ModelAnswer, Outcome, ToolAnswer

SOURCE = "/holdfast/executor"
ACTOR_KIND = "executor"

_REPORT_OF: Mapping[type[Outcome], Callable[..., Record]] = {
    ToolAnswer: ReportToolResult,
    ModelAnswer: ReportModelResult,
    Failure: ReportTaskFailure,
}


class Reporter:
    """Writes reports for one executor. Every method returns once the broker has the record, and raises KafkaError."""

    def __init__(self, producer: AIOKafkaProducer, topic_prefix: str, executor_id: str) -> None:
        self._producer = producer
        self._topic = topic_prefix + topics.INBOX.name
        self._executor_id = executor_id

    async def claim(self, attempt: Attempt) -> None:
        """Hold the attempt."""
        await self._send(attempt, ClaimTask(**self._common(attempt), lease_ms=attempt.message.body.lease_ms))

    async def extend(self, attempt: Attempt) -> None:
        """Say that the attempt is still at work."""
        attempt.heartbeats += 1
        body = ExtendLease(**self._common(attempt), lease_ms=attempt.message.body.lease_ms)
        await self._send(attempt, body, attempt.heartbeats)

    async def release(self, attempt: Attempt, reason: str) -> None:
        """Give the attempt back: it has not acted and never will."""
        await self._send(attempt, ReleaseTask(**self._common(attempt), reason=reason))

    async def outcome(self, attempt: Attempt, outcome: Outcome, duration_ms: int) -> None:
        """Say what came of the attempt."""
        report = _REPORT_OF[type(outcome)]
        values = {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}
        await self._send(attempt, report(**self._common(attempt), duration_ms=duration_ms, **values))

    def _common(self, attempt: Attempt) -> dict[str, Any]:
        effect_key, number = attempt.key
        return {"effect_key": effect_key, "attempt": number, "executor_id": self._executor_id}

    async def _send(self, attempt: Attempt, body: Record, *number: int) -> None:
        task = attempt.message.meta
        type_ = codec.schema_of(type(body)).subject
        meta = EventMeta(
            # The executor is part of the identity: two executors that claim one attempt say two different things.
            event_id=ids.derived_id(*attempt.key, type_, self._executor_id, *number),
            type=type_,
            tenant=task.tenant,
            workflow_id=task.workflow_id,
            cause_id=task.event_id,
            correlation_id=task.correlation_id,
            traceparent=task.traceparent,
            actor_kind=ACTOR_KIND,
            actor_id=self._executor_id,
            occurred_at_ms=int(time.time() * 1000),
        )
        acknowledged = await self._producer.send(
            self._topic,
            codec.encode(body, meta),
            key=ids.workflow_key(task.tenant, task.workflow_id).encode(),
            headers=headers.cloud_event(body, meta, SOURCE),
        )
        await acknowledged
