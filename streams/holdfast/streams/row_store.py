"""Encoded rows in memory: what a table's changelog says by now, whatever the rows are about."""

from holdfast.schemas.codec import decode_row
from holdfast.schemas.state import PartitionRow
from holdfast.streams.rows import PARTITION_ROW_KEY, row_offset


class RowStore:
    """Rows as changelog values by key (`data`), their partitions (`owner`), and one partition row per partition.

    It knows nothing of a row but the offset that it begins with.
    """

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.owner: dict[bytes, int] = {}
        self.partition_rows: dict[int, PartitionRow] = {}

    def put(self, key: bytes, value: bytes, partition: int) -> None:
        """Publish a row that is durable."""
        self.data[key] = value
        self.owner[key] = partition

    def drop(self, key: bytes) -> None:
        """Publish that a row is gone for good."""
        self.data.pop(key, None)
        self.owner.pop(key, None)

    def take(self, key: bytes, value: bytes | None, partition: int) -> None:
        """Take a row from the changelog; it never replaces one that was folded further. Raises DecodeError."""
        if key == PARTITION_ROW_KEY:
            row = decode_row(value)
            assert isinstance(row, PartitionRow)
            self.partition_rows[partition] = row
        elif value is None:
            self.drop(key)
        else:
            current = self.data.get(key)
            if current is None or row_offset(value) >= row_offset(current):
                self.put(key, value, partition)

    def partition_row(self, partition: int) -> PartitionRow:
        """How far a partition has been folded; all its rows up to there are here."""
        return self.partition_rows.get(partition) or PartitionRow(inbox_offset=-1, journal_offset=-1)

    def keep_partitions(self, kept: set[int]) -> None:
        """Drop the rows of all other partitions."""
        for key in [key for key, partition in self.owner.items() if partition not in kept]:
            self.drop(key)
        for partition in [partition for partition in self.partition_rows if partition not in kept]:
            del self.partition_rows[partition]
