"""Everything that the correlator knows of one event type and value, found without looking through all of it."""

from collections import OrderedDict
from collections.abc import Iterable

from holdfast.schemas import jsontext
from holdfast.streams.core.correlator.entries import Fate, Published, Subscription


class Desk:
    """Open subscriptions and published events of one key.

    Changed by `put_*` and `drop_*` only, which keep its indexes. `free` has the subscriptions that no event is handed
    to, longest waiting first; an event that is handed over never makes its subscription free again, it ends it.
    """

    def __init__(self, subscriptions: Iterable[Subscription] = (), events: Iterable[Published] = ()) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self.events: dict[str, Published] = {}
        self._free: OrderedDict[str, None] = OrderedDict()
        self._kept: dict[str, int] = {}
        self._handed: dict[str, set[str]] = {}
        for event in events:
            self.put_event(event)
        for subscription in sorted(subscriptions, key=lambda subscription: subscription.place):
            self.put_subscription(subscription)

    @property
    def empty(self) -> bool:
        """True if there is nothing to know."""
        return not self.subscriptions and not self.events

    @property
    def kept(self) -> int:
        """How many events wait for somebody."""
        return len(self._kept)

    @property
    def kept_bytes(self) -> int:
        """The size of their payloads as JSON text."""
        return sum(self._kept.values())

    def oldest_free(self) -> str | None:
        """The subscription that has waited longest and that no event is handed to."""
        return next(iter(self._free), None)

    def oldest_kept(self) -> Published | None:
        """The event that was published first of those that wait for somebody."""
        return min((self.events[name] for name in self._kept), key=lambda event: event.place, default=None)

    def handed(self, subscription_id: str) -> list[Published]:
        """The events that are handed to a subscription: one, or more if a crash left an older word on one of them."""
        names = self._handed.get(subscription_id, ())
        return sorted((self.events[name] for name in names), key=lambda event: event.place)

    def put_subscription(self, subscription: Subscription) -> None:
        """Add an open subscription."""
        name = subscription.subscription_id
        latest = next(reversed(self.subscriptions.values()), subscription)
        self.subscriptions[name] = subscription
        if name not in self._handed:
            self._free[name] = None
        if subscription.place < latest.place:
            self._sort()  # a record that is folded again meets what later ones left before a crash

    def _sort(self) -> None:
        self.subscriptions = dict(sorted(self.subscriptions.items(), key=lambda item: item[1].place))
        self._free = OrderedDict((name, None) for name in self.subscriptions if name in self._free)

    def drop_subscription(self, subscription_id: str) -> None:
        """Forget a subscription; an event that is handed to it stays so until it is put anew."""
        self.subscriptions.pop(subscription_id, None)
        self._free.pop(subscription_id, None)

    def put_event(self, event: Published) -> None:
        """Add an event, or what has become of it."""
        name = event.event_id
        self.drop_event(name)
        self.events[name] = event
        if event.fate is Fate.KEPT:
            self._kept[name] = size_of(event)
        elif event.fate is Fate.HANDED:
            self._handed.setdefault(event.handed_to, set()).add(name)
            self._free.pop(event.handed_to, None)

    def drop_event(self, event_id: str) -> None:
        """Forget an event."""
        before = self.events.pop(event_id, None)
        self._kept.pop(event_id, None)
        if before is not None and before.fate is Fate.HANDED:
            others = self._handed[before.handed_to]
            others.discard(event_id)
            if not others:
                del self._handed[before.handed_to]


def size_of(event: Published) -> int:
    """The size of an event's payload as JSON text, in bytes."""
    return len(jsontext.dumps(event.payload).encode())
