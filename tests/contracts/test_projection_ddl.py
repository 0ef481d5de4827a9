"""Rules that keep the projections exact when rows arrive twice, read off the migrations and queries themselves."""

import re
from itertools import pairwise

import pytest

from holdfast.projections.batch import DEAD_LETTER_COLUMNS
from holdfast.projections.client import NamedQuery, named_queries, named_query
from holdfast.projections.migrate import MigrationError, migration, shipped
from holdfast.projections.rows import EVENT_COLUMNS, EXPIRED_COLUMNS, REJECTION_COLUMNS

STATEMENTS = [statement for step in shipped() for statement in step.statements]
REPEATABLE = re.compile(
    r"CREATE (TABLE|VIEW|MATERIALIZED VIEW) IF NOT EXISTS |CREATE OR REPLACE VIEW "
    r"|ALTER TABLE \S+ (ADD COLUMN IF NOT EXISTS |MODIFY QUERY\n)"
)
TABLES = {found[1]: text for text in STATEMENTS if (found := re.match(r"CREATE TABLE IF NOT EXISTS \S+\.(\w+)", text))}
MADE = {
    found[1]: (found[2], text)
    for text in STATEMENTS
    if (found := re.match(r"CREATE MATERIALIZED VIEW IF NOT EXISTS \S+\.(\w+) TO \S+\.(\w+)", text))
}
CHANGED = {found[1]: text for text in STATEMENTS if (found := re.match(r"ALTER TABLE \S+\.(\w+) MODIFY QUERY", text))}
MATERIALIZED = {view: (target, CHANGED.get(view, text)) for view, (target, text) in MADE.items()}
# Written by the sink from what may belong to no tenant.
WITHOUT_TENANT = {"dead_letters"}
IDEMPOTENT = {"min", "max", "argMax", "argMin", "any", "anyLast"}
QUERIES = sorted(named_queries().values(), key=lambda query: query.name)


def columns_of(table: str) -> dict[str, str]:
    """Types by name, those that later migrations added included."""
    body = TABLES[table].partition("\n(\n")[2].partition("\n)\n")[0]
    made = dict(re.findall(r"^    ([a-z_]+) (.*?),?$", body, re.MULTILINE))
    altered = "\n".join(text for text in STATEMENTS if re.match(rf"ALTER TABLE \S+\.{table} ADD COLUMN", text))
    return made | dict(re.findall(r"ADD COLUMN IF NOT EXISTS (\w+) (.*?)(?: AFTER \w+)?,?$", altered, re.MULTILINE))


def key_of(table: str) -> str:
    found = re.search(r"ORDER BY (.*?)(?:\nSETTINGS|$)", TABLES[table], re.DOTALL)
    assert found
    return found[1]


def test_every_statement_can_be_run_again() -> None:
    assert STATEMENTS
    for statement in STATEMENTS:
        assert REPEATABLE.match(statement), statement
        assert all("IF NOT EXISTS" in added for added in re.findall(r"ADD COLUMN[^,]*", statement)), statement


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {database}.a (x UInt8) ENGINE = Memory",
        "ALTER TABLE {database}.events ADD COLUMN x UInt8",
        "DROP TABLE IF EXISTS {database}.events",
        "ALTER TABLE {database}.events DELETE WHERE 1",
    ],
)
def test_a_statement_that_fails_or_destroys_when_it_is_run_again_is_noticed(statement: str) -> None:
    assert not REPEATABLE.match(statement)


def test_the_numbers_of_the_migrations_have_no_holes() -> None:
    numbers = [int(step.id[:4]) for step in shipped()]
    assert numbers[0] == 1
    assert all(after == before + 1 for before, after in pairwise(numbers))


@pytest.mark.parametrize("name", ["first.sql", "1_first.sql", "0001_First.sql", "0001_first.SQL"])
def test_a_file_with_another_name_is_no_migration(name: str) -> None:
    with pytest.raises(MigrationError, match="0001_what_it_does"):
        migration(name, "SELECT 1;\n")


@pytest.mark.parametrize("table", sorted(TABLES))
def test_rows_that_come_twice_collapse_in_every_table(table: str) -> None:
    text = TABLES[table]
    assert re.search(r"ENGINE = (Replacing|Aggregating)MergeTree", text)
    # The de-duplication log is written before the part: a kill in between loses acknowledged rows.
    assert "non_replicated_deduplication_window = 0" in text
    assert "now" not in key_of(table)
    assert "ingested_at" not in key_of(table)
    assert table in WITHOUT_TENANT or key_of(table).startswith(("(tenant,", "tenant,"))


@pytest.mark.parametrize("table", [name for name, text in sorted(TABLES.items()) if "= Aggregating" in text])
def test_an_aggregating_table_only_keeps_what_a_repeat_cannot_change(table: str) -> None:
    kept = {
        function for type_ in columns_of(table).values() for function in re.findall(r"AggregateFunction\((\w+),", type_)
    }
    assert kept
    assert kept <= IDEMPOTENT


@pytest.mark.parametrize("view", sorted(MATERIALIZED))
def test_no_materialized_view_sums_or_counts(view: str) -> None:
    target, text = MATERIALIZED[view]
    assert target in TABLES
    called = set(re.findall(r"\b(\w+)\(", text.lower()))
    assert not {name for name in called if name.startswith(("sum", "count", "avg", "uniq", "quantile", "grouparray"))}


@pytest.mark.parametrize("view", sorted(MATERIALIZED))
def test_a_materialized_view_fills_every_column_of_its_table_that_has_no_default(view: str) -> None:
    target, text = MATERIALIZED[view]
    filled = set(re.findall(r"\w+", text.partition("\nFROM ")[0]))
    assert {name for name, type_ in columns_of(target).items() if "DEFAULT" not in type_} <= filled


@pytest.mark.parametrize("view", sorted(MATERIALIZED))
def test_a_partition_is_a_function_of_the_events_own_time(view: str) -> None:
    partition = re.search(r"PARTITION BY (\S+)", TABLES[MATERIALIZED[view][0]])
    assert partition is None or partition[1] == "toYYYYMM(recorded_at)"


@pytest.mark.parametrize(
    ("table", "written"),
    [
        ("events", EVENT_COLUMNS),
        ("request_rejections", REJECTION_COLUMNS),
        ("expired_events", EXPIRED_COLUMNS),
        ("dead_letters", DEAD_LETTER_COLUMNS),
    ],
)
def test_the_sink_writes_every_column_that_has_no_default(table: str, written: tuple[str, ...]) -> None:
    assert set(written) == {name for name, type_ in columns_of(table).items() if "DEFAULT" not in type_}


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_shipped_question_declares_exactly_the_parameters_it_uses(query: NamedQuery) -> None:
    used = set(re.findall(r"\{(\w+):[^}]+\}", query.sql))
    assert used == query.parameters.keys()
    assert query.question.endswith("?")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_a_list_is_bounded_unless_it_is_about_one_workflow(query: NamedQuery) -> None:
    one_workflow = "workflow" in query.parameters or {"topic", "offset"} <= query.parameters.keys()
    grouped_small = query.name in {"chain", "health", "lag", "partitions", "event_types", "spend"}
    assert one_workflow or grouped_small or "LIMIT" in query.sql


def test_a_questions_header_says_types_and_defaults() -> None:
    query = named_query(
        "x", "-- What?\n-- parameter a: String\n-- parameter b: UInt8 = 3\n-- parameter c: String = ''\n"
    )
    assert query.question == "What?"
    assert query.parameters == {"a": None, "b": "3", "c": ""}
