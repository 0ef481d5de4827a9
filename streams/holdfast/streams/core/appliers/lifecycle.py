"""How a workflow begins, stops and ends."""

from collections.abc import Mapping
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.calls import unknown_calls
from holdfast.streams.core.appliers.common import Applier, unchanged, without_children
from holdfast.streams.core.appliers.waits import with_early_events
from holdfast.streams.core.state import Closing, Status, StepRun, WorkflowState
from holdfast.streams.core.transitions import move


def _ended(status: Status) -> Applier:
    def apply(state: WorkflowState, event: Any) -> WorkflowState:
        return changed(
            without_children(state, state.children.values()),
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


def _paused(state: WorkflowState, _event: e.WorkflowPaused) -> WorkflowState:
    return changed(state, status=move(state.status, Status.PAUSED), paused_at_ms=state.updated_at_ms)


def _resumed(state: WorkflowState, event: e.WorkflowResumed) -> WorkflowState:
    away_ms = state.updated_at_ms - state.paused_at_ms if state.paused_at_ms else 0
    active = {name: _later(run, away_ms) for name, run in state.active.items()} if away_ms else state.active
    return with_early_events(
        changed(
            state,
            status=move(state.status, Status.RUNNING),
            active=active,
            paused_at_ms=0,
            deadline_at_ms=event.deadline_at_ms or state.deadline_at_ms,
            error_class="",
            error_message="",
        )
    )


def _later(run: StepRun, by_ms: int) -> StepRun:
    """A step's limit stands still while the workflow is paused; what people or other systems were promised does not."""
    promised = run.wait is not None or bool(run.approval_id)
    return changed(run, timeout_at_ms=run.timeout_at_ms + by_ms) if run.timeout_at_ms and not promised else run


def _deadline_reached(state: WorkflowState, event: e.DeadlineReached) -> WorkflowState:
    return changed(state, deadline_at_ms=0) if event.policy == "escalate" else state


def _closing_started(state: WorkflowState, event: e.ClosingStarted) -> WorkflowState:
    closing = Closing(
        outcome=event.outcome,
        step=event.step,
        error_class=event.error_class,
        error_message=event.error_message,
        settle_until_ms=event.settle_until_ms,
    )
    stays = not state.held or bool(unknown_calls(state))  # a person has to find out first what these calls did
    status = state.status if stays else move(state.status, Status.RUNNING)
    return changed(state, closing=closing, status=status, early_events=(), paused_at_ms=0)


def _migrated(state: WorkflowState, event: e.WorkflowMigrated) -> WorkflowState:
    return changed(state, definition_hash=event.to_definition_hash, definition_name=event.to_definition_name)


def _status_changed(state: WorkflowState, event: e.StatusChanged) -> WorkflowState:
    return changed(state, status=move(state.status, Status(event.status)))


APPLIERS: Mapping[type[Record], Applier] = {
    e.WorkflowCompleted: _ended(Status.COMPLETED),
    e.WorkflowFailed: _ended(Status.FAILED),
    e.WorkflowCancelled: _ended(Status.CANCELLED),
    e.WorkflowBlocked: _blocked,
    e.StatusChanged: _status_changed,
    e.WorkflowPaused: _paused,
    e.WorkflowResumed: _resumed,
    e.ClosingStarted: _closing_started,
    e.WorkflowMigrated: _migrated,
    e.DeadlineReached: _deadline_reached,
    e.IdleLimitReached: unchanged,
    e.InputRejected: unchanged,
}
