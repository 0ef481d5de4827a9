"""The `succeed` and `fail` steps: how a workflow ends."""

from holdfast.schemas import events as e
from holdfast.streams.core import definition as d
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _succeed(turn: Turn, run: StepRun) -> None:
    output = turn.render(run.step, "output")
    turn.complete(run.step, output)
    turn.emit(e.WorkflowCompleted(output=output))


def _fail(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.FailStep)
    turn.fail(run.step, step.error, str(turn.render(run.step, "message") or step.purpose))


SUCCEED = StepKind(enter=_succeed)
FAIL = StepKind(enter=_fail)
