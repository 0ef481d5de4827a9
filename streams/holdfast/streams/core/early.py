"""Events that were sent to a workflow before a step waited for them: which are kept, and for how long."""

from holdfast.schemas import events as e
from holdfast.streams.core.rejections import Rejection, reject
from holdfast.streams.core.state import ReceivedEvent
from holdfast.streams.core.turn import Turn

EARLY_EVENTS_LIMIT = 64


def refusal_of_early(turn: Turn, event_type: str) -> Rejection | None:
    """Why an event of that type, for which no step waits now, is not allowed; None if it is."""
    rule, active = turn.definition.rule_for(event_type), turn.state.active
    if rule.keep and (not rule.allowed_in or active.keys() & set(rule.allowed_in)):
        return None
    allowed = f"in {', '.join(rule.allowed_in)}" if rule.keep else "while a step waits for it"
    return reject("event_not_allowed", event_type=event_type, allowed=allowed, at=", ".join(sorted(active)))


def refusal_of_more(turn: Turn) -> Rejection | None:
    """Why no further event can be kept; None if one can."""
    full = len(turn.state.early_events) >= EARLY_EVENTS_LIMIT
    return reject("event_buffer_full", limit=EARLY_EVENTS_LIMIT) if full else None


def kept_until_ms(turn: Turn, event_type: str) -> int:
    """When an event of that type that comes early now is given up; 0 if it is kept until the end."""
    ttl_ms = turn.definition.rule_for(event_type).ttl_ms
    return turn.now_ms + ttl_ms if ttl_ms is not None else 0


def overdue(received: ReceivedEvent, now_ms: int) -> bool:
    """True if an event that came early is to be given up."""
    return 0 < received.expires_at_ms <= now_ms


def give_up_overdue(turn: Turn) -> None:
    """Record that the time of early events is over, whether or not their timer has fired yet."""
    for received in turn.state.early_events:
        if overdue(received, turn.now_ms):
            turn.emit(
                e.EarlyEventExpired(
                    event_type=received.event_type, correlation=received.correlation, source_id=received.source_id
                )
            )
