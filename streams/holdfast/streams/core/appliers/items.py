"""What the calls of a map step over content change: its window of items, and what is kept of those that ended."""

from collections.abc import Iterable

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas.record import Json, changed
from holdfast.streams.core.engine_tools import KEEP_RESULTS, READ_ITEMS
from holdfast.streams.core.state import CallStatus, Content, ItemFailure, Items, StepRun


def size_of(values: Iterable[Json]) -> int:
    """How many bytes values take as text."""
    return sum(len(jsontext.dumps(value).encode()) for value in values)


def asked(run: StepRun, event: e.ToolCallRequested) -> StepRun:
    """The run once a call is asked for: results that go with it are not held any more, nor is the call before it."""
    if event.attempt > 1:
        return run
    others = {key: call for key, call in run.calls.items() if call.tool != event.tool or key == event.effect_key}
    items, content = _of(run)
    left = content.ended[len(_list(event.arguments, "results")) :]
    content = changed(
        content,
        ended=left,
        ended_bytes=size_of(left),
        kept=content.kept + len(content.ended) - len(left),
        calls=content.calls + 1,
    )
    return changed(run, calls=others, items=changed(items, content=content))


def answered(run: StepRun, effect_key: str, result: Json) -> StepRun:
    """The run once a call has come back: a page waits, or a part is known, or all of them are joined."""
    items, content = _of(run)
    call = changed(run.calls[effect_key], status=CallStatus.DONE, answer={"result": result})
    call = changed(call, error_class="", error_message="")
    if call.tool == READ_ITEMS:
        page = _list(result, "items")[: items.total - content.read]
        items = changed(items, waiting=(*items.waiting, *page), content=changed(content, read=content.read + len(page)))
        call = changed(call, arguments=None, answer={"result": len(page)})
    elif call.tool == KEEP_RESULTS:
        items = changed(items, content=changed(content, parts=result))
        call = changed(call, arguments=None)
    return changed(run, calls={**run.calls, effect_key: call}, items=items)


def not_kept(run: StepRun) -> list[Json]:
    """What ended items left and no part has: it is held, or goes with a call."""
    _, content = _of(run)
    return [*(left for call in run.calls.values() for left in _list(call.arguments, "results")), *content.ended]


def ended(items: Items, event: e.ChildEnded) -> Items:
    """The items once another one has ended."""
    content = items.content
    assert content is not None
    if event.outcome == "completed":
        left: Json = {"index": event.index, "output": event.output}
    else:
        left = {"index": event.index, "error": {"class": event.error_class, "message": event.error_message}}
        failure = ItemFailure(index=event.index, error_class=event.error_class, message=event.error_message)
        first = content.first_failure
        content = changed(
            content,
            failed=content.failed + 1,
            first_failure=failure if first is None or failure.index < first.index else first,
        )
    return changed(
        items,
        content=changed(content, ended=(*content.ended, left), ended_bytes=content.ended_bytes + size_of([left])),
    )


def _of(run: StepRun) -> tuple[Items, Content]:
    assert run.items is not None
    assert run.items.content is not None
    return run.items, run.items.content


def _list(value: Json, key: str) -> list[Json]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []
