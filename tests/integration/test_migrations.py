"""Migrations on a real ClickHouse: once, again, edited, interrupted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.projections.migrate import MigrationError, migration, shipped
from support.engine import Engine

IDS = [step.id for step in shipped()]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine(tmp_path / "db", migrated=False)
    yield engine
    engine.close()


def ledger(engine: Engine) -> dict[str, str]:
    rows = engine.read("SELECT id, status FROM holdfast.schema_migrations FINAL ORDER BY id")
    return {row["id"]: row["status"] for row in rows}


def test_migrations_apply_once_and_a_dry_run_applies_none(engine: Engine) -> None:
    assert engine.call("migrate", shipped(), dry_run=True) == IDS
    assert engine.call("migrate", shipped()) == IDS
    assert engine.call("migrate", shipped(), dry_run=True) == []
    assert engine.call("migrate", shipped()) == []
    assert ledger(engine) == dict.fromkeys(IDS, "completed")


def test_statements_can_be_run_again_over_data(engine: Engine) -> None:
    engine.call("migrate", shipped())
    for step in shipped():
        for statement in step.statements:
            engine.command(statement.replace("{database}", "holdfast"))
    assert engine.read("SELECT count() AS n FROM holdfast.events") == [{"n": 0}]


def test_an_edited_migration_is_refused(engine: Engine) -> None:
    engine.call("migrate", shipped())
    edited = (replace(shipped()[0], checksum="0" * 64), *shipped()[1:])
    with pytest.raises(MigrationError, match="0001_events was edited"):
        engine.call("migrate", edited)


def test_an_interrupted_migration_is_finished_by_the_next_run(engine: Engine) -> None:
    broken = migration(
        "0001_two.sql", "CREATE TABLE IF NOT EXISTS {database}.a (x UInt8) ENGINE = Memory;\nNONSENSE;\n"
    )
    whole = replace(broken, statements=broken.statements[:1])
    with pytest.raises(Exception, match="NONSENSE"):
        engine.call("migrate", [broken])
    assert ledger(engine) == {"0001_two": "started"}
    assert engine.call("migrate", [whole]) == ["0001_two"]
    assert ledger(engine) == {"0001_two": "completed"}


def test_a_database_of_a_newer_version_is_refused(engine: Engine) -> None:
    engine.call("migrate", shipped())
    with pytest.raises(MigrationError, match=f"newer version: it has {IDS[-1]}"):
        engine.call("migrate", shipped()[:-1])
