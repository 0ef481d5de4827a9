"""What the correlator keeps: open subscriptions, and published events with their fate. Values, like states."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.schemas.record import Json


class Fate(StrEnum):
    """Where one published event stands.

    `kept` until somebody waits for it, `handed` to a wait that has not ended yet, `done` and only remembered.
    """

    KEPT = "kept"
    HANDED = "handed"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One open wait. `place` is the offset at which it was opened: who has the lowest has waited longest."""

    subscription_id: str
    place: int
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published event.

    `place` is the offset at which it was published, `changed_at` that of the last record that changed it; `handed_to`
    the subscription that has it, `told` how many waits took it, `repeats` how often it was published again;
    `due_at_ms` is when it is given up or forgotten, 0 while it is handed over.
    """

    event_id: str
    place: int
    changed_at: int
    fate: Fate
    handed_to: str = ""
    told: int = 0
    repeats: int = 0
    payload: Json
    broadcast: bool
    published_at_ms: int
    expires_at_ms: int
    due_at_ms: int
    correlation_id: str
    traceparent: str
    actor_kind: str
    actor_id: str
