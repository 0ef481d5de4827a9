"""Where rows are written: a thin face of clickhouse-connect, the same for the embedded engine and for a server.

Calls block; the sink makes them from a worker thread, one at a time.
"""

import errno
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.projections.rows import Row

# `async_insert` would acknowledge before the part exists. Insert de-duplication records a block before its part: a
# kill between the two turns the retry into a silent no-op. Row identity makes repeats harmless instead.
INSERT_SETTINGS = {"async_insert": 0, "deduplicate_insert": "disable", "max_insert_threads": 1}
CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60

AWAY, UNABLE, DISK_FULL = "clickhouse_away", "clickhouse_unable", "disk_full"
TROUBLES: Mapping[str, str] = {
    AWAY: "ClickHouse does not answer",
    UNABLE: "ClickHouse takes nothing for now",
    DISK_FULL: "ClickHouse has no room on its disk",
}
"""Why nothing can be stored now: stable code -> sentence."""

# ClickHouse's codes that say "not now". One that is left out would turn good rows into dead letters.
TRANSIENT_CODES: Mapping[int, str] = {
    # The connection, or a server that is just ending.
    **dict.fromkeys((3, 95, 96, 209, 210, 236, 279, 394), AWAY),
    # Timeouts, memory, threads, too many queries or parts, read-only tables, replicas, Keeper.
    **dict.fromkeys((159, 164, 173, 202, 203, 241, 242, 252, 285, 319, 425, 439, 999), UNABLE),
    # Its files: opened, written, closed, cut, synced, moved, removed, found; and errors of its libraries.
    **dict.fromkeys((74, 75, 76, 77, 88, 107, 172, 204, 214, 400, 424, 458, 586, 641, 1000, 1001), UNABLE),
    243: DISK_FULL,
}
# In the words of the HTTP client, which also has every parameter of the request.
_WITH_URL = re.compile(r" with url: \S+")
NO_ROOM = "no space left on device"
# Codes that say "never, whatever the row": wrong database, table, column, rights or version.
FATAL_CODES = frozenset({16, 36, 46, 47, 48, 60, 62, 81, 115, 192, 193, 194, 452, 497, 516})
_LOW_CARDINALITY = re.compile(r"^LowCardinality\((.*)\)$")


class TransientError(Exception):
    """The store cannot take anything now; the same call may succeed later. `code` is one of TROUBLES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class FatalError(Exception):
    """The store takes nothing until a person changes something."""


class DataError(Exception):
    """The rows of this call are not what the table takes. `code` is ClickHouse's code, 0 if it never got there."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Store:
    """One connection to ClickHouse, opened when first needed and opened again after it failed.

    Every method raises TransientError, FatalError or DataError and nothing else.
    """

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._client: Any = None
        self._types: dict[str, dict[str, str]] = {}

    def command(self, sql: str, parameters: dict[str, Any] | None = None) -> None:
        """Run a statement that returns nothing."""
        self._call(lambda client: client.command(sql, parameters=parameters))

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a statement."""
        found: list[dict[str, Any]] = self._call(lambda client: list(client.query(sql, parameters).named_results()))
        return found

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Insert rows into `database.table`; returns when ClickHouse has them."""
        types = self._types_of(table)
        # Column lists: ClickHouse's native format is by column, and building it from rows costs 20 to 40 % more.
        self._call(
            lambda client: client.insert(
                table,
                list(zip(*rows, strict=True)),
                column_names=columns,
                column_type_names=[types[column] for column in columns],
                column_oriented=True,
                settings=INSERT_SETTINGS,
            )
        )

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _types_of(self, table: str) -> dict[str, str]:
        if table not in self._types:
            described = self.query(f"DESCRIBE TABLE {table}")
            # ClickHouse builds the dictionaries of LowCardinality faster than Python.
            self._types[table] = {row["name"]: _LOW_CARDINALITY.sub(r"\1", row["type"]) for row in described}
        return self._types[table]

    def _call(self, action: Callable[[Any], Any]) -> Any:
        try:
            if self._client is None:
                self._client = self._connect()
            return action(self._client)
        except Exception as exc:
            raise _classified(exc) from exc


def _classified(exc: Exception) -> Exception:
    from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
    from clickhouse_connect.driver.exceptions import DataError as RowError

    text = _WITH_URL.sub("", str(exc).strip())[:1000]
    code = getattr(exc, "code", None) or 0
    if code in FATAL_CODES:
        return FatalError(text)
    if NO_ROOM in text.lower() or getattr(exc, "errno", None) == errno.ENOSPC:
        return TransientError(DISK_FULL, text)
    if code in TRANSIENT_CODES:
        return TransientError(TRANSIENT_CODES[code], text)
    if isinstance(exc, OperationalError | OSError | TimeoutError):
        return TransientError(AWAY, text)
    # Without a code it is the transport that speaks (a proxy's error page), unless a value could not be written.
    if isinstance(exc, ClickHouseError) and not code and not isinstance(exc, RowError):
        return TransientError(AWAY, text)
    return DataError(code, text)


def open_server(dsn: str) -> Store:
    """A store on a ClickHouse server, named as `http://user:password@host:8123`, `https` for TLS."""

    def connect() -> Any:
        import clickhouse_connect

        return clickhouse_connect.get_client(
            dsn=dsn,
            connect_timeout=CONNECT_TIMEOUT_S,
            send_receive_timeout=ANSWER_TIMEOUT_S,
            query_retries=0,
            autogenerate_session_id=False,
        )

    return Store(connect)
