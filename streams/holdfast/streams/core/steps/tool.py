"""The `tool` step: one call of one tool. With `approved_by` it runs only the exact call that a person allowed."""

from holdfast.schemas.record import Json
from holdfast.streams.core import compensations
from holdfast.streams.core import definition as d
from holdfast.streams.core.budget import EXHAUSTED, shortage
from holdfast.streams.core.calls import action_hash, request_tool
from holdfast.streams.core.state import Approval, Call, CallKind, CallStatus, StepRun
from holdfast.streams.core.steps.agent import failed_checks
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.ToolStep)
    tool = turn.definition.definition.tools[step.tool]
    arguments = turn.render(run.step, "arguments")
    if reason := shortage(turn.state, CallKind.TOOL):
        turn.fail(run.step, EXHAUSTED, reason)
        return
    if step.approved_by is None:
        compensations.register(turn, run)
        request_tool(turn, run, tool, arguments)
        return
    approval = _approval_for(turn, step.approved_by, tool, arguments)
    if approval is None:
        turn.fail(
            run.step,
            "approval_missing",
            f"no unused approval by {step.approved_by!r} is about this exact call of {step.tool}",
        )
    else:
        compensations.register(turn, run)
        request_tool(turn, run, tool, arguments, approval_id=approval.approval_id)


def _approval_for(turn: Turn, step: str, tool: d.Tool, arguments: Json) -> Approval | None:
    state = turn.state
    wanted = action_hash(state.tenant, state.workflow_id, tool, arguments)
    for approval in state.approvals.values():
        if (
            approval.step == step
            and approval.approved
            and not approval.consumed_by
            and approval.action_hash == wanted
            and turn.now_ms < approval.expires_at_ms
        ):
            return approval
    return None


def _tool_finished(turn: Turn, run: StepRun, call: Call) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.ToolStep)
    output = call.answer["result"] if isinstance(call.answer, dict) else None
    errors = failed_checks(turn, run.step, step.check, output) if step.check else []
    if errors:
        turn.fail(run.step, "invalid_output", "; ".join(errors))
    else:
        turn.complete(run.step, output)


def _call_failed(turn: Turn, run: StepRun, _call: Call, error_class: str, message: str) -> None:
    turn.fail(run.step, error_class, message)


def _catch_up(turn: Turn, run: StepRun) -> None:
    for call in run.calls.values():
        if call.status is CallStatus.DONE and call.error_class:
            _call_failed(turn, run, call, call.error_class, call.error_message)
        elif call.status is CallStatus.DONE:
            _tool_finished(turn, run, call)


KIND = StepKind(enter=_enter, tool_finished=_tool_finished, call_failed=_call_failed, catch_up=_catch_up)
