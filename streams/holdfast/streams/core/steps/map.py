"""The `map` step: the same steps for every item of a list, so many at a time.

An item is a workflow of its own, a child that runs this definition from the step that `do` names. Its input is
`{"item", "index", "shared"}`. So the row of the step's workflow does not grow with what items do, only with what they
leave.
"""

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import budget
from holdfast.streams.core import definition as d
from holdfast.streams.core.children import request_child
from holdfast.streams.core.state import Items, StepRun
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn

LISTED_FAILURES = 100


def _enter(turn: Turn, run: StepRun) -> None:
    step = _step(turn, run)
    values = turn.render(run.step, "items")
    if not isinstance(values, list):
        turn.fail(run.step, "expression_error", f"`items` must give a list, not {type(values).__name__}")
        return
    if len(values) > step.max_items:
        turn.fail(run.step, "too_many_items", f"{len(values)} items, more than max_items allows ({step.max_items})")
        return
    shared = turn.render(run.step, "shared")
    turn.emit(e.ItemsCounted(step=run.step, visit=run.visit, total=len(values), items=values, shared=shared))
    _go_on(turn, turn.run(run.step))


def _go_on(turn: Turn, run: StepRun) -> None:
    step, items = _step(turn, run), _items(run)
    too_many_failed = step.on_failure != "ignore" and len(items.failures) > step.max_failures
    if too_many_failed and step.on_failure == "fail_fast":
        _fail(turn, run)
        return
    while items.waiting and items.started - items.ended < step.concurrency:
        granted = budget.grant(turn.state, step.budget.limits(), among=items.total - items.started)
        if reason := budget.nothing_left(granted):
            turn.fail(run.step, budget.EXHAUSTED, reason)
            return
        request_child(
            turn,
            run,
            definition_hash=turn.state.definition_hash,
            start_step=step.do,
            index=items.started,
            value={"item": items.waiting[0], "index": items.started, "shared": items.shared},
            budget=granted,
        )
        run = turn.run(run.step)
        items = _items(run)
    if items.ended < items.total:
        return
    if too_many_failed:
        _fail(turn, run)
    else:
        turn.complete(run.step, _output(items))


def _fail(turn: Turn, run: StepRun) -> None:
    items = _items(run)
    index = min(items.failures, key=int)
    failure = items.failures[index]
    assert isinstance(failure, dict)
    message = f"{len(items.failures)} of {items.total} items failed, item {index} with: {failure['message']}"
    turn.fail(run.step, str(failure["class"]), message)


def _output(items: Items) -> Json:
    """Results in the order of the items (null where an item failed), and what failed."""
    failures: list[Json] = [
        {"index": int(index), "error": items.failures[index]} for index in sorted(items.failures, key=int)
    ]
    return {
        "results": [items.results.get(str(index)) for index in range(items.total)],
        "failed": len(failures),
        "failures": failures[:LISTED_FAILURES],
    }


def _items(run: StepRun) -> Items:
    assert run.items is not None
    return run.items


def _step(turn: Turn, run: StepRun) -> d.MapStep:
    step = turn.step(run.step)
    assert isinstance(step, d.MapStep)
    return step


KIND = StepKind(enter=_enter, child_ended=_go_on, catch_up=_go_on)
