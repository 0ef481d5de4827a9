"""The `map` step: the same steps for every item of a list, so many at a time.

An item is a workflow of its own, a child that runs this definition from the step that `do` names. Its input is
`{"item", "index", "shared"}`. So the row of the step's workflow does not grow with what items do, only with what they
leave; over content not with that either (`map_content.py`).
"""

from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.streams.core import budget
from holdfast.streams.core import definition as d
from holdfast.streams.core.children import request_child
from holdfast.streams.core.state import ItemFailure, Items, StepRun
from holdfast.streams.core.steps import map_content
from holdfast.streams.core.steps.kind import StepKind
from holdfast.streams.core.turn import Turn

LISTED_FAILURES = 100
LIST_LIMIT = 1_000
"""How many items a list may have: they stand in the row."""


def _enter(turn: Turn, run: StepRun) -> None:
    step = _step(turn, run)
    values = turn.render(run.step, "items")
    try:
        reference = map_content.reference_in(values)
    except ValueError as exc:
        turn.fail(run.step, "content_reference_invalid", f"`items` gives a reference that is none: {exc}")
        return
    if reference is not None:
        total = reference.lines or 0
    elif isinstance(values, list):
        total = len(values)
    else:
        turn.fail(
            run.step,
            "expression_error",
            f"`items` must give a list or a reference to JSON lines, not {type(values).__name__}",
        )
        return
    if total > step.max_items:
        turn.fail(run.step, "too_many_items", f"{total} items, more than max_items allows ({step.max_items})")
    elif reference is None and total > LIST_LIMIT:
        turn.fail(
            run.step,
            "too_many_items",
            f"{total} items, more than a list may have ({LIST_LIMIT}): put them into the content store, one a line "
            "(`holdfast content put FILE`), and give the reference as `items`",
        )
    else:
        shared = turn.render(run.step, "shared")
        turn.emit(e.ItemsCounted(step=run.step, visit=run.visit, total=total, items=values, shared=shared))
        _go_on(turn, turn.run(run.step))


def _go_on(turn: Turn, run: StepRun) -> None:
    step, items = _step(turn, run), _items(run)
    problem = map_content.problem(run)
    if problem is not None:
        turn.fail(run.step, *problem)
        return
    too_many_failed = step.on_failure != "ignore" and items.failed > step.max_failures
    if too_many_failed and step.on_failure == "fail_fast":
        _fail(turn, run)
        return
    if items.content is not None:
        map_content.keep(turn, run)
        run = turn.run(run.step)
        items = _items(run)
    while items.waiting and items.started - items.ended < step.concurrency and map_content.has_room(items):
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
    if items.content is not None:
        map_content.read(turn, run, step.concurrency)
    if items.ended < items.total:
        return
    if too_many_failed:
        _fail(turn, run)
    elif items.content is None:
        turn.complete(run.step, _output(items))
    elif (output := map_content.output(turn, turn.run(run.step), LISTED_FAILURES)) is not None:
        turn.complete(run.step, output)


def _fail(turn: Turn, run: StepRun) -> None:
    items = _items(run)
    first = _first_failure(items)
    message = f"{items.failed} of {items.total} items failed, item {first.index} with: {first.message}"
    turn.fail(run.step, first.error_class, message)


def _first_failure(items: Items) -> ItemFailure:
    if items.content is not None:
        assert items.content.first_failure is not None
        return items.content.first_failure
    index = min(items.failures, key=int)
    failure = items.failures[index]
    assert isinstance(failure, dict)
    return ItemFailure(index=int(index), error_class=str(failure["class"]), message=str(failure["message"]))


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


def _call_came_back(turn: Turn, run: StepRun, *_details: object) -> None:
    _go_on(turn, run)


def _items(run: StepRun) -> Items:
    assert run.items is not None
    return run.items


def _step(turn: Turn, run: StepRun) -> d.MapStep:
    step = turn.step(run.step)
    assert isinstance(step, d.MapStep)
    return step


KIND = StepKind(
    enter=_enter,
    child_ended=_go_on,
    tool_finished=_call_came_back,
    call_failed=_call_came_back,
    catch_up=_go_on,
)
