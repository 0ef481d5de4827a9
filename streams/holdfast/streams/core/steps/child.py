"""The `child` step: another workflow, with a journal and a row of its own.

The child's definition is pinned like a tool's manifest when the parent is applied. A step that waits ends as the child
does; one that does not goes on as soon as the child is asked for.
"""

from holdfast.streams.core import budget
from holdfast.streams.core import definition as d
from holdfast.streams.core.children import request_child
from holdfast.streams.core.state import StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn


def _enter(turn: Turn, run: StepRun) -> None:
    step = _step(turn, run)
    granted = budget.grant(turn.state, step.budget.limits())
    if reason := budget.nothing_left(granted):
        turn.fail(run.step, budget.EXHAUSTED, reason)
        return
    child_id = request_child(
        turn,
        run,
        definition_hash=turn.definition.definition.children[step.definition],
        value=turn.render(run.step, "input"),
        awaited=step.wait,
        on_parent_end=step.on_parent_end,
        budget=granted,
    )
    if not step.wait:
        turn.complete(run.step, {"workflow_id": child_id})


def _child_ended(turn: Turn, run: StepRun) -> None:
    child = run.child_result
    if not isinstance(child, dict):
        return
    if child["outcome"] == "completed":
        turn.complete(run.step, child["output"])
    else:
        turn.fail(run.step, str(child["error_class"] or f"child_{child['outcome']}"), str(child["error_message"]))


def _step(turn: Turn, run: StepRun) -> d.ChildStep:
    step = turn.step(run.step)
    assert isinstance(step, d.ChildStep)
    return step


KIND = StepKind(enter=_enter, child_ended=_child_ended, catch_up=_child_ended)
