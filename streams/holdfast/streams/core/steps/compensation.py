"""The run that undoes what a visit of a tool step did. No step of a definition has this kind: see `closing.py`."""

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import closing
from holdfast.streams.core.state import Call, CallStatus, StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn

_DOUBTFUL = frozenset({CallStatus.CLAIMED, CallStatus.UNKNOWN, CallStatus.SEARCHED})


def _never_entered(_turn: Turn, run: StepRun) -> None:
    raise AssertionError(f"{run.step} is undone by closing the workflow, not by entering a step")


def _decided(turn: Turn, run: StepRun, decision: Json) -> None:
    assert isinstance(decision, dict)
    if decision["approved"]:
        closing.call_undo(turn, run)
    else:
        closing.not_undone(turn, run, "rejected", f"{decision['reviewer']} refused: {decision['comment']}")


def _tool_finished(turn: Turn, run: StepRun, call: Call) -> None:
    if call.index == closing.READING:
        closing.compared(turn, run, call.answer["result"] if isinstance(call.answer, dict) else None)
    else:
        closing.undone(turn, run)


def _call_failed(turn: Turn, run: StepRun, _call: Call, error_class: str, message: str) -> None:
    closing.not_undone(turn, run, error_class, message)


def _timed_out(turn: Turn, run: StepRun) -> None:
    if run.approval_id and not run.calls:
        turn.emit(
            e.ApprovalExpired(
                step=run.step, visit=run.visit, approval_id=run.approval_id, expires_at_ms=run.timeout_at_ms
            )
        )
    unsure = [call.tool for call in run.calls.values() if call.status in _DOUBTFUL and call.effect != "read"]
    doubt = f", and nobody knows whether {unsure[0]} took effect" if unsure else ""
    closing.not_undone(turn, run, "timeout", f"it was not undone within its time limit{doubt}")


def _catch_up(turn: Turn, run: StepRun) -> None:
    for call in run.calls.values():
        if call.status is CallStatus.DONE and call.error_class:
            _call_failed(turn, run, call, call.error_class, call.error_message)
        elif call.status is CallStatus.DONE:
            _tool_finished(turn, run, call)


KIND = StepKind(
    enter=_never_entered,
    decided=_decided,
    tool_finished=_tool_finished,
    call_failed=_call_failed,
    timed_out=_timed_out,
    catch_up=_catch_up,
)
