"""Who waits for which event from outside: what the correlator reads beside the published events themselves.

Each class mirrors the newest version of its `.avsc` in `avro/correlations/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Record

NAMESPACE = "holdfast.correlation.v1"


@dataclass(frozen=True, kw_only=True)
class SubscriptionOpened(Record):
    """A workflow waits for an event of a type and value."""

    event_type: str
    correlation: str
    subscription_id: str
    expires_at_ms: int


@dataclass(frozen=True, kw_only=True)
class SubscriptionClosed(Record):
    """A workflow no longer waits for an event of a type and value."""

    event_type: str
    correlation: str
    subscription_id: str
    source_id: str


@dataclass(frozen=True, kw_only=True)
class FireExpiry(Record):
    """Something that is kept for a type and value came due."""

    event_type: str
    correlation: str
    subscription_id: str
    source_id: str
    due_at_ms: int
