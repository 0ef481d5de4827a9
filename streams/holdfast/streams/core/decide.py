"""Inputs to events: one handler per input type, in one table. Pure: the time is the input's append time.

A handler adds events to a turn or returns a Rejection; a repeat of an input that was folded already adds nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas.record import Json, Message, Record
from holdfast.streams.core.calls import Failure, attempt_again, attempt_failed
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.evolve import Cause, matches, short_id
from holdfast.streams.core.expressions import ExpressionError
from holdfast.streams.core.flow import advance
from holdfast.streams.core.pending import Timer, timers
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import (
    Call,
    CallStatus,
    ReceivedEvent,
    Status,
    StepRun,
    WorkflowState,
)
from holdfast.streams.core.steps import KINDS
from holdfast.streams.core.turn import Turn

EARLY_EVENTS_LIMIT = 64
LEASE_LIMIT_MS = 600_000
PAYLOAD_LIMIT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Decision:
    """The events of a decision and the state they lead to; no events means that the input changes nothing."""

    events: tuple[Record, ...]
    state: WorkflowState | None


def decide(
    state: WorkflowState | None, command: Message[Record], definition: CompiledDefinition, cause: Cause
) -> Decision | Rejection:
    """What an input leads to.

    Arguments: the workflow's state (None if it does not exist), the decoded inbox record, the definition that the
    workflow runs by, and the cause of the events to come. A refused input of an existing workflow is still recorded:
    the caller turns the Rejection into an `InputRejected` event.
    """
    body = command.body
    if state is None and not isinstance(body, req.StartWorkflow):
        return reject("workflow_not_found", workflow_id=cause.workflow_id)
    if state is not None and short_id(cause.input_id) in state.seen:
        return Decision(events=(), state=state)
    turn = Turn(state, definition, cause)
    try:
        refused = _HANDLERS[type(body)](turn, body)
        if refused is not None:
            return refused
        if turn.events:
            advance(turn)
    except ExpressionError as exc:  # from a step that was already active
        step = next(iter(turn.state.active), "")
        turn.fail(step, "expression_error", str(exc))
        advance(turn)
    return Decision(events=tuple(turn.events), state=turn.state if turn.events else state)


def _start(turn: Turn, body: req.StartWorkflow) -> Rejection | None:
    if turn._state is not None:
        return reject("workflow_exists", workflow_id=turn.state.workflow_id, status=turn.state.status)
    errors = turn.definition.input_errors(body.input)
    if errors:
        return reject("input_invalid", errors="; ".join(errors))
    deadline_at_ms = turn.now_ms + turn.definition.definition.deadline_ms
    turn.emit(e.WorkflowStarted(input=body.input, deadline_at_ms=deadline_at_ms))
    turn.to_enter.append(turn.definition.definition.start)
    return None


def _cancel(turn: Turn, body: req.CancelWorkflow) -> Rejection | None:
    if turn.state.finished:
        return _finished(turn)
    turn.emit(e.WorkflowCancelled(reason=body.reason))
    return None


def _deliver(turn: Turn, body: req.DeliverEvent) -> Rejection | None:
    state = turn.state
    if state.finished:
        return _finished(turn)
    if body.event_type not in turn.definition.events:
        return reject("event_not_expected", event_type=body.event_type)
    if (size := len(jsontext.dumps(body.payload))) > PAYLOAD_LIMIT_BYTES:
        return reject("payload_too_large", limit=PAYLOAD_LIMIT_BYTES, size=size)
    received = ReceivedEvent(
        event_type=body.event_type,
        correlation=body.correlation,
        source_id=turn.cause.input_id,
        payload=body.payload,
    )
    blocked = state.status is Status.BLOCKED
    run = None if blocked else next((r for r in state.active.values() if r.wait and matches(r.wait, received)), None)
    if run is None and len(state.early_events) >= EARLY_EVENTS_LIMIT:
        return reject("event_buffer_full", limit=EARLY_EVENTS_LIMIT)
    turn.emit(
        e.EventReceived(
            event_type=received.event_type,
            correlation=received.correlation,
            source_id=received.source_id,
            payload=received.payload,
            wait_id=run.wait.wait_id if run is not None and run.wait is not None else "",
        )
    )
    if run is not None:
        KINDS[run.kind].event_matched(turn, turn.run(run.step))
    return None


def _decide_approval(turn: Turn, body: req.DecideApproval) -> Rejection | None:
    state, cause = turn.state, turn.cause
    if state.finished:
        return _finished(turn)
    if state.status is Status.BLOCKED:
        return reject("workflow_blocked", workflow_id=state.workflow_id)
    run = next((run for run in state.active.values() if run.approval_id == body.approval_id), None)
    if run is None or not body.approval_id:
        return reject("approval_not_open", approval_id=body.approval_id)
    approval = state.approvals[run.approval_id]
    if body.action_hash != approval.action_hash:
        return reject("approval_hash_mismatch", expected=approval.action_hash, action_hash=body.action_hash)
    if body.decision not in ("approve", "reject"):
        return reject("decision_invalid", decision=body.decision)
    if cause.actor_kind != "person":
        return reject("reviewer_not_a_person", actor_id=cause.actor_id, actor_kind=cause.actor_kind)
    if cause.actor_id == state.started_by:
        return reject("self_approval", actor_id=cause.actor_id)
    turn.emit(
        e.ApprovalDecided(
            step=run.step,
            visit=run.visit,
            approval_id=body.approval_id,
            decision=body.decision,
            action_hash=body.action_hash,
            comment=body.comment,
        )
    )
    decision: Json = {
        "approved": body.decision == "approve",
        "approval_id": body.approval_id,
        "action_hash": body.action_hash,
        "reviewer": cause.actor_id,
        "comment": body.comment,
    }
    KINDS[run.kind].decided(turn, turn.run(run.step), decision)
    return None


def _claim(turn: Turn, body: rep.ClaimTask) -> Rejection | None:
    found = _current_call(turn, body.effect_key, body.attempt)
    if found is None or found[1].status not in (CallStatus.REQUESTED, CallStatus.CLAIMED):
        return _stale(body)
    run, call = found
    if call.status is CallStatus.CLAIMED:
        return None if call.executor_id == body.executor_id else reject("lease_held", executor_id=call.executor_id)
    turn.emit(
        e.TaskClaimed(
            step=run.step,
            visit=run.visit,
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            lease_until_ms=_lease_until(turn, body.lease_ms),
        )
    )
    return None


def _extend(turn: Turn, body: rep.ExtendLease) -> Rejection | None:
    found = _held_call(turn, body)
    if found is None:
        return _stale(body)
    run, _call = found
    turn.emit(
        e.LeaseExtended(
            step=run.step,
            visit=run.visit,
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            lease_until_ms=_lease_until(turn, body.lease_ms),
        )
    )
    return None


def _release(turn: Turn, body: rep.ReleaseTask) -> Rejection | None:
    found = _held_call(turn, body)
    if found is None:
        return _stale(body)
    run, call = found
    turn.emit(
        e.TaskReleased(
            step=run.step,
            visit=run.visit,
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            reason=body.reason,
        )
    )
    attempt_again(turn, turn.run(run.step), call)
    return None


def _model_result(turn: Turn, body: rep.ReportModelResult) -> Rejection | None:
    found = _open_call(turn, body.effect_key, body.attempt)
    if found is None:
        return _late(turn, body)
    run, call = found
    turn.emit(
        e.ModelCallCompleted(
            step=run.step,
            visit=run.visit,
            turn=call.turn,
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            provider=body.provider,
            model=body.model,
            response=body.response,
            finish_reason=body.finish_reason,
            input_tokens=body.input_tokens,
            output_tokens=body.output_tokens,
            cached_tokens=body.cached_tokens,
            cost_microusd=body.cost_microusd,
            duration_ms=body.duration_ms,
        )
    )
    KINDS[run.kind].model_answered(turn, turn.run(run.step), body.response)
    return None


def _tool_result(turn: Turn, body: rep.ReportToolResult) -> Rejection | None:
    found = _open_call(turn, body.effect_key, body.attempt)
    if found is None:
        return _late(turn, body)
    run, call = found
    turn.emit(
        e.ToolCallCompleted(
            step=run.step,
            visit=run.visit,
            turn=call.turn,
            index=call.index,
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            tool=call.tool,
            result=body.result,
            duration_ms=body.duration_ms,
        )
    )
    run = turn.run(run.step)
    KINDS[run.kind].tool_finished(turn, run, run.calls[body.effect_key])
    return None


def _task_failure(turn: Turn, body: rep.ReportTaskFailure) -> Rejection | None:
    found = _open_call(turn, body.effect_key, body.attempt)
    if found is None:
        return _late(turn, body)
    run, call = found
    failure = Failure(
        error_class=body.error_class,
        message=body.error_message,
        executor_id=body.executor_id,
        http_status=body.http_status,
        retry_after_ms=body.retry_after_ms,
        retryable=body.retryable,
        outcome_unknown=body.outcome_unknown,
        duration_ms=body.duration_ms,
    )
    _fail_attempt(turn, run, call, failure)
    return None


def _fail_attempt(turn: Turn, run: StepRun, call: Call, failure: Failure) -> None:
    if attempt_failed(turn, run, call, failure):
        run = turn.run(run.step)
        call = run.calls[call.effect_key]
        KINDS[run.kind].call_failed(turn, run, call, failure.error_class, failure.message)


def _fire(turn: Turn, _body: rep.FireTimer) -> Rejection | None:
    # A firing says no more than "look": whatever is due by the broker's clock fires, and nothing fires early.
    while due := [timer for timer in timers(turn.state) if timer.due_at_ms <= turn.now_ms]:
        timer = min(due, key=lambda timer: (timer.due_at_ms, timer.timer_id))
        turn.emit(e.TimerFired(timer_id=timer.timer_id, due_at_ms=timer.due_at_ms))
        _TIMER_HANDLERS[timer.kind](turn, timer)
        advance(turn)
    return None


def _deadline_reached(turn: Turn, _timer: Timer) -> None:
    step = next(iter(turn.state.active), "")
    turn.fail_workflow(step, "deadline_exceeded", "the workflow did not end by its deadline")


def _step_timed_out(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    KINDS[run.kind].timed_out(turn, run)


def _woken(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    KINDS[run.kind].woken(turn, run)


def _retry_due(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    attempt_again(turn, run, run.calls[timer.effect_key])


def _lease_expired(turn: Turn, timer: Timer) -> None:
    run = turn.run(timer.step)
    call = run.calls[timer.effect_key]
    failure = Failure(
        error_class="lease_expired",
        message=f"{call.executor_id} was not heard of until its lease ended",
        executor_id=call.executor_id,
        outcome_unknown=True,
    )
    _fail_attempt(turn, run, call, failure)


_TIMER_HANDLERS: Mapping[str, Callable[[Turn, Timer], None]] = {
    "deadline": _deadline_reached,
    "timeout": _step_timed_out,
    "wake": _woken,
    "retry": _retry_due,
    "lease": _lease_expired,
}

_HANDLERS: Mapping[type[Record], Callable[[Turn, Any], Rejection | None]] = {
    req.StartWorkflow: _start,
    req.DeliverEvent: _deliver,
    req.DecideApproval: _decide_approval,
    req.CancelWorkflow: _cancel,
    rep.ClaimTask: _claim,
    rep.ExtendLease: _extend,
    rep.ReleaseTask: _release,
    rep.ReportModelResult: _model_result,
    rep.ReportToolResult: _tool_result,
    rep.ReportTaskFailure: _task_failure,
    rep.FireTimer: _fire,
}

INPUT_TYPES = frozenset(_HANDLERS)
Report = rep.ReportModelResult | rep.ReportToolResult | rep.ReportTaskFailure
Hold = rep.ClaimTask | rep.ExtendLease | rep.ReleaseTask


def _current_call(turn: Turn, effect_key: str, attempt: int) -> tuple[StepRun, Call] | None:
    for run in turn.state.active.values():
        call = run.calls.get(effect_key)
        if call is not None and call.attempt == attempt:
            return run, call
    return None


def _open_call(turn: Turn, effect_key: str, attempt: int) -> tuple[StepRun, Call] | None:
    found = _current_call(turn, effect_key, attempt)
    if found is None or turn.state.status is Status.BLOCKED:
        return None
    return found if found[1].status in (CallStatus.REQUESTED, CallStatus.CLAIMED) else None


def _held_call(turn: Turn, body: Hold) -> tuple[StepRun, Call] | None:
    found = _open_call(turn, body.effect_key, body.attempt)
    return found if found is not None and found[1].executor_id == body.executor_id else None


def _late(turn: Turn, body: Report) -> Rejection | None:
    turn.emit(
        e.LateResultRecorded(
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            report_type=type(body).__name__,
            report=dict(vars(body)),
        )
    )
    return None


def _stale(body: Hold) -> Rejection:
    return reject("attempt_not_current", effect_key=body.effect_key, attempt=body.attempt)


def _lease_until(turn: Turn, lease_ms: int) -> int:
    return turn.now_ms + min(lease_ms, LEASE_LIMIT_MS)


def _finished(turn: Turn) -> Rejection:
    return reject("workflow_finished", workflow_id=turn.state.workflow_id, status=turn.state.status)
