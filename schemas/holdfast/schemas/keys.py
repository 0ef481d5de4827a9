"""Under which key a record stands: that of its workflow, or of the event type and value that it is about."""

from holdfast.schemas.correlations import FireExpiry, SubscriptionClosed, SubscriptionOpened
from holdfast.schemas.ids import correlation_key, workflow_key
from holdfast.schemas.record import EventMeta, Record
from holdfast.schemas.requests import PublishEvent

CORRELATED = (PublishEvent, SubscriptionOpened, SubscriptionClosed, FireExpiry)
"""What is not about one workflow, but about whoever waits for an event of a type and value."""


def key_of(meta: EventMeta, body: Record) -> str:
    """The record key that belongs to a record, as text."""
    if isinstance(body, CORRELATED):
        return correlation_key(meta.tenant, body.event_type, body.correlation)
    return workflow_key(meta.tenant, meta.workflow_id)
