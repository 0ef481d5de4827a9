"""From bodies to records on the wire: metas with their ids, the hash chain, headers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from holdfast.schemas import chain, ids, topics
from holdfast.schemas import results as res
from holdfast.schemas.codec import encode, payload_of
from holdfast.schemas.headers import Headers, cloud_event
from holdfast.schemas.keys import key_of
from holdfast.schemas.record import EventMeta, Record, changed
from holdfast.streams.core.evolve import Cause
from holdfast.streams.core.rejections import Rejection
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.core.subscriptions import Told

SOURCE = "/holdfast/orchestrator"


@dataclass(frozen=True, slots=True)
class Outbound:
    """A record to send. Records of co-partitioned topics go to the partition of the input they answer."""

    topic: topics.Topic
    key: bytes
    value: bytes
    headers: Headers


def event_metas(
    cause: Cause, events: Sequence[Record], sequence: int, offset: int, head: bytes
) -> Iterator[tuple[EventMeta, Record]]:
    """The events of a decision with their metas, chained on.

    `sequence` and `head` are those of the workflow's last event, `offset` the inbox offset that is answered.
    """
    shared = EventMeta(
        event_id="",
        type="",
        tenant=cause.tenant,
        workflow_id=cause.workflow_id,
        definition_name=cause.definition_name,
        definition_hash=cause.definition_hash,
        count=len(events),
        cause_offset=offset,
        cause_id=cause.input_id,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        actor_kind=cause.actor_kind,
        actor_id=cause.actor_id,
        occurred_at_ms=cause.now_ms,
        recorded_at_ms=cause.now_ms,
    )
    chainer = chain.Chainer(shared)
    for index, event in enumerate(events):
        sequence, previous, name = sequence + 1, head, type(event).__name__
        head = chainer.hash(
            previous, sequence=sequence, name=name, index=index, count=len(events), payload=payload_of(event)
        )
        meta = changed(
            shared,
            event_id=ids.hash_id(head),
            type=name,
            sequence=sequence,
            index=index,
            previous_hash=previous,
            hash=head,
        )
        yield meta, event


def engine_meta(cause: Cause, body: Record, cause_id: str, *identity: str | int) -> EventMeta:
    """The meta of a record that the engine writes beside the journal; equal identities are the same record."""
    return EventMeta(
        event_id=ids.derived_id(type(body).__name__, *identity),
        type=type(body).__name__,
        tenant=cause.tenant,
        workflow_id=cause.workflow_id,
        definition_name=cause.definition_name,
        definition_hash=cause.definition_hash,
        cause_id=cause_id,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        actor_kind="engine",
        actor_id="orchestrator",
        occurred_at_ms=cause.now_ms,
        recorded_at_ms=cause.now_ms,
    )


def letter_meta(cause: Cause, body: Record, workflow_id: str, cause_id: str, on_behalf_of: str) -> EventMeta:
    """The meta of a record for another workflow's inbox.

    Who started the sender is who acts: so nobody approves through a child what they asked for through its parent.
    """
    meta = engine_meta(cause, body, cause_id)
    return changed(
        meta,
        event_id=letter_id(type(body), cause.workflow_id, workflow_id),
        workflow_id=workflow_id,
        actor_id=on_behalf_of,
        definition_name="",
        definition_hash="",
    )


def letter_id(kind: type[Record], sender: str, receiver: str) -> str:
    """The identity of a letter from one workflow to another: one of each kind is all that they ever owe."""
    return ids.derived_id(kind.__name__, sender, receiver)


def inbox_record(body: Record, meta: EventMeta) -> Outbound:
    """A record for the inbox of the workflow that its meta names."""
    return outbound_record(topics.INBOX, body, meta)


def subscription_record(cause: Cause, body: Told, cause_id: str) -> Outbound:
    """What the correlator is told about a wait of the workflow that `cause` is about."""
    meta = engine_meta(cause, body, cause_id, body.subscription_id, body.event_type, body.correlation)
    return outbound_record(topics.CORRELATIONS, body, meta)


def status_record(state: WorkflowState, cause: Cause, cause_id: str) -> Outbound:
    """The latest status of a workflow, for `status`."""
    step = next(iter(state.active), "")
    body = res.WorkflowStatus(status=state.status.value, step=step, updated_at_ms=cause.now_ms)
    return outbound_record(topics.STATUS, body, engine_meta(cause, body, cause_id, cause_id))


def rejection_record(meta: EventMeta, refused: Rejection, input_type: str, now_ms: int) -> Outbound:
    """The answer to a refused request, for `results`. `meta` is the request's."""
    body = res.RequestRejected(
        code=refused.code, message=refused.message, request_type=input_type, request_id=meta.event_id
    )
    notice = EventMeta(
        event_id=ids.derived_id("RequestRejected", meta.event_id),
        type="RequestRejected",
        tenant=meta.tenant,
        workflow_id=meta.workflow_id,
        cause_id=meta.event_id,
        correlation_id=meta.correlation_id,
        traceparent=meta.traceparent,
        actor_kind="engine",
        actor_id="orchestrator",
        occurred_at_ms=now_ms,
        recorded_at_ms=now_ms,
    )
    return outbound_record(topics.RESULTS, body, notice)


def outbound_record(topic: topics.Topic, body: Record, meta: EventMeta) -> Outbound:
    """A record under the key that belongs to it."""
    return Outbound(topic, key_of(meta, body).encode(), encode(body, meta), cloud_event(body, meta, SOURCE))
