"""Entering steps: one after the other until the workflow waits for something or has ended."""

from holdfast.schemas import events as e
from holdfast.streams.core.expressions import ExpressionError
from holdfast.streams.core.steps import KINDS
from holdfast.streams.core.turn import Turn


def advance(turn: Turn) -> None:
    """Enter every step that the decision so far leads to."""
    while turn.to_enter and not turn.state.finished:
        _enter(turn, turn.to_enter.popleft())


def _enter(turn: Turn, name: str) -> None:
    state, step = turn.state, turn.step(name)
    if sum(state.visits.values()) >= turn.definition.definition.max_steps:
        limit = turn.definition.definition.max_steps
        turn.fail_workflow(name, "step_limit", f"the workflow entered {limit} steps, the most it may (max_steps)")
        return
    timeout_ms = getattr(step, "timeout_ms", 0)
    turn.emit(
        e.StepStarted(
            step=name,
            visit=state.visits.get(name, 0) + 1,
            kind=step.kind,
            timeout_at_ms=turn.now_ms + timeout_ms if timeout_ms else 0,
        )
    )
    try:
        KINDS[step.kind].enter(turn, turn.run(name))
    except ExpressionError as exc:
        turn.fail(name, "expression_error", str(exc))
