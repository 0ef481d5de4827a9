"""Events to state: one applier per event type, in one table. Never fails on an event that `decide` made."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Json, Record, changed
from holdfast.streams.core.answers import assistant_message
from holdfast.streams.core.state import (
    Approval,
    Call,
    CallKind,
    CallStatus,
    ReceivedEvent,
    Status,
    StepRun,
    Wait,
    WorkflowState,
)
from holdfast.streams.core.transitions import move

SEEN_LIMIT = 32


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


def short_id(input_id: str) -> str:
    """The form in which the ids of folded inputs are remembered."""
    return hashlib.sha256(input_id.encode()).hexdigest()[:12]


def evolve(state: WorkflowState | None, event: Record, cause: Cause) -> WorkflowState:
    """The state after an event. Raises KeyError for a type without an applier: a bug."""
    if state is None:
        assert isinstance(event, e.WorkflowStarted), f"a journal begins with {type(event).__name__}"
        return _started(event, cause)
    after = _APPLIERS[type(event)](state, event)
    seen = short_id(cause.input_id)
    if not after.seen or after.seen[-1] != seen:
        after = changed(after, seen=(*after.seen, seen)[-SEEN_LIMIT:])
    return after


def _started(event: e.WorkflowStarted, cause: Cause) -> WorkflowState:
    return WorkflowState(
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
        seen=(short_id(cause.input_id),),
    )


def _with_run(state: WorkflowState, run: StepRun) -> WorkflowState:
    return changed(state, active={**state.active, run.step: run})


def _without_run(state: WorkflowState, step: str) -> Mapping[str, StepRun]:
    return {name: run for name, run in state.active.items() if name != step}


def _with_call(state: WorkflowState, step: str, call: Call) -> WorkflowState:
    run = state.active[step]
    return _with_run(state, changed(run, calls={**run.calls, call.effect_key: call}))


def _waiting(state: WorkflowState) -> WorkflowState:
    return changed(state, status=move(state.status, Status.WAITING))


def _step_started(state: WorkflowState, event: e.StepStarted) -> WorkflowState:
    run = StepRun(step=event.step, kind=event.kind, visit=event.visit, timeout_at_ms=event.timeout_at_ms)
    return changed(
        state,
        status=move(state.status, Status.RUNNING),
        visits={**state.visits, event.step: event.visit},
        active={**state.active, event.step: run},
    )


def _step_completed(state: WorkflowState, event: e.StepCompleted) -> WorkflowState:
    variables = state.variables
    if event.kind == "assign" and isinstance(event.output, dict):
        variables = {**variables, **event.output}
    return changed(
        state,
        active=_without_run(state, event.step),
        outputs={**state.outputs, event.step: event.output},
        variables=variables,
    )


def _step_failed(state: WorkflowState, event: e.StepFailed) -> WorkflowState:
    return changed(
        state,
        active=_without_run(state, event.step),
        error_class=event.error_class,
        error_message=event.error_message,
    )


def _model_call_requested(state: WorkflowState, event: e.ModelCallRequested) -> WorkflowState:
    run = state.active[event.step]
    call = Call(
        kind=CallKind.MODEL,
        effect_key=event.effect_key,
        turn=event.turn,
        index=0,
        attempt=event.attempt,
        status=CallStatus.REQUESTED,
        deadline_at_ms=event.deadline_at_ms,
    )
    added = event.messages if isinstance(event.messages, list) else []
    return _with_run(
        state,
        changed(
            run,
            turn=event.turn,
            model=event.model,
            parameters=event.parameters,
            messages=(*run.messages, *added),
            calls={call.effect_key: call},
        ),
    )


def _model_call_completed(state: WorkflowState, event: e.ModelCallCompleted) -> WorkflowState:
    run = state.active[event.step]
    message = assistant_message(event.response)
    messages = run.messages if message is None else (*run.messages, message)
    call = changed(run.calls[event.effect_key], status=CallStatus.DONE)
    return _with_run(state, changed(run, messages=messages, calls={call.effect_key: call}))


def _call_failed(state: WorkflowState, event: e.ModelCallFailed | e.ToolCallFailed) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    status = CallStatus.RETRYING if event.retry_at_ms else CallStatus.DONE
    answer: Json = {"error": {"class": event.error_class, "message": event.error_message}}
    return _with_call(
        state,
        event.step,
        changed(call, status=status, retry_at_ms=event.retry_at_ms, executor_id="", lease_until_ms=0, answer=answer),
    )


def _output_rejected(state: WorkflowState, event: e.OutputRejected) -> WorkflowState:
    return _with_run(state, changed(state.active[event.step], repairs=event.repair_round))


def _tool_call_requested(state: WorkflowState, event: e.ToolCallRequested) -> WorkflowState:
    call = Call(
        kind=CallKind.TOOL,
        effect_key=event.effect_key,
        turn=event.turn,
        index=event.index,
        attempt=event.attempt,
        status=CallStatus.REQUESTED,
        deadline_at_ms=event.deadline_at_ms,
        tool=event.tool,
        effect=event.effect,
        arguments=event.arguments,
        action_hash=event.action_hash,
        call_id=event.call_id,
    )
    if event.approval_id:
        approval = changed(state.approvals[event.approval_id], consumed_by=event.effect_key)
        state = changed(state, approvals={**state.approvals, approval.approval_id: approval})
    return _with_call(state, event.step, call)


def _tool_call_completed(state: WorkflowState, event: e.ToolCallCompleted) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return _with_call(state, event.step, changed(call, status=CallStatus.DONE, answer={"result": event.result}))


def _tool_outcome_unknown(state: WorkflowState, event: e.ToolOutcomeUnknown) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return _with_call(state, event.step, changed(call, status=CallStatus.UNKNOWN, executor_id="", lease_until_ms=0))


def _task_claimed(state: WorkflowState, event: e.TaskClaimed) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return _with_call(
        state,
        event.step,
        changed(call, status=CallStatus.CLAIMED, executor_id=event.executor_id, lease_until_ms=event.lease_until_ms),
    )


def _lease_extended(state: WorkflowState, event: e.LeaseExtended) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return _with_call(state, event.step, changed(call, lease_until_ms=event.lease_until_ms))


def _task_released(state: WorkflowState, event: e.TaskReleased) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return _with_call(state, event.step, changed(call, executor_id="", lease_until_ms=0))


def _timer_scheduled(state: WorkflowState, event: e.TimerScheduled) -> WorkflowState:
    run = changed(state.active[event.step], timer_id=event.timer_id, wake_at_ms=event.due_at_ms)
    return _waiting(_with_run(state, run))


def _approval_requested(state: WorkflowState, event: e.ApprovalRequested) -> WorkflowState:
    approval = Approval(
        approval_id=event.approval_id,
        step=event.step,
        tool=event.tool,
        action_hash=event.action_hash,
        expires_at_ms=event.expires_at_ms,
    )
    state = changed(state, approvals={**state.approvals, approval.approval_id: approval})
    return _waiting(_with_run(state, changed(state.active[event.step], approval_id=approval.approval_id)))


def _approval_decided(state: WorkflowState, event: e.ApprovalDecided) -> WorkflowState:
    approval = changed(state.approvals[event.approval_id], approved=event.decision == "approve")
    return changed(state, approvals={**state.approvals, approval.approval_id: approval})


def _wait_started(state: WorkflowState, event: e.WaitStarted) -> WorkflowState:
    wait = Wait(
        wait_id=event.wait_id,
        event_type=event.event_type,
        correlation=event.correlation,
        expires_at_ms=event.expires_at_ms,
    )
    early = next((received for received in state.early_events if matches(wait, received)), None)
    if early is not None:
        wait = changed(wait, matched=early)
        state = changed(state, early_events=tuple(r for r in state.early_events if r is not early))
    return _waiting(_with_run(state, changed(state.active[event.step], wait=wait)))


def _event_received(state: WorkflowState, event: e.EventReceived) -> WorkflowState:
    received = ReceivedEvent(
        event_type=event.event_type,
        correlation=event.correlation,
        source_id=event.source_id,
        payload=event.payload,
    )
    for run in state.active.values():
        if run.wait is not None and run.wait.wait_id == event.wait_id:
            return _with_run(state, changed(run, wait=changed(run.wait, matched=received)))
    return changed(state, early_events=(*state.early_events, received))


def matches(wait: Wait, received: ReceivedEvent) -> bool:
    """True if the event is the one that the wait is for."""
    return (
        wait.matched is None
        and wait.event_type == received.event_type
        and wait.correlation in ("", received.correlation)
    )


def _ended(status: Status) -> Callable[[WorkflowState, Any], WorkflowState]:
    def apply(state: WorkflowState, event: Any) -> WorkflowState:
        return changed(
            state,
            status=move(state.status, status),
            active={},
            early_events=(),
            output=getattr(event, "output", None),
            error_class=getattr(event, "error_class", ""),
            error_message=getattr(event, "error_message", getattr(event, "reason", "")),
        )

    return apply


def _blocked(state: WorkflowState, event: e.WorkflowBlocked) -> WorkflowState:
    return changed(
        state, status=move(state.status, Status.BLOCKED), error_class=event.code, error_message=event.message
    )


def _unchanged(state: WorkflowState, _event: Record) -> WorkflowState:
    return state


_APPLIERS: Mapping[type[Record], Callable[[WorkflowState, Any], WorkflowState]] = {
    e.WorkflowCompleted: _ended(Status.COMPLETED),
    e.WorkflowFailed: _ended(Status.FAILED),
    e.WorkflowCancelled: _ended(Status.CANCELLED),
    e.WorkflowBlocked: _blocked,
    e.StepStarted: _step_started,
    e.StepCompleted: _step_completed,
    e.StepFailed: _step_failed,
    e.ModelCallRequested: _model_call_requested,
    e.ModelCallCompleted: _model_call_completed,
    e.ModelCallFailed: _call_failed,
    e.OutputRejected: _output_rejected,
    e.ToolCallRequested: _tool_call_requested,
    e.ToolCallCompleted: _tool_call_completed,
    e.ToolCallFailed: _call_failed,
    e.ToolOutcomeUnknown: _tool_outcome_unknown,
    e.TaskClaimed: _task_claimed,
    e.LeaseExtended: _lease_extended,
    e.TaskReleased: _task_released,
    e.TimerScheduled: _timer_scheduled,
    e.TimerFired: _unchanged,
    e.ApprovalRequested: _approval_requested,
    e.ApprovalDecided: _approval_decided,
    e.ApprovalExpired: _unchanged,
    e.WaitStarted: _wait_started,
    e.EventReceived: _event_received,
    e.LateResultRecorded: _unchanged,
    e.InputRejected: _unchanged,
}

EVENT_TYPES = frozenset(_APPLIERS) | {e.WorkflowStarted}
