"""A real embedded ClickHouse in a process of its own: a process can open one database folder only, once."""

import multiprocessing
import re
import threading
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import orjson

from holdfast.projections.client import NamedQuery, named_queries
from holdfast.projections.embedded import DATABASE, open_embedded, prepare
from holdfast.projections.migrate import Migration, migrate, shipped
from holdfast.projections.readers import EmbeddedReaders, Query, ReadError
from holdfast.projections.rows import EVENT_COLUMNS, Place, event_row
from holdfast.projections.store import Store
from holdfast.schemas.record import Message, Record

JOURNAL = "holdfast.journal"


class _Served:
    """What the process can do; each public method is called by name from the other side."""

    def __init__(self, folder: Path) -> None:
        self._folder = prepare(folder)
        self._store: Store = open_embedded(self._folder)
        self._readers = EmbeddedReaders(self._folder)

    def migrate(self, migrations: Sequence[Migration], *, dry_run: bool = False) -> list[str]:
        return migrate(self._store, migrations, DATABASE, dry_run=dry_run)

    def load(self, messages: Iterable[Message[Record]], partition: int = 0, first_offset: int = 0) -> None:
        places = (Place(topic=JOURNAL, partition=partition, offset=offset) for offset in range(first_offset, 1_000_000))
        rows = [event_row(message, place)[0] for message, place in zip(messages, places, strict=False)]
        self._store.insert(f"{DATABASE}.events", EVENT_COLUMNS, rows)

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[list[Any]]) -> None:
        self._store.insert(f"{DATABASE}.{table}", columns, rows)

    def command(self, sql: str) -> None:
        self._store.command(sql)

    def read(self, sql: str, parameters: dict[str, str] | None = None, **settings: str) -> list[dict[str, Any]]:
        query = Query(sql=sql, format="JSON", parameters=parameters or {}, settings=settings)
        body = self._readers.run(query).body
        return cast("list[dict[str, Any]]", orjson.loads(body)["data"]) if body else []

    def statement(self, sql: str, parameters: dict[str, str], database: str, default_format: str) -> tuple[bytes, str]:
        """Run any statement as a server would; the answer's bytes and format."""
        import chdb

        connection: Any = chdb.connect(f"{self._folder.data}?config-file={self._folder.config}")  # type: ignore[no-untyped-call]
        try:
            named = re.search(r"FORMAT\s+(\w+)\s*$", sql)
            if database:
                connection.query(f"USE {database}", "TabSeparated")
            result = connection.query(sql, default_format, params=parameters)
            return bytes(result.bytes() or b""), named[1] if named else default_format
        except RuntimeError as exc:
            code = re.search(r"Code: (\d+)", str(exc))
            raise ReadError(int(code[1]) if code else 1002, str(exc)) from exc
        finally:
            connection.close()

    def infile(self, statement: str, data: bytes) -> None:
        """Run `INSERT INTO table (columns) FORMAT Native` with data in that format."""
        path = self._folder.temporary / "infile.native"
        path.write_bytes(data)
        head = statement.removesuffix("FORMAT Native").strip()
        settings = "async_insert = 0, deduplicate_insert = 'disable'"
        self._store.command(f"{head} FROM INFILE '{path}' SETTINGS {settings} FORMAT Native")


def _serve(pipe: Connection, folder: Path) -> None:
    served = _Served(folder)
    while True:
        name, arguments, options = pipe.recv()
        if name is None:
            return
        try:
            pipe.send((getattr(served, name)(*arguments, **options), None))
        except Exception as exc:  # every failure belongs to the caller
            # An error with a code takes two arguments, which pickle would not give it.
            pipe.send((None, (type(exc), (exc.code, str(exc)) if hasattr(exc, "code") else (str(exc),))))


class Engine:
    """The other side: calls go through a pipe, errors come back as they were raised."""

    def __init__(self, folder: Path, *, migrated: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._one_call = threading.Lock()
        self._process = context.Process(target=_serve, args=(theirs, folder), daemon=True)
        self._process.start()
        theirs.close()
        if migrated:
            self.call("migrate", shipped())

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        with self._one_call:
            self._pipe.send((name, arguments, options))
            result, problem = self._pipe.recv()
        if problem is not None:
            kind, arguments = problem
            raise kind(*arguments)
        return result

    def load(self, messages: Iterable[Message[Record]], **options: int) -> None:
        self.call("load", list(messages), **options)

    def command(self, sql: str) -> None:
        self.call("command", sql)

    def read(self, sql: str, parameters: dict[str, str] | None = None, **settings: str) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self.call("read", sql, parameters, **settings))

    def ask(self, name: str, **parameters: str) -> list[dict[str, Any]]:
        """The answer to a shipped question."""
        query: NamedQuery = named_queries()[name]
        given = {key: value for key, value in query.parameters.items() if value is not None} | parameters
        return self.read(query.sql, given)

    def empty(self) -> None:
        """Remove every event."""
        tables = self.read("SELECT name FROM system.tables WHERE database = 'holdfast' AND engine LIKE '%MergeTree'")
        for table in tables:
            if table["name"] != "schema_migrations":
                self.command(f"TRUNCATE TABLE {DATABASE}.{table['name']}")

    def close(self) -> None:
        if self._process.is_alive():
            self._pipe.send((None, (), {}))
            self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()
