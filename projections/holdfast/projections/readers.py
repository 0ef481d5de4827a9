"""How the bridge reads: a few connections, each for one query at a time, and the gate that every statement passes."""

import queue
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.error import HTTPError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import Request, urlopen

from holdfast.projections.client import NO_ANSWER
from holdfast.projections.embedded import DATABASE, QUERY_TIME_LIMIT_S, READER_SETTINGS, EmbeddedFolder, open_reader

CONNECTIONS = 4
_CODE = re.compile(r"Code: (\d+)")
_NAME = re.compile(r"\w+")
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*(?:SETTINGS\b.*)?;?\s*$", re.IGNORECASE | re.DOTALL)


class ReadError(Exception):
    """A query failed. `code` is ClickHouse's code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query. `format` is used unless the statement names one; `parameters` are in ClickHouse's escaped form."""

    sql: str
    format: str = "TabSeparated"
    parameters: Mapping[str, str]
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a query returned, and what it cost."""

    body: bytes
    read_rows: int = 0
    read_bytes: int = 0
    elapsed_s: float = 0.0


class Readers(Protocol):
    """Somebody who answers queries. `run` blocks and raises ReadError; CONNECTIONS calls may run at a time."""

    def run(self, query: Query) -> Answer: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


def named_format(sql: str) -> str | None:
    """The format that a statement asks for itself."""
    found = _FORMAT.search(sql)
    return found[1] if found else None


def literal(value: str) -> str:
    """A value as a quoted SQL string."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class EmbeddedReaders:
    """Connections to the embedded engine of this process, opened when first needed."""

    def __init__(self, folder: EmbeddedFolder) -> None:
        self._folder = folder
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(CONNECTIONS):
            self._idle.put(None)

    def run(self, query: Query) -> Answer:  # noqa: D102
        connection = self._idle.get()
        try:
            if connection is None:
                connection = open_reader(self._folder)
                connection.query(f"USE {DATABASE}", "TSV")
            _pass_gate(connection, query.sql)
            return _answer(connection, query)
        except RuntimeError as exc:  # chDB's only error
            # A connection that failed half-way still holds what it had printed: the next answer would begin with it.
            if connection is not None:
                connection.close()
                connection = None
            raise _read_error(exc) from exc
        finally:
            self._idle.put(connection)

    def close(self) -> None:  # noqa: D102
        while not self._idle.empty():
            connection = self._idle.get_nowait()
            if connection is not None:
                connection.close()


def _pass_gate(connection: Any, sql: str) -> None:
    """Raises ReadError unless the statement is a single one that only reads.

    `readonly` alone lets INTO OUTFILE and KILL QUERY through; the classifier of the engine's own parser does not.
    """
    said = connection._conn.classify_query(sql, DATABASE)
    if said["statement_count"] != 1:
        raise ReadError(62, f"one statement at a time: this is {said['statement_count']}")
    if said["query_class"].name != "READ_ONLY":
        raise ReadError(164, f"only statements that read are allowed here; this one is {said['query_class'].name}")


def _answer(connection: Any, query: Query) -> Answer:
    for name in query.settings:
        if not _NAME.fullmatch(name) or name == "readonly":
            raise ReadError(115, f"{name} cannot be set here")
    for name, value in query.settings.items():
        connection.query(f"SET {name} = {literal(value)}", "TSV")
    result = connection.query(query.sql, query.format, params=dict(query.parameters))
    # Not after a failure: that connection is given up.
    for name in query.settings:
        connection.query(f"SET {name} = {READER_SETTINGS.get(name, 'DEFAULT')}", "TSV")
    return Answer(
        body=result.bytes() or b"",
        read_rows=result.rows_read(),
        read_bytes=result.bytes_read(),
        elapsed_s=result.elapsed(),
    )


def _read_error(exc: Exception) -> ReadError:
    text = str(exc).strip()
    code = _CODE.search(text)
    return ReadError(int(code.group(1)) if code else 1002, text)


class ServerReaders:
    """A ClickHouse server behind the bridge. What its user may read is the server's to say."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._url = f"{parts.scheme}://{parts.hostname}:{parts.port}/?"
        self._login = {
            "X-ClickHouse-User": unquote(parts.username or "default"),
            "X-ClickHouse-Key": unquote(parts.password or ""),
        }

    def run(self, query: Query) -> Answer:  # noqa: D102
        arguments = {
            "database": DATABASE,
            "default_format": query.format,
            # An error in the middle of an answer comes as an error, not as a part of it.
            "wait_end_of_query": 1,
            **READER_SETTINGS,
            **query.settings,
            "readonly": 2,
            **{f"param_{name}": value for name, value in query.parameters.items()},
        }
        request = Request(self._url + urlencode(arguments), data=query.sql.encode(), headers=self._login)  # noqa: S310
        try:
            with urlopen(request, timeout=QUERY_TIME_LIMIT_S + 5) as answer:  # noqa: S310
                return Answer(body=answer.read())
        except HTTPError as exc:
            with exc:
                code = int(exc.headers.get("X-ClickHouse-Exception-Code") or 210)
                raise ReadError(code, exc.read().decode(errors="replace")) from exc
        except OSError as exc:
            raise ReadError(NO_ANSWER, f"the ClickHouse server does not answer: {exc}") from exc

    def close(self) -> None:
        """Nothing is kept open."""


def reader_threads() -> ThreadPoolExecutor:
    """Threads for Readers.run, as many as there are connections."""
    return ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="read")
