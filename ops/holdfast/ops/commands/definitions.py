"""`holdfast definitions`: read what is published."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import Acting, acting
from holdfast.ops.commands.definitions_diff import diff
from holdfast.ops.commands.definitions_shadow import shadow
from holdfast.ops.console import CommandError, JsonOption, emit

if TYPE_CHECKING:
    from holdfast.ops.published import Published

_HASH = re.compile(r"[0-9a-f]{6,64}")


def register(app: typer.Typer) -> None:
    """Add `holdfast definitions`."""
    group = typer.Typer(no_args_is_help=True, help="Workflow definitions that are published.")
    group.command("list")(list_)
    group.command("show")(show)
    group.command("diff")(diff)
    group.command("shadow")(shadow)
    app.add_typer(group, name="definitions")


def list_(
    versions: Annotated[bool, typer.Option("--versions", help="Older versions too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The definitions that workflows can be started with.

    JSON, one per definition: name, definition_hash, newest, published_at_ms, published_by, steps, purpose.

    Example: holdfast definitions list
    """
    from holdfast.ops.event_text import moment, short_hash

    found = [other for other in published_definitions(acting("")) if versions or other.newest]
    rows: list[dict[str, Any]] = [
        {
            "name": published.name,
            "definition_hash": published.hash,
            "newest": published.newest,
            "published_at_ms": published.published_at_ms,
            "published_by": published.published_by,
            "steps": len(_part(published.body, "steps")),
            "purpose": _text(published.body, "purpose"),
        }
        for published in found
    ]
    if as_json:
        emit(rows, as_json=True)
        return
    for row in rows:
        row["version"] = short_hash(row["definition_hash"]) + ("" if row["newest"] else " (old)")
        row["published"] = f"{moment(row['published_at_ms'])} by {row['published_by']}"
    emit(rows, table=("name", "version", "published", "steps", "purpose"))


def show(
    name: Annotated[str, typer.Argument(help="NAME for the newest version, NAME@HASH for another.")],
    as_json: JsonOption = False,
) -> None:
    """One definition: its steps and where they lead, and the tools and the definitions that it pinned.

    JSON: name, definition_hash, newest, published_at_ms, published_by, body (the definition as it is hashed).

    Example: holdfast definitions show support-ticket
    """
    published = find(published_definitions(acting("")), name)
    if as_json:
        emit(
            {
                "name": published.name,
                "definition_hash": published.hash,
                "newest": published.newest,
                "published_at_ms": published.published_at_ms,
                "published_by": published.published_by,
                "body": published.body,
            },
            as_json=True,
        )
        return
    from holdfast.ops.definition_text import render
    from holdfast.ops.screen import show as show_text

    show_text(render(published))


def published_definitions(who: Acting) -> "tuple[Published, ...]":
    """Everything that is published, older versions included. Raises CommandError if there is no broker to ask."""
    from holdfast.ops.published import read_definitions

    return asyncio.run(read_definitions(who.bootstrap, who.topic_prefix))


def find(published: "Sequence[Published]", name: str) -> "Published":
    """The definition that NAME (its newest version), NAME@HASH or HASH (a hash's beginning) stands for.

    Raises CommandError if there is none, or more than one.
    """
    wanted, _, prefix = name.partition("@")
    of_name = [other for other in published if other.name == wanted]
    if not of_name and _HASH.fullmatch(name):
        of_name, prefix = [other for other in published if other.hash.startswith(name)], name
    if not of_name:
        names = ", ".join(dict.fromkeys(other.name for other in published)) or "none"
        raise CommandError(f"no definition {wanted!r} is published; there are: {names}", cure="`holdfast apply FILE`")
    found = [other for other in of_name if (other.hash.startswith(prefix) if prefix else other.newest)]
    if len(found) != 1:
        raise CommandError(
            f"{len(found)} versions of {wanted!r} have a hash that begins with {prefix!r}",
            cure="`holdfast definitions list --versions`",
        )
    return found[0]


def _part(body: Any, name: str) -> Mapping[str, Any]:
    part = body.get(name) if isinstance(body, dict) else None
    return part if isinstance(part, dict) else {}


def _text(body: Any, name: str) -> str:
    return str(body.get(name, "")) if isinstance(body, dict) else ""
