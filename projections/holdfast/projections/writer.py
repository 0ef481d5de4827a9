"""Batches into ClickHouse: each table in one insert; a row that ClickHouse will not take never stops the others."""

import logging
from collections.abc import Sequence
from typing import Protocol

from holdfast.projections.batch import Batch, KafkaRecord, Rows, dead_letter_row
from holdfast.projections.rows import Row
from holdfast.projections.store import DataError, FatalError

log = logging.getLogger(__name__)


class Inserts(Protocol):
    """The part of a store that is needed to write batches; it raises what a Store raises."""

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows into `database.table`; returns when they are kept."""


class Writer:
    """Writes batches. Blocks; to be called by one thread at a time."""

    def __init__(self, store: Inserts, database: str) -> None:
        self._store = store
        self._database = database

    def write(self, batch: Batch) -> None:
        """Returns when ClickHouse has every row of the batch, or a dead letter for it.

        May be called again with the same batch after TransientError: rows have an identity. Raises FatalError if
        nothing can be stored until a person changes something.
        """
        for rows in batch.tables:
            refused = self._insert(rows, rows.rows, rows.records)
            if refused:
                self._bury(batch, refused)

    def _insert(self, into: Rows, rows: Sequence[Row], records: Sequence[KafkaRecord]) -> list[tuple[Row, KafkaRecord]]:
        """Insert rows; returns a dead letter for each that ClickHouse would not take."""
        if not rows:
            return []
        try:
            self._store.insert(f"{self._database}.{into.table}", into.columns, rows)
        except DataError as exc:
            if len(rows) == 1:
                code = f"clickhouse_{exc.code}" if exc.code else "unwritable"
                return [(dead_letter_row(records[0], "insert", code, str(exc)), records[0])]
            half = len(rows) // 2
            return self._insert(into, rows[:half], records[:half]) + self._insert(into, rows[half:], records[half:])
        return []

    def _bury(self, batch: Batch, refused: list[tuple[Row, KafkaRecord]]) -> None:
        letters = batch.dead_letters
        log.error("%d records could not be stored and became dead letters: %s", len(refused), refused[0][0][5])
        try:
            self._store.insert(f"{self._database}.{letters.table}", letters.columns, [row for row, _ in refused])
        except DataError as exc:
            raise FatalError(f"a dead letter could not be stored: {exc}") from exc
