"""Visits of steps: they begin, and end in one of three ways."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.common import Applier, with_run, without_run
from holdfast.streams.core.state import Status, StepRun, WorkflowState
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


APPLIERS: Mapping[type[Record], Applier] = {
    e.StepStarted: _started,
    e.StepCompleted: _completed,
    e.StepFailed: _failed,
    e.StepCancelled: _cancelled,
}
