"""Whether a workflow can go on under another definition: everything that is under way must have a place there."""

from collections.abc import Iterator

from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.engine_tools import ENGINE_TOOLS
from holdfast.streams.core.scopes import running_branches
from holdfast.streams.core.state import CallStatus, StepRun, Undo, WorkflowState


def obstacles(state: WorkflowState, old: CompiledDefinition, new: CompiledDefinition) -> Iterator[str]:
    """Why a workflow cannot be moved, one sentence each; nothing if it can.

    What has ended is of no matter: its outputs stay as they are, under the names that they have.
    """
    if state.finished:
        yield f"it is {state.status}"
        return
    if state.start_step and state.start_step not in new.steps:
        yield f"it began at step {state.start_step!r}, which the new version does not have"
        return
    if not state.start_step:
        yield from (f"its input does not fit: {error}" for error in new.input_errors(state.input))
    for run in state.active.values():
        yield from _run_obstacles(state, run, old, new)
    for undo in state.compensations.values():
        step = new.steps.get(undo.step)
        if undo.status in (Undo.REGISTERED, Undo.BOUND, Undo.FAILED) and not (
            isinstance(step, d.ToolStep) and step.compensate is not None and step.compensate.tool == undo.tool
        ):
            yield f"{undo.step!r} may have to be undone by {undo.tool}, which the new version does not do"
        if undo.read_tool and undo.read_tool not in new.definition.tools:
            yield f"undoing {undo.step!r} reads with {undo.read_tool}, which the new version does not use"


def _run_obstacles(
    state: WorkflowState, run: StepRun, old: CompiledDefinition, new: CompiledDefinition
) -> Iterator[str]:
    step = new.steps.get(run.step)
    if step is None:
        yield f"step {run.step!r} is under way, and the new version does not have it"
        return
    if run.kind not in (step.kind, UNDO):
        yield f"step {run.step!r} is under way as {run.kind}, and the new version has a {step.kind} step of that name"
        return
    if old.home(run.step, state.start_step) != new.home(run.step, state.start_step):
        yield f"step {run.step!r} is under way, and the new version has it in another place"
    if isinstance(step, d.ParallelStep):
        gone = sorted(set(running_branches(run)) - set(step.branches))
        yield from (f"branch {name!r} of {run.step!r} runs, and the new version does not have it" for name in gone)
    for call in run.calls.values():
        if call.status is CallStatus.DONE or not call.tool or call.tool in ENGINE_TOOLS:
            continue
        tool = new.definition.tools.get(call.tool)
        if tool is None or tool.effect != call.effect:
            yield f"{call.tool} is being called as {call.effect}, and the new version does not know it as such"
