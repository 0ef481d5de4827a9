"""What others hear of a decision: tasks, letters to other workflows, results, refusals, waits, the latest status.

Some of it is *owed*: computed from the state alone, so that a new worker can send it again at any time. The rest is
*announced*: told by the events of the decision, so that whoever reads them in the journal can send it again.
"""

from collections.abc import Sequence
from dataclasses import replace

from holdfast.schemas import events as e
from holdfast.schemas import reports as rep
from holdfast.schemas import requests as req
from holdfast.schemas import tasks as t
from holdfast.schemas import topics
from holdfast.schemas.codec import encode
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.record import EventMeta, Message, Record, changed
from holdfast.streams.core.compile import CompiledDefinition
from holdfast.streams.core.evolve import Cause
from holdfast.streams.core.pending import calls_owed, calls_under_way, letter_for, letters_owed, task_for
from holdfast.streams.core.rejections import Rejection
from holdfast.streams.core.state import WorkflowState
from holdfast.streams.core.subscriptions import closed, opened
from holdfast.streams.outbound import (
    SOURCE,
    Outbound,
    engine_meta,
    inbox_record,
    letter_meta,
    outbound_record,
    rejection_record,
    status_record,
    subscription_record,
)

REQUEST_TYPES = frozenset(kind.__name__ for kind in topics.REQUESTS.records)


def consequences(
    before: WorkflowState | None,
    decision: Sequence[Message[Record]],
    after: WorkflowState,
    definition: CompiledDefinition,
    cause: Cause,
) -> list[Outbound]:
    """Everything that others hear of a decision, given the state before and after it and its events."""
    last_id = decision[-1].meta.event_id
    records = [
        *announced(before, decision, after, cause),
        *tasks(before, after, definition, cause, last_id),
        *_stops(before, after, [message.body for message in decision], cause, last_id),
        *letters(before, after, cause, last_id),
        *(subscription_record(cause, body, last_id) for body in opened(before, after)),
    ]
    if before is None or before.status is not after.status:
        records.append(status_record(after, cause, last_id))
    return records


def announced(
    before: WorkflowState | None, decision: Sequence[Message[Record]], after: WorkflowState, cause: Cause
) -> list[Outbound]:
    """What follows from the events of a decision and not from the state: results, refusals, waits that ended."""
    records = []
    for meta, event in ((message.meta, message.body) for message in decision):
        if isinstance(event, topics.ENDINGS):
            records.append(replace(outbound_record(topics.JOURNAL, event, meta), topic=topics.RESULTS))
        if isinstance(event, e.InputRejected) and event.input_type in REQUEST_TYPES:
            refused = Rejection(code=event.code, message=event.message)
            asked = changed(meta, event_id=event.input_id)
            records.append(rejection_record(asked, refused, event.input_type, meta.recorded_at_ms))
    ended = closed(before, after, [message.body for message in decision])
    return [*records, *(subscription_record(cause, body, decision[-1].meta.event_id) for body in ended)]


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


def tasks(
    before: WorkflowState | None, after: WorkflowState, definition: CompiledDefinition, cause: Cause, cause_id: str
) -> list[Outbound]:
    """What executors are owed in one state and were not in the one before, if there was one."""
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


def letters(before: WorkflowState | None, after: WorkflowState, cause: Cause, cause_id: str) -> list[Outbound]:
    """The letters that are owed in one state and were not in the one before, if there was one."""
    had = letters_owed(before) if before is not None else {}
    records = []
    for (about, workflow_id), debt in letters_owed(after).items():
        if (about, workflow_id) not in had:
            body = letter_for(after, debt)
            records.append(inbox_record(body, letter_meta(cause, body, workflow_id, cause_id, after.started_by)))
    return records


def refusal_for_parent(meta: EventMeta, body: req.StartWorkflow, refused: Rejection, now_ms: int) -> Outbound:
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


def refusal_for_claimer(meta: EventMeta, body: rep.ClaimTask, refused: Rejection, now_ms: int) -> Outbound:
    """What an executor hears of a claim that was refused: it may be waiting for its grant. Of use only now."""
    stop = t.StopTask(effect_key=body.effect_key, attempt=body.attempt, reason=refused.code)
    cause = Cause.of(replace(meta, recorded_at_ms=now_ms))
    return _stop(stop, engine_meta(cause, stop, meta.event_id, body.effect_key, body.attempt, meta.event_id))
