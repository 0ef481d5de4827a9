"""The `approval` step: a person allows or refuses one exact call, identified by its action hash."""

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.calls import request_approval
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.ApprovalStep)
    request_approval(
        turn,
        run,
        tool=turn.definition.definition.tools[step.tool],
        arguments=turn.render(run.step, "arguments"),
        roles=step.roles,
        summary=str(turn.render(run.step, "summary") or step.purpose),
    )


def _decided(turn: Turn, run: StepRun, decision: Json) -> None:
    assert isinstance(decision, dict)
    if decision["approved"]:
        turn.complete(run.step, decision)
    else:
        turn.fail(run.step, "rejected", f"{decision['reviewer']} refused: {decision['comment']}")


def _timed_out(turn: Turn, run: StepRun) -> None:
    turn.emit(
        e.ApprovalExpired(step=run.step, visit=run.visit, approval_id=run.approval_id, expires_at_ms=run.timeout_at_ms)
    )
    turn.fail(run.step, "timeout", "nobody decided in time, and silence never approves")


KIND = StepKind(enter=_enter, decided=_decided, timed_out=_timed_out)
