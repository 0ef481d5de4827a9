"""What handlers of several inputs share."""

from collections.abc import Callable
from typing import Any

from holdfast.streams.core import compensations
from holdfast.streams.core.calls import Failure, attempt_failed
from holdfast.streams.core.flow import react
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import Call, StepRun
from holdfast.streams.core.turn import Turn

Handler = Callable[[Turn, Any], Rejection | None]


def fail_attempt(turn: Turn, run: StepRun, call: Call, failure: Failure) -> None:
    """Record that an attempt came to nothing, and tell the step if that was the last."""
    if attempt_failed(turn, run, call, failure):
        call = turn.run(run.step).calls[call.effect_key]
        compensations.never_happened(turn, call, failure.error_class)
        react(turn, run.step, lambda kind: kind.call_failed, call, failure.error_class, failure.message)


def closed(turn: Turn) -> Rejection | None:
    """The refusal of an input for a workflow that has ended or is on its way there; None for others."""
    if turn.state.closing is not None and not turn.state.finished:
        return reject("workflow_closing", workflow_id=turn.state.workflow_id)
    return finished(turn) if turn.state.finished else None


def finished(turn: Turn) -> Rejection:
    """The refusal of an input that comes after the end."""
    return reject("workflow_finished", workflow_id=turn.state.workflow_id, status=turn.state.status)
