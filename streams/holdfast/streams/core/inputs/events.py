"""Events from outside: sent to this workflow, or published for whoever waits and handed to it by the correlator."""

from collections.abc import Mapping

from holdfast.schemas import events as e
from holdfast.schemas import jsontext
from holdfast.schemas import requests as req
from holdfast.schemas.record import Record
from holdfast.streams.core.appliers.waits import matches
from holdfast.streams.core.early import kept_until_ms, refusal_of_early, refusal_of_more
from holdfast.streams.core.flow import react
from holdfast.streams.core.inputs.common import Handler, closed
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import ReceivedEvent
from holdfast.streams.core.subscriptions import waiting_run
from holdfast.streams.core.turn import Turn

PAYLOAD_LIMIT_BYTES = 65_536


def _deliver(turn: Turn, body: req.DeliverEvent) -> Rejection | None:
    state = turn.state
    if body.subscription_id:
        _take(turn, body)
        return None
    if refused := closed(turn):
        return refused
    if body.event_type not in turn.definition.events:
        return reject("event_not_expected", event_type=body.event_type)
    if (size := len(jsontext.dumps(body.payload))) > PAYLOAD_LIMIT_BYTES:
        return reject("payload_too_large", limit=PAYLOAD_LIMIT_BYTES, size=size)
    received = ReceivedEvent(
        event_type=body.event_type,
        correlation=body.correlation,
        source_id=turn.cause.input_id,
        payload=body.payload,
    )
    awaited = next((run for run in state.active.values() if run.wait and matches(run.wait, received)), None)
    if awaited is None and (refused := refusal_of_early(turn, body.event_type)):
        return refused
    run = None if state.held else awaited  # whoever is held takes it when the workflow goes on
    if run is None and (refused := refusal_of_more(turn)):
        return refused
    turn.emit(
        e.EventReceived(
            event_type=received.event_type,
            correlation=received.correlation,
            source_id=received.source_id,
            payload=received.payload,
            wait_id=run.wait.wait_id if run is not None and run.wait is not None else "",
            expires_at_ms=kept_until_ms(turn, body.event_type) if run is None else 0,
        )
    )
    if run is not None:
        react(turn, run.step, lambda kind: kind.event_matched)
    return None


def _take(turn: Turn, body: req.DeliverEvent) -> None:
    """Let a published event end the wait that it was handed to; one that is over has been told of already."""
    run = waiting_run(turn.state, body.subscription_id)
    if run is None or run.wait is None:
        return
    turn.emit(
        e.EventReceived(
            event_type=body.event_type,
            correlation=body.correlation,
            source_id=body.source_id,
            payload=body.payload,
            wait_id=run.wait.wait_id,
            audience="everyone" if body.broadcast else "first",
        )
    )
    react(turn, run.step, lambda kind: kind.event_matched)


HANDLERS: Mapping[type[Record], Handler] = {req.DeliverEvent: _deliver}
