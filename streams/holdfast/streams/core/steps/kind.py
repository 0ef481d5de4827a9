"""The shape of a step kind: what it does when it is entered, and when something it waits for happens."""

from collections.abc import Callable
from dataclasses import dataclass

from holdfast.schemas.record import Json
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.state import Call, StepRun
from holdfast.streams.core.turn import Turn


def _timed_out(turn: Turn, run: StepRun) -> None:
    turn.fail(run.step, "timeout", "the step did not end within its time limit")


def _not_expected(turn: Turn, run: StepRun, *_details: object) -> None:
    raise AssertionError(f"a {run.kind} step has nothing of that kind under way")


def _nothing(_turn: Turn, _run: StepRun, *_details: object) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKind:
    """What a kind of step does. Each function adds events to the turn; ExpressionError fails the step.

    `call_failed` and `tool_finished` come after the event that says so; `model_answered` gets the raw response.
    `migrated` gets the definition that the workflow ran by before, and comes also while the workflow is held.
    `catch_up` comes when a workflow that was held goes on: whatever the state says has happened meanwhile is answered.
    """

    enter: Callable[[Turn, StepRun], None]
    model_answered: Callable[[Turn, StepRun, Json], None] = _not_expected
    tool_finished: Callable[[Turn, StepRun, Call], None] = _not_expected
    call_failed: Callable[[Turn, StepRun, Call, str, str], None] = _not_expected
    event_matched: Callable[[Turn, StepRun], None] = _not_expected
    decided: Callable[[Turn, StepRun, Json], None] = _not_expected
    woken: Callable[[Turn, StepRun], None] = _not_expected
    branch_ended: Callable[[Turn, StepRun], None] = _not_expected
    child_ended: Callable[[Turn, StepRun], None] = _not_expected
    triggered: Callable[[Turn, StepRun], None] = _not_expected
    migrated: Callable[[Turn, StepRun, CompiledDefinition], None] = _nothing
    catch_up: Callable[[Turn, StepRun], None] = _nothing
    timed_out: Callable[[Turn, StepRun], None] = _timed_out
