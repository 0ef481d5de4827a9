"""`holdfast definitions diff`: what two versions differ in, and what that means to workflows that run."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.ops.commands.acting import acting
from holdfast.ops.console import CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.published import Published
    from holdfast.streams.core.definition import Definition

ToolsOption = Annotated[
    list[str] | None,
    typer.Option("--tools", help="A module that declares tools of a FILE, beside HOLDFAST_TOOL_MODULES."),
]


def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="NAME, NAME@HASH, HASH, or a file in YAML.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The same; what A is compared with.")],
    tools: ToolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """What two definitions differ in, step by step, and whether workflows that run would notice if they are moved.

    JSON: old, new (name, definition_hash), differences (step, path, exit, change: added, removed or changed; old, new,
    reach: nobody, starts, visits, under_way or obstacle; reach_text).

    Example: holdfast definitions diff support-ticket changed.yaml
    """
    from holdfast.ops.difference_text import difference_rows, render
    from holdfast.streams.core.difference import differences

    published = published_or_nothing()
    before, after = (definition_named(word, published, tools or ()) for word in (old, new))
    rows = difference_rows(differences(before, after))
    if as_json:
        versions = {
            side: {"name": definition.name, "definition_hash": definition.hash}
            for side, definition in (("old", before), ("new", after))
        }
        emit({**versions, "differences": rows}, as_json=True)
        return
    from holdfast.ops.screen import show as show_text

    show_text(render(before, after, rows))
    if rows and before.hash in {other.hash for other in published}:
        say("what runs keeps its version; who would move and who cannot: `holdfast migrate --to NEW --dry-run`")


def published_or_nothing() -> "tuple[Published, ...]":
    """What is published; nothing if nobody knows, which files may not need."""
    from holdfast.ops.published import read_definitions

    try:
        who = acting("")
        return asyncio.run(read_definitions(who.bootstrap, who.topic_prefix))
    except CommandError as exc:
        say(f"what is published is not known: {exc}")
        return ()


def definition_named(word: str, published: "Sequence[Published]", tools: Sequence[str]) -> "Definition":
    """The definition that a word on the command line stands for: that of a file, else what is published.

    A file's tools and children are pinned as `holdfast apply` would. Raises CommandError if there is none, or if the
    file has mistakes.
    """
    from holdfast.ops.commands.definitions import find
    from holdfast.streams.core.definition import Definition

    if word.endswith((".yaml", ".yml")) or Path(word).is_file():
        return _in_file(word, published, tools)
    return Definition.model_validate(find(published, word).body)


def _in_file(name: str, published: "Sequence[Published]", tools: Sequence[str]) -> "Definition":
    from holdfast.ops.definition_files import finding_line, finding_rows, manifests_of, text_of
    from holdfast.ops.published import startable_of
    from holdfast.streams.definition_set import InvalidFiles, parse_definitions

    if not Path(name).is_file():
        raise CommandError(f"there is no file {name}")
    try:
        return parse_definitions({name: text_of(Path(name))}, manifests_of(tools), startable_of(published))[name]
    except InvalidFiles as exc:
        for row in finding_rows(exc.problems[name]):
            say(finding_line(name, row))
        raise CommandError(f"{name} cannot be compared: it has mistakes") from None
