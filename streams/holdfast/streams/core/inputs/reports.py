"""Reports: what executors say about the calls that they hold."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas.record import Record
from holdfast.streams.core import closing, compensations
from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.calls import Failure, attempt_again
from holdfast.streams.core.engine_tools import tool_named
from holdfast.streams.core.flow import react
from holdfast.streams.core.inputs.common import Handler, fail_attempt
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import Call, CallKind, CallStatus, StepRun
from holdfast.streams.core.turn import Turn

LEASE_LIMIT_MS = 600_000
LIMIT_GRACE_MS = 5_000

Report = rep.ReportModelResult | rep.ReportToolResult | rep.ReportTaskFailure
Hold = rep.ClaimTask | rep.ExtendLease | rep.ReleaseTask


def _claim(turn: Turn, body: rep.ClaimTask) -> Rejection | None:
    found = _current_call(turn, body.effect_key, body.attempt)
    if found is None or found[1].status not in (CallStatus.REQUESTED, CallStatus.CLAIMED):
        return _stale(body)
    run, call = found
    if turn.state.held:
        return reject("workflow_held", workflow_id=turn.state.workflow_id, status=turn.state.status)
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
            limit_at_ms=_limit_of(turn, run, call),
        )
    )
    return None


def _limit_of(turn: Turn, run: StepRun, call: Call) -> int:
    """When an attempt that begins now is given up, whatever its executor says: its time limit and some grace."""
    definition = turn.definition.definition
    if call.kind is CallKind.TOOL:
        timeout_ms = tool_named(definition, call.tool).timeout_ms
    else:
        step = definition.steps[run.step]
        assert isinstance(step, d.AgentStep)
        timeout_ms = step.call_timeout_ms
    return turn.now_ms + timeout_ms + LIMIT_GRACE_MS


def _extend(turn: Turn, body: rep.ExtendLease) -> Rejection | None:
    found = _held_call(turn, body)
    if found is None:
        return _stale(body)
    run, call = found
    turn.emit(
        e.LeaseExtended(
            step=run.step,
            visit=run.visit,
            effect_key=body.effect_key,
            attempt=body.attempt,
            executor_id=body.executor_id,
            lease_until_ms=min(limit for limit in (_lease_until(turn, body.lease_ms), call.limit_at_ms) if limit),
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
    if turn.state.closing is None or run.kind == UNDO:
        attempt_again(turn, turn.run(run.step), call)
    else:
        compensations.never_happened(turn, call, "released")
        closing.go_on(turn)
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
    react(turn, run.step, lambda kind: kind.model_answered, body.response)
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
    compensations.happened(turn, body.effect_key, body.result)
    react(turn, run.step, lambda kind: kind.tool_finished, turn.run(run.step).calls[body.effect_key])
    return None


def _task_failure(turn: Turn, body: rep.ReportTaskFailure) -> Rejection | None:
    found = _open_call(turn, body.effect_key, body.attempt)
    if found is None:
        return _late(turn, body)
    run, call = found
    if call.executor_id not in ("", body.executor_id):
        # Another executor holds the attempt and may be acting: only its word, or the end of its lease, settles that.
        return reject("lease_held", executor_id=call.executor_id)
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
    fail_attempt(turn, run, call, failure)
    return None


def _current_call(turn: Turn, effect_key: str, attempt: int) -> tuple[StepRun, Call] | None:
    for run in turn.state.active.values():
        call = run.calls.get(effect_key)
        if call is not None and call.attempt == attempt:
            return run, call
    return None


def _open_call(turn: Turn, effect_key: str, attempt: int) -> tuple[StepRun, Call] | None:
    found = _current_call(turn, effect_key, attempt)
    if found is None:
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
    if isinstance(body, rep.ReportToolResult) and not turn.state.finished:
        compensations.happened(turn, body.effect_key, body.result)
        if turn.state.closing is not None:
            closing.go_on(turn)
    return None


def _stale(body: Hold) -> Rejection:
    return reject("attempt_not_current", effect_key=body.effect_key, attempt=body.attempt)


def _lease_until(turn: Turn, lease_ms: int) -> int:
    return turn.now_ms + min(lease_ms, LEASE_LIMIT_MS)


HANDLERS: Mapping[type[Record], Handler] = {
    rep.ClaimTask: _claim,
    rep.ExtendLease: _extend,
    rep.ReleaseTask: _release,
    rep.ReportModelResult: _model_result,
    rep.ReportToolResult: _tool_result,
    rep.ReportTaskFailure: _task_failure,
}
