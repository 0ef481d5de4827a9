"""The inputs that a journal answers, read back from its events: what a shadow run decides over again.

Every event of an input is a fact about that input, so the input can be told from the events of its decision. Inputs
that changed nothing but were refused leave no more than an `InputRejected`, and are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas import ids
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas.record import Message, Record
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.decide import Decision, decide
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.rejections import Rejection
from holdfast.streams.core.state import WorkflowState

Journal = Sequence[Message[Record]]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """The first decision that another definition would have taken otherwise.

    `sequence` is that of the first event that differs; `recorded` and `candidate` are that event as it is and as it
    would be, None where there is none; `reason` says so in a sentence.
    """

    sequence: int
    recorded: Record | None
    candidate: Record | None
    reason: str

    @property
    def step(self) -> str:
        """The step that it is about; empty if it is about none."""
        return str(getattr(self.recorded, "step", "") or getattr(self.candidate, "step", ""))


def decisions(journal: Journal) -> Iterator[Journal]:
    """The events of each decision, in order. A decision that a crash cut short and nobody completed is left out."""
    begun: list[Message[Record]] = []
    for message in journal:
        begun.append(message)
        if message.meta.index == message.meta.count - 1:
            yield begun
            begun = []


def input_of(decision: Journal, state: WorkflowState | None) -> Record | None:
    """The input that a decision answers, given the state before it; None if the events do not tell."""
    forked = next((message.body for message in decision if isinstance(message.body, e.WorkflowForked)), None)
    if forked is not None:
        return _fork(forked)
    for message in decision:
        told = _TELLS.get(type(message.body))
        if told is not None:
            return told(message.body, message.meta.recorded_at_ms, state)
    return None


def first_divergence(journal: Journal, candidate: CompiledDefinition) -> Divergence | None:
    """Where a workflow would have gone another way by another definition; None if it would not have."""
    state: WorkflowState | None = None
    for decision in decisions(journal):
        body = input_of(decision, state)
        if body is not None:
            cause = Cause.of(decision[0].meta)
            decided = decide(state, Message(meta=decision[0].meta, body=body), candidate, cause, candidate)
            found = _compare(decision, decided.events if isinstance(decided, Decision) else (), decided)
            if found is not None:
                return found
        for message in decision:
            state = evolve(state, message.body, Cause.of(message.meta))
    return None


def _compare(decision: Journal, events: tuple[Record, ...], decided: Decision | Rejection) -> Divergence | None:
    first = decision[0].meta.sequence
    recorded = [message.body for message in decision]
    for place, (was, would_be) in enumerate(zip(recorded, events, strict=False)):
        if was != would_be:
            reason = f"{type(was).__name__} would be " + (
                f"{type(would_be).__name__}" if type(was) is not type(would_be) else "another one"
            )
            return Divergence(sequence=first + place, recorded=was, candidate=would_be, reason=reason)
    if len(recorded) == len(events):
        return None
    place = min(len(recorded), len(events))
    was_, would_be_ = recorded[place:], list(events[place:])
    reason = (
        f"it would go on with {type(would_be_[0]).__name__}"
        if would_be_
        else f"{type(was_[0]).__name__} would not follow"
        + (f": {decided.message}" if isinstance(decided, Rejection) else "")
    )
    return Divergence(
        sequence=first + place,
        recorded=was_[0] if was_ else None,
        candidate=would_be_[0] if would_be_ else None,
        reason=reason,
    )


Tell = Callable[[Any, int, WorkflowState | None], Record | None]


def _start(event: e.WorkflowStarted, _now_ms: int, _state: WorkflowState | None) -> Record:
    return req.StartWorkflow(
        definition="",
        definition_hash="",
        input=event.input,
        parent_id=event.parent_id,
        parent_step=event.parent_step,
        parent_visit=event.parent_visit,
        parent_index=event.parent_index,
        depth=event.depth,
        start_step=event.start_step,
        deadline_limit_at_ms=event.deadline_at_ms if event.parent_id else 0,
        budget=event.budget if event.parent_id else None,
    )


def _fork(event: e.WorkflowForked) -> Record:
    return req.ForkWorkflow(
        definition="",
        definition_hash="",
        source_id=event.source_id,
        source_sequence=event.source_sequence,
        source_hash=event.source_hash,
        snapshot=event.snapshot,
        changes=event.changes,
        redo=event.redo,
        reason=event.reason,
    )


def _received(event: e.EventReceived, _now_ms: int, state: WorkflowState | None) -> Record:
    """A published event was handed to one wait; any other was sent to the workflow."""
    of = (state.workflow_id, event.wait_id, state.started_at_ms) if state is not None and event.audience else None
    return req.DeliverEvent(
        event_type=event.event_type,
        correlation=event.correlation,
        payload=event.payload,
        subscription_id=ids.subscription_id(*of) if of else "",
        source_id=event.source_id if of else "",
        broadcast=event.audience == "everyone",
    )


def _failure(event: e.ModelCallFailed | e.ToolCallFailed, _now_ms: int, _state: WorkflowState | None) -> Record:
    return rep.ReportTaskFailure(
        effect_key=event.effect_key,
        attempt=event.attempt,
        executor_id=event.executor_id,
        error_class=event.error_class,
        error_message=event.error_message,
        http_status=getattr(event, "http_status", 0),
        retry_after_ms=getattr(event, "retry_after_ms", 0),
        retryable=event.retry_at_ms > 0,
        outcome_unknown=getattr(event, "outcome_unknown", False),
        duration_ms=event.duration_ms,
    )


def _unknown(event: e.ToolOutcomeUnknown, _now_ms: int, state: WorkflowState | None) -> Record:
    run = state.active.get(event.step) if state is not None else None
    call = run.calls.get(event.effect_key) if run is not None else None
    return rep.ReportTaskFailure(
        effect_key=event.effect_key,
        attempt=event.attempt,
        executor_id=call.executor_id if call is not None else "",
        error_class="",
        error_message=event.error_message,
        http_status=0,
        retry_after_ms=0,
        retryable=False,
        outcome_unknown=call is None or not call.unsure,
        duration_ms=0,
    )


def _late(event: e.LateResultRecorded, _now_ms: int, _state: WorkflowState | None) -> Record | None:
    types = {cls.__name__: cls for cls in (rep.ReportModelResult, rep.ReportToolResult, rep.ReportTaskFailure)}
    return types[event.report_type](**event.report) if isinstance(event.report, dict) else None  # type: ignore[arg-type]


def _lookup(event: e.ToolLookupCompleted, _now_ms: int, _state: WorkflowState | None) -> Record:
    return rep.ReportLookup(
        effect_key=event.effect_key,
        attempt=event.attempt,
        lookup=event.lookup,
        executor_id=event.executor_id,
        found=event.found,
        result=event.result,
        evidence=event.evidence,
        error_class="",
        error_message="",
    )


def _closing(event: e.ClosingStarted, _now_ms: int, _state: WorkflowState | None) -> Record | None:
    return req.CancelWorkflow(reason=event.error_message) if event.outcome == "cancelled" else None


def _cancelled(event: e.WorkflowCancelled, _now_ms: int, _state: WorkflowState | None) -> Record:
    request = req.TerminateWorkflow if event.terminated else req.CancelWorkflow
    return request(reason=event.reason)


def _resumed(event: e.WorkflowResumed, now_ms: int, _state: WorkflowState | None) -> Record:
    return req.ResumeWorkflow(reason=event.reason, extend_ms=max(event.deadline_at_ms - now_ms, 0))


def _same(request: type[Record], *names: str, **renamed: str) -> Tell:
    """An input whose fields stand in the event, under the same names or under others (field of the input = event's)."""
    fields = {**{name: name for name in names}, **renamed}
    return lambda event, _now_ms, _state: request(**{name: getattr(event, own) for name, own in fields.items()})


_CALL = ("effect_key", "attempt", "executor_id")

# The first event of a decision that is listed here tells its input; events that only follow from others are not.
_TELLS: Mapping[type[Record], Tell] = {
    e.WorkflowStarted: _start,
    e.EventReceived: _received,
    e.ApprovalDecided: _same(req.DecideApproval, "approval_id", "decision", "action_hash", "comment"),
    e.ModelCallCompleted: _same(
        rep.ReportModelResult,
        *_CALL,
        "provider",
        "model",
        "response",
        "finish_reason",
        "input_tokens",
        "output_tokens",
        "cached_tokens",
        "cost_microusd",
        "duration_ms",
    ),
    e.ModelCallFailed: _failure,
    e.ToolCallCompleted: _same(rep.ReportToolResult, *_CALL, "result", "duration_ms"),
    e.ToolCallFailed: _failure,
    e.ToolOutcomeUnknown: _unknown,
    e.ToolOutcomeResolved: _same(req.ResolveCall, "effect_key", "outcome", "result", reason="evidence"),
    e.ToolLookupCompleted: _lookup,
    e.LateResultRecorded: _late,
    e.TimerFired: _same(rep.FireTimer, "timer_id", "due_at_ms"),
    e.ChildEnded: _same(
        rep.ReportChildEnded,
        *("step", "visit", "index", "child_id", "outcome", "output", "error_class", "error_message", "spent"),
    ),
    e.WorkflowPaused: _same(req.PauseWorkflow, "reason"),
    e.WorkflowResumed: _resumed,
    e.StepRetried: _same(req.RetryStep, "step", "reason"),
    e.StepSkipped: _same(req.SkipStep, "step", "output", "reason"),
    e.ClosingStarted: _closing,
    e.WorkflowCancelled: _cancelled,
}
