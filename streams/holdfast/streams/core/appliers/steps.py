"""Visits of steps: they begin, and end in one of three ways."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.common import Applier, unchanged, with_run, with_undo, without_run
from holdfast.streams.core.state import Compensation, Status, StepRun, Undo, WorkflowState
from holdfast.streams.core.transitions import move


def _started(state: WorkflowState, event: e.StepStarted) -> WorkflowState:
    run = StepRun(
        step=event.step, kind=event.kind, visit=event.visit, timeout_at_ms=event.timeout_at_ms, scope=event.scope
    )
    return changed(
        with_run(state, run),
        status=move(state.status, Status.RUNNING),
        visits={**state.visits, event.step: event.visit},
    )


def _completed(state: WorkflowState, event: e.StepCompleted) -> WorkflowState:
    variables = state.variables
    if event.kind == "assign" and isinstance(event.output, dict):
        variables = {**variables, **event.output}
    return changed(
        without_run(state, event.step),
        outputs={**state.outputs, event.step: event.output},
        variables=variables,
    )


def _failed(state: WorkflowState, event: e.StepFailed) -> WorkflowState:
    return changed(without_run(state, event.step), error_class=event.error_class, error_message=event.error_message)


def _cancelled(state: WorkflowState, event: e.StepCancelled) -> WorkflowState:
    return without_run(state, event.step)


def _retried(state: WorkflowState, event: e.StepRetried) -> WorkflowState:
    undo = open_undo(state, event.step)
    if undo is not None:
        return _undoing(with_undo(state, undo, status=Undo.BOUND))
    return changed(state, status=move(state.status, Status.RUNNING), error_class="", error_message="")


def _skipped(state: WorkflowState, event: e.StepSkipped) -> WorkflowState:
    undo = open_undo(state, event.step)
    if undo is not None:
        return _undoing(with_undo(state, undo, status=Undo.SKIPPED))
    return changed(
        without_run(state, event.step),
        status=move(state.status, Status.RUNNING),
        outputs={**state.outputs, event.step: event.output},
        error_class="",
        error_message="",
    )


def open_undo(state: WorkflowState, step: str) -> Compensation | None:
    """The compensation of a step that stopped the workflow from ending; the latest if there are more."""
    if state.closing is None or not state.held:
        return None
    stuck = (Undo.FAILED, Undo.REGISTERED)
    return next((u for u in reversed(list(state.compensations.values())) if u.step == step and u.status in stuck), None)


def _undoing(state: WorkflowState) -> WorkflowState:
    return changed(state, status=move(state.status, Status.COMPENSATING), error_class="", error_message="")


APPLIERS: Mapping[type[Record], Applier] = {
    e.StepStarted: _started,
    e.StepCompleted: _completed,
    e.StepFailed: _failed,
    e.StepCancelled: _cancelled,
    e.StepTimedOut: unchanged,
    e.StepRetried: _retried,
    e.StepSkipped: _skipped,
}
