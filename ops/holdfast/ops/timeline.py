"""From the events of a workflow to its story. Pure; the engine's own fold knows no past, so this one is beside it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from holdfast.ops.event_text import ENDINGS
from holdfast.ops.timeline_model import Approval, Attempt, Call, Item, Notice, Sleep, Timeline, Visit, Wait
from holdfast.schemas import events as e
from holdfast.schemas.record import EventMeta, Message, Record

__all__ = ["SCRIPTED", "Timeline", "tell"]

SCRIPTED = "scripted"


def tell(messages: Iterable[Message[Record]]) -> Timeline | None:
    """The story that a workflow's events tell, in their order; None if there are none."""
    teller: _Teller | None = None
    for message in messages:
        if isinstance(message.body, e.WorkflowStarted):
            teller = _Teller(message.meta, message.body)
        assert teller is not None, f"a journal begins with {message.meta.type}"
        teller.take(message)
    return teller.timeline if teller else None


class _Teller:
    """Takes events one by one. One method per event type, in one table; what is not in it adds nothing to the story."""

    def __init__(self, meta: EventMeta, started: e.WorkflowStarted) -> None:
        self.timeline = Timeline(
            tenant=meta.tenant,
            workflow_id=meta.workflow_id,
            definition_name=meta.definition_name,
            definition_hash=meta.definition_hash,
            status="running",
            started_by=meta.actor_id,
            started_at_ms=meta.recorded_at_ms,
            deadline_at_ms=started.deadline_at_ms,
            input=started.input,
        )
        self._calls: dict[str, Call] = {}
        self._approvals: dict[str, Approval] = {}

    def take(self, message: Message[Record]) -> None:
        meta, timeline = message.meta, self.timeline
        timeline.last_sequence, timeline.updated_at_ms = meta.sequence, meta.recorded_at_ms
        take = _TAKES.get(type(message.body))
        if take is not None:
            take(self, message.body, meta)

    def _visit(self, step: str) -> Visit:
        return next(visit for visit in reversed(self.timeline.running) if visit.step == step)

    def ended(self, body: Any, meta: EventMeta) -> None:
        timeline = self.timeline
        timeline.ended_at_ms = meta.recorded_at_ms
        timeline.status = ENDINGS[type(body)]
        timeline.output = getattr(body, "output", None)
        timeline.error_class = getattr(body, "error_class", "")
        timeline.error_message = getattr(body, "error_message", getattr(body, "reason", ""))
        for visit in timeline.running:
            self._end_visit(visit, "ended", meta)

    def blocked(self, body: e.WorkflowBlocked, _meta: EventMeta) -> None:
        self.timeline.status = "blocked"
        self.timeline.error_class, self.timeline.error_message = body.code, body.message

    def step_started(self, body: e.StepStarted, meta: EventMeta) -> None:
        self.timeline.status = "running"
        self.timeline.story.append(
            Visit(
                step=body.step,
                visit=body.visit,
                kind=body.kind,
                started_at_ms=meta.recorded_at_ms,
                timeout_at_ms=body.timeout_at_ms or None,
            )
        )

    def step_completed(self, body: e.StepCompleted, meta: EventMeta) -> None:
        visit = self._visit(body.step)
        visit.next_step = body.next_step
        for item in visit.items:
            # An event that came early is handed over without a second record of it.
            if isinstance(item, Wait) and item.status == "open":
                item.status, item.received_at_ms = "received", meta.recorded_at_ms
        self._end_visit(visit, "completed", meta)

    def step_failed(self, body: e.StepFailed, meta: EventMeta) -> None:
        visit = self._visit(body.step)
        visit.next_step, visit.error_class, visit.error_message = body.next_step, body.error_class, body.error_message
        self._end_visit(visit, "failed", meta)

    def step_cancelled(self, body: e.StepCancelled, meta: EventMeta) -> None:
        visit = self._visit(body.step)
        visit.error_class = body.reason
        self._end_visit(visit, "cancelled", meta)

    def status_changed(self, body: e.StatusChanged, _meta: EventMeta) -> None:
        self.timeline.status = body.status

    def _end_visit(self, visit: Visit, status: str, meta: EventMeta) -> None:
        visit.status, visit.ended_at_ms = status, meta.recorded_at_ms
        for item in visit.items:
            if not isinstance(item, Call) and item.status == "open":
                item.status = "ended"

    def model_requested(self, body: e.ModelCallRequested, meta: EventMeta) -> None:
        call = self._calls.get(body.effect_key)
        if call is None:
            call = Call(kind="model", name=body.model, effect_key=body.effect_key, turn=body.turn)
            self.timeline.model_calls += 1
            self._add_call(body.step, call)
        call.attempts.append(Attempt(number=body.attempt, requested_at_ms=meta.recorded_at_ms))

    def tool_requested(self, body: e.ToolCallRequested, meta: EventMeta) -> None:
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
            self.timeline.tool_calls += 1
            self._add_call(body.step, call)
        call.attempts.append(Attempt(number=body.attempt, requested_at_ms=meta.recorded_at_ms))

    def _add_call(self, step: str, call: Call) -> None:
        self._calls[call.effect_key] = call
        self._visit(step).items.append(call)

    def model_completed(self, body: e.ModelCallCompleted, meta: EventMeta) -> None:
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

    def tool_completed(self, body: e.ToolCallCompleted, meta: EventMeta) -> None:
        self._end_attempt(body, meta, "completed")

    def call_failed(self, body: e.ModelCallFailed | e.ToolCallFailed, meta: EventMeta) -> None:
        attempt = self._end_attempt(body, meta, "failed")
        attempt.error_class, attempt.error_message = body.error_class, body.error_message
        attempt.retry_at_ms = body.retry_at_ms or None

    def outcome_unknown(self, body: e.ToolOutcomeUnknown, meta: EventMeta) -> None:
        attempt = self._end_attempt(body, meta, "unknown")
        attempt.error_class, attempt.error_message = "outcome_unknown", body.error_message

    def released(self, body: e.TaskReleased, meta: EventMeta) -> None:
        attempt = self._end_attempt(body, meta, "released")
        attempt.error_message = body.reason

    def _end_attempt(self, body: Any, meta: EventMeta, status: str) -> Attempt:
        attempt = self._calls[body.effect_key].last
        attempt.status, attempt.ended_at_ms = status, meta.recorded_at_ms
        attempt.duration_ms = getattr(body, "duration_ms", 0)
        attempt.executor_id = getattr(body, "executor_id", "") or attempt.executor_id
        return attempt

    def claimed(self, body: e.TaskClaimed, _meta: EventMeta) -> None:
        self._calls[body.effect_key].last.executor_id = body.executor_id

    def output_rejected(self, body: e.OutputRejected, _meta: EventMeta) -> None:
        self._calls[body.effect_key].rejections.extend(body.errors)

    def wait_started(self, body: e.WaitStarted, meta: EventMeta) -> None:
        self._waiting(
            body.step,
            Wait(
                wait_id=body.wait_id,
                event_type=body.event_type,
                correlation=body.correlation,
                started_at_ms=meta.recorded_at_ms,
                expires_at_ms=body.expires_at_ms,
            ),
        )

    def timer_scheduled(self, body: e.TimerScheduled, meta: EventMeta) -> None:
        sleep = Sleep(timer_id=body.timer_id, started_at_ms=meta.recorded_at_ms, due_at_ms=body.due_at_ms)
        self._waiting(body.step, sleep)

    def approval_requested(self, body: e.ApprovalRequested, meta: EventMeta) -> None:
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
        self._waiting(body.step, approval)

    def _waiting(self, step: str, item: Item) -> None:
        self.timeline.status = "waiting"
        self._visit(step).items.append(item)

    def approval_decided(self, body: e.ApprovalDecided, meta: EventMeta) -> None:
        approval = self._approvals[body.approval_id]
        approval.status = "approved" if body.decision == "approve" else "rejected"
        approval.decided_at_ms, approval.decided_by, approval.comment = meta.recorded_at_ms, meta.actor_id, body.comment

    def approval_expired(self, body: e.ApprovalExpired, _meta: EventMeta) -> None:
        self._approvals[body.approval_id].status = "expired"

    def event_received(self, body: e.EventReceived, meta: EventMeta) -> None:
        for visit in self.timeline.running:
            for item in visit.items:
                if isinstance(item, Wait) and item.wait_id == body.wait_id:
                    item.status, item.received_at_ms = "received", meta.recorded_at_ms
                    item.received_from, item.source_id = meta.actor_id, body.source_id
                    return
        self._note(meta, "kept", body.event_type, "", body.correlation)

    def late(self, body: e.LateResultRecorded, meta: EventMeta) -> None:
        self._note(meta, "late", body.report_type, "", f"attempt {body.attempt} of {body.effect_key}")

    def refused(self, body: e.InputRejected, meta: EventMeta) -> None:
        self._note(meta, "refused", body.input_type, body.code, body.message)

    def _note(self, meta: EventMeta, kind: str, what: str, code: str, message: str) -> None:
        notice = Notice(
            kind=kind, at_ms=meta.recorded_at_ms, what=what, code=code, message=message, actor=meta.actor_id
        )
        self.timeline.story.append(notice)


_TAKES: Mapping[type[Record], Callable[[_Teller, Any, EventMeta], None]] = {
    **dict.fromkeys(ENDINGS, _Teller.ended),
    e.WorkflowBlocked: _Teller.blocked,
    e.StepStarted: _Teller.step_started,
    e.StepCompleted: _Teller.step_completed,
    e.StepFailed: _Teller.step_failed,
    e.StepCancelled: _Teller.step_cancelled,
    e.StatusChanged: _Teller.status_changed,
    e.ModelCallRequested: _Teller.model_requested,
    e.ModelCallCompleted: _Teller.model_completed,
    e.ModelCallFailed: _Teller.call_failed,
    e.OutputRejected: _Teller.output_rejected,
    e.ToolCallRequested: _Teller.tool_requested,
    e.ToolCallCompleted: _Teller.tool_completed,
    e.ToolCallFailed: _Teller.call_failed,
    e.ToolOutcomeUnknown: _Teller.outcome_unknown,
    e.TaskClaimed: _Teller.claimed,
    e.TaskReleased: _Teller.released,
    e.WaitStarted: _Teller.wait_started,
    e.TimerScheduled: _Teller.timer_scheduled,
    e.ApprovalRequested: _Teller.approval_requested,
    e.ApprovalDecided: _Teller.approval_decided,
    e.ApprovalExpired: _Teller.approval_expired,
    e.EventReceived: _Teller.event_received,
    e.LateResultRecorded: _Teller.late,
    e.InputRejected: _Teller.refused,
}
