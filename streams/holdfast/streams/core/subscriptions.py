"""What the correlator should know of a workflow: which events it waits for, and which of its waits are over.

Both follow from states and events, so whoever recovers says the same again; the correlator ignores what it knows.
"""

from collections.abc import Mapping, Sequence

from holdfast.schemas import correlations as c
from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas.record import Record
from holdfast.streams.core.state import StepRun, Wait, WorkflowState

Place = tuple[str, str, str]
"""Subscription, event type, value."""
Told = c.SubscriptionOpened | c.SubscriptionClosed
"""What the correlator is told of."""


def subscriptions(state: WorkflowState | None) -> Mapping[Place, c.SubscriptionOpened]:
    """Every event that would end an open wait of the workflow."""
    return {
        (name, expected.event_type, expected.correlation): c.SubscriptionOpened(
            event_type=expected.event_type,
            correlation=expected.correlation,
            subscription_id=name,
            expires_at_ms=wait.expires_at_ms,
        )
        for name, _, wait in _open_waits(state)
        for expected in wait.expected
    }


def waiting_run(state: WorkflowState | None, subscription_id: str) -> StepRun | None:
    """The step run whose open wait has that subscription."""
    return next((run for name, run, _ in _open_waits(state) if name == subscription_id), None)


def opened(before: WorkflowState | None, after: WorkflowState) -> list[c.SubscriptionOpened]:
    """The subscriptions that a decision adds."""
    now = subscriptions(after)
    had = subscriptions(before) if now else {}
    return [subscription for place, subscription in now.items() if place not in had]


def closed(before: WorkflowState | None, after: WorkflowState, events: Sequence[Record]) -> list[c.SubscriptionClosed]:
    """The subscriptions that a decision ends, with the event that each wait took; `events` are the decision's."""
    had = subscriptions(before)
    still = subscriptions(after) if had else {}
    gone = [place for place in had if place not in still]
    if not gone:
        return []
    assert before is not None
    took = {
        ids.subscription_id(before.workflow_id, event.wait_id, before.started_at_ms): event.source_id
        for event in events
        if isinstance(event, e.EventReceived) and event.wait_id
    }
    return [
        c.SubscriptionClosed(
            event_type=event_type, correlation=value, subscription_id=name, source_id=took.get(name, "")
        )
        for name, event_type, value in gone
    ]


def _open_waits(state: WorkflowState | None) -> list[tuple[str, StepRun, Wait]]:
    if state is None or state.finished:
        return []
    return [
        (ids.subscription_id(state.workflow_id, run.wait.wait_id, state.started_at_ms), run, run.wait)
        for run in state.active.values()
        if run.wait is not None and run.wait.matched is None
    ]
