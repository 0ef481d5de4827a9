"""What a workflow waits for: timers, approvals, events from outside."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas.record import Json, Record, changed
from holdfast.streams.core.appliers.common import Applier, unchanged, waiting, with_run
from holdfast.streams.core.state import Approval, Expected, ReceivedEvent, Wait, WorkflowState


def _timer_scheduled(state: WorkflowState, event: e.TimerScheduled) -> WorkflowState:
    run = changed(state.active[event.step], timer_id=event.timer_id, wake_at_ms=event.due_at_ms)
    return waiting(with_run(state, run))


def _timer_fired(state: WorkflowState, event: e.TimerFired) -> WorkflowState:
    run = next((run for run in state.active.values() if run.timer_id == event.timer_id), None)
    return state if run is None else with_run(state, changed(run, timer_id="", wake_at_ms=0))


def _approval_requested(state: WorkflowState, event: e.ApprovalRequested) -> WorkflowState:
    approval = Approval(
        approval_id=event.approval_id,
        step=event.step,
        tool=event.tool,
        action_hash=event.action_hash,
        expires_at_ms=event.expires_at_ms,
    )
    state = changed(state, approvals={**state.approvals, approval.approval_id: approval})
    return waiting(with_run(state, changed(state.active[event.step], approval_id=approval.approval_id)))


def _approval_decided(state: WorkflowState, event: e.ApprovalDecided) -> WorkflowState:
    approval = changed(state.approvals[event.approval_id], approved=event.decision == "approve")
    return changed(state, approvals={**state.approvals, approval.approval_id: approval})


def _wait_started(state: WorkflowState, event: e.WaitStarted) -> WorkflowState:
    wait = Wait(
        wait_id=event.wait_id,
        event_type=event.event_type,
        correlation=event.correlation,
        expires_at_ms=event.expires_at_ms,
        alternatives=_alternatives(event.alternatives),
    )
    early = next((received for received in state.early_events if matches(wait, received)), None)
    if early is not None:
        wait = changed(wait, matched=early)
        state = changed(state, early_events=tuple(r for r in state.early_events if r is not early))
    return waiting(with_run(state, changed(state.active[event.step], wait=wait)))


def _alternatives(told: Json) -> tuple[Expected, ...]:
    found = [other for other in told if isinstance(other, dict)] if isinstance(told, list) else []
    return tuple(Expected(event_type=str(o["event_type"]), correlation=str(o["correlation"])) for o in found)


def _event_received(state: WorkflowState, event: e.EventReceived) -> WorkflowState:
    received = ReceivedEvent(
        event_type=event.event_type,
        correlation=event.correlation,
        source_id=event.source_id,
        payload=event.payload,
        expires_at_ms=event.expires_at_ms,
    )
    for run in state.active.values():
        if run.wait is not None and run.wait.wait_id == event.wait_id:
            return with_run(state, changed(run, wait=changed(run.wait, matched=received)))
    return changed(state, early_events=(*state.early_events, received))


def _early_event_expired(state: WorkflowState, event: e.EarlyEventExpired) -> WorkflowState:
    kept = tuple(received for received in state.early_events if received.source_id != event.source_id)
    return changed(state, early_events=kept)


def matches(wait: Wait, received: ReceivedEvent) -> bool:
    """True if the event is one that the wait is for."""
    return wait.matched is None and any(
        expected.event_type == received.event_type and expected.correlation in ("", received.correlation)
        for expected in wait.expected
    )


def with_early_events(state: WorkflowState) -> WorkflowState:
    """The state in which open waits have taken what came while the workflow was held, oldest first."""
    for run in list(state.active.values()):
        wait = run.wait
        early = next((r for r in state.early_events if matches(wait, r)), None) if wait is not None else None
        if wait is not None and early is not None:
            kept = tuple(received for received in state.early_events if received is not early)
            state = changed(with_run(state, changed(run, wait=changed(wait, matched=early))), early_events=kept)
    return state


APPLIERS: Mapping[type[Record], Applier] = {
    e.TimerScheduled: _timer_scheduled,
    e.TimerFired: _timer_fired,
    e.ApprovalRequested: _approval_requested,
    e.ApprovalDecided: _approval_decided,
    e.ApprovalExpired: unchanged,
    e.WaitStarted: _wait_started,
    e.EventReceived: _event_received,
    e.EarlyEventExpired: _early_event_expired,
}
