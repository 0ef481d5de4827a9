"""`holdfast dead-letters`: records that came to nothing, and why."""

from typing import Annotated

import typer

from holdfast.ops.commands.sql import asking
from holdfast.ops.console import CommandError, JsonOption, emit


def register(app: typer.Typer) -> None:
    """Add `holdfast dead-letters`."""
    letters = typer.Typer(no_args_is_help=True, help="Records that came to nothing, and why.")
    letters.command("list")(list_)
    letters.command("show")(show)
    app.add_typer(letters, name="dead-letters")


def list_(
    state: Annotated[str, typer.Option(help="open, or empty for all.")] = "open",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the latest first.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """List records that could not be read or stored.

    Example: holdfast dead-letters list
    """
    with asking() as client:
        emit(client.named("dead_letters", state=state, limit=limit), as_json=as_json)


def show(
    topic: Annotated[str, typer.Argument(help="Topic, with its prefix, that the record stands on.")],
    partition: Annotated[int, typer.Argument(min=0)],
    offset: Annotated[int, typer.Argument(min=0)],
    as_json: JsonOption = False,
) -> None:
    """Show one record: why it came to nothing, what can be read of it, and its bytes in hex.

    Example: holdfast dead-letters show holdfast.journal 2 1047
    """
    from holdfast.projections.batch import decoded

    with asking() as client:
        found = client.named("dead_letter", topic=topic, partition=partition, offset=offset)
    if not found:
        raise CommandError(f"no dead letter came from {topic} {partition} {offset}", cure="holdfast dead-letters list")
    for row in found:
        row["key"] = bytes.fromhex(row["key_hex"]).decode(errors="replace")
        row["decoded"] = decoded(bytes.fromhex(row["value_hex"]))
    if as_json:
        emit(found, as_json=True)
        return
    for row in found:
        emit(row)
