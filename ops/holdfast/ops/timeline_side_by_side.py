"""The part of a story that runs side by side: branches, items, and the workflows that steps start. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.ops.timeline_model import Branch, Child, Firings, Items, Timeline, Visit
from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Record

if TYPE_CHECKING:
    from holdfast.ops.timeline import Teller

ItemT = TypeVar("ItemT", Branch, Child, Items, Firings)


def children_of(visit: Visit) -> Iterator[Child]:
    """The workflows that a visit of a step started."""
    for item in visit.items:
        if isinstance(item, Child):
            yield item
        elif isinstance(item, Items | Firings):
            yield from item.children


def let_go(children: Iterable[Child]) -> None:
    """Nobody waits for these any more: those that are not known to have ended were told to stop, or left alone."""
    for child in children:
        if child.status == "running":
            child.status = "stopped" if child.on_parent_end == "cancel" else "left"


def stand(timeline: Timeline, known: Mapping[str, tuple[str, str]]) -> None:
    """Say where children stand that this workflow has not heard of: (status, step) by workflow id."""
    for child in timeline.children:
        if not child.heard_of and child.workflow_id in known:
            child.status, child.at_step = known[child.workflow_id]


def _branches_started(teller: "Teller", body: e.BranchesStarted, meta: EventMeta) -> None:
    teller.visit(body.step).items += [
        Branch(name=name, scope=f"{body.step}.{body.visit}/{name}", started_at_ms=meta.recorded_at_ms)
        for name in body.branches
    ]


def _branch_ended(teller: "Teller", body: e.BranchEnded, meta: EventMeta) -> None:
    branch = next(item for item in _items_of(teller.visit(body.step), Branch) if item.name == body.branch)
    branch.status, branch.ended_at_ms = body.outcome, meta.recorded_at_ms
    branch.error_class, branch.error_message = body.error_class, body.error_message


def _items_counted(teller: "Teller", body: e.ItemsCounted, _meta: EventMeta) -> None:
    teller.visit(body.step).items.append(Items(total=body.total))


def _taken_over(teller: "Teller", body: e.StepTakenOver, _meta: EventMeta) -> None:
    kept: Any = body.kept
    for items in _items_of(teller.visit(body.step), Items):
        content = kept["items"].get("content")
        failed = content["failed"] if content else len(kept["items"]["failures"])
        ended = len(content["ended"]) + content["kept"] if content else len(kept["items"]["results"]) + failed
        items.started, items.ended, items.failed = items.started + ended, items.ended + ended, items.failed + failed


def _schedule_started(teller: "Teller", body: e.ScheduleStarted, _meta: EventMeta) -> None:
    teller.visit(body.step).items.append(Firings())


def _schedule_fired(teller: "Teller", body: e.ScheduleFired, _meta: EventMeta) -> None:
    firings = next(_items_of(teller.visit(body.step), Firings))
    firings.outcomes[body.outcome] = firings.outcomes.get(body.outcome, 0) + 1
    firings.last_at_ms = body.nominal_at_ms


def _child_requested(teller: "Teller", body: e.ChildRequested, meta: EventMeta) -> None:
    child = Child(
        workflow_id=body.child_id,
        definition_hash=body.child_definition_hash,
        index=body.index,
        awaited=body.awaited,
        on_parent_end=body.on_parent_end,
        requested_at_ms=meta.recorded_at_ms,
    )
    visit = teller.visit(body.step)
    teller.children[body.child_id] = visit, child
    holder = next((item for item in visit.items if isinstance(item, Items | Firings)), None)
    if holder is None:
        visit.items.append(child)
        return
    holder.children.append(child)
    if isinstance(holder, Items):
        holder.started += 1


def _child_ended(teller: "Teller", body: e.ChildEnded, meta: EventMeta) -> None:
    visit, child = teller.children[body.child_id]  # the visit may have ended before
    child.status, child.ended_at_ms = body.outcome, meta.recorded_at_ms
    child.error_class, child.error_message = body.error_class, body.error_message
    for items in _items_of(visit, Items):
        items.ended += 1
        items.failed += body.outcome != "completed"


def _child_released(teller: "Teller", body: e.ChildReleased, _meta: EventMeta) -> None:
    _, child = teller.children[body.child_id]
    child.on_parent_end = "cancel"
    let_go([child])


def _items_of(visit: Visit, cls: type[ItemT]) -> Iterator[ItemT]:
    return (item for item in visit.items if isinstance(item, cls))


TAKES: Mapping[type[Record], Callable[["Teller", Any, EventMeta], None]] = {
    e.BranchesStarted: _branches_started,
    e.BranchEnded: _branch_ended,
    e.ItemsCounted: _items_counted,
    e.ChildRequested: _child_requested,
    e.ChildEnded: _child_ended,
    e.StepTakenOver: _taken_over,
    e.ChildReleased: _child_released,
    e.ScheduleStarted: _schedule_started,
    e.ScheduleFired: _schedule_fired,
}
