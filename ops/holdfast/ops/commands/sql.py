"""`holdfast sql`: ask the tables, in SQL or with a question that is shipped."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.console import CommandError, JsonOption, emit

if TYPE_CHECKING:
    from holdfast.projections.client import ClickHouse


# By ClickHouse's code: it does not answer; its files are not what they were.
_CURES = {
    210: "`holdfast projections status`",
    **dict.fromkeys((33, 40, 246), "`holdfast projections rebuild` makes the tables again from the journal"),
}


def register(app: typer.Typer) -> None:
    """Add `holdfast sql`."""
    app.command("sql")(sql)


@contextmanager
def asking() -> Iterator["ClickHouse"]:
    """A client of the running project's tables. What it raises becomes a CommandError with its cure."""
    from holdfast.ops.roles import bridge_of
    from holdfast.ops.settings import load_settings, project_of
    from holdfast.projections.client import ClickHouse

    settings = load_settings()
    url, token = bridge_of(settings, project_of(settings))
    with answers():
        yield ClickHouse(url=url, token=token)


@contextmanager
def answers() -> Iterator[None]:
    """Whatever a client of the tables raises inside becomes a CommandError with its cure."""
    from holdfast.projections.client import QueryError, Unreachable

    try:
        yield
    except Unreachable as exc:
        raise CommandError(str(exc), cure="`holdfast up`, and see the log of the role sink") from exc
    except QueryError as exc:
        raise CommandError(f"ClickHouse refused the query: {exc}", cure=_CURES.get(exc.code, "")) from exc


def sql(
    statement: Annotated[str, typer.Argument(help="A statement that reads; '-' reads it from standard input.")] = "",
    question: Annotated[str, typer.Option("--question", "-q", help="Ask a shipped question by its name.")] = "",
    parameters: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value for {name:Type}; may be repeated.")
    ] = None,
    questions: Annotated[bool, typer.Option("--questions", help="List the shipped questions.")] = False,
    format_: Annotated[str, typer.Option("--format", help="Print in a format of ClickHouse, such as CSV.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Ask the tables in SQL; nothing can be changed.

    Example: holdfast sql "SELECT type, count() FROM events GROUP BY type"; holdfast sql -q stuck
    """
    from holdfast.projections.client import named_queries

    if questions:
        emit(_listed(), as_json=as_json)
        return
    if bool(statement) == bool(question):
        raise typer.BadParameter("give either a statement or --question NAME")
    given = _pairs(parameters or [])
    if question:
        if question not in named_queries():
            raise CommandError(f"there is no question {question}", cure="holdfast sql --questions")
        given = _completed(question, given)
        statement = named_queries()[question].sql
    elif statement == "-":
        statement = sys.stdin.read()
    with asking() as client:
        if format_:
            sys.stdout.write(client.raw(statement, given, default_format=format_).decode(errors="replace"))
        else:
            emit(client.query(statement, given), as_json=as_json)


def _pairs(parameters: list[str]) -> dict[str, Any]:
    split = [parameter.partition("=") for parameter in parameters]
    wrong = [name for name, equals, _ in split if not equals]
    if wrong:
        raise typer.BadParameter(f"--param takes name=value, not {wrong[0]}")
    return {name: value for name, _, value in split}


def _completed(question: str, given: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a question, with its defaults. Raises BadParameter if they do not fit."""
    from holdfast.projections.client import named_queries

    wanted = named_queries()[question].parameters
    missing = [name for name, default in wanted.items() if default is None and name not in given]
    unknown = sorted(given.keys() - wanted.keys())
    if missing or unknown:
        takes = ", ".join(wanted) or "none"
        raise typer.BadParameter(f"missing: {missing}, unknown: {unknown}; {question} takes: {takes}")
    return {**wanted, **given}


def _listed() -> list[dict[str, Any]]:
    from holdfast.projections.client import named_queries

    def shown(name: str, default: str | None) -> str:
        return name if default is None else f"{name}={default}"

    return [
        {
            "name": query.name,
            "question": query.question,
            "parameters": [shown(*parameter) for parameter in query.parameters.items()],
        }
        for query in named_queries().values()
    ]
