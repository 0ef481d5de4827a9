"""What operators may do to a workflow: hold it, send it back, act in a step's stead, end it. All of it is recorded."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import requests as req
from holdfast.schemas.record import Record
from holdfast.streams.core import closing, compensations
from holdfast.streams.core.appliers.calls import unknown_calls
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.appliers.steps import open_undo
from holdfast.streams.core.calls import attempt_again
from holdfast.streams.core.early import give_up_overdue
from holdfast.streams.core.flow import catch_up, react
from holdfast.streams.core.inputs.common import Handler, closed, finished
from holdfast.streams.core.migration import obstacles
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.scopes import TOP, running_branches, runs_in, scope_of
from holdfast.streams.core.state import Call, CallKind, CallStatus, StepRun, Undo, WorkflowState
from holdfast.streams.core.steps import KINDS
from holdfast.streams.core.turn import Turn

OUTCOMES = ("done", "not_done", "retry")
_SETTLED = frozenset({CallStatus.DONE})


def _pause(turn: Turn, body: req.PauseWorkflow) -> Rejection | None:
    if refused := closed(turn):
        return refused
    if turn.state.held:
        return reject("workflow_held", workflow_id=turn.state.workflow_id, status=turn.state.status)
    turn.emit(e.WorkflowPaused(reason=body.reason))
    return None


def _resume(turn: Turn, body: req.ResumeWorkflow) -> Rejection | None:
    state = turn.state
    if refused := closed(turn):
        return refused
    if not state.held:
        return reject("not_held", workflow_id=state.workflow_id, status=state.status)
    if calls := unknown_calls(state):
        return reject("call_unknown", effect_key=calls[0].effect_key)
    extend_ms = body.extend_ms or (0 if state.deadline_at_ms else turn.definition.definition.deadline_ms)
    give_up_overdue(turn)
    turn.emit(e.WorkflowResumed(reason=body.reason, deadline_at_ms=turn.now_ms + extend_ms if extend_ms else 0))
    catch_up(turn)
    return None


def _terminate(turn: Turn, body: req.TerminateWorkflow) -> Rejection | None:
    if turn.state.finished:
        return finished(turn)
    turn.end("cancelled", "", "", body.reason, terminated=True)
    return None


def _retry(turn: Turn, body: req.RetryStep) -> Rejection | None:
    state = turn.state
    if state.finished:
        return finished(turn)
    undo = open_undo(state, body.step)
    if undo is not None:
        if refused := _unsettled(state):
            return refused
        if undo.status is Undo.REGISTERED:
            return reject("undo_unknown", step=body.step)
        turn.emit(e.StepRetried(step=body.step, reason=body.reason))
        closing.go_on(turn)
        return None
    if refused := closed(turn):
        return refused
    if body.step not in turn.definition.steps:
        return reject("step_unknown", step=body.step)
    scope = _scope_for(turn, body.step)
    if scope is None:
        return reject("step_out_of_reach", step=body.step)
    if call := _open_effect(state, scope):
        return reject("call_open", effect_key=call.effect_key, status=call.status)
    turn.emit(e.StepRetried(step=body.step, reason=body.reason))
    turn.cancel_runs(scope, "retried")
    turn.enter(body.step, scope)
    catch_up(turn)
    return None


def _skip(turn: Turn, body: req.SkipStep) -> Rejection | None:
    state = turn.state
    if state.finished:
        return finished(turn)
    undo = open_undo(state, body.step)
    if undo is not None:
        if refused := _unsettled(state):
            return refused
        turn.emit(e.StepSkipped(step=body.step, visit=undo.visit, output=body.output, next_step="", reason=body.reason))
        closing.go_on(turn)
        return None
    if refused := closed(turn):
        return refused
    run = state.active.get(body.step)
    if run is None:
        return reject("step_not_active", step=body.step)
    following = getattr(turn.step(body.step), "next", "")
    if not following:
        return reject("step_cannot_be_skipped", step=body.step, kind=run.kind)
    if call := _open_call_in(state, run):
        return reject("call_open", effect_key=call.effect_key, status=call.status)
    turn.cancel_branches(body.step, "skipped")
    turn.emit(
        e.StepSkipped(step=body.step, visit=run.visit, output=body.output, next_step=following, reason=body.reason)
    )
    turn.enter(following, run.scope)
    catch_up(turn)
    return None


def _resolve(turn: Turn, body: req.ResolveCall) -> Rejection | None:
    state = turn.state
    if state.finished:
        return finished(turn)
    if body.outcome not in OUTCOMES:
        return reject("outcome_invalid", outcome=body.outcome)
    if turn.cause.actor_kind != "person":
        return reject("reviewer_not_a_person", actor_id=turn.cause.actor_id, actor_kind=turn.cause.actor_kind)
    found = _unknown_call(state, body.effect_key)
    if found is None:
        return reject("call_not_unknown", effect_key=body.effect_key)
    run, call = found
    if body.outcome == "retry" and (refused := closed(turn)):
        return refused
    turn.emit(
        e.ToolOutcomeResolved(
            step=run.step,
            visit=run.visit,
            effect_key=call.effect_key,
            attempt=call.attempt,
            tool=call.tool,
            outcome=body.outcome,
            result=body.result,
            evidence=body.reason,
        )
    )
    if body.outcome == "done":
        compensations.happened(turn, call.effect_key, body.result)
    elif body.outcome == "retry":
        if run.kind != UNDO:
            compensations.register(turn, run)  # a fork has not, for what was not its own call
        attempt_again(turn, turn.run(run.step), call)
    else:
        compensations.never_happened(turn, call, body.reason)
    catch_up(turn)
    return None


def _unknown_call(state: WorkflowState, effect_key: str) -> tuple[StepRun, Call] | None:
    # Nobody searches while a workflow is held, and what stopped it may be a search that failed.
    unknown = (CallStatus.UNKNOWN, CallStatus.SEARCHED) if state.held else (CallStatus.UNKNOWN,)
    for run in state.active.values():
        call = run.calls.get(effect_key)
        if call is not None and call.status in unknown:
            return run, call
    return None


def _scope_for(turn: Turn, step: str) -> str | None:
    """The scope in which a step may be entered now; None if the place that it belongs to is not open."""
    opened_by, branch = turn.definition.home(step, turn.state.start_step)
    if not opened_by:
        return TOP if branch is not None else None
    run = turn.state.active.get(opened_by)
    return scope_of(run, branch or "") if run is not None and branch in running_branches(run) else None


def _open_effect(state: WorkflowState, scope: str) -> Call | None:
    """A call of a scope, or of what is nested in it, that may still take effect, or of which nobody knows."""
    for run in runs_in(state, scope):
        if call := _open_call_in(state, run):
            return call
    return None


def _open_call_in(state: WorkflowState, run: StepRun) -> Call | None:
    for call in run.calls.values():
        if call.kind is CallKind.TOOL and call.effect != "read" and call.status not in _SETTLED:
            return call
    nested = (_open_effect(state, scope_of(run, branch)) for branch in running_branches(run))
    return next((call for call in nested if call is not None), None)


def _unsettled(state: WorkflowState) -> Rejection | None:
    """Nothing is undone, by hand or not, before it is known what the calls did that the workflow's end waits for."""
    calls = (call for run in state.active.values() for call in run.calls.values())
    call = next((call for call in calls if closing.is_awaited(call)), None)
    return reject("call_open", effect_key=call.effect_key, status=call.status) if call is not None else None


def _migrate(turn: Turn, body: req.MigrateWorkflow) -> Rejection | None:
    state, candidate = turn.state, turn.candidate
    if refused := closed(turn):
        return refused
    if candidate is None:
        return reject("definition_not_found", definition=body.definition_hash)
    if found := list(obstacles(state, turn.definition, candidate)):
        return reject("cannot_migrate", obstacles="; ".join(found))
    if candidate.hash == state.definition_hash:
        return None
    turn.emit(
        e.WorkflowMigrated(
            from_definition_hash=state.definition_hash,
            to_definition_hash=candidate.hash,
            to_definition_name=candidate.definition.name,
            reason=body.reason,
        )
    )
    old, turn.definition = turn.definition, candidate
    for run in list(turn.state.active.values()):
        KINDS[run.kind].migrated(turn, run, old)
    return None


def _trigger(turn: Turn, _body: req.TriggerSchedule) -> Rejection | None:
    state = turn.state
    if refused := closed(turn):
        return refused
    if state.held:
        return reject("workflow_held", workflow_id=state.workflow_id, status=state.status)
    run = next((run for run in state.active.values() if run.schedule is not None), None)
    if run is None:
        return reject("not_a_schedule", workflow_id=state.workflow_id)
    react(turn, run.step, lambda kind: kind.triggered)
    return None


HANDLERS: Mapping[type[Record], Handler] = {
    req.PauseWorkflow: _pause,
    req.ResumeWorkflow: _resume,
    req.RetryStep: _retry,
    req.SkipStep: _skip,
    req.TerminateWorkflow: _terminate,
    req.ResolveCall: _resolve,
    req.TriggerSchedule: _trigger,
    req.MigrateWorkflow: _migrate,
}
