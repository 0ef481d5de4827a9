"""What a fork takes over from the workflow that it was forked from."""

from collections.abc import Mapping
from typing import Any

from holdfast.schemas import events as e
from holdfast.schemas.record import Record, changed
from holdfast.streams.core.appliers.common import Applier, with_run
from holdfast.streams.core.appliers.items import size_of
from holdfast.streams.core.changes import Values, with_changes
from holdfast.streams.core.state import (
    Call,
    CallKind,
    CallStatus,
    Content,
    ItemFailure,
    Items,
    Origin,
    ReceivedEvent,
    WorkflowState,
)


def _forked(state: WorkflowState, event: e.WorkflowForked) -> WorkflowState:
    taken: Any = event.snapshot
    values = Values(input=state.input, outputs=taken["outputs"], variables=taken["variables"])
    after = with_changes(values, event.changes)
    ended = dict(taken["visits"])
    for run in taken["active"]:  # these visits have not ended: they begin here
        ended[run["step"]] = run["visit"] - 1
    away_ms = state.started_at_ms - taken["at_ms"]
    return changed(
        state,
        origin=Origin(workflow_id=event.source_id, sequence=event.source_sequence, event_hash=event.source_hash),
        outputs=after.outputs,
        variables=after.variables,
        visits={step: visits for step, visits in ended.items() if visits},
        early_events=tuple(_event(received, away_ms) for received in taken["early_events"]),
    )


def _event(told: Any, away_ms: int) -> ReceivedEvent:
    """An event that came early, kept as much longer as it was still to be kept."""
    received = ReceivedEvent(**told)
    return changed(received, expires_at_ms=received.expires_at_ms + away_ms) if received.expires_at_ms else received


def _taken_over(state: WorkflowState, event: e.StepTakenOver) -> WorkflowState:
    kept: Any = event.kept
    run = state.active[event.step]
    if "items" in kept and run.items is not None:
        return with_run(state, changed(run, items=_items(run.items, kept["items"])))
    taken = {name: kept[name] for name in ("turn", "repairs", "model", "parameters", "child_result") if name in kept}
    calls = {call["effect_key"]: _call(call) for call in kept.get("calls", ())}
    return with_run(state, changed(run, **taken, messages=tuple(kept.get("messages", ())), calls=calls))


def _items(items: Items, told: Any) -> Items:
    if items.content is None:
        return changed(items, results=told["results"], failures=told["failures"])
    content = dict(told["content"])
    first, ended = content.pop("first_failure"), tuple(content.pop("ended"))
    return changed(
        items,
        waiting=tuple(told["waiting"]),
        content=Content(
            **content,
            ended=ended,
            ended_bytes=size_of(ended),
            first_failure=None if first is None else ItemFailure(**first),
        ),
    )


def _call(told: Any) -> Call:
    return Call(
        kind=CallKind(told["kind"]),
        effect_key=told["effect_key"],
        turn=told["turn"],
        index=told["index"],
        attempt=1,
        status=CallStatus.DONE,
        deadline_at_ms=0,
        tool=told["tool"],
        effect=told["effect"],
        arguments=told["arguments"],
        call_id=told["call_id"],
        answer=told["answer"],
        error_class=told["error_class"],
    )


APPLIERS: Mapping[type[Record], Applier] = {e.WorkflowForked: _forked, e.StepTakenOver: _taken_over}
