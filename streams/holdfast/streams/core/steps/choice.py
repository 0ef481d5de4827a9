"""The `choice` step: the first branch whose condition is true, else the default."""

from holdfast.streams.core import definition as d
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.ChoiceStep)
    scope = turn.scope()
    taken = next(
        (branch.next for branch in step.branches if turn.definition.evaluate(branch.when, scope) is True), step.default
    )
    turn.complete(run.step, {"taken": taken}, next_step=taken)


KIND = StepKind(enter=_enter)
