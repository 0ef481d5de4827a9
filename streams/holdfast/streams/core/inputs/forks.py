"""A workflow that begins from a point of another one's history."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas import requests as req
from holdfast.schemas.record import Record
from holdfast.streams.core.changes import InvalidPath, Values, with_changes
from holdfast.streams.core.fork import plan
from holdfast.streams.core.inputs.common import Handler
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.snapshot import InvalidSnapshot, from_json, to_json
from holdfast.streams.core.taking_over import take_over
from holdfast.streams.core.turn import Turn

SNAPSHOT_LIMIT_BYTES = 524_288


def _fork(turn: Turn, body: req.ForkWorkflow) -> Rejection | None:
    if turn.exists:
        return reject("workflow_exists", workflow_id=turn.state.workflow_id, status=turn.state.status)
    if (size := len(jsontext.dumps(body.snapshot).encode())) > SNAPSHOT_LIMIT_BYTES:
        return reject("payload_too_large", limit=SNAPSHOT_LIMIT_BYTES, size=size)
    try:
        snapshot = from_json(body.snapshot)
    except InvalidSnapshot as exc:
        return reject("snapshot_invalid", error=exc)
    if snapshot.tenant != turn.cause.tenant:
        return reject("fork_across_tenants", tenant=turn.cause.tenant, other=snapshot.tenant)
    planned = plan(snapshot, body.redo, turn.definition)
    if isinstance(planned, Rejection):
        return planned
    values = Values(input=snapshot.input, outputs=snapshot.outputs, variables=snapshot.variables)
    try:
        values = with_changes(values, body.changes)
    except InvalidPath as exc:
        return reject("set_invalid", error=exc)
    if errors := [] if snapshot.start_step else turn.definition.input_errors(values.input):
        return reject("input_invalid", errors="; ".join(errors))
    definition = turn.definition.definition
    turn.emit(
        e.WorkflowStarted(
            input=values.input,
            deadline_at_ms=turn.now_ms + definition.deadline_ms,
            start_step=snapshot.start_step,
            idle_timeout_ms=definition.idle_timeout_ms,
            budget=dict(definition.budget.limits()) or None,
        )
    )
    turn.emit(
        e.WorkflowForked(
            source_id=body.source_id,
            source_sequence=body.source_sequence,
            source_hash=body.source_hash,
            snapshot=to_json(snapshot),
            changes=body.changes,
            redo=body.redo,
            reason=body.reason,
        )
    )
    take_over(turn, planned, body.source_id)
    return None


HANDLERS: Mapping[type[Record], Handler] = {req.ForkWorkflow: _fork}
