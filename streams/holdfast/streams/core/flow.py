"""Going on: steps are entered one after the other until the workflow waits for something or has ended."""

from collections.abc import Callable
from typing import Any

from holdfast.schemas import events as e
from holdfast.streams.core import closing
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.expressions import ExpressionError
from holdfast.streams.core.scopes import is_open, status_of
from holdfast.streams.core.state import Status, StepRun
from holdfast.streams.core.steps import KINDS
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Close, Entry, Join, Turn

Hook = Callable[[StepKind], Callable[..., None]]


def react(turn: Turn, step: str, hook: Hook, *details: Any) -> None:
    """Let an active step's kind answer something that happened; an expression that fails then fails the step.

    `hook` picks the function of the kind, `details` follow the turn and the run. A step of a workflow that is held
    answers when that goes on (`StepKind.catch_up`); the steps of one that is closing do not answer any more.
    """
    if turn.state.held:
        return
    run = turn.run(step)
    if turn.state.closing is not None and run.kind != UNDO:
        closing.go_on(turn)
        return
    try:
        hook(KINDS[run.kind])(turn, run, *details)
    except ExpressionError as exc:
        turn.fail(step, "expression_error", str(exc))


def advance(turn: Turn) -> None:
    """Go on with everything that the decision so far leads to, and say in which status that leaves the workflow."""
    while turn.ahead:
        following = turn.ahead.popleft()
        if isinstance(following, Close):
            closing.close(turn, following)
        elif isinstance(following, Join):
            _join(turn, following)
        elif is_open(turn.state, following.scope):
            _enter(turn, following)
    _settle_status(turn)


def catch_up(turn: Turn) -> None:
    """Let every step answer what happened while the workflow was held."""
    if turn.state.closing is not None:
        closing.go_on(turn)
    for step in list(turn.state.active):
        if step in turn.state.active:
            react(turn, step, lambda kind: kind.catch_up)


def _enter(turn: Turn, entry: Entry) -> None:
    state = turn.state
    if sum(state.visits.values()) >= turn.definition.definition.max_steps:
        limit = turn.definition.definition.max_steps
        turn.fail_workflow(entry.step, "step_limit", f"the workflow entered {limit} steps, the most it may (max_steps)")
        return
    turn.begin(entry.step, entry.scope)
    react(turn, entry.step, lambda kind: kind.enter)


def _join(turn: Turn, join: Join) -> None:
    run: StepRun | None = turn.state.active.get(join.step)
    if run is not None and run.visit == join.visit:
        react(turn, join.step, lambda kind: kind.branch_ended)


def _settle_status(turn: Turn) -> None:
    state = turn.state
    status = status_of(state) if state.status in (Status.RUNNING, Status.WAITING) else state.status
    if status is not state.status or status is not turn.told:
        turn.emit(e.StatusChanged(status=status.value))
