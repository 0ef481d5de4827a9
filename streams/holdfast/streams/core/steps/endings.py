"""The `succeed` and `fail` steps: how a branch or a workflow ends."""

from holdfast.streams.core import definition as d
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _succeed(turn: Turn, run: StepRun) -> None:
    output = turn.render(run.step, "output")
    turn.complete(run.step, output)
    turn.succeed_scope(run.scope, output)


def _fail(turn: Turn, run: StepRun) -> None:
    step = turn.step(run.step)
    assert isinstance(step, d.FailStep)
    message = str(turn.render(run.step, "message") or step.purpose)
    turn.complete(run.step, {"error": step.error, "message": message})
    turn.fail_scope(run.scope, run.step, step.error, message)


SUCCEED = StepKind(enter=_succeed)
FAIL = StepKind(enter=_fail)
