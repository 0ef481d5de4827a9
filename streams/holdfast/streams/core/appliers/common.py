"""Small changes that several appliers make."""

from collections.abc import Callable, Iterable
from typing import Any

from holdfast.schemas.record import Record, changed
from holdfast.streams.core.state import Call, Child, Compensation, Status, StepRun, WorkflowState

Applier = Callable[[WorkflowState, Any], WorkflowState]


def unchanged(state: WorkflowState, _event: Record) -> WorkflowState:
    """For events that only say that something happened."""
    return state


def with_run(state: WorkflowState, run: StepRun) -> WorkflowState:
    """The state with this run in place of the one of the same step."""
    return changed(state, active={**state.active, run.step: run})


def with_call(state: WorkflowState, step: str, call: Call) -> WorkflowState:
    """The state with this call in place of the one of the same effect key."""
    run = state.active[step]
    return with_run(state, changed(run, calls={**run.calls, call.effect_key: call}))


def with_spent(state: WorkflowState, **amounts: int) -> WorkflowState:
    """The state with so much more spent; only a workflow with a budget keeps the account."""
    if not state.budget:
        return state
    spent = {limit: state.spent.get(limit, 0) + amounts.get(limit, 0) for limit in {**state.spent, **amounts}}
    return changed(state, spent=spent)


def undo_key(step: str, visit: int) -> str:
    """Under which key a state holds the compensation of a visit."""
    return f"{step}.{visit}"


def with_undo(state: WorkflowState, undo: Compensation, **changes: object) -> WorkflowState:
    """The state with a compensation changed, or added at the end."""
    key = undo_key(undo.step, undo.visit)
    return changed(state, compensations={**state.compensations, key: changed(undo, **changes)})


def waiting(state: WorkflowState) -> WorkflowState:
    """The state of a workflow that has begun to wait; one that is undoing what it did stays in that status."""
    return changed(state, status=Status.WAITING) if state.status is Status.RUNNING else state


def without_run(state: WorkflowState, step: str) -> WorkflowState:
    """The state after a run: the workflows that only it waited for are let go."""
    run = state.active[step]
    let_go = (child for child in state.children.values() if child.awaited and child.is_of(run))
    active = {name: other for name, other in state.active.items() if name != step}
    return changed(without_children(state, let_go), active=active)


def without_children(state: WorkflowState, children: Iterable[Child]) -> WorkflowState:
    """The state once nobody waits for these workflows: each is to be cancelled, or is left to itself.

    Also what is left to itself stays on the list until it has ended: that it starts is still owed.
    """
    let_go = {
        child.child_id: changed(child, awaited=False, cancelling=child.on_parent_end == "cancel") for child in children
    }
    return changed(state, children={**state.children, **let_go}) if let_go else state
