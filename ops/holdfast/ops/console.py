"""How every command speaks: results on standard output (a table, or JSON), everything else on standard error."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from holdfast.ops.errors import CommandError

__all__ = ["EXIT_REFUSED", "CommandError", "JsonOption", "emit", "progress", "role_log", "say", "show_error"]

EXIT_REFUSED = 1

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text for people.")]


def emit(data: Any, *, table: Sequence[str] | None = None, as_json: bool = False) -> None:
    """Print a command's result.

    With `as_json`, `data` as one JSON document. Otherwise a list of mappings as a table with the columns `table`
    (all keys of the first row if None), a mapping as `key: value` lines, and anything else as it is.
    """
    if as_json:
        import orjson

        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(data, option=options, default=str).decode() + "\n")
    elif isinstance(data, Mapping):
        _print_table([{"": key, " ": value} for key, value in data.items()], ["", " "], header=False)
    elif isinstance(data, Sequence) and not isinstance(data, str):
        _print_table(data, table or (list(data[0]) if data else []), header=True)
    else:
        sys.stdout.write(f"{data}\n")


def _print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, header: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        sys.stdout.write("nothing\n")
        return
    grid = Table(box=SIMPLE_HEAD if header else None, show_header=header, pad_edge=False)
    for column in columns:
        grid.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        grid.add_row(*[Text(_cell(row.get(column))) for column in columns])
    # A pipe or file has no width: nothing may be cut or wrapped there.
    width = None if sys.stdout.isatty() else 10_000
    Console(width=width, file=sys.stdout).print(grid, soft_wrap=False)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(item) for item in value)
    return str(value)


def say(text: str) -> None:
    """A line about what is going on, for people; never part of the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show_error(error: CommandError) -> None:
    """Print an error with its cure."""
    say(f"error: {error}")
    if error.cure:
        say(f"  try: {error.cure}")


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function to report work with: (what is done, steps done, steps in total). Bars on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield _progress_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


def _progress_lines() -> Callable[[str, int, int], None]:
    def report(what: str, done: int, total: int) -> None:
        if done in (0, total):
            say(f"{what} ... {'done' if done == total else ''}".rstrip())

    return report


ROLE_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


def role_log(*, only: str | None = None) -> Callable[[str, str], None]:
    """A function that prints (role, line) on standard error, each role's name in its own colour on a terminal.

    With `only`, lines of other roles are not printed.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, soft_wrap=True)
    colours: dict[str, str] = {}

    def log(role: str, line: str) -> None:
        if only and role != only:
            return
        colour = colours.setdefault(role, ROLE_COLOURS[len(colours) % len(ROLE_COLOURS)])
        console.print(Text.assemble((f"{role:<15}", colour), " ", line))

    return log
