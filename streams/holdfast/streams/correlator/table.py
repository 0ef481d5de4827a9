"""The correlator's rows by correlation key: encoded in the store, made into a desk when touched, the hot ones kept."""

from collections import OrderedDict
from collections.abc import Collection, Iterator

from holdfast.streams.core.correlator.desk import Desk
from holdfast.streams.core.correlator.entries import Published, Subscription
from holdfast.streams.correlator.rows import is_handed_over, load_entry, read_key
from holdfast.streams.row_store import RowStore

HOT_DESKS_MAX = 5_000


class RowIndex:
    """The rows at each correlation key. Most keys have one: it stands there by itself, without a set around it."""

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes | set[bytes]] = {}

    def at(self, correlation_key: bytes) -> Collection[bytes]:
        """The keys of the rows at a correlation key."""
        found = self._rows.get(correlation_key, ())
        return (found,) if isinstance(found, bytes) else found

    def add(self, key: bytes) -> None:
        """Take a row in."""
        at = read_key(key).at
        found = self._rows.setdefault(at, key)
        if isinstance(found, set):
            found.add(key)
        elif found != key:
            self._rows[at] = {found, key}

    def discard(self, key: bytes) -> None:
        """Leave a row out."""
        at = read_key(key).at
        found = self._rows.get(at)
        if isinstance(found, set):
            found.discard(key)
        if found == key or not found:
            self._rows.pop(at, None)

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()


class DeskTable:
    """Finds desks by correlation key, and publishes rows that are durable."""

    def __init__(self, store: RowStore) -> None:
        self.store = store
        self._hot: OrderedDict[bytes, Desk] = OrderedDict()
        self._index = RowIndex()

    def desk(self, at: bytes) -> Desk:
        """What is known at a correlation key, to be folded into. Raises DecodeError for a row that cannot be read."""
        desk = self._hot.get(at)
        if desk is None:
            entries = [load_entry(read_key(key), self.store.data[key]) for key in self._index.at(at)]
            desk = self._hot[at] = Desk(
                [entry for entry in entries if isinstance(entry, Subscription)],
                [entry for entry in entries if isinstance(entry, Published)],
            )
        self._hot.move_to_end(at)
        return desk

    def publish(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Make a row that the changelog holds the current one; None for a row that is gone."""
        if value is None:
            self.store.drop(key)
            self._index.discard(key)
        else:
            self.store.put(key, value, partition)
            self._index.add(key)

    def cool_down(self) -> None:
        """Let go of the desks that were not touched for longest: call it when everything folded is published."""
        while len(self._hot) > HOT_DESKS_MAX:
            self._hot.popitem(last=False)

    def rebuild(self) -> None:
        """Start over from the rows in the store: what was folded and not published is forgotten."""
        self._hot.clear()
        self._index.clear()
        for key in self.store.data:
            self._index.add(key)

    def handed_over(self) -> Iterator[tuple[bytes, Published]]:
        """Every event that is handed to somebody who has not answered, with its correlation key."""
        for key, value in list(self.store.data.items()):
            if is_handed_over(key, value):
                row_key = read_key(key)
                event = load_entry(row_key, value)
                assert isinstance(event, Published)
                yield row_key.at, event
