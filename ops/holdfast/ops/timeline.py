"""From the events of a workflow to its story. Pure.

Where the workflow stands (status, error, deadline) is what the engine's own fold says; that knows no past, so the
story is told beside it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast.ops import timeline_side_by_side
from holdfast.ops.event_text import ENDINGS, says
from holdfast.ops.timeline_model import Approval, Attempt, Call, Child, Item, Notice, Sleep, Timeline, Visit, Wait
from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.engine_tools import ENGINE_TOOLS
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.state import Status, WorkflowState

__all__ = ["SCRIPTED", "Teller", "Timeline", "tell"]

SCRIPTED = "scripted"
COMPENSATION = "compensation"
_WITH_ERROR = frozenset({Status.BLOCKED, Status.FAILED, Status.CANCELLED})


def tell(messages: Iterable[Message[Record]]) -> Timeline | None:
    """The story that a workflow's events tell, in their order; None if there are none."""
    teller: Teller | None = None
    state: WorkflowState | None = None
    for message in messages:
        state = evolve(state, message.body, Cause.of(message.meta))
        if isinstance(message.body, e.WorkflowStarted):
            teller = Teller(message.meta, message.body)
        assert teller is not None, f"a journal begins with {message.meta.type}"
        teller.take(message)
    if teller is None or state is None:
        return None
    _stand(teller.timeline, state)
    return teller.timeline


def _stand(timeline: Timeline, state: WorkflowState) -> None:
    timeline.status = state.status.value
    timeline.definition_name, timeline.definition_hash = state.definition_name, state.definition_hash
    timeline.deadline_at_ms = state.deadline_at_ms
    timeline.output = state.output
    if state.status in _WITH_ERROR:
        timeline.error_class, timeline.error_message = state.error_class, state.error_message


class Teller:
    """Takes events one by one. One function per event type, in one table; what is not in it adds nothing."""

    def __init__(self, meta: EventMeta, started: e.WorkflowStarted) -> None:
        self.timeline = Timeline(
            tenant=meta.tenant,
            workflow_id=meta.workflow_id,
            definition_name=meta.definition_name,
            definition_hash=meta.definition_hash,
            status="running",
            started_by=meta.actor_id,
            started_at_ms=meta.recorded_at_ms,
            parent_id=started.parent_id,
            parent_step=started.parent_step,
            parent_index=started.parent_index,
            depth=started.depth,
            start_step=started.start_step,
            deadline_at_ms=started.deadline_at_ms,
            input=started.input,
        )
        self.children: dict[str, tuple[Visit, Child]] = {}
        self._calls: dict[str, Call] = {}
        self._approvals: dict[str, Approval] = {}

    def take(self, message: Message[Record]) -> None:
        """Add an event to the story."""
        meta, timeline = message.meta, self.timeline
        timeline.last_sequence, timeline.updated_at_ms = meta.sequence, meta.recorded_at_ms
        take = _TAKES.get(type(message.body))
        if take is not None:
            take(self, message.body, meta)

    def visit(self, step: str) -> Visit:
        """The visit of a step that is under way."""
        return next(visit for visit in reversed(self.timeline.running) if visit.step == step)

    def _forked(self, body: e.WorkflowForked, meta: EventMeta) -> None:
        self.timeline.forked_from, self.timeline.forked_at = body.source_id, body.source_sequence
        taken: Any = body.snapshot
        self.timeline.done_before = tuple(taken["outputs"])
        self._act(body, meta)

    def _ended(self, body: Any, meta: EventMeta) -> None:
        timeline = self.timeline
        timeline.ended_at_ms = meta.recorded_at_ms
        for visit in timeline.running:
            self._end_visit(visit, "ended", meta)
        timeline_side_by_side.let_go(timeline.children)

    def _step_started(self, body: e.StepStarted, meta: EventMeta) -> None:
        self.timeline.story.append(
            Visit(
                step=body.step,
                visit=body.visit,
                kind=body.kind,
                started_at_ms=meta.recorded_at_ms,
                timeout_at_ms=body.timeout_at_ms or None,
                scope=body.scope,
            )
        )

    def _step_completed(self, body: e.StepCompleted, meta: EventMeta) -> None:
        visit = self.visit(body.step)
        visit.next_step = body.next_step
        for item in visit.items:
            # An event that came early is handed over without a second record of it.
            if isinstance(item, Wait) and item.status == "open":
                item.status, item.received_at_ms = "received", meta.recorded_at_ms
        self._end_visit(visit, "completed", meta)

    def _step_failed(self, body: e.StepFailed, meta: EventMeta) -> None:
        visit = self.visit(body.step)
        visit.next_step, visit.error_class, visit.error_message = body.next_step, body.error_class, body.error_message
        self._end_visit(visit, "failed", meta)

    def _step_cancelled(self, body: e.StepCancelled, meta: EventMeta) -> None:
        visit = self.visit(body.step)
        visit.error_class = body.reason
        self._end_visit(visit, "cancelled", meta)

    def _step_skipped(self, body: e.StepSkipped, meta: EventMeta) -> None:
        self._act(body, meta)
        for visit in self.timeline.running:
            if visit.step == body.step:
                visit.next_step = body.next_step
                self._end_visit(visit, "skipped", meta)

    def _undo_started(self, body: e.CompensationStarted, meta: EventMeta) -> None:
        self.timeline.story.append(
            Visit(
                step=body.step,
                visit=body.visit,
                kind=COMPENSATION,
                started_at_ms=meta.recorded_at_ms,
                timeout_at_ms=body.timeout_at_ms or None,
            )
        )

    def _undo_ended(self, body: e.CompensationEnded, meta: EventMeta) -> None:
        visit = self.visit(body.step)
        visit.error_class, visit.error_message = body.error_class, body.error_message
        self._end_visit(visit, body.outcome, meta)

    def _end_visit(self, visit: Visit, status: str, meta: EventMeta) -> None:
        visit.status, visit.ended_at_ms = status, meta.recorded_at_ms
        for item in visit.items:
            if isinstance(item, Wait | Sleep | Approval) and item.status == "open":
                item.status = "ended"
            elif isinstance(item, Call) and item.last.status == "open":
                item.last.status = "withdrawn"
        timeline_side_by_side.let_go(
            child for child in timeline_side_by_side.children_of(visit) if child.awaited or status != "completed"
        )

    def _model_requested(self, body: e.ModelCallRequested, meta: EventMeta) -> None:
        call = self._calls.get(body.effect_key)
        if call is None:
            call = Call(kind="model", name=body.model, effect_key=body.effect_key, turn=body.turn)
            self.timeline.model_calls += 1
            self._add_call(body.step, call)
        call.attempts.append(Attempt(number=body.attempt, requested_at_ms=meta.recorded_at_ms))

    def _tool_requested(self, body: e.ToolCallRequested, meta: EventMeta) -> None:
        call = self._calls.get(body.effect_key)
        if call is None:
            call = Call(
                kind="tool",
                name=body.tool,
                effect_key=body.effect_key,
                turn=body.turn,
                effect=body.effect,
                arguments=body.arguments,
                action_hash=body.action_hash,
                approval_id=body.approval_id,
            )
            if body.tool in ENGINE_TOOLS:
                self._only_the_last(body.step, body.tool)
            else:
                self.timeline.tool_calls += 1
            self._add_call(body.step, call)
        call.attempts.append(Attempt(number=body.attempt, requested_at_ms=meta.recorded_at_ms))

    def _add_call(self, step: str, call: Call) -> None:
        self._calls[call.effect_key] = call
        self.visit(step).items.append(call)

    def _only_the_last(self, step: str, tool: str) -> None:
        """A map step makes the same calls again and again: the story keeps the newest of each."""
        visit = self.visit(step)
        visit.items[:] = [item for item in visit.items if not (isinstance(item, Call) and item.name == tool)]

    def _model_completed(self, body: e.ModelCallCompleted, meta: EventMeta) -> None:
        timeline, call = self.timeline, self._calls[body.effect_key]
        call.provider, call.model, call.scripted = body.provider, body.model, body.provider == SCRIPTED
        call.input_tokens += body.input_tokens
        call.output_tokens += body.output_tokens
        call.cached_tokens += body.cached_tokens
        call.cost_microusd += body.cost_microusd
        timeline.scripted_model_calls += call.scripted
        timeline.input_tokens += body.input_tokens
        timeline.output_tokens += body.output_tokens
        timeline.cost_microusd += body.cost_microusd
        self._end_attempt(body, meta, "completed")

    def _tool_completed(self, body: e.ToolCallCompleted, meta: EventMeta) -> None:
        self._end_attempt(body, meta, "completed")

    def _call_failed(self, body: e.ModelCallFailed | e.ToolCallFailed, meta: EventMeta) -> None:
        attempt = self._end_attempt(body, meta, "failed")
        attempt.error_class, attempt.error_message = body.error_class, body.error_message
        attempt.retry_at_ms = body.retry_at_ms or None

    def _outcome_unknown(self, body: e.ToolOutcomeUnknown, meta: EventMeta) -> None:
        attempt = self._end_attempt(body, meta, "unknown")
        attempt.error_class, attempt.error_message = "outcome_unknown", body.error_message

    def _outcome_resolved(self, body: e.ToolOutcomeResolved, meta: EventMeta) -> None:
        self._act(body, meta)
        attempt = self._calls[body.effect_key].last
        attempt.status = "completed" if body.outcome == "done" else "failed"
        attempt.error_message = body.evidence

    def _looked_up(self, body: e.ToolLookupCompleted, _meta: EventMeta) -> None:
        attempt = self._calls[body.effect_key].last
        if body.found:
            attempt.status, attempt.error_message = "completed", body.evidence

    def _released(self, body: e.TaskReleased, meta: EventMeta) -> None:
        attempt = self._end_attempt(body, meta, "released")
        attempt.error_message = body.reason

    def _end_attempt(self, body: Any, meta: EventMeta, status: str) -> Attempt:
        attempt = self._calls[body.effect_key].last
        attempt.status, attempt.ended_at_ms = status, meta.recorded_at_ms
        attempt.duration_ms = getattr(body, "duration_ms", 0)
        attempt.executor_id = getattr(body, "executor_id", "") or attempt.executor_id
        return attempt

    def _claimed(self, body: e.TaskClaimed, _meta: EventMeta) -> None:
        self._calls[body.effect_key].last.executor_id = body.executor_id

    def _output_rejected(self, body: e.OutputRejected, _meta: EventMeta) -> None:
        self._calls[body.effect_key].rejections.extend(body.errors)

    def _wait_started(self, body: e.WaitStarted, meta: EventMeta) -> None:
        self._add_item(
            body.step,
            Wait(
                wait_id=body.wait_id,
                event_type=body.event_type,
                correlation=body.correlation,
                alternatives=_alternatives(body),
                started_at_ms=meta.recorded_at_ms,
                expires_at_ms=body.expires_at_ms,
            ),
        )

    def _timer_scheduled(self, body: e.TimerScheduled, meta: EventMeta) -> None:
        sleep = Sleep(timer_id=body.timer_id, started_at_ms=meta.recorded_at_ms, due_at_ms=body.due_at_ms)
        visit = self.visit(body.step)
        # A schedule sets one timer after the other: only the next one is of interest.
        visit.items = [item for item in visit.items if not isinstance(item, Sleep)]
        self._add_item(body.step, sleep)

    def _approval_requested(self, body: e.ApprovalRequested, meta: EventMeta) -> None:
        approval = Approval(
            approval_id=body.approval_id,
            tool=body.tool,
            arguments=body.arguments,
            action_hash=body.action_hash,
            roles=body.roles,
            summary=body.summary,
            requested_at_ms=meta.recorded_at_ms,
            expires_at_ms=body.expires_at_ms,
        )
        self._approvals[approval.approval_id] = approval
        self._add_item(body.step, approval)

    def _add_item(self, step: str, item: Item) -> None:
        self.visit(step).items.append(item)

    def _approval_decided(self, body: e.ApprovalDecided, meta: EventMeta) -> None:
        approval = self._approvals[body.approval_id]
        approval.status = "approved" if body.decision == "approve" else "rejected"
        approval.decided_at_ms, approval.decided_by, approval.comment = meta.recorded_at_ms, meta.actor_id, body.comment

    def _approval_expired(self, body: e.ApprovalExpired, _meta: EventMeta) -> None:
        self._approvals[body.approval_id].status = "expired"

    def _event_received(self, body: e.EventReceived, meta: EventMeta) -> None:
        for visit in self.timeline.running:
            for item in visit.items:
                if isinstance(item, Wait) and item.wait_id == body.wait_id:
                    item.status, item.received_at_ms = "received", meta.recorded_at_ms
                    item.received_from, item.source_id = meta.actor_id, body.source_id
                    item.received_type = body.event_type
                    return
        self._note(meta, "kept", body.event_type, "", body.correlation)

    def _early_expired(self, body: e.EarlyEventExpired, meta: EventMeta) -> None:
        self._note(meta, "expired", body.event_type, "", body.correlation)

    def _late(self, body: e.LateResultRecorded, meta: EventMeta) -> None:
        self._note(meta, "late", body.report_type, "", f"attempt {body.attempt} of {body.effect_key}")

    def _refused(self, body: e.InputRejected, meta: EventMeta) -> None:
        self._note(meta, "refused", body.input_type, body.code, body.message)

    def _act(self, body: Record, meta: EventMeta) -> None:
        self._note(meta, "act", _ACTS[type(body)], "", says(body))

    def _note(self, meta: EventMeta, kind: str, what: str, code: str, message: str) -> None:
        notice = Notice(
            kind=kind, at_ms=meta.recorded_at_ms, what=what, code=code, message=message, actor=meta.actor_id
        )
        self.timeline.story.append(notice)


def _alternatives(body: e.WaitStarted) -> list[dict[str, str]]:
    told = body.alternatives if isinstance(body.alternatives, list) else []
    return [{name: str(value) for name, value in one.items()} for one in told if isinstance(one, dict)]


# What somebody, or a limit, does to the whole workflow.
_ACTS: Mapping[type[Record], str] = {
    e.WorkflowPaused: "paused",
    e.WorkflowResumed: "resumed",
    e.WorkflowMigrated: "migrated",
    e.WorkflowForked: "forked",
    e.StepRetried: "sent back",
    e.StepSkipped: "skipped",
    e.ToolOutcomeResolved: "resolved",
    e.DeadlineReached: "deadline",
    e.IdleLimitReached: "idle limit",
    e.ClosingStarted: "closing",
}
_TAKES: Mapping[type[Record], Callable[[Teller, Any, EventMeta], None]] = {
    **dict.fromkeys(_ACTS, Teller._act),
    **dict.fromkeys(ENDINGS, Teller._ended),
    **timeline_side_by_side.TAKES,
    e.WorkflowForked: Teller._forked,
    e.StepStarted: Teller._step_started,
    e.StepCompleted: Teller._step_completed,
    e.StepFailed: Teller._step_failed,
    e.StepCancelled: Teller._step_cancelled,
    e.StepSkipped: Teller._step_skipped,
    e.CompensationStarted: Teller._undo_started,
    e.CompensationEnded: Teller._undo_ended,
    e.ModelCallRequested: Teller._model_requested,
    e.ModelCallCompleted: Teller._model_completed,
    e.ModelCallFailed: Teller._call_failed,
    e.OutputRejected: Teller._output_rejected,
    e.ToolCallRequested: Teller._tool_requested,
    e.ToolCallCompleted: Teller._tool_completed,
    e.ToolCallFailed: Teller._call_failed,
    e.ToolOutcomeUnknown: Teller._outcome_unknown,
    e.ToolOutcomeResolved: Teller._outcome_resolved,
    e.ToolLookupCompleted: Teller._looked_up,
    e.TaskClaimed: Teller._claimed,
    e.TaskReleased: Teller._released,
    e.WaitStarted: Teller._wait_started,
    e.TimerScheduled: Teller._timer_scheduled,
    e.ApprovalRequested: Teller._approval_requested,
    e.ApprovalDecided: Teller._approval_decided,
    e.ApprovalExpired: Teller._approval_expired,
    e.EventReceived: Teller._event_received,
    e.EarlyEventExpired: Teller._early_expired,
    e.LateResultRecorded: Teller._late,
    e.InputRejected: Teller._refused,
}
