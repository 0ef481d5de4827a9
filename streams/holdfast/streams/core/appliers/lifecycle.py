"""How a workflow begins, stops and ends."""

from collections.abc import Mapping
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.common import Applier, unchanged, without_children
from holdfast.streams.core.state import Status, WorkflowState
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


def _status_changed(state: WorkflowState, event: e.StatusChanged) -> WorkflowState:
    return changed(state, status=move(state.status, Status(event.status)))


APPLIERS: Mapping[type[Record], Applier] = {
    e.WorkflowCompleted: _ended(Status.COMPLETED),
    e.WorkflowFailed: _ended(Status.FAILED),
    e.WorkflowCancelled: _ended(Status.CANCELLED),
    e.WorkflowBlocked: _blocked,
    e.StatusChanged: _status_changed,
    e.InputRejected: unchanged,
}
