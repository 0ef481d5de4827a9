"""What a workflow is owed, and what it owes others: tasks, grants, timers, letters to other workflows.

All of it is computed from the state and never remembered.

A crash between "decided" and "sent" heals by computing this again; ids derive from (effect key, attempt), so the same
debt is the same message.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas.record import Json, Record
from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.calls import REPEATABLE_EFFECTS, lease_of
from holdfast.streams.core.engine_tools import tool_named
from holdfast.streams.core.state import Call, CallKind, CallStatus, Child, Parent, Status, StepRun, WorkflowState

LOOKUP_LIMIT_MS = 300_000
"""A search for traces of a call that did not come back by then is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """One limit of time. `kind` is deadline, idle, settle, timeout, wake, retry, lease, lookup or early.

    `early` is that of an event that came before anybody waited for it; `step` and `effect_key` may be empty.
    """

    timer_id: str
    kind: str
    due_at_ms: int
    step: str = ""
    effect_key: str = ""


def calls_owed(state: WorkflowState) -> dict[tuple[str, int, CallStatus], tuple[StepRun, Call]]:
    """Every call that executors should have a message about, by (effect key, attempt or search, status)."""
    if state.held:
        return {}
    return {
        (call.effect_key, call.lookup if call.status is CallStatus.SEARCHED else call.attempt, call.status): (run, call)
        for run in state.active.values()
        for call in run.calls.values()
        if call.status in (CallStatus.REQUESTED, CallStatus.SEARCHED) or _needs_grant(call)
    }


def calls_under_way(state: WorkflowState) -> dict[str, int]:
    """The attempts that an executor may be at work on, by effect key."""
    return {
        call.effect_key: call.attempt
        for run in state.active.values()
        for call in run.calls.values()
        if call.status in (CallStatus.REQUESTED, CallStatus.CLAIMED)
    }


def task_for(run: StepRun, call: Call, definition: d.Definition) -> Record:
    """The message that executors are owed about a call in `calls_owed`."""
    if call.status is CallStatus.CLAIMED:
        return t.GrantTask(effect_key=call.effect_key, attempt=call.attempt, executor_id=call.executor_id)
    if call.status is CallStatus.SEARCHED:
        return t.LookUpEffect(
            effect_key=call.effect_key,
            attempt=call.attempt,
            lookup=call.lookup,
            step=run.step,
            tool=call.tool,
            arguments=call.arguments,
            not_before_at_ms=call.lookup_at_ms,
            timeout_ms=definition.tools[call.tool].timeout_ms,
        )
    return _model_task(run, call, definition) if call.kind is CallKind.MODEL else _tool_task(run, call, definition)


def _needs_grant(call: Call) -> bool:
    return call.status is CallStatus.CLAIMED and call.kind is CallKind.TOOL and call.effect not in REPEATABLE_EFFECTS


def _model_task(run: StepRun, call: Call, definition: d.Definition) -> t.RunModelCall:
    step = definition.steps[run.step]
    assert isinstance(step, d.AgentStep)
    return t.RunModelCall(
        effect_key=call.effect_key,
        attempt=call.attempt,
        step=run.step,
        model=run.model,
        messages=list(run.messages),
        parameters=run.parameters,
        timeout_ms=step.call_timeout_ms,
        lease_ms=lease_of(call, definition),
        deadline_at_ms=call.deadline_at_ms,
        priority=_priority(run, definition),
        limits=_limits(definition, "model", run.model),
    )


def _tool_task(run: StepRun, call: Call, definition: d.Definition) -> t.RunToolCall:
    return t.RunToolCall(
        effect_key=call.effect_key,
        attempt=call.attempt,
        step=run.step,
        tool=call.tool,
        effect=call.effect,
        arguments=call.arguments,
        action_hash=call.action_hash,
        timeout_ms=tool_named(definition, call.tool).timeout_ms,
        lease_ms=lease_of(call, definition),
        deadline_at_ms=min(limit for limit in (call.deadline_at_ms, call.key_until_ms) if limit),
        priority=_priority(run, definition),
        limits=_limits(definition, "tool", call.tool),
    )


def _priority(run: StepRun, definition: d.Definition) -> int:
    step = definition.steps[run.step]
    own = step.priority if isinstance(step, d.AgentStep | d.ToolStep) else None
    return definition.priority if own is None else own


def _limits(definition: d.Definition, kind: str, name: str) -> Json:
    """The limits that a definition declares for a call, by the scope that they are counted in; None for none."""
    return {
        f"{task_class},definition:{definition.name}": limit.model_dump(exclude_defaults=True)
        for task_class in (kind, f"{kind}:{name}")
        if (limit := definition.limits.get(task_class)) is not None
    } or None


def letters_owed(state: WorkflowState) -> dict[tuple[str, str], Child | Parent]:
    """Every message that other workflows should have from this one, by (what it is about, workflow id).

    A child is told to start, or to stop once nobody waits for it any more; a parent is told of the end. Whoever was
    told already ignores it.
    """
    owed: dict[tuple[str, str], Child | Parent] = {
        ("stop" if child.cancelling else "start", child.child_id): child for child in state.children.values()
    }
    if state.parent is not None and state.finished:
        owed["ended", state.parent.workflow_id] = state.parent
    return owed


def letter_for(state: WorkflowState, debt: Child | Parent) -> Record:
    """The message that one in `letters_owed` should have."""
    if isinstance(debt, Parent):
        return _end_for(state, debt)
    if debt.cancelling:
        return req.CancelWorkflow(reason=f"{state.workflow_id} no longer waits for it")
    return _start_of(state, debt)


def _start_of(state: WorkflowState, child: Child) -> req.StartWorkflow:
    return req.StartWorkflow(
        definition="",
        definition_hash=child.definition_hash,
        input=child.input,
        parent_id=state.workflow_id,
        parent_step=child.step,
        parent_visit=child.visit,
        parent_index=child.index,
        depth=state.depth + 1,
        start_step=child.start_step,
        deadline_limit_at_ms=child.deadline_limit_at_ms,
        budget=dict(child.budget) or None,
    )


def _end_for(state: WorkflowState, parent: Parent) -> rep.ReportChildEnded:
    return rep.ReportChildEnded(
        step=parent.step,
        visit=parent.visit,
        index=parent.index,
        child_id=state.workflow_id,
        outcome=state.status.value,
        output=state.output,
        error_class=state.error_class,
        error_message=state.error_message,
        spent=dict(state.spent) or None,
    )


def timers(state: WorkflowState) -> Iterator[Timer]:
    """Every timer of a workflow."""
    if state.finished:
        return
    if state.closing is None:
        yield from _overall_timers(state)
    elif state.status not in (Status.COMPENSATING, Status.BLOCKED):
        yield Timer(timer_id="settle", kind="settle", due_at_ms=state.closing.settle_until_ms)
    if state.held:
        return  # a person has to act: nothing but the overall deadline runs on
    for early in state.early_events:
        if early.expires_at_ms:
            yield Timer(timer_id=f"early/{early.source_id}", kind="early", due_at_ms=early.expires_at_ms)
    for run in state.active.values():
        if state.closing is not None and run.kind != UNDO:
            # Its step does not matter any more, only whether its calls come back.
            yield from (
                timer for call in run.calls.values() for timer in _call_timers(run, call) if timer.kind != "retry"
            )
            continue
        name = f"{run.step}.{run.visit}"
        if run.timeout_at_ms:
            yield Timer(timer_id=f"{name}/timeout", kind="timeout", due_at_ms=run.timeout_at_ms, step=run.step)
        if run.wake_at_ms:
            yield Timer(timer_id=run.timer_id, kind="wake", due_at_ms=run.wake_at_ms, step=run.step)
        for call in run.calls.values():
            yield from _call_timers(run, call)


def _overall_timers(state: WorkflowState) -> Iterator[Timer]:
    if state.deadline_at_ms:
        yield Timer(timer_id="deadline", kind="deadline", due_at_ms=state.deadline_at_ms)
    if state.idle_timeout_ms and not state.held:
        yield Timer(timer_id="idle", kind="idle", due_at_ms=state.active_at_ms + state.idle_timeout_ms)


def _call_timers(run: StepRun, call: Call) -> Iterator[Timer]:
    name = f"{call.effect_key}#{call.attempt}"
    if call.status is CallStatus.RETRYING:
        yield Timer(
            timer_id=f"{name}/retry",
            kind="retry",
            due_at_ms=call.retry_at_ms,
            step=run.step,
            effect_key=call.effect_key,
        )
    if call.status is CallStatus.SEARCHED:
        yield Timer(
            timer_id=f"{name}/lookup",
            kind="lookup",
            due_at_ms=call.lookup_at_ms + LOOKUP_LIMIT_MS,
            step=run.step,
            effect_key=call.effect_key,
        )
    if call.status is CallStatus.CLAIMED:
        yield Timer(
            timer_id=f"{name}/lease",
            kind="lease",
            due_at_ms=call.lease_until_ms,
            step=run.step,
            effect_key=call.effect_key,
        )


def next_due_ms(state: WorkflowState) -> int:
    """When the next timer is due; 0 if there is none."""
    return min((timer.due_at_ms for timer in timers(state)), default=0)
