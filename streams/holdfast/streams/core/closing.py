"""How a workflow ends without its goal: what is under way is awaited, what was done is undone, then it ends.

Nothing new is begun once a workflow is closing. Calls that may already have had an effect are awaited, up to a limit;
everything else is withdrawn. Then every effect that can be undone is, the latest first. A workflow that cannot find
out what happened, or cannot undo it, is blocked and says what is done and what is not.
"""

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers.common import undo_key
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.calls import request_approval, request_tool
from holdfast.streams.core.state import Call, CallKind, CallStatus, Compensation, StepRun, Undo
from holdfast.streams.core.turn import Close, Turn

READING = 1
"""The index of the call that reads what is there before a prior value is put back; the call that does it has 0."""
_LEFT_OPEN = frozenset({CallStatus.REQUESTED, CallStatus.CLAIMED, CallStatus.RETRYING, CallStatus.SEARCHED})
_ACTS_AT_ONCE = frozenset({"txn", "keyed"})
"""Effects whose executors do not wait for a grant: a call that was only asked for may be happening."""


def close(turn: Turn, wanted: Close) -> None:
    """Bring the workflow to its end: at once if nothing is under way and nothing is to be undone."""
    state = turn.state
    if state.closing is not None or state.finished:
        return
    if not state.compensations and not any(_awaited(run) for run in state.active.values()):
        turn.end(wanted.outcome, wanted.step, wanted.error_class, wanted.message)
        return
    turn.emit(
        e.ClosingStarted(
            outcome=wanted.outcome,
            step=wanted.step,
            error_class=wanted.error_class,
            error_message=wanted.message,
            settle_until_ms=turn.now_ms + turn.definition.definition.settle_ms,
        )
    )
    turn.withdraw(wanted.error_class or "workflow_cancelled", keep=_awaited)
    go_on(turn)


def go_on(turn: Turn) -> None:
    """Take the next step towards the end."""
    if turn.state.held or turn.state.finished:
        return
    turn.withdraw("settled", keep=lambda run: _awaited(run) or _is_undoing(run))
    if turn.state.active:
        return
    undo = _next(turn)
    if undo is None:
        _finish(turn)
    elif undo.status is Undo.BOUND:
        begin_undo(turn, undo)
    else:
        _stop(turn, "unknown_outcome", "nobody knows whether there is something to undo")


def settle_limit_reached(turn: Turn) -> None:
    """Calls that did not come back in time: nobody knows what they did."""
    for run in list(turn.state.active.values()):
        for call in run.calls.values():
            if call.kind is CallKind.TOOL and call.effect != "read" and call.status in _LEFT_OPEN:
                turn.emit(
                    e.ToolOutcomeUnknown(
                        step=run.step,
                        visit=run.visit,
                        turn=call.turn,
                        index=call.index,
                        effect_key=call.effect_key,
                        attempt=call.attempt,
                        tool=call.tool,
                        effect=call.effect,
                        error_message="it did not come back before the workflow was to end",
                    )
                )
    turn.block("", "outcome_unknown", f"calls did not come back in time, and {report(turn)}")


def undone(turn: Turn, run: StepRun) -> None:
    """What a visit did is undone."""
    turn.emit(
        e.CompensationEnded(step=run.step, visit=run.visit, outcome="completed", error_class="", error_message="")
    )
    go_on(turn)


def not_undone(turn: Turn, run: StepRun, error_class: str, message: str) -> None:
    """What a visit did could not be undone: a person has to see to it."""
    turn.emit(
        e.CompensationEnded(
            step=run.step, visit=run.visit, outcome="failed", error_class=error_class, error_message=message
        )
    )
    _stop(turn, "compensation_failed", f"{run.step} could not be undone ({error_class}: {message})")


def report(turn: Turn) -> str:
    """What is undone and what is not, in a sentence."""
    by_status: dict[bool, list[str]] = {True: [], False: []}
    for name, undo in turn.state.compensations.items():
        by_status[undo.status in (Undo.COMPLETED, Undo.SKIPPED)].append(name)
    told = {key: ", ".join(names) or "nothing" for key, names in by_status.items()}
    return f"undone: {told[True]}; not undone: {told[False]}"


def _stop(turn: Turn, code: str, why: str) -> None:
    turn.block("", code, f"{why}; {report(turn)}")


def _awaited(run: StepRun) -> bool:
    """True if a step has a call that is awaited."""
    return any(is_awaited(call) for call in run.calls.values())


def is_awaited(call: Call) -> bool:
    """True if a call may be having an effect at this moment: the workflow does not end before that is known."""
    return call.kind is CallKind.TOOL and call.effect != "read" and _may_be_happening(call)


def _may_be_happening(call: Call) -> bool:
    """True if a call that changes something may be taking effect, or may have without anybody having heard of it."""
    if call.status is CallStatus.REQUESTED:
        return call.effect in _ACTS_AT_ONCE
    if call.status is CallStatus.RETRYING:
        return call.unsure
    return call.status in (CallStatus.CLAIMED, CallStatus.UNKNOWN, CallStatus.SEARCHED)


def _is_undoing(run: StepRun) -> bool:
    return run.kind == UNDO


def _next(turn: Turn) -> Compensation | None:
    """The latest effect that is not undone."""
    left = [u for u in turn.state.compensations.values() if u.status not in (Undo.COMPLETED, Undo.SKIPPED)]
    return left[-1] if left else None


def begin_undo(turn: Turn, undo: Compensation) -> None:
    """Undo one effect: ask whom that takes first, or call the tool."""
    step = turn.step(undo.step)
    assert isinstance(step, d.ToolStep)
    assert step.compensate is not None
    turn.emit(
        e.CompensationStarted(step=undo.step, visit=undo.visit, timeout_at_ms=turn.now_ms + step.compensate.timeout_ms)
    )
    run = turn.run(undo.step)
    if step.compensate.roles:
        request_approval(
            turn,
            run,
            tool=turn.definition.definition.tools[undo.tool],
            arguments=undo.arguments,
            roles=step.compensate.roles,
            summary=f"undo {undo.step}",
        )
    else:
        call_undo(turn, run)


def call_undo(turn: Turn, run: StepRun) -> None:
    """Ask for the call that undoes what a visit did, or first for the reading that it depends on."""
    undo = _undo_of(turn, run)
    if not undo.read_tool:
        _write_undo(turn, run, undo)
        return
    tool = turn.definition.definition.tools[undo.read_tool]
    request_tool(turn, run, tool, undo.read_arguments, index=READING, attempt=undo.attempts + 1)


def compared(turn: Turn, run: StepRun, value: Json) -> None:
    """A prior value is put back if what was written is still there: nobody else's change is overwritten."""
    undo = _undo_of(turn, run)
    if value == undo.written:
        _write_undo(turn, run, undo)
    elif value == undo.prior:
        undone(turn, run)
    else:
        not_undone(turn, run, "changed_since", f"{undo.read_tool} reads something else than {run.step} wrote")


def _write_undo(turn: Turn, run: StepRun, undo: Compensation) -> None:
    tool = turn.definition.definition.tools[undo.tool]
    request_tool(turn, run, tool, undo.arguments, attempt=undo.attempts + 1, approval_id=run.approval_id)


def _undo_of(turn: Turn, run: StepRun) -> Compensation:
    return turn.state.compensations[undo_key(run.step, run.visit)]


def _finish(turn: Turn) -> None:
    closing = turn.state.closing
    assert closing is not None
    turn.end(closing.outcome, closing.step, closing.error_class, closing.error_message)
