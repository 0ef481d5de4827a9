"""What a workflow may spend: limits that stop the next call, shared with the workflows that it starts.

A ledger in the state. Calls count when they are asked for, tokens and money when an answer comes back; what a child was
granted is set aside until it ends and says what it spent. Calls that are under way beside each other come back after
they were allowed, so tokens and money can go over their limit by what those cost. The engine's own calls are free.
"""

from collections.abc import Iterator, Mapping

from holdfast.schemas.record import Json
from holdfast.streams.core.engine_tools import ENGINE_TOOLS
from holdfast.streams.core.state import CallKind, CallStatus, WorkflowState

Amounts = Mapping[str, int]
"""Amounts by limit: `model_calls`, `tool_calls`, `tokens`, `cost_microusd`."""

BY_KIND: Mapping[CallKind, str] = {CallKind.MODEL: "model_calls", CallKind.TOOL: "tool_calls"}
"""The limit that calls of a kind count for."""
_PAID_LATER: Mapping[CallKind, tuple[str, ...]] = {CallKind.MODEL: ("tokens", "cost_microusd"), CallKind.TOOL: ()}
"""Limits of which something has to be left for a call, though nobody knows yet how much it takes."""
LIMITS = frozenset({"model_calls", "tool_calls", "tokens", "cost_microusd"})
EXHAUSTED = "budget_exhausted"
"""The error class of a step that would go over the budget."""


def shortage(state: WorkflowState, kind: CallKind, calls: int = 1) -> str:
    """Why so many more calls of a kind cannot be paid for, in a sentence; empty if they can."""
    if not state.budget:
        return ""
    remaining = left(state)
    for limit, needed in ((BY_KIND[kind], calls), *((later, 1) for later in _PAID_LATER[kind])):
        if limit in remaining and remaining[limit] < needed:
            words = limit.replace("_", " ")
            return f"{state.budget[limit] - remaining[limit]} of {state.budget[limit]} {words} are spent or set aside"
    return ""


def left(state: WorkflowState) -> dict[str, int]:
    """What is neither spent nor set aside, by limit; not below zero."""
    aside: dict[str, int] = dict(state.spent)
    for limit, amount in _set_aside(state):
        aside[limit] = aside.get(limit, 0) + amount
    return {limit: max(amount - aside.get(limit, 0), 0) for limit, amount in state.budget.items()}


def _set_aside(state: WorkflowState) -> Iterator[tuple[str, int]]:
    for child in state.children.values():
        yield from child.budget.items()
    for run in state.active.values():
        for call in run.calls.values():
            if call.status is CallStatus.RETRYING and call.tool not in ENGINE_TOOLS:
                yield BY_KIND[call.kind], 1


def grant(state: WorkflowState, share: Amounts, among: int = 1) -> dict[str, int]:
    """What a workflow that is about to be started may spend: its declared share, as far as that much is left.

    A limit without a declared share is divided evenly `among` those that are still to be started.
    """
    offered = {limit: amount if limit in share else amount // max(among, 1) for limit, amount in left(state).items()}
    return tightest(share, offered)


def nothing_left(granted: Amounts) -> str:
    """Why a workflow with that budget is not worth starting, in a sentence; empty if it is."""
    empty = [limit.replace("_", " ") for limit, amount in granted.items() if not amount]
    return f"no {' and no '.join(empty)} left for another workflow" if empty else ""


def amounts_in(value: Json) -> dict[str, int]:
    """The amounts by limit that an event or a request carries; null are none. Raises ValueError for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not value.keys() <= LIMITS:
        raise ValueError(f"a budget is an object with some of {', '.join(sorted(LIMITS))}")
    wrong = [limit for limit, amount in value.items() if type(amount) is not int or amount < 0]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} must be whole numbers, 0 or more")
    return {limit: amount for limit, amount in value.items() if isinstance(amount, int)}


def tightest(one: Amounts, other: Amounts) -> dict[str, int]:
    """The lower of two amounts for every limit that either has."""
    return {
        limit: min(amounts[limit] for amounts in (one, other) if limit in amounts)
        for limit in sorted(one.keys() | other.keys())
    }
