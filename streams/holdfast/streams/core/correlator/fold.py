"""What one record of the correlator's input leads to: one handler per type, put together in one table.

Records come in one order and each is folded once, but a crash may leave the rows of a few of them behind: every
handler does nothing about what has been done.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.schemas import correlations as c
from holdfast.schemas import requests as req
from holdfast.schemas.record import Message, Record, changed
from holdfast.streams.core.correlator.desk import Desk, size_of
from holdfast.streams.core.correlator.entries import Fate, Published, Subscription
from holdfast.streams.core.rejections import Rejection, reject

DEFAULT_TTL_MS = 86_400_000
KEPT_LIMIT = 64
KEPT_LIMIT_BYTES = 262_144
REMEMBERED_MS = 3_600_000
"""How long the id of an event is remembered after it was handed over or given up: repeats are dropped until then."""
SUBSCRIPTION_GRACE_MS = 3_600_000
"""How long after its wait's own limit a subscription that nobody closed is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event that a subscription is told of at once, because everybody is."""

    event: Published
    subscription_id: str


@dataclass(slots=True)
class Outcome:
    """What a record led to, beside what the desk shows now.

    `subscriptions` and `events` are the ids of entries to be written; `forgotten` has the last word on events that are
    remembered no longer; `told` and `expired` are what others hear of it.
    """

    subscriptions: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    forgotten: list[Published] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    expired: list[Published] = field(default_factory=list)
    refused: Rejection | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One record being folded: the desk, the outcome so far, the record's offset and append time in ms."""

    desk: Desk
    outcome: Outcome
    offset: int
    now_ms: int

    def put(self, event: Published, **changes: Any) -> None:
        """Make what has become of an event the newest word on it."""
        # After a crash, a record may meet an event as later ones left it: its row must not seem older than it is.
        changed_at = max(event.changed_at, self.offset)
        self.desk.put_event(changed(event, changed_at=changed_at, **changes))
        self.outcome.events.append(event.event_id)

    def hand(self, event: Published, subscription_id: str) -> None:
        """Hand an event to a subscription, until that answers."""
        self.put(event, fate=Fate.HANDED, handed_to=subscription_id, due_at_ms=0)

    def keep(self, event: Published) -> None:
        """Keep an event until somebody waits for it."""
        self.put(event, fate=Fate.KEPT, handed_to="", due_at_ms=event.expires_at_ms)

    def finish(self, event: Published, told: int) -> None:
        """Nothing more happens to an event; its id is remembered for a while."""
        self.put(event, fate=Fate.DONE, handed_to="", told=told, payload=None, due_at_ms=self.now_ms + REMEMBERED_MS)

    def drop(self, subscription_id: str) -> None:
        """Forget a subscription."""
        if subscription_id in self.desk.subscriptions:
            self.desk.drop_subscription(subscription_id)
            self.outcome.subscriptions.append(subscription_id)


def fold(desk: Desk, message: Message[Record], *, offset: int, now_ms: int) -> Outcome:
    """Fold one record into the desk of its key. Raises KeyError for a type without a handler."""
    work = Work(desk, Outcome(), offset, now_ms)
    HANDLERS[type(message.body)](work, message)
    # Whoever waits longest gets what was published first, as long as there is both.
    while (event := desk.oldest_kept()) and (free := desk.oldest_free()):
        work.hand(event, free)
    return work.outcome


def _opened(work: Work, message: Message[Any]) -> None:
    body: c.SubscriptionOpened = message.body
    if body.subscription_id in work.desk.subscriptions:
        return  # a workflow that recovers says again what it may have said already
    due_at_ms = body.expires_at_ms + SUBSCRIPTION_GRACE_MS
    work.desk.put_subscription(
        Subscription(subscription_id=body.subscription_id, place=work.offset, due_at_ms=due_at_ms)
    )
    work.outcome.subscriptions.append(body.subscription_id)


def _closed(work: Work, message: Message[Any]) -> None:
    body: c.SubscriptionClosed = message.body
    handed = work.desk.handed(body.subscription_id)
    work.drop(body.subscription_id)
    for event in handed:
        if event.event_id == body.source_id:
            work.finish(event, told=event.told + 1)
        else:
            work.keep(event)  # the wait ended by something else: the event is anybody's again


def _published(work: Work, message: Message[Any]) -> None:
    meta, body, desk = message.meta, message.body, work.desk
    known = desk.events.get(meta.event_id)
    if known is not None:
        if known.changed_at < work.offset:
            work.put(known, repeats=known.repeats + 1)
        return
    expires_at_ms = work.now_ms + (body.ttl_ms or DEFAULT_TTL_MS)
    event = Published(
        event_id=meta.event_id,
        place=work.offset,
        changed_at=work.offset,
        fate=Fate.KEPT,
        payload=body.payload,
        broadcast=body.broadcast,
        published_at_ms=work.now_ms,
        expires_at_ms=expires_at_ms,
        due_at_ms=expires_at_ms,
        correlation_id=meta.correlation_id,
        traceparent=meta.traceparent,
        actor_kind=meta.actor_kind,
        actor_id=meta.actor_id,
    )
    if body.broadcast and _tell_everybody(work, event):
        return
    if desk.oldest_free() is None and _no_room_for(desk, event):
        work.outcome.refused = reject("event_buffer_full", limit=KEPT_LIMIT)
        return
    work.keep(event)


def _tell_everybody(work: Work, event: Published) -> bool:
    """Tell everybody who waits; False if nobody does."""
    waiting = list(work.desk.subscriptions)
    if waiting:
        work.outcome.told += [Told(event=event, subscription_id=name) for name in waiting]
        work.finish(event, told=len(waiting))
    return bool(waiting)


def _no_room_for(desk: Desk, event: Published) -> bool:
    return desk.kept >= KEPT_LIMIT or desk.kept_bytes + size_of(event) > KEPT_LIMIT_BYTES


def _due(work: Work, message: Message[Any]) -> None:
    # As with other timers, a firing says no more than "look": nothing is given up early by the broker's clock.
    body: c.FireExpiry = message.body
    event = work.desk.events.get(body.source_id)
    if event is not None and 0 < event.due_at_ms <= work.now_ms:
        if event.fate is Fate.KEPT:
            work.outcome.expired.append(event)
            work.finish(event, told=event.told)
        elif event.fate is Fate.DONE:
            work.desk.drop_event(event.event_id)
            work.outcome.events.append(event.event_id)
            work.outcome.forgotten.append(event)
    subscription = work.desk.subscriptions.get(body.subscription_id)
    if subscription is not None and subscription.due_at_ms <= work.now_ms:
        _overdue(work, subscription)


def _overdue(work: Work, subscription: Subscription) -> None:
    name = subscription.subscription_id
    if not work.desk.handed(name):
        work.drop(name)
        return
    # Its workflow stands still with the event in hand; until it says what became of it, the event is its own.
    work.desk.put_subscription(changed(subscription, due_at_ms=work.now_ms + SUBSCRIPTION_GRACE_MS))
    work.outcome.subscriptions.append(name)


HANDLERS: Mapping[type[Record], Callable[[Work, Message[Any]], None]] = {
    c.SubscriptionOpened: _opened,
    c.SubscriptionClosed: _closed,
    c.FireExpiry: _due,
    req.PublishEvent: _published,
}
