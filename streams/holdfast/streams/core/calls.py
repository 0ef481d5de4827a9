"""Model and tool calls: intent, attempts, outcome. One effect key, one accepted outcome.

A failed attempt is retried by policy; an attempt whose outcome nobody knows is retried only if its effect class
allows that, else it becomes `unknown`, a state that only a person can end.
"""

from dataclasses import dataclass

from holdfast.schemas import events as e
from holdfast.schemas import ids, jsontext
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.appliers.compensations import KIND as UNDO
from holdfast.streams.core.budget import shortage
from holdfast.streams.core.engine_tools import ENGINE_TOOLS, RETRY, tool_named
from holdfast.streams.core.retry import delay_ms, may_retry, may_wait
from holdfast.streams.core.state import Call, CallKind, StepRun
from holdfast.streams.core.turn import Turn

REPEATABLE_EFFECTS = frozenset({"read", "txn", "keyed"})
"""Effects that may be attempted again while the outcome of the last attempt is unknown."""
CLAIM_FREE_TIMEOUT_MS = 10_000
"""Repeatable tool calls with at most this timeout need no claim."""
LEASE_MS = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt came to nothing."""

    error_class: str
    message: str
    executor_id: str = ""
    http_status: int = 0
    retry_after_ms: int = 0
    retryable: bool = False
    outcome_unknown: bool = False
    duration_ms: int = 0


def action_hash(tenant: str, workflow_id: str, tool: d.Tool, arguments: Json) -> str:
    """The identity of one exact call: what an approval is about, and what the executor was told."""
    return jsontext.digest(
        {
            "tenant": tenant,
            "workflow_id": workflow_id,
            "tool": tool.name,
            "manifest": tool.manifest_hash,
            "arguments": arguments,
        }
    )


def is_repeatable(call: Call, at_ms: int) -> bool:
    """True if another attempt at that time does no harm, whatever became of the last one.

    That of a keyed call does none while the other side knows the key.
    """
    if call.kind is CallKind.MODEL:
        return True
    key_lives = not call.key_until_ms or at_ms < call.key_until_ms
    return call.effect in REPEATABLE_EFFECTS and key_lives


def lease_of(call: Call, definition: d.Definition) -> int:
    """Length of the lease that an executor must claim before it acts, in ms; 0 if it need not claim."""
    if call.kind is CallKind.MODEL:
        return LEASE_MS
    free = call.effect in REPEATABLE_EFFECTS and tool_named(definition, call.tool).timeout_ms <= CLAIM_FREE_TIMEOUT_MS
    return 0 if free else LEASE_MS


def deadline_of(turn: Turn, run: StepRun) -> int:
    """When work for a step is no longer worth doing: the step's or the workflow's limit; 0 if neither has one.

    What undoes an effect is worth doing after the workflow's deadline as well.
    """
    overall_ms = 0 if run.kind == UNDO else turn.state.deadline_at_ms
    return min((limit for limit in (run.timeout_at_ms, overall_ms) if limit), default=0)


def effect_key_of(turn: Turn, run: StepRun, turn_number: int, index: int) -> str:
    """The identity of a call of a step's run. Undoing an effect is an effect of its own."""
    state = turn.state
    label = f"{run.step}~undo" if run.kind == UNDO else run.step
    return ids.effect_key(state.tenant, state.workflow_id, label, run.visit, turn_number, index)


def request_model(turn: Turn, run: StepRun, messages: list[Json], parameters: Json) -> None:
    """Record the intent of the next model call of an agent step, with the messages it adds."""
    step = turn.step(run.step)
    assert isinstance(step, d.AgentStep)
    number = run.turn + 1
    _emit_model_request(
        turn,
        run,
        effect_key=effect_key_of(turn, run, number, 0),
        number=number,
        attempt=1,
        added=messages,
        model=step.model,
        parameters=parameters,
    )


def ask_model_again(turn: Turn, run: StepRun) -> None:
    """Record the intent of the model call that belongs to the run's turn, with the messages that it has."""
    step = turn.step(run.step)
    assert isinstance(step, d.AgentStep)
    _emit_model_request(
        turn,
        run,
        effect_key=effect_key_of(turn, run, run.turn, 0),
        number=run.turn,
        attempt=1,
        added=[],
        model=step.model,
        parameters=run.parameters,
    )


def _emit_model_request(
    turn: Turn,
    run: StepRun,
    *,
    effect_key: str,
    number: int,
    attempt: int,
    added: list[Json],
    model: str,
    parameters: Json,
) -> None:
    transcript = [*run.messages, *added]
    turn.emit(
        e.ModelCallRequested(
            step=run.step,
            visit=run.visit,
            turn=number,
            effect_key=effect_key,
            attempt=attempt,
            model=model,
            messages=added,
            message_count=len(transcript),
            parameters=parameters,
            request_sha256=jsontext.digest({"model": model, "messages": transcript, "parameters": parameters}),
            deadline_at_ms=deadline_of(turn, run),
        )
    )


def request_tool(
    turn: Turn,
    run: StepRun,
    tool: d.Tool,
    arguments: Json,
    *,
    index: int = 0,
    attempt: int = 1,
    call_id: str = "",
    approval_id: str = "",
) -> None:
    """Record the intent of a tool call."""
    state = turn.state
    turn.emit(
        e.ToolCallRequested(
            step=run.step,
            visit=run.visit,
            turn=run.turn,
            index=index,
            effect_key=effect_key_of(turn, run, run.turn, index),
            attempt=attempt,
            tool=tool.name,
            effect=tool.effect,
            arguments=arguments,
            action_hash=action_hash(state.tenant, state.workflow_id, tool, arguments),
            approval_id=approval_id,
            call_id=call_id,
            deadline_at_ms=deadline_of(turn, run),
            key_until_ms=turn.now_ms + tool.key_lifetime_ms if tool.key_lifetime_ms else 0,
        )
    )


def request_approval(
    turn: Turn, run: StepRun, *, tool: d.Tool, arguments: Json, roles: tuple[str, ...], summary: str
) -> None:
    """Ask people of these roles to allow one exact call. Each time is a question of its own."""
    state = turn.state
    label, again = run.step, 0
    if run.kind == UNDO:  # one visit may be undone more than once, until it works
        label, again = f"{run.step}~undo", sum(asked.step == run.step for asked in state.approvals.values())
    turn.emit(
        e.ApprovalRequested(
            step=run.step,
            visit=run.visit,
            approval_id=ids.derived_id(state.tenant, state.workflow_id, label, run.visit, *([again] if again else [])),
            tool=tool.name,
            arguments=arguments,
            action_hash=action_hash(state.tenant, state.workflow_id, tool, arguments),
            roles=roles,
            summary=summary,
            expires_at_ms=run.timeout_at_ms,
        )
    )


def attempt_again(turn: Turn, run: StepRun, call: Call) -> None:
    """Record the intent of the next attempt of the same call."""
    if call.kind is CallKind.MODEL:
        _emit_model_request(
            turn,
            run,
            effect_key=call.effect_key,
            number=call.turn,
            attempt=call.attempt + 1,
            added=[],
            model=run.model,
            parameters=run.parameters,
        )
        return
    turn.emit(
        e.ToolCallRequested(
            step=run.step,
            visit=run.visit,
            turn=call.turn,
            index=call.index,
            effect_key=call.effect_key,
            attempt=call.attempt + 1,
            tool=call.tool,
            effect=call.effect,
            arguments=call.arguments,
            action_hash=call.action_hash,
            approval_id="",
            call_id=call.call_id,
            deadline_at_ms=deadline_of(turn, run),
            key_until_ms=call.key_until_ms,
        )
    )


def policy_of(turn: Turn, run: StepRun, call: Call) -> d.Retry:
    """How often a call may be attempted: the step's word for its own call, the manifest's for an agent's tools."""
    step = turn.step(run.step)
    if call.tool in ENGINE_TOOLS:
        return RETRY
    if isinstance(step, d.AgentStep) and call.kind is CallKind.TOOL:
        return d.Retry(max_attempts=turn.definition.definition.tools[call.tool].max_attempts)
    if isinstance(step, d.ToolStep) and step.compensate is not None and run.kind == UNDO:
        return step.compensate.retry
    assert isinstance(step, d.AgentStep | d.ToolStep)
    return step.retry


def attempt_failed(turn: Turn, run: StepRun, call: Call, failure: Failure) -> bool:
    """Record a failed attempt. True if the call has failed for good: not retried, and not left unknown."""
    unsure = (failure.outcome_unknown or call.unsure) and call.kind is CallKind.TOOL and call.effect != "read"
    policy = policy_of(turn, run, call)
    wait_ms = delay_ms(policy, call.attempt, failure.error_class, call.effect_key, failure.retry_after_ms)
    repeatable = is_repeatable(call, turn.now_ms + wait_ms)
    retryable = failure.retryable or (failure.outcome_unknown and repeatable)
    again = (
        (turn.state.closing is None or run.kind == UNDO)
        and (repeatable or not unsure)
        and may_retry(policy, call.attempt, failure.error_class, retryable)
        and may_wait(policy, call.since_ms, turn.now_ms + wait_ms)
        and (run.kind == UNDO or call.tool in ENGINE_TOOLS or not shortage(turn.state, call.kind))
    )
    if unsure and not again:
        outcome_unknown(turn, run, call, failure.message)
        return False
    _emit_failure(turn, run, call, failure, turn.now_ms + wait_ms if again else 0)
    if not again and policy.exhausted == "block" and turn.state.closing is None:
        turn.block(
            run.step,
            failure.error_class,
            f"{call.tool or run.model} failed {call.attempt} times, the last time with: {failure.message}",
        )
    return not again


def not_made_again(turn: Turn, run: StepRun, call: Call, error_class: str, message: str) -> None:
    """Record that a call which is known to have had no effect is given up."""
    _emit_failure(turn, run, call, Failure(error_class=error_class, message=message), retry_at_ms=0)


def _emit_failure(turn: Turn, run: StepRun, call: Call, failure: Failure, retry_at_ms: int) -> None:
    if call.kind is CallKind.MODEL:
        turn.emit(
            e.ModelCallFailed(
                step=run.step,
                visit=run.visit,
                turn=call.turn,
                effect_key=call.effect_key,
                attempt=call.attempt,
                executor_id=failure.executor_id,
                error_class=failure.error_class,
                error_message=failure.message,
                http_status=failure.http_status,
                retry_at_ms=retry_at_ms,
                duration_ms=failure.duration_ms,
                retry_after_ms=failure.retry_after_ms,
            )
        )
        return
    turn.emit(
        e.ToolCallFailed(
            step=run.step,
            visit=run.visit,
            turn=call.turn,
            index=call.index,
            effect_key=call.effect_key,
            attempt=call.attempt,
            executor_id=failure.executor_id,
            tool=call.tool,
            error_class=failure.error_class,
            error_message=failure.message,
            retry_at_ms=retry_at_ms,
            duration_ms=failure.duration_ms,
            outcome_unknown=failure.outcome_unknown,
        )
    )


def outcome_unknown(turn: Turn, run: StepRun, call: Call, message: str) -> None:
    """Record that nobody knows whether a call took effect: look for traces of it, or leave it to a person."""
    turn.emit(
        e.ToolOutcomeUnknown(
            step=run.step,
            visit=run.visit,
            turn=call.turn,
            index=call.index,
            effect_key=call.effect_key,
            attempt=call.attempt,
            tool=call.tool,
            effect=call.effect,
            error_message=message,
        )
    )
    if turn.definition.definition.tools[call.tool].lookup:
        search(turn, run, call, lookup=call.lookup + 1, due_at_ms=turn.now_ms)
    else:
        leave_to_a_person(turn, run, call, message)


def search(turn: Turn, run: StepRun, call: Call, *, lookup: int, due_at_ms: int) -> None:
    """Record the intent of looking for traces of a call."""
    turn.emit(
        e.ToolLookupRequested(
            step=run.step,
            visit=run.visit,
            effect_key=call.effect_key,
            attempt=call.attempt,
            lookup=lookup,
            tool=call.tool,
            arguments=call.arguments,
            due_at_ms=due_at_ms,
        )
    )


def leave_to_a_person(turn: Turn, run: StepRun, call: Call, message: str) -> None:
    """Stop until somebody has found out what a call did."""
    turn.block(
        run.step,
        "outcome_unknown",
        f"Nobody knows whether {call.tool} took effect ({message}) and a {call.effect} call is not repeated: "
        f"find out by its key {call.effect_key}, then `holdfast resolve` says so.",
    )
