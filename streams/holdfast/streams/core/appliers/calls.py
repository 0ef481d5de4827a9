"""Model and tool calls: their intents, who holds them, their outcomes."""

from collections.abc import Mapping
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas.record import Json, Record, changed
from holdfast.streams.core.answers import assistant_message
from holdfast.streams.core.appliers import items
from holdfast.streams.core.appliers.common import Applier, with_call, with_run, with_spent
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.budget import BY_KIND
from holdfast.streams.core.engine_tools import ENGINE_TOOLS
from holdfast.streams.core.state import Call, CallKind, CallStatus, Status, Undo, WorkflowState
from holdfast.streams.core.transitions import move

_TOKENS = ("input_tokens", "output_tokens")


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
        **_history(run.calls.get(event.effect_key), state),
    )
    added = event.messages if isinstance(event.messages, list) else []
    return with_run(
        with_spent(state, model_calls=1),
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
    # The whole answer is only kept for a step that cannot read it yet.
    answer = event.response if state.held else None
    call = changed(run.calls[event.effect_key], status=CallStatus.DONE, answer=answer, error_class="", error_message="")
    state = with_spent(state, tokens=event.input_tokens + event.output_tokens, cost_microusd=event.cost_microusd)
    return with_run(state, changed(run, messages=messages, calls={call.effect_key: call}))


def _call_failed(state: WorkflowState, event: e.ModelCallFailed | e.ToolCallFailed) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    status = CallStatus.RETRYING if event.retry_at_ms else CallStatus.DONE
    answer: Json = {"error": {"class": event.error_class, "message": event.error_message}}
    return with_call(
        state,
        event.step,
        changed(
            call,
            status=status,
            retry_at_ms=event.retry_at_ms,
            executor_id="",
            lease_until_ms=0,
            limit_at_ms=0,
            answer=answer,
            error_class=event.error_class,
            error_message=event.error_message,
            unsure=call.unsure or getattr(event, "outcome_unknown", False),
        ),
    )


def _output_rejected(state: WorkflowState, event: e.OutputRejected) -> WorkflowState:
    return with_run(state, changed(state.active[event.step], repairs=event.repair_round))


def _tool_call_requested(state: WorkflowState, event: e.ToolCallRequested) -> WorkflowState:
    call = Call(
        kind=CallKind.TOOL,
        effect_key=event.effect_key,
        turn=event.turn,
        index=event.index,
        attempt=event.attempt,
        status=CallStatus.REQUESTED,
        deadline_at_ms=event.deadline_at_ms,
        **_history(state.active[event.step].calls.get(event.effect_key), state),
        tool=event.tool,
        effect=event.effect,
        arguments=event.arguments,
        action_hash=event.action_hash,
        call_id=event.call_id,
        key_until_ms=event.key_until_ms,
    )
    if event.approval_id:
        approval = changed(state.approvals[event.approval_id], consumed_by=event.effect_key)
        state = changed(state, approvals={**state.approvals, approval.approval_id: approval})
    state = with_call(state, event.step, call)
    run = state.active[event.step]
    if event.tool in ENGINE_TOOLS:
        return with_run(state, items.asked(run, event))
    return state if run.kind == UNDO else with_spent(state, tool_calls=1)


def _tool_call_completed(state: WorkflowState, event: e.ToolCallCompleted) -> WorkflowState:
    if event.tool in ENGINE_TOOLS:
        return with_run(state, items.answered(state.active[event.step], event.effect_key, event.result))
    call = state.active[event.step].calls[event.effect_key]
    return with_call(state, event.step, _done(call, event.result))


def _done(call: Call, result: Json) -> Call:
    answer: Json = {"result": result}
    return changed(call, status=CallStatus.DONE, answer=answer, error_class="", error_message="", unsure=False)


def _history(before: Call | None, state: WorkflowState) -> dict[str, Any]:
    """What an attempt keeps of those before it."""
    if before is None:
        return {"since_ms": state.updated_at_ms}
    return {
        "since_ms": before.since_ms,
        "error_class": before.error_class,
        "error_message": before.error_message,
        "unsure": before.unsure,
    }


def _tool_outcome_unknown(state: WorkflowState, event: e.ToolOutcomeUnknown) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    call = changed(call, status=CallStatus.UNKNOWN, executor_id="", lease_until_ms=0, limit_at_ms=0)
    return with_call(state, event.step, changed(call, error_class="unknown_outcome", error_message=event.error_message))


def _tool_outcome_resolved(state: WorkflowState, event: e.ToolOutcomeResolved) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    if event.outcome == "done":
        call = _done(call, event.result)
    else:
        answer: Json = {"error": {"class": call.error_class, "message": event.evidence}}
        call = changed(call, status=CallStatus.DONE, answer=answer, error_message=event.evidence)
    state = with_call(state, event.step, call)
    if state.status is Status.BLOCKED and not unknown_calls(state):
        state = changed(state, status=move(state.status, Status.COMPENSATING if _undoing(state) else Status.RUNNING))
    return state


def _undoing(state: WorkflowState) -> bool:
    return any(undo.status is Undo.RUNNING for undo in state.compensations.values())


def unknown_calls(state: WorkflowState) -> list[Call]:
    """The calls of which nobody knows whether they took effect, and which only a person can settle."""
    return [call for run in state.active.values() for call in run.calls.values() if call.status is CallStatus.UNKNOWN]


def _lookup_requested(state: WorkflowState, event: e.ToolLookupRequested) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return with_call(
        state,
        event.step,
        changed(call, status=CallStatus.SEARCHED, lookup=event.lookup, lookup_at_ms=event.due_at_ms),
    )


def _lookup_completed(state: WorkflowState, event: e.ToolLookupCompleted) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return with_call(state, event.step, _done(call, event.result)) if event.found else state


def _task_claimed(state: WorkflowState, event: e.TaskClaimed) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return with_call(
        state,
        event.step,
        changed(
            call,
            status=CallStatus.CLAIMED,
            executor_id=event.executor_id,
            lease_until_ms=event.lease_until_ms,
            limit_at_ms=event.limit_at_ms,
        ),
    )


def _lease_extended(state: WorkflowState, event: e.LeaseExtended) -> WorkflowState:
    call = state.active[event.step].calls[event.effect_key]
    return with_call(state, event.step, changed(call, lease_until_ms=event.lease_until_ms))


def _task_released(state: WorkflowState, event: e.TaskReleased) -> WorkflowState:
    run = state.active[event.step]
    call = run.calls[event.effect_key]
    if run.kind != UNDO:  # the attempt was never made
        state = with_spent(state, **{BY_KIND[call.kind]: -1})
    return with_call(state, event.step, changed(call, executor_id="", lease_until_ms=0, limit_at_ms=0))


def _late_result(state: WorkflowState, event: e.LateResultRecorded) -> WorkflowState:
    """A model's answer that comes too late has been paid all the same."""
    paid = event.report if event.report_type == "ReportModelResult" and isinstance(event.report, dict) else {}
    tokens, cost = (sum(_whole(paid.get(name)) for name in names) for names in (_TOKENS, ("cost_microusd",)))
    return with_spent(state, tokens=tokens, cost_microusd=cost) if paid else state


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0


APPLIERS: Mapping[type[Record], Applier] = {
    e.ModelCallRequested: _model_call_requested,
    e.ModelCallCompleted: _model_call_completed,
    e.ModelCallFailed: _call_failed,
    e.OutputRejected: _output_rejected,
    e.ToolCallRequested: _tool_call_requested,
    e.ToolCallCompleted: _tool_call_completed,
    e.ToolCallFailed: _call_failed,
    e.ToolOutcomeUnknown: _tool_outcome_unknown,
    e.ToolOutcomeResolved: _tool_outcome_resolved,
    e.ToolLookupRequested: _lookup_requested,
    e.ToolLookupCompleted: _lookup_completed,
    e.TaskClaimed: _task_claimed,
    e.LeaseExtended: _lease_extended,
    e.TaskReleased: _task_released,
    e.LateResultRecorded: _late_result,
}
