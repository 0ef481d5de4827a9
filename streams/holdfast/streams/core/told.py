"""Which status an event says by itself: what readers of single events, such as tables, take for the workflow's.

The fold knows more than that. Where it comes to another status by the end of a decision, `StatusChanged` says so.
"""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas.record import Record
from holdfast.streams.core.state import Status

TOLD: Mapping[type[Record], Status] = {
    e.WorkflowStarted: Status.RUNNING,
    e.WorkflowCompleted: Status.COMPLETED,
    e.WorkflowFailed: Status.FAILED,
    e.WorkflowCancelled: Status.CANCELLED,
    e.WorkflowBlocked: Status.BLOCKED,
    e.WorkflowPaused: Status.PAUSED,
    e.WorkflowResumed: Status.RUNNING,
    e.StepStarted: Status.RUNNING,
    e.TimerScheduled: Status.WAITING,
    e.ApprovalRequested: Status.WAITING,
    e.WaitStarted: Status.WAITING,
    e.CompensationStarted: Status.COMPENSATING,
}


def told_by(event: Record) -> Status | None:
    """The status that an event says; None if it says nothing about that."""
    return Status(event.status) if isinstance(event, e.StatusChanged) else TOLD.get(type(event))
