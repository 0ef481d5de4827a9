"""The orchestrator's rows: encoded in the store, decoded when touched, the hot ones kept decoded."""

from collections import OrderedDict

from holdfast.streams.row_store import RowStore
from holdfast.streams.rows import Row, load_row

HOT_ROWS_MAX = 20_000


class RowTable:
    """Reads rows by workflow key and publishes rows that are durable."""

    def __init__(self, store: RowStore) -> None:
        self.store = store
        self._hot: OrderedDict[bytes, Row] = OrderedDict()

    def get(self, key: bytes) -> Row | None:
        """The row of a workflow, or None. Raises DecodeError if the stored row cannot be read."""
        row = self._hot.get(key)
        if row is not None:
            self._hot.move_to_end(key)
            return row
        value = self.store.data.get(key)
        return load_row(value) if value is not None else None

    def publish(self, key: bytes, row: Row, value: bytes, partition: int) -> None:
        """Make a row that the changelog holds the current one."""
        self.store.put(key, value, partition)
        self._hot[key] = row
        self._hot.move_to_end(key)
        if len(self._hot) > HOT_ROWS_MAX:
            self._hot.popitem(last=False)

    def forget_decoded(self) -> None:
        """Drop the decoded rows: after a rebalance the store may hold newer ones."""
        self._hot.clear()
