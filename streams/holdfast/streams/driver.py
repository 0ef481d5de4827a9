"""The one place that composes decide, evolve and pending: (row, input) -> (row', records to send).

It knows the wire format and nothing of Faust, Kafka clients, clocks or random numbers: the orchestrator calls it in
production, tests and simulations call it directly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from holdfast.schemas import chain, ids, topics
from holdfast.schemas import correlations as c
from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas.record import EventMeta, Message, Record, changed
from holdfast.streams.consequences import consequences, letters, refusal_for_claimer, refusal_for_parent, tasks
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.decide import STARTS, Decision, decide
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.core.subscriptions import opened, waiting_run
from holdfast.streams.outbound import (
    Outbound,
    event_metas,
    outbound_record,
    rejection_record,
    status_record,
    subscription_record,
)
from holdfast.streams.rows import Row, state_json

STATE_LIMIT_BYTES = 524_288

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
            kept = changed(row, inbox_offset=offset) if row is not None else None
            return Outcome(row=kept, outbound=(_given_back(message, now_ms),))
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
        return self._definitions(body.definition_hash) if isinstance(body, STARTS) else None

    def _candidate(self, body: Record) -> CompiledDefinition | None:
        return self._definitions(body.definition_hash) if isinstance(body, req.MigrateWorkflow) else None

    def _refused(
        self, row: Row | None, message: Message[Record], refused: Rejection, offset: int, now_ms: int
    ) -> Outcome:
        meta, body = message.meta, message.body
        outbound: tuple[Outbound, ...] = ()
        if isinstance(body, req.StartWorkflow) and body.parent_id:
            outbound += (refusal_for_parent(meta, body, refused, now_ms),)
        if isinstance(body, rep.ClaimTask):
            outbound += (refusal_for_claimer(meta, body, refused, now_ms),)
        notice = rejection_record(meta, refused, type(body).__name__, now_ms)
        if row is None:
            return Outcome(row=None, outbound=(notice, *outbound))
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
        metas = event_metas(cause, decision.events, sequence, offset, head)
        decided = [Message(meta=meta, body=event) for meta, event in metas]
        new_row = Row(
            inbox_offset=offset,
            sequence=sequence + len(decision.events),
            journal_offset=row.journal_offset if row is not None else -1,
            head_hash=decided[-1].meta.hash,
            state=decision.state,
            text=state_json(decision.state),
        )
        return Outcome(
            row=new_row,
            journal=tuple(outbound_record(topics.JOURNAL, event.body, event.meta) for event in decided[journaled:]),
            outbound=tuple(consequences(before, decided, decision.state, definition, cause)),
        )

    def repeated(self, row: Row, message: Message[Record], *, now_ms: int) -> tuple[Outbound, ...]:
        """What to send again for an input that the row has folded already: answers that no journal event tells of.

        The journal may have been ahead of them when a worker died, and a row that was made from the journal says
        nothing about inputs that only led to an answer. Whoever has it already ignores it.
        """
        body = message.body
        if _handed_in_vain(row.state, body):
            return (_given_back(message, now_ms),)
        if isinstance(body, req.StartWorkflow) and body.parent_id and not _is_child_of(row.state, body):
            refused = reject("workflow_exists", workflow_id=message.meta.workflow_id, status=row.state.status)
            return (refusal_for_parent(message.meta, body, refused, now_ms),)
        return ()

    def owed(self, row: Row) -> tuple[Outbound, ...]:
        """Everything that others should have about a workflow, whatever happened: what a new worker sends again."""
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
            now_ms=state.updated_at_ms,
            actor_kind="engine",
            actor_id="recovery",
            correlation_id=state.correlation_id,
            traceparent=state.traceparent,
        )
        return (
            *tasks(None, state, definition, cause, ""),
            *letters(None, state, cause, ""),
            *(subscription_record(cause, body, "") for body in opened(None, state)),
            status_record(state, cause, ids.hash_id(row.head_hash)),
        )


def _handed_in_vain(state: WorkflowState | None, body: Record) -> bool:
    """True for a published event whose wait is over, or whose workflow is not there any more."""
    return (
        isinstance(body, req.DeliverEvent)
        and bool(body.subscription_id)
        and waiting_run(state, body.subscription_id) is None
    )


def _given_back(message: Message[Record], now_ms: int) -> Outbound:
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
    return subscription_record(cause, answer, message.meta.event_id)


def _is_child_of(state: WorkflowState, start: req.StartWorkflow) -> bool:
    parent = state.parent
    return parent is not None and (parent.workflow_id, parent.step, parent.visit, parent.index) == (
        start.parent_id,
        start.parent_step,
        start.parent_visit,
        start.parent_index,
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
