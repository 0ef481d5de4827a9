"""What runs side by side: branches of a parallel step, items of a map step, workflows that were started."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.common import Applier, with_run, with_spent
from holdfast.streams.core.appliers.items import ended
from holdfast.streams.core.budget import amounts_in
from holdfast.streams.core.state import Branch, Child, Content, Items, Schedule, WorkflowState


def _branches_started(state: WorkflowState, event: e.BranchesStarted) -> WorkflowState:
    run = state.active[event.step]
    return with_run(state, changed(run, branches={name: Branch() for name in event.branches}))


def _branch_ended(state: WorkflowState, event: e.BranchEnded) -> WorkflowState:
    run = state.active[event.step]
    outcome = Branch(
        outcome=event.outcome,
        output=event.output,
        error_class=event.error_class,
        error_message=event.error_message,
    )
    # Put last: the order of the branches is then the order in which they ended, those that still run first.
    others = {name: branch for name, branch in run.branches.items() if name != event.branch}
    return with_run(state, changed(run, branches={**others, event.branch: outcome}))


def _items_counted(state: WorkflowState, event: e.ItemsCounted) -> WorkflowState:
    if isinstance(event.items, list):
        items = Items(total=event.total, shared=event.shared, waiting=tuple(event.items))
    else:
        items = Items(total=event.total, shared=event.shared, waiting=(), content=Content(source=event.items))
    return with_run(state, changed(state.active[event.step], items=items))


def _child_requested(state: WorkflowState, event: e.ChildRequested) -> WorkflowState:
    child = Child(
        child_id=event.child_id,
        definition_hash=event.child_definition_hash,
        step=event.step,
        visit=event.visit,
        index=event.index,
        start_step=event.start_step,
        input=event.input,
        awaited=event.awaited,
        on_parent_end=event.on_parent_end,
        deadline_limit_at_ms=event.deadline_limit_at_ms,
        budget=amounts_in(event.budget),
    )
    run = state.active[event.step]
    if run.items is not None:
        run = changed(run, items=changed(run.items, waiting=run.items.waiting[1:]))
    return changed(with_run(state, run), children={**state.children, child.child_id: child})


def _child_ended(state: WorkflowState, event: e.ChildEnded) -> WorkflowState:
    child = state.children[event.child_id]
    children = {name: other for name, other in state.children.items() if name != event.child_id}
    state = changed(state, children=children)
    if child.budget:  # what a schedule starts, or what had no budget to share, spends its own
        state = with_spent(state, **amounts_in(event.spent))
    run = state.active.get(event.step)
    if run is None or not child.awaited or not child.is_of(run):
        return state
    if run.items is not None:
        return with_run(state, changed(run, items=_with_ended(run.items, event)))
    result = {
        "outcome": event.outcome,
        "output": event.output,
        "error_class": event.error_class,
        "error_message": event.error_message,
    }
    return with_run(state, changed(run, child_result=result))


def _with_ended(items: Items, event: e.ChildEnded) -> Items:
    if items.content is not None:
        return ended(items, event)
    index = str(event.index)
    if event.outcome == "completed":
        return changed(items, results={**items.results, index: event.output})
    failure = {"class": event.error_class, "message": event.error_message}
    return changed(items, failures={**items.failures, index: failure})


def _schedule_started(state: WorkflowState, event: e.ScheduleStarted) -> WorkflowState:
    run = state.active[event.step]
    held_back_ms = run.schedule.buffered_ms if run.schedule is not None else 0
    return with_run(state, changed(run, schedule=Schedule(last_ms=event.after_at_ms, buffered_ms=held_back_ms)))


def _schedule_fired(state: WorkflowState, event: e.ScheduleFired) -> WorkflowState:
    run = state.active[event.step]
    assert run.schedule is not None
    if event.outcome == "triggered":
        return state
    buffered_ms = event.nominal_at_ms if event.outcome == "buffered" else run.schedule.buffered_ms
    if event.outcome == "started" and buffered_ms == event.nominal_at_ms:
        buffered_ms = 0
    last_ms = max(run.schedule.last_ms, event.nominal_at_ms)
    return with_run(state, changed(run, schedule=Schedule(last_ms=last_ms, buffered_ms=buffered_ms)))


def _child_released(state: WorkflowState, event: e.ChildReleased) -> WorkflowState:
    child = changed(state.children[event.child_id], awaited=False, cancelling=True)
    return changed(state, children={**state.children, child.child_id: child})


APPLIERS: Mapping[type[Record], Applier] = {
    e.BranchesStarted: _branches_started,
    e.BranchEnded: _branch_ended,
    e.ItemsCounted: _items_counted,
    e.ChildRequested: _child_requested,
    e.ChildEnded: _child_ended,
    e.ChildReleased: _child_released,
    e.ScheduleStarted: _schedule_started,
    e.ScheduleFired: _schedule_fired,
}
