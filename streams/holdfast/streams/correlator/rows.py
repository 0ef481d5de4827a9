"""Rows of the correlator's table: one open subscription, or one published event, each.

The key of a row is `s` or `e`, the id of the subscription or event, NUL, and the key that it stands at. Ids have no
NUL, so the rest may have any.
"""

from dataclasses import dataclass
from typing import cast

from holdfast.schemas.codec import decode_row, encode
from holdfast.schemas.record import Record
from holdfast.schemas.state import EventRow, SubscriptionRow
from holdfast.streams.core.correlator.entries import Fate, Published, Subscription
from holdfast.streams.rows import leading_longs

SUBSCRIPTION, EVENT = "s", "e"


@dataclass(frozen=True, slots=True)
class RowKey:
    """Which row: `kind` is SUBSCRIPTION or EVENT, `name` the id of what it is about, `at` the correlation key."""

    kind: str
    name: str
    at: bytes

    def encoded(self) -> bytes:
        """The key on the changelog."""
        return b"%b%b\x00%b" % (self.kind.encode(), self.name.encode(), self.at)


def read_key(key: bytes) -> RowKey:
    """The inverse of RowKey.encoded."""
    name, _, at = key.partition(b"\x00")
    return RowKey(name[:1].decode(), name[1:].decode(), at)


def due_at_ms(value: bytes) -> int:
    """When a row is to be looked at, 0 for never."""
    return leading_longs(value, 2)[1]


def is_handed_over(key: bytes, value: bytes) -> bool:
    """True for the row of an event that somebody has to hear of: nothing else of it can come due meanwhile."""
    return key.startswith(EVENT.encode()) and due_at_ms(value) == 0


def encode_entry(entry: Subscription | Published) -> bytes:
    """The changelog value of a row."""
    if isinstance(entry, Subscription):
        return encode(SubscriptionRow(input_offset=entry.place, due_at_ms=entry.due_at_ms))
    return encode(
        EventRow(
            input_offset=entry.changed_at,
            due_at_ms=entry.due_at_ms,
            place=entry.place,
            status=entry.fate.value,
            handed_to=entry.handed_to,
            told=entry.told,
            repeats=entry.repeats,
            payload=entry.payload,
            broadcast=entry.broadcast,
            published_at_ms=entry.published_at_ms,
            expires_at_ms=entry.expires_at_ms,
            correlation_id=entry.correlation_id,
            traceparent=entry.traceparent,
            actor_kind=entry.actor_kind,
            actor_id=entry.actor_id,
        )
    )


def load_entry(key: RowKey, value: bytes) -> Subscription | Published:
    """The entry in a changelog value. Raises DecodeError."""
    row: Record = decode_row(value)
    if key.kind == SUBSCRIPTION:
        opened = cast("SubscriptionRow", row)
        return Subscription(subscription_id=key.name, place=opened.input_offset, due_at_ms=opened.due_at_ms)
    event = cast("EventRow", row)
    return Published(
        event_id=key.name,
        place=event.place,
        changed_at=event.input_offset,
        fate=Fate(event.status),
        handed_to=event.handed_to,
        told=event.told,
        repeats=event.repeats,
        payload=event.payload,
        broadcast=event.broadcast,
        published_at_ms=event.published_at_ms,
        expires_at_ms=event.expires_at_ms,
        due_at_ms=event.due_at_ms,
        correlation_id=event.correlation_id,
        traceparent=event.traceparent,
        actor_kind=event.actor_kind,
        actor_id=event.actor_id,
    )
