"""What can be undone, and undoing it."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.common import Applier, undo_key, with_run, with_undo, without_run
from holdfast.streams.core.state import Compensation, Status, StepRun, Undo, WorkflowState
from holdfast.streams.core.transitions import move

KIND = "compensation"
"""The kind of the step run that undoes what a visit of a step did."""


def _registered(state: WorkflowState, event: e.CompensationRegistered) -> WorkflowState:
    undo = Compensation(
        step=event.step,
        visit=event.visit,
        effect_key=event.effect_key,
        tool=event.tool,
        read_tool=event.read_tool,
        read_arguments=event.read_arguments,
        prior=event.prior,
    )
    return with_undo(state, undo)


def _bound(state: WorkflowState, event: e.CompensationBound) -> WorkflowState:
    undo = state.compensations[undo_key(event.step, event.visit)]
    return with_undo(
        state,
        undo,
        status=Undo.BOUND,
        tool=event.tool,
        effect=event.effect,
        arguments=event.arguments,
        action_hash=event.action_hash,
        written=event.written,
    )


def _dropped(state: WorkflowState, event: e.CompensationDropped) -> WorkflowState:
    key = undo_key(event.step, event.visit)
    return changed(state, compensations={name: undo for name, undo in state.compensations.items() if name != key})


def _started(state: WorkflowState, event: e.CompensationStarted) -> WorkflowState:
    undo = state.compensations[undo_key(event.step, event.visit)]
    run = StepRun(step=event.step, kind=KIND, visit=event.visit, timeout_at_ms=event.timeout_at_ms)
    state = with_undo(with_run(state, run), undo, status=Undo.RUNNING)
    return changed(state, status=move(state.status, Status.COMPENSATING), error_class="", error_message="")


def _ended(state: WorkflowState, event: e.CompensationEnded) -> WorkflowState:
    undo = state.compensations[undo_key(event.step, event.visit)]
    attempts = max((call.attempt for call in state.active[event.step].calls.values()), default=undo.attempts)
    return with_undo(without_run(state, event.step), undo, status=Undo(event.outcome), attempts=attempts)


APPLIERS: Mapping[type[Record], Applier] = {
    e.CompensationRegistered: _registered,
    e.CompensationBound: _bound,
    e.CompensationDropped: _dropped,
    e.CompensationStarted: _started,
    e.CompensationEnded: _ended,
}
