"""The `assign` step: sets variables."""

from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    turn.complete(run.step, turn.render(run.step, "set"))


KIND = StepKind(enter=_enter)
