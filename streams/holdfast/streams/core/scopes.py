"""Scopes: which branch of which parallel step a step run belongs to.

A scope is `<parallel step>.<visit>/<branch>`, or empty at the top of a workflow. The parallel step's own run names the
scope around it, so scopes nest without being spelled out.
"""

from collections.abc import Iterator

from holdfast.streams.core.state import Status, StepRun, WorkflowState

TOP = ""


def scope_of(run: StepRun, branch: str) -> str:
    """The scope of a branch of a parallel step's run."""
    return f"{run.step}.{run.visit}/{branch}"


def split_scope(scope: str) -> tuple[str, int, str]:
    """Parallel step, visit and branch of a scope that is not the top."""
    run, _, branch = scope.partition("/")
    step, _, visit = run.partition(".")
    return step, int(visit), branch


def is_open(state: WorkflowState, scope: str) -> bool:
    """True while steps may be entered there."""
    if scope == TOP:
        return not state.finished
    step, visit, branch = split_scope(scope)
    run = state.active.get(step)
    return run is not None and run.visit == visit and branch in running_branches(run)


def running_branches(run: StepRun) -> list[str]:
    """The branches of a parallel step's run that have not ended."""
    return [name for name, branch in run.branches.items() if not branch.outcome]


def runs_in(state: WorkflowState, scope: str) -> list[StepRun]:
    """The active runs that belong to a scope directly."""
    return [run for run in state.active.values() if run.scope == scope]


def leaves(state: WorkflowState) -> Iterator[StepRun]:
    """The active runs but those of parallel steps, which only hold others together."""
    return (run for run in state.active.values() if not run.branches)


def status_of(state: WorkflowState) -> Status:
    """What a workflow that neither ended nor was stopped does now: it waits if all its steps wait, else it runs."""
    idle = [run.wait is not None or bool(run.approval_id) or bool(run.wake_at_ms) for run in leaves(state)]
    return Status.WAITING if idle and all(idle) else Status.RUNNING
