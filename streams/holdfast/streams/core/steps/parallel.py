"""The `parallel` step: branches that run side by side, and the condition under which the workflow goes on.

The step completes as soon as enough branches have. When branches fail: with `fail_fast` the step fails as soon as it
cannot complete any more, with `wait_all` once no branch runs any more, with `ignore` never. Whatever still runs when
the step ends is cancelled.
"""

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.scopes import running_branches, scope_of
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step, scope = _step(turn, run), turn.scope()
    taken = [
        name
        for name, branch in step.branches.items()
        if not branch.when or turn.definition.evaluate(branch.when, scope) is True
    ]
    if not taken:
        turn.complete(run.step, _output(run))
        return
    turn.emit(e.BranchesStarted(step=run.step, visit=run.visit, branches=tuple(taken)))
    for name in taken:
        turn.enter(step.branches[name].start, scope_of(run, name))


def _branch_ended(turn: Turn, run: StepRun) -> None:
    step = _step(turn, run)
    completed, running = len(_of(run, "completed")), len(running_branches(run))
    wanted = step.wanted(len(run.branches))
    if completed >= wanted or (not running and step.on_failure == "ignore"):
        turn.complete(run.step, _output(run))
    elif not running or (step.on_failure == "fail_fast" and completed + running < wanted):
        first = run.branches[name := _of(run, "failed")[0]]
        said = f"{completed} branches completed and {wanted} are needed; the first to fail was {name}"
        turn.fail(run.step, first.error_class, f"{said}: {first.error_message}")


def _of(run: StepRun, outcome: str) -> list[str]:
    return [name for name, branch in run.branches.items() if branch.outcome == outcome]


def _output(run: StepRun) -> Json:
    """What the step leaves: results by branch, failures by branch, and who came first."""
    completed = _of(run, "completed")
    return {
        "results": {name: run.branches[name].output for name in completed},
        "failures": {
            name: {"class": run.branches[name].error_class, "message": run.branches[name].error_message}
            for name in _of(run, "failed")
        },
        "first": completed[0] if completed else "",
    }


def _step(turn: Turn, run: StepRun) -> d.ParallelStep:
    step = turn.step(run.step)
    assert isinstance(step, d.ParallelStep)
    return step


KIND = StepKind(enter=_enter, branch_ended=_branch_ended)
