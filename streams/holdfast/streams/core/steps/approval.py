"""The `approval` step: a person allows or refuses one exact call, identified by its action hash."""

from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.calls import action_hash
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.ApprovalStep)
    state = turn.state
    tool = turn.definition.definition.tools[step.tool]
    arguments = turn.render(run.step, "arguments")
    turn.emit(
        e.ApprovalRequested(
            step=run.step,
            visit=run.visit,
            approval_id=ids.derived_id(state.tenant, state.workflow_id, run.step, run.visit),
            tool=tool.name,
            arguments=arguments,
            action_hash=action_hash(state.tenant, state.workflow_id, tool, arguments),
            roles=step.roles,
            summary=str(turn.render(run.step, "summary") or step.purpose),
            expires_at_ms=run.timeout_at_ms,
        )
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
