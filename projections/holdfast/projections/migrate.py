"""Migrations: numbered `.sql` files, each applied once, known by its checksum ever after.

Every statement can be run again (IF NOT EXISTS), so a process that died half-way just starts over. Columns are only
ever added; a materialised view is changed by `ALTER TABLE ... MODIFY QUERY` in a new file.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from holdfast.projections.store import Store

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)

_LEDGER = """CREATE TABLE IF NOT EXISTS {database}.schema_migrations
(
    id String,
    status Enum8('started' = 1, 'completed' = 2),
    checksum FixedString(64),
    version UInt64,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 0"""


_KNOWN = "SELECT * FROM {database}.schema_migrations FINAL"


class MigrationError(Exception):
    """The files and the database do not belong together."""


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file. `statements` still carry the placeholder {database}; `checksum` is SHA-256 of the file, hex."""

    id: str
    statements: tuple[str, ...]
    checksum: str


def migration(name: str, text: str) -> Migration:
    """The migration in a file's text. Raises MigrationError if it is not called `NNNN_what.sql`."""
    if not _NAME.fullmatch(name):
        raise MigrationError(f"{name} is not a migration's name: it has to look like 0001_what_it_does.sql")
    statements = (part.strip() for part in _COMMENT.sub("", text).split(";\n"))
    return Migration(
        id=name.removesuffix(".sql"),
        statements=tuple(statement.rstrip(";") for statement in statements if statement),
        checksum=hashlib.sha256(text.encode()).hexdigest(),
    )


def shipped() -> tuple[Migration, ...]:
    """The migrations of this version, in order."""
    folder = files("holdfast.projections") / "migrations"
    return tuple(
        migration(entry.name, entry.read_text(encoding="utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".sql")
    )


def rendered(statement: str, database: str) -> str:
    """A statement for one node. A cluster's rendering (ON CLUSTER, Replicated engines) starts from the same text."""
    return statement.replace("{database}", database)


def pending(store: Store, migrations: Sequence[Migration], database: str) -> Iterator[Migration]:
    """The migrations that are not completed yet, in order.

    Raises MigrationError if a completed one was edited, or the database knows one that these files do not.
    """
    known = {row["id"]: row for row in store.query(rendered(_KNOWN, database))}
    strangers = sorted(set(known) - {migration.id for migration in migrations})
    if strangers:
        raise MigrationError(f"{database} was migrated by a newer version: it has {', '.join(strangers)}")
    for step in migrations:
        row = known.get(step.id)
        if row is None or row["status"] == "started":
            yield step
        elif _text(row["checksum"]) != step.checksum:
            raise MigrationError(f"{step.id} was edited after it had been applied: add a new migration instead")


def migrate(store: Store, migrations: Sequence[Migration], database: str, *, dry_run: bool = False) -> list[str]:
    """Bring `database` up to date; returns the ids that were applied, or would be with `dry_run`.

    Raises MigrationError, and what Store raises.
    """
    ledger = "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = 'schema_migrations'"
    if dry_run and not store.query(ledger, {"database": database}):
        return [step.id for step in migrations]
    store.command(f"CREATE DATABASE IF NOT EXISTS {database}")
    store.command(rendered(_LEDGER, database))
    owed = list(pending(store, migrations, database))
    if not dry_run:
        for step in owed:
            _apply(store, step, database)
    return [step.id for step in owed]


def _apply(store: Store, step: Migration, database: str) -> None:
    columns = ("id", "status", "checksum", "version")
    ledger = f"{database}.schema_migrations"
    store.insert(ledger, columns, [[step.id, "started", step.checksum.encode(), 1]])
    for statement in step.statements:
        store.command(rendered(statement, database))
    store.insert(ledger, columns, [[step.id, "completed", step.checksum.encode(), 2]])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
