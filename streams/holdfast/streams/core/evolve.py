"""Events to state, by the table in `appliers`. Never fails on an event that `decide` made."""

import functools
import hashlib
from dataclasses import dataclass

from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Record, changed
from holdfast.streams.core.appliers import APPLIERS
from holdfast.streams.core.budget import amounts_in
from holdfast.streams.core.state import Parent, Status, WorkflowState
from holdfast.streams.core.transitions import move

SEEN_LIMIT = 32
ENGINES_OWN = frozenset({"executor", "timer", "engine"})
"""Kinds of actors whose inputs are part of the engine's own work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What led to an event: the input, its place and time in the inbox, and who acted.

    `now_ms` is the broker's append time of the input, the only clock that anything here sees.
    """

    tenant: str
    workflow_id: str
    definition_name: str
    definition_hash: str
    input_id: str
    now_ms: int
    actor_kind: str
    actor_id: str
    correlation_id: str = ""
    traceparent: str = ""

    @classmethod
    def of(cls, meta: EventMeta) -> "Cause":
        """The cause that a journal event records about itself."""
        return cls(
            tenant=meta.tenant,
            workflow_id=meta.workflow_id,
            definition_name=meta.definition_name,
            definition_hash=meta.definition_hash,
            input_id=meta.cause_id,
            now_ms=meta.recorded_at_ms,
            actor_kind=meta.actor_kind,
            actor_id=meta.actor_id,
            correlation_id=meta.correlation_id,
            traceparent=meta.traceparent,
        )


@functools.lru_cache(maxsize=1024)  # the events of a decision all have the id of its input
def short_id(input_id: str) -> str:
    """The form in which the ids of folded inputs are remembered."""
    return hashlib.sha256(input_id.encode()).hexdigest()[:12]


def evolve(state: WorkflowState | None, event: Record, cause: Cause) -> WorkflowState:
    """The state after an event. Raises KeyError for a type without an applier: a bug."""
    if state is None:
        assert isinstance(event, e.WorkflowStarted), f"a journal begins with {type(event).__name__}"
        return _started(event, cause)
    if not folded_before(state, cause.input_id):
        state = _with_input(state, cause)
    return APPLIERS[type(event)](state, event)


def _with_input(state: WorkflowState, cause: Cause) -> WorkflowState:
    short = (short_id(cause.input_id),)
    own = cause.actor_kind in ENGINES_OWN
    return changed(
        state,
        seen=(state.seen + short)[-SEEN_LIMIT:] if own else state.seen,
        asked=state.asked if own else (state.asked + short)[-SEEN_LIMIT:],
        updated_at_ms=cause.now_ms,
        active_at_ms=state.active_at_ms if cause.actor_kind == "timer" else cause.now_ms,
    )


def folded_before(state: WorkflowState, input_id: str) -> bool:
    """True if an input is one of the last that led to events."""
    short = short_id(input_id)
    return short in state.seen or short in state.asked


def _started(event: e.WorkflowStarted, cause: Cause) -> WorkflowState:
    state = WorkflowState(
        tenant=cause.tenant,
        workflow_id=cause.workflow_id,
        definition_name=cause.definition_name,
        definition_hash=cause.definition_hash,
        status=move(Status.PENDING, Status.RUNNING),
        started_by=cause.actor_id,
        correlation_id=cause.correlation_id,
        traceparent=cause.traceparent,
        started_at_ms=cause.now_ms,
        deadline_at_ms=event.deadline_at_ms,
        input=event.input,
        parent=_parent(event),
        depth=event.depth,
        start_step=event.start_step,
        idle_timeout_ms=event.idle_timeout_ms,
        budget=amounts_in(event.budget),
    )
    return _with_input(state, cause)


def _parent(event: e.WorkflowStarted) -> Parent | None:
    if not event.parent_id:
        return None
    return Parent(
        workflow_id=event.parent_id, step=event.parent_step, visit=event.parent_visit, index=event.parent_index
    )


EVENT_TYPES = frozenset(APPLIERS) | {e.WorkflowStarted}
