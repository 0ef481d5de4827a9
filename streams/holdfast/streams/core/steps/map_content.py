"""A map over content: pages of items are read as they are needed, and what ended items left is kept part by part.

The step's row holds a window: what was read ahead, the items that run, what is not kept yet. It does not grow with the
number of items.
"""

from holdfast.schemas.content import ContentReference
from holdfast.schemas.record import Json
from holdfast.streams.core.appliers.items import size_of
from holdfast.streams.core.calls import request_tool
from holdfast.streams.core.engine_tools import ENGINE_TOOLS, JOIN_RESULTS, KEEP_RESULTS, READ_ITEMS
from holdfast.streams.core.state import Call, CallStatus, Content, Items, StepRun
from holdfast.streams.core.turn import Turn

PAGE_ITEMS, PAGE_BYTES = 100, 8 * 1024
"""How much is read at a time; a single item may be larger."""
PART_ITEMS, PART_BYTES = 100, 8 * 1024
"""How much ended items leave before it is kept; a single result may be larger."""
_READ_AHEAD = 50


def reference_in(value: Json) -> ContentReference | None:
    """The reference to JSON lines that a value is meant to be, None if it is meant to be something else.

    Raises ValueError with a sentence if it is meant to be one and is not.
    """
    if not isinstance(value, dict) or "content" not in value:
        return None
    reference = ContentReference.from_json(value)
    if reference.lines is None:
        raise ValueError("the content is not known to be JSON lines: `holdfast content put FILE` checks them")
    return reference


def has_room(items: Items) -> bool:
    """False while what ended items left waits to be kept: then no further item begins."""
    content = items.content
    return content is None or (len(content.ended) < 2 * PART_ITEMS and content.ended_bytes < 2 * PART_BYTES)


def problem(run: StepRun) -> tuple[str, str] | None:
    """The error class and the sentence of what makes it impossible to go on, if anything does."""
    for call in run.calls.values():
        if call.status is not CallStatus.DONE:
            continue
        if call.error_class:
            return call.error_class, call.error_message
        result = _result(call)
        if call.tool == READ_ITEMS and not result:
            return "internal_error", "an executor gave an empty page of items before the last one"
        if call.tool == JOIN_RESULTS and not (isinstance(result, dict) and {"results", "failures"} <= result.keys()):
            return "internal_error", "an executor gave no reference to the results"
    return None


def read(turn: Turn, run: StepRun, concurrency: int) -> None:
    """Ask for the next page if few items wait; one at a time."""
    items, content = _of(run)
    few = content.read < items.total and len(items.waiting) < min(concurrency, _READ_AHEAD)
    if few and not _is_open(run, READ_ITEMS):
        start: dict[str, Json] = {"content": content.source, "start": content.read}
        _ask(turn, run, READ_ITEMS, {**start, "limit": PAGE_ITEMS, "limit_bytes": PAGE_BYTES})


def keep(turn: Turn, run: StepRun) -> None:
    """Ask for what ended items left to be kept if it is much; one part at a time."""
    _, content = _of(run)
    much = len(content.ended) >= PART_ITEMS or content.ended_bytes >= PART_BYTES
    if much and not _is_open(run, KEEP_RESULTS):
        _ask(turn, run, KEEP_RESULTS, {"parts": content.parts, "results": _part(content)})


def output(turn: Turn, run: StepRun, limit: int) -> Json:
    """What the step leaves once all items have ended; None until an executor has put the results in order."""
    items, content = _of(run)
    joined = _call(run, JOIN_RESULTS)
    if joined is None and not _is_open(run, KEEP_RESULTS):
        rest: dict[str, Json] = {"parts": content.parts, "results": list(content.ended)}
        _ask(turn, run, JOIN_RESULTS, {**rest, "total": items.total, "limit": limit})
    if joined is None or joined.status is not CallStatus.DONE:
        return None
    result = _result(joined)
    assert isinstance(result, dict)
    return {"results": result["results"], "failed": content.failed, "failures": result["failures"]}


def _ask(turn: Turn, run: StepRun, name: str, arguments: Json) -> None:
    _, content = _of(run)
    request_tool(turn, run, ENGINE_TOOLS[name], arguments, index=content.calls)


def _part(content: Content) -> list[Json]:
    part: list[Json] = []
    left_bytes = PART_BYTES
    for ended in content.ended[:PART_ITEMS]:
        part.append(ended)
        left_bytes -= size_of([ended])
        if left_bytes <= 0:
            break
    return part


def _call(run: StepRun, name: str) -> Call | None:
    return next((call for call in run.calls.values() if call.tool == name), None)


def _is_open(run: StepRun, name: str) -> bool:
    call = _call(run, name)
    return call is not None and call.status is not CallStatus.DONE


def _result(call: Call) -> Json:
    return call.answer["result"] if isinstance(call.answer, dict) else None


def _of(run: StepRun) -> tuple[Items, Content]:
    assert run.items is not None
    assert run.items.content is not None
    return run.items, run.items.content
