"""The one place that composes decide, evolve and pending: (row, input) -> (row', records to send).

It knows the wire format and nothing of Faust, Kafka clients, clocks or random numbers: the orchestrator calls it in
production, tests and simulations call it directly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from holdfast.schemas import chain, topics
from holdfast.schemas import correlations as c
from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas.codec import encode
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.record import EventMeta, Message, Record, changed
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.decide import Decision, decide
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.pending import calls_owed, calls_under_way, letters_owed, task_for
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.core.subscriptions import Told, closed, opened, subscriptions, waiting_run
from holdfast.streams.outbound import (
    SOURCE,
    Outbound,
    engine_meta,
    event_metas,
    inbox_record,
    letter_meta,
    outbound_record,
    rejection_record,
    status_record,
    subscription_record,
)
from holdfast.streams.rows import Row, state_json

STATE_LIMIT_BYTES = 524_288
REQUESTS = topics.REQUESTS.records
ENDINGS = (e.WorkflowCompleted, e.WorkflowFailed, e.WorkflowCancelled)

Definitions = Callable[[str], CompiledDefinition | None]
"""Looks a definition up by its hash; None if it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an input led to.

    `row` is the row to keep (None if there is none), still without the journal offset of its last event; `journal`
    the events to append; `outbound` everything else that must be durable before the row is.
    """

    row: Row | None
    journal: tuple[Outbound, ...] = ()
    outbound: tuple[Outbound, ...] = ()


class Driver:
    """Turns inputs into rows and records. Holds no state of its own."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def fold(
        self,
        row: Row | None,
        message: Message[Record],
        *,
        offset: int,
        now_ms: int,
        prefix: Sequence[Message[Record]] = (),
    ) -> Outcome:
        """What an inbox record leads to.

        Arguments: the workflow's row (None if it has none), the decoded record, its offset and append time in ms,
        and the events that a decision on this very record appended before a crash cut it short.
        """
        state = row.state if row is not None else None
        if _handed_in_vain(state, message.body):
            return self._given_back(row, message, offset, now_ms)
        definition = self._definition_for(state, message.body)
        if definition is None:
            name = getattr(message.body, "definition_hash", "") or (state.definition_hash if state else "")
            code = "workflow_not_found" if not name else "definition_not_found"
            refused = reject(code, workflow_id=message.meta.workflow_id, definition=name)
            return self._refused(row, message, refused, offset, now_ms)
        cause = _cause(message.meta, definition, now_ms)
        try:
            return self._fold(row, message, definition, cause, offset, prefix)
        except Exception as exc:
            # A bug, or a value that cannot be written, parks this workflow; the partition goes on.
            error = f"{type(exc).__name__}: {exc}"
        if prefix:
            return self._append(row, _diverged(state, prefix, cause, error), cause, definition, offset, len(prefix))
        parked = _parked(state, cause, error)
        if isinstance(parked, Rejection):
            return self._refused(row, message, parked, offset, now_ms)
        return self._append(row, parked, cause, definition, offset, 0)

    def _fold(
        self,
        row: Row | None,
        message: Message[Record],
        definition: CompiledDefinition,
        cause: Cause,
        offset: int,
        prefix: Sequence[Message[Record]],
    ) -> Outcome:
        state = row.state if row is not None else None
        decision = decide(state, message, definition, cause, self._candidate(message.body))
        if prefix:
            decision = _continue(state, prefix, decision, cause)
        if isinstance(decision, Rejection):
            return self._refused(row, message, decision, offset, cause.now_ms)
        if not decision.events:
            return Outcome(row=changed(row, inbox_offset=offset) if row is not None else None)
        assert decision.state is not None
        outcome = self._append(row, decision, cause, definition, offset, len(prefix))
        assert outcome.row is not None
        if not prefix and (size := len(outcome.row.text)) > STATE_LIMIT_BYTES:
            too_large = _too_large(state, cause, size)
            if isinstance(too_large, Rejection):
                return self._refused(row, message, too_large, offset, cause.now_ms)
            return self._append(row, too_large, cause, definition, offset, 0)
        return outcome

    def _definition_for(self, state: WorkflowState | None, body: Record) -> CompiledDefinition | None:
        if state is not None:
            return self._definitions(state.definition_hash)
        return self._definitions(body.definition_hash) if isinstance(body, req.StartWorkflow) else None

    def _candidate(self, body: Record) -> CompiledDefinition | None:
        return self._definitions(body.definition_hash) if isinstance(body, req.MigrateWorkflow) else None

    def _given_back(self, row: Row | None, message: Message[Record], offset: int, now_ms: int) -> Outcome:
        """A published event came to a wait that is over: the correlator hears so again, and hands it to another.

        If the wait took this very event, the correlator was told that before, and ignores this.
        """
        body = message.body
        assert isinstance(body, req.DeliverEvent)
        answer = c.SubscriptionClosed(
            event_type=body.event_type,
            correlation=body.correlation,
            subscription_id=body.subscription_id,
            source_id="",
        )
        cause = Cause.of(replace(message.meta, cause_id=message.meta.event_id, recorded_at_ms=now_ms))
        return Outcome(
            row=changed(row, inbox_offset=offset) if row is not None else None,
            outbound=(subscription_record(cause, answer, message.meta.event_id),),
        )

    def _refused(
        self, row: Row | None, message: Message[Record], refused: Rejection, offset: int, now_ms: int
    ) -> Outcome:
        meta, body = message.meta, message.body
        notice = rejection_record(meta, refused, type(body).__name__, now_ms)
        outbound: tuple[Outbound, ...] = (notice,) if row is None or isinstance(body, REQUESTS) else ()
        if isinstance(body, req.StartWorkflow) and body.parent_id:
            outbound += (_refusal_for_parent(meta, body, refused, now_ms),)
        if isinstance(body, rep.ClaimTask):
            outbound += (_refusal_for_claimer(meta, body, refused, now_ms),)
        if row is None:
            return Outcome(row=None, outbound=outbound)
        definition = self._definitions(row.state.definition_hash)
        if definition is None:  # nothing can be folded without it; the notice says so
            return Outcome(row=changed(row, inbox_offset=offset), outbound=(notice,))
        cause = _cause(meta, definition, now_ms)
        event = e.InputRejected(
            code=refused.code, message=refused.message, input_type=type(body).__name__, input_id=meta.event_id
        )
        decision = Decision(events=(event,), state=evolve(row.state, event, cause))
        outcome = self._append(row, decision, cause, definition, offset, 0)
        return replace(outcome, outbound=(*outcome.outbound, *outbound))

    def _append(
        self,
        row: Row | None,
        decision: Decision,
        cause: Cause,
        definition: CompiledDefinition,
        offset: int,
        journaled: int,
    ) -> Outcome:
        assert decision.state is not None
        before = row.state if row is not None else None
        sequence = row.sequence if row is not None else 0
        head = row.head_hash if row is not None else chain.GENESIS
        journal: list[Outbound] = []
        results: list[Outbound] = []
        last_id = cause.input_id
        for meta, event in event_metas(cause, decision.events, sequence, offset, head):
            head, last_id = meta.hash, meta.event_id
            if meta.index >= journaled:
                record = outbound_record(topics.JOURNAL, event, meta)
                journal.append(record)
                if isinstance(event, ENDINGS):
                    results.append(replace(record, topic=topics.RESULTS))
        after = decision.state
        outbound = [*results, *_tasks(before, after, definition, cause, last_id)]
        outbound += _stops(before, after, decision.events, cause, last_id)
        outbound += _letters(before, after, cause, last_id)
        told: tuple[Told, ...] = (*opened(before, after), *closed(before, after, decision.events))
        outbound += [subscription_record(cause, body, last_id) for body in told]
        if before is None or before.status is not after.status:
            outbound.append(status_record(after, cause, last_id))
        new_row = Row(
            inbox_offset=offset,
            sequence=sequence + len(decision.events),
            journal_offset=row.journal_offset if row is not None else -1,
            head_hash=head,
            state=after,
            text=state_json(after),
        )
        return Outcome(row=new_row, journal=tuple(journal), outbound=tuple(outbound))

    def owed(self, row: Row, ended: Sequence[c.SubscriptionClosed] = ()) -> tuple[Outbound, ...]:
        """Everything that others should have about a workflow: what to send again after a recovery.

        `ended` are the waits that were over by then and that the correlator may not have heard of.
        """
        definition = self._definitions(row.state.definition_hash)
        if definition is None:
            return ()
        state = row.state
        cause = Cause(
            tenant=state.tenant,
            workflow_id=state.workflow_id,
            definition_name=state.definition_name,
            definition_hash=state.definition_hash,
            input_id="",
            now_ms=state.started_at_ms,
            actor_kind="engine",
            actor_id="recovery",
            correlation_id=state.correlation_id,
            traceparent=state.traceparent,
        )
        told: tuple[Told, ...] = (*ended, *subscriptions(state).values())
        return (
            *_tasks(None, state, definition, cause, ""),
            *_letters(None, state, cause, ""),
            *(subscription_record(cause, body, "") for body in told),
        )


def _handed_in_vain(state: WorkflowState | None, body: Record) -> bool:
    """True for a published event whose wait is over, or whose workflow is not there any more."""
    return (
        isinstance(body, req.DeliverEvent)
        and bool(body.subscription_id)
        and waiting_run(state, body.subscription_id) is None
    )


def _cause(meta: EventMeta, definition: CompiledDefinition, now_ms: int) -> Cause:
    return Cause(
        tenant=meta.tenant,
        workflow_id=meta.workflow_id,
        definition_name=definition.definition.name,
        definition_hash=definition.hash,
        input_id=meta.event_id,
        now_ms=now_ms,
        actor_kind=meta.actor_kind,
        actor_id=meta.actor_id,
        correlation_id=meta.correlation_id,
        traceparent=meta.traceparent,
    )


def _parked(state: WorkflowState | None, cause: Cause, error: str) -> Decision | Rejection:
    if state is None or state.finished:
        return reject("internal_error", error=error)
    event = e.WorkflowBlocked(step=next(iter(state.active), ""), code="internal_error", message=error)
    return Decision(events=(event,), state=evolve(state, event, cause))


def _too_large(state: WorkflowState | None, cause: Cause, size: int) -> Decision | Rejection:
    message = f"the state would be {size} bytes, more than {STATE_LIMIT_BYTES}: keep large values outside the workflow"
    if state is None:
        return reject("payload_too_large", limit=STATE_LIMIT_BYTES, size=size)
    event = e.WorkflowFailed(step=next(iter(state.active), ""), error_class="state_too_large", error_message=message)
    return Decision(events=(event,), state=evolve(state, event, cause))


def _continue(
    state: WorkflowState | None, prefix: Sequence[Message[Record]], decision: Decision | Rejection, cause: Cause
) -> Decision:
    """The rest of a decision that a crash cut short. What stands in the journal is kept as it is."""
    kept = tuple(message.body for message in prefix)
    same = isinstance(decision, Decision) and decision.events[: len(kept)] == kept
    if isinstance(decision, Decision) and same and len(decision.events) == prefix[0].meta.count:
        return decision
    return _diverged(state, prefix, cause, "this version of the engine decides differently")


def _diverged(state: WorkflowState | None, prefix: Sequence[Message[Record]], cause: Cause, why: str) -> Decision:
    """The journaled beginning of a decision, ended by a block: half a decision cannot be completed by another."""
    kept = tuple(message.body for message in prefix)
    for event in kept:
        state = evolve(state, event, cause)
    assert state is not None
    ending: Record = e.WorkflowBlocked(
        step=next(iter(state.active), ""),
        code="decision_diverged",
        message=f"A crash cut a decision short, and it cannot be completed: {why}.",
    )
    if state.finished:  # nothing can be blocked any more: the ending stands, and this says that it was cut short
        ending = e.InputRejected(code="decision_diverged", message=why, input_type="decision", input_id=cause.input_id)
    return Decision(events=(*kept, ending), state=evolve(state, ending, cause))


OUTCOMES = (
    e.ModelCallCompleted,
    e.ModelCallFailed,
    e.ToolCallCompleted,
    e.ToolCallFailed,
    e.ToolOutcomeUnknown,
    e.TaskReleased,
)
_TASK_TOPICS = {
    t.LookUpEffect: topics.TASKS_TOOL,
    t.RunModelCall: topics.TASKS_MODEL,
    t.RunToolCall: topics.TASKS_TOOL,
    t.GrantTask: topics.GRANTS,
}


def _tasks(
    before: WorkflowState | None, after: WorkflowState, definition: CompiledDefinition, cause: Cause, cause_id: str
) -> list[Outbound]:
    had = calls_owed(before) if before is not None else {}
    records = []
    for debt, (run, call) in calls_owed(after).items():
        if debt in had:
            continue
        body = task_for(run, call, definition.definition)
        meta = engine_meta(cause, body, cause_id, call.effect_key, debt[1])
        key = f"{call.effect_key}/{debt[1]}".encode()
        records.append(Outbound(_TASK_TOPICS[type(body)], key, encode(body, meta), cloud_event(body, meta, SOURCE)))
    return records


def _stops(
    before: WorkflowState | None, after: WorkflowState, events: Sequence[Record], cause: Cause, cause_id: str
) -> list[Outbound]:
    """Word to executors that nobody waits for their attempts any more. Of use only now, hence never owed."""
    if before is None:
        return []
    settled = {event.effect_key for event in events if isinstance(event, OUTCOMES)}
    wanted = calls_under_way(after)
    records = []
    for effect_key, attempt in calls_under_way(before).items():
        if effect_key not in wanted and effect_key not in settled:
            body = t.StopTask(effect_key=effect_key, attempt=attempt, reason=t.WITHDRAWN)
            records.append(_stop(body, engine_meta(cause, body, cause_id, effect_key, attempt)))
    return records


def _stop(body: t.StopTask, meta: EventMeta) -> Outbound:
    key = f"{body.effect_key}/{body.attempt}".encode()
    return Outbound(topics.GRANTS, key, encode(body, meta), cloud_event(body, meta, SOURCE))


def _letters(before: WorkflowState | None, after: WorkflowState, cause: Cause, cause_id: str) -> list[Outbound]:
    had = letters_owed(before) if before is not None else {}
    return [
        inbox_record(body, letter_meta(cause, body, workflow_id, cause_id, after.started_by))
        for (about, workflow_id), body in letters_owed(after).items()
        if (about, workflow_id) not in had
    ]


def _refusal_for_parent(meta: EventMeta, body: req.StartWorkflow, refused: Rejection, now_ms: int) -> Outbound:
    """What a parent hears of a child that could not be started."""
    report = rep.ReportChildEnded(
        step=body.parent_step,
        visit=body.parent_visit,
        index=body.parent_index,
        child_id=meta.workflow_id,
        outcome="rejected",
        output=None,
        error_class=refused.code,
        error_message=refused.message,
    )
    cause = Cause.of(replace(meta, recorded_at_ms=now_ms))
    return inbox_record(report, letter_meta(cause, report, body.parent_id, meta.event_id, meta.actor_id))


def _refusal_for_claimer(meta: EventMeta, body: rep.ClaimTask, refused: Rejection, now_ms: int) -> Outbound:
    """What an executor hears of a claim that was refused: it may be waiting for its grant. Of use only now."""
    stop = t.StopTask(effect_key=body.effect_key, attempt=body.attempt, reason=refused.code)
    cause = Cause.of(replace(meta, recorded_at_ms=now_ms))
    return _stop(stop, engine_meta(cause, stop, meta.event_id, body.effect_key, body.attempt, meta.event_id))
