"""One journal event becomes one wide row of the `events` table. Pure: tables of names, no clock, no client.

Every materialised view only picks columns of this row, so a question never has to parse JSON. What is not promoted
stands in `payload`, the canonical JSON text of the body that the hash chain covers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from holdfast.schemas import events, jsontext
from holdfast.schemas.chain import event_hash
from holdfast.schemas.codec import payload_of
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.results import EventExpired, RequestRejected

Row = list[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a record stands: topic with its prefix, partition, offset."""

    topic: str
    partition: int
    offset: int


# Column -> field of the meta. The body has an `index` and an `event_type` of its own, hence the other names.
META_COLUMNS: Mapping[str, str] = {
    "tenant": "tenant",
    "workflow_id": "workflow_id",
    "sequence": "sequence",
    "event_id": "event_id",
    "type": "type",
    "definition_name": "definition_name",
    "definition_hash": "definition_hash",
    "decision_index": "index",
    "decision_count": "count",
    "cause_offset": "cause_offset",
    "cause_id": "cause_id",
    "correlation_id": "correlation_id",
    "traceparent": "traceparent",
    "actor_kind": "actor_kind",
    "actor_id": "actor_id",
    "occurred_at": "occurred_at_ms",
    "recorded_at": "recorded_at_ms",
    "previous_hash": "previous_hash",
    "hash": "hash",
}

# Column -> value of an event that says nothing about it. Times are ms since 1970; 0 means none.
BODY_COLUMNS: Mapping[str, str | int] = {
    "step": "",
    "visit": 0,
    "turn": 0,
    "call_index": 0,
    "attempt": 0,
    "effect_key": "",
    "kind": "",
    "status": "",
    "next_step": "",
    "error_class": "",
    "error_message": "",
    "tool": "",
    "effect": "",
    "action_hash": "",
    "approval_id": "",
    "decision": "",
    "timer_id": "",
    "wait_id": "",
    "executor_id": "",
    "provider": "",
    "model": "",
    "finish_reason": "",
    "http_status": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "cached_tokens": 0,
    "cost_microusd": 0,
    "duration_ms": 0,
    "due_at": 0,
    "scope": "",
    "branch": "",
    "reason": "",
    "parent_id": "",
    "parent_step": "",
    "depth": 0,
    "start_step": "",
    "child_id": "",
    "item_count": 0,
    "lookup": 0,
    "found": 0,
    "evidence": "",
    "forked_from": "",
    "forked_at": 0,
}
PLACE_COLUMNS = ("topic", "kafka_partition", "kafka_offset")
EVENT_COLUMNS: tuple[str, ...] = (*META_COLUMNS, *BODY_COLUMNS, "payload", *PLACE_COLUMNS)


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """How one event type fills the body columns.

    `columns` is field -> column, `constants` is column -> value, `payload_only` names the fields that stand only in
    the payload.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str]
    payload_only: frozenset[str]


def _mapped(*same: str, payload: tuple[str, ...] = (), says: Mapping[str, str] | None = None, **renamed: str) -> Mapped:
    return Mapped(
        columns={**{name: name for name in same}, **renamed}, constants=says or {}, payload_only=frozenset(payload)
    )


_STEP = ("step", "visit")
_CALL = (*_STEP, "effect_key", "attempt")
_TURN = (*_CALL, "turn")
_ERROR = ("error_class", "error_message")

PROMOTED: Mapping[type[Record], Mapped] = {
    events.WorkflowStarted: _mapped(
        "parent_id",
        "parent_step",
        "depth",
        "start_step",
        deadline_at_ms="due_at",
        parent_index="call_index",
        payload=("input", "parent_visit", "idle_timeout_ms", "budget"),
        says={"status": "running"},
    ),
    events.WorkflowCompleted: _mapped(payload=("output",), says={"status": "completed"}),
    events.WorkflowFailed: _mapped("step", *_ERROR, says={"status": "failed"}),
    events.WorkflowCancelled: _mapped(payload=("reason", "terminated"), says={"status": "cancelled"}),
    events.WorkflowBlocked: _mapped("step", code="error_class", message="error_message", says={"status": "blocked"}),
    events.StatusChanged: _mapped("status"),
    events.WorkflowPaused: _mapped(payload=("reason",), says={"status": "paused"}),
    events.WorkflowResumed: _mapped(deadline_at_ms="due_at", payload=("reason",), says={"status": "running"}),
    events.DeadlineReached: _mapped(due_at_ms="due_at", policy="decision"),
    events.IdleLimitReached: _mapped(due_at_ms="due_at", policy="decision"),
    events.StepTimedOut: _mapped(*_STEP, due_at_ms="due_at"),
    events.StepRetried: _mapped("step", payload=("reason",)),
    events.StepSkipped: _mapped(*_STEP, "next_step", payload=("output", "reason")),
    events.ToolOutcomeResolved: _mapped(*_CALL, "tool", "evidence", outcome="decision", payload=("result",)),
    events.ToolLookupRequested: _mapped(*_CALL, "tool", "lookup", due_at_ms="due_at", payload=("arguments",)),
    events.ToolLookupCompleted: _mapped(*_CALL, "executor_id", "lookup", "found", "evidence", payload=("result",)),
    events.ClosingStarted: _mapped("step", *_ERROR, outcome="decision", settle_until_ms="due_at"),
    events.WorkflowForked: _mapped(
        "reason",
        source_id="forked_from",
        source_sequence="forked_at",
        payload=("source_hash", "snapshot", "changes", "redo"),
    ),
    events.StepTakenOver: _mapped(*_STEP, payload=("kept",)),
    events.WorkflowMigrated: _mapped(
        payload=("from_definition_hash", "to_definition_hash", "to_definition_name", "reason")
    ),
    events.ScheduleStarted: _mapped(*_STEP, after_at_ms="due_at"),
    events.ScheduleFired: _mapped(*_STEP, "child_id", nominal_at_ms="due_at", outcome="decision"),
    events.ChildReleased: _mapped(*_STEP, "child_id", "reason"),
    events.CompensationRegistered: _mapped(
        *_STEP, "effect_key", "tool", payload=("read_tool", "read_arguments", "prior")
    ),
    events.CompensationBound: _mapped(*_STEP, "tool", "effect", "action_hash", payload=("arguments", "written")),
    events.CompensationDropped: _mapped(*_STEP, payload=("reason",)),
    events.CompensationStarted: _mapped(*_STEP, timeout_at_ms="due_at", says={"status": "compensating"}),
    events.CompensationEnded: _mapped(*_STEP, *_ERROR, outcome="decision"),
    events.StepStarted: _mapped(*_STEP, "kind", "scope", timeout_at_ms="due_at", says={"status": "running"}),
    events.StepCompleted: _mapped(*_STEP, "kind", "next_step", payload=("output",)),
    events.StepFailed: _mapped(*_STEP, "kind", "next_step", *_ERROR),
    events.StepCancelled: _mapped(*_STEP, "kind", "reason"),
    events.BranchesStarted: _mapped(*_STEP, payload=("branches",)),
    events.BranchEnded: _mapped(*_STEP, *_ERROR, "branch", outcome="decision", payload=("output",)),
    events.ItemsCounted: _mapped(*_STEP, total="item_count", payload=("items", "shared")),
    events.ChildRequested: _mapped(
        *_STEP,
        "child_id",
        "start_step",
        index="call_index",
        deadline_limit_at_ms="due_at",
        payload=("child_definition_hash", "input", "awaited", "on_parent_end", "budget"),
    ),
    events.ChildEnded: _mapped(
        *_STEP, *_ERROR, "child_id", index="call_index", outcome="decision", payload=("output", "spent")
    ),
    events.ModelCallRequested: _mapped(
        *_TURN,
        "model",
        deadline_at_ms="due_at",
        payload=("messages", "message_count", "parameters", "request_sha256"),
    ),
    events.ModelCallCompleted: _mapped(
        *_TURN,
        "executor_id",
        "provider",
        "model",
        "finish_reason",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cost_microusd",
        "duration_ms",
        payload=("response",),
    ),
    events.ModelCallFailed: _mapped(
        *_TURN,
        *_ERROR,
        "executor_id",
        "http_status",
        "duration_ms",
        retry_at_ms="due_at",
        payload=("retry_after_ms",),
    ),
    events.OutputRejected: _mapped(
        *_STEP,
        "turn",
        "effect_key",
        errors="error_message",
        payload=("repair_round",),
        says={"error_class": "output_rejected"},
    ),
    events.ToolCallRequested: _mapped(
        *_TURN,
        "tool",
        "effect",
        "action_hash",
        "approval_id",
        index="call_index",
        deadline_at_ms="due_at",
        payload=("arguments", "call_id", "key_until_ms"),
    ),
    events.ToolCallCompleted: _mapped(
        *_TURN, "executor_id", "tool", "duration_ms", index="call_index", payload=("result",)
    ),
    events.ToolCallFailed: _mapped(
        *_TURN,
        *_ERROR,
        "executor_id",
        "tool",
        "duration_ms",
        index="call_index",
        retry_at_ms="due_at",
        payload=("outcome_unknown",),
    ),
    events.ToolOutcomeUnknown: _mapped(
        *_TURN, "tool", "effect", "error_message", index="call_index", says={"error_class": "outcome_unknown"}
    ),
    events.TaskClaimed: _mapped(*_CALL, "executor_id", lease_until_ms="due_at", payload=("limit_at_ms",)),
    events.LeaseExtended: _mapped(*_CALL, "executor_id", lease_until_ms="due_at"),
    events.TaskReleased: _mapped(*_CALL, "executor_id", payload=("reason",)),
    events.LateResultRecorded: _mapped("effect_key", "attempt", "executor_id", report_type="kind", payload=("report",)),
    events.TimerScheduled: _mapped(*_STEP, "timer_id", due_at_ms="due_at", says={"status": "waiting"}),
    events.TimerFired: _mapped("timer_id", due_at_ms="due_at"),
    events.ApprovalRequested: _mapped(
        *_STEP,
        "approval_id",
        "tool",
        "action_hash",
        expires_at_ms="due_at",
        payload=("arguments", "roles", "summary"),
        says={"status": "waiting"},
    ),
    events.ApprovalDecided: _mapped(*_STEP, "approval_id", "decision", "action_hash", payload=("comment",)),
    events.ApprovalExpired: _mapped(*_STEP, "approval_id", expires_at_ms="due_at"),
    events.WaitStarted: _mapped(
        *_STEP,
        "wait_id",
        expires_at_ms="due_at",
        payload=("event_type", "correlation", "alternatives"),
        says={"status": "waiting"},
    ),
    events.EventReceived: _mapped(
        "wait_id",
        event_type="kind",
        audience="decision",
        expires_at_ms="due_at",
        payload=("correlation", "source_id", "payload"),
    ),
    events.EarlyEventExpired: _mapped(event_type="kind", payload=("correlation", "source_id")),
    events.InputRejected: _mapped(
        code="error_class", message="error_message", input_type="kind", payload=("input_id",)
    ),
}


def _plan(cls: type[Record], mapped: Mapped) -> tuple[list[Any], tuple[tuple[int, str], ...], tuple[int, ...]]:
    """Body columns with their constants, where each promoted field goes, and which places hold lists."""
    template = list({**BODY_COLUMNS, **mapped.constants}.values())
    place = {column: position for position, column in enumerate(BODY_COLUMNS)}
    lists = {field.name for field in fields(cls) if str(field.type).startswith("tuple")}
    return (
        template,
        tuple((place[column], name) for name, column in mapped.columns.items()),
        tuple(place[column] for name, column in mapped.columns.items() if name in lists),
    )


_PLANS = {cls: _plan(cls, mapped) for cls, mapped in PROMOTED.items()}
_META_FIELDS: tuple[str, ...] = tuple(META_COLUMNS.values())


def event_row(message: Message[Record], place: Place) -> tuple[Row, bool]:
    """The row of an event, in the order of EVENT_COLUMNS, and whether its hash is the hash of what it says.

    Raises KeyError if the body is not a journal event.
    """
    template, promoted, lists = _PLANS[type(message.body)]
    body, meta = vars(message.body), vars(message.meta)
    columns = template.copy()
    for position, name in promoted:
        columns[position] = body[name]
    for position in lists:
        columns[position] = "; ".join(columns[position])
    payload = payload_of(message.body)
    row = [meta[name] for name in _META_FIELDS]
    row += columns
    row += (payload, place.topic, place.partition, place.offset)
    return row, event_hash(message.meta.previous_hash, message.meta, payload) == message.meta.hash


REJECTION_COLUMNS: tuple[str, ...] = (
    "tenant",
    "workflow_id",
    "event_id",
    "definition_name",
    "cause_id",
    "correlation_id",
    "actor_kind",
    "actor_id",
    "occurred_at",
    "code",
    "message",
    "request_type",
    "request_id",
    *PLACE_COLUMNS,
)


def rejection_row(meta: EventMeta, body: RequestRejected, place: Place) -> Row:
    """The row of a refused request, in the order of REJECTION_COLUMNS."""
    return [
        meta.tenant,
        meta.workflow_id,
        meta.event_id,
        meta.definition_name,
        meta.cause_id,
        meta.correlation_id,
        meta.actor_kind,
        meta.actor_id,
        meta.occurred_at_ms,
        body.code,
        body.message,
        body.request_type,
        body.request_id,
        place.topic,
        place.partition,
        place.offset,
    ]


EXPIRED_COLUMNS: tuple[str, ...] = (
    "tenant",
    "event_id",
    "event_type",
    "correlation",
    "source_id",
    "correlation_id",
    "payload",
    "published_at",
    "expires_at",
    "repeats",
    *PLACE_COLUMNS,
)


def expired_row(meta: EventMeta, body: EventExpired, place: Place) -> Row:
    """The row of a published event that nobody waited for, in the order of EXPIRED_COLUMNS."""
    return [
        meta.tenant,
        meta.event_id,
        body.event_type,
        body.correlation,
        body.source_id,
        meta.correlation_id,
        jsontext.dumps(body.payload),
        body.published_at_ms,
        body.expires_at_ms,
        body.repeats,
        place.topic,
        place.partition,
        place.offset,
    ]
