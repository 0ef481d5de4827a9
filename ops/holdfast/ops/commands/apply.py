"""`holdfast apply`: publish workflow definitions, with the tools and the definitions that they name pinned."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import ActorOption, acting
from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.published import Published
    from holdfast.streams.core.definition import Definition
    from holdfast.streams.definition_file import Located


def register(app: typer.Typer) -> None:
    """Add `holdfast apply`."""
    app.command("apply")(apply)


def apply(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Definitions in YAML.")],
    tools: Annotated[
        list[str] | None, typer.Option("--tools", help="A module that declares tools, beside HOLDFAST_TOOL_MODULES.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare only; publish nothing.")] = False,
    actor: ActorOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check definitions and publish them: all of them, or none if one has a mistake. Running workflows keep theirs.

    What `child` and `schedule` steps start is pinned: a definition of the same call, or else the newest published one.

    JSON, one per file, what others start first: file, name, definition_hash, children (the hashes of what it starts, by
    name), status (new, new version, unchanged, newest again, invalid; valid if a dry run finds no broker to compare
    with), mistakes and warnings (line, column, severity, rule, place, message, cure).

    Example: holdfast apply workflow.yaml --tools my_project.tools
    """
    from holdfast.ops.definition_files import manifests_of, text_of

    texts = {str(file): text_of(file) for file in files}
    asyncio.run(_apply(texts, manifests_of(tools or []), actor, dry_run=dry_run, as_json=as_json))


async def _apply(
    texts: Mapping[str, str], manifests: Mapping[str, Mapping[str, object]], actor: str, *, dry_run: bool, as_json: bool
) -> None:
    from holdfast.ops.definition_files import finding_rows
    from holdfast.ops.published import startable_of
    from holdfast.streams.definition_set import InvalidFiles, accepted, inspect_definitions

    published, unreachable = await _published()
    inspections = inspect_definitions(texts, manifests, startable_of(published))
    try:
        parsed = accepted(inspections, list(texts))
    except InvalidFiles as exc:
        if unreachable is not None:
            say(f"what is published is not known: {unreachable}")
        raise refused(exc.problems, as_json=as_json) from None
    if unreachable is not None:
        if not dry_run:
            raise unreachable
        say(f"not compared with what is published: {unreachable}")
    results = [
        {
            "file": file,
            "name": definition.name,
            "definition_hash": definition.hash,
            "children": dict(definition.children),
            "status": "valid" if unreachable is not None else _status(definition, published),
            "mistakes": [],
            "warnings": finding_rows(inspections[file].findings),
        }
        for file, definition in parsed.items()
    ]
    if not dry_run:
        changed = [
            definition
            for definition, result in zip(parsed.values(), results, strict=True)
            if result["status"] != "unchanged"
        ]
        await _publish(changed, actor)
    _say(results, published, dry_run=dry_run, as_json=as_json)


async def _published() -> "tuple[tuple[Published, ...], CommandError | None]":
    """What is published, or why that is not known."""
    from holdfast.ops.published import read_definitions

    try:
        who = acting("")
        return await read_definitions(who.bootstrap, who.topic_prefix), None
    except CommandError as exc:
        return (), exc


async def _publish(definitions: "Sequence[Definition]", actor: str) -> None:
    from holdfast.ops.client import Client

    who = acting("", actor)
    async with Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client:
        for definition in definitions:
            await client.publish(definition)


def _status(definition: "Definition", published: "Sequence[Published]") -> str:
    known = [other for other in published if other.name == definition.name]
    if not known:
        return "new"
    same = next((other for other in known if other.hash == definition.hash), None)
    if same is None:
        return "new version"
    return "unchanged" if same.newest else "newest again"


def _say(
    results: Sequence[Mapping[str, Any]], published: "Sequence[Published]", *, dry_run: bool, as_json: bool
) -> None:
    from holdfast.ops.definition_files import finding_line
    from holdfast.ops.event_text import short_hash

    if as_json:
        emit(results, as_json=True)
    else:
        for result in results:
            done = " (nothing was published)" if dry_run else ""
            emit(f"{result['name']} @ {short_hash(result['definition_hash'])}: {result['status']}{done}")
            for name, hash_ in result["children"].items():
                emit(f"  starts {name} @ {short_hash(hash_)}")
            for row in result["warnings"]:
                say(finding_line(result["file"], row))
    for name, started in left_behind({result["name"]: result["definition_hash"] for result in results}, published):
        say(f"{name} starts {started} as it was before: apply the file of {name} again to change that")


def left_behind(applied: Mapping[str, str], published: "Sequence[Published]") -> list[tuple[str, str]]:
    """The newest definitions that were not applied now and pin another version of one that was: (name, started)."""
    others = [other for other in published if other.newest and other.name not in applied]
    return [
        (other.name, started)
        for other in others
        for started, hash_ in other.children.items()
        if applied.get(started, hash_) != hash_
    ]


def refused(mistakes: "Mapping[str, Sequence[Located]]", *, as_json: bool) -> Exception:
    """What to raise for files with mistakes, by file; all of them are printed."""
    from holdfast.ops.definition_files import finding_line, finding_rows

    if as_json:
        rows = [
            {
                "file": file,
                "name": "",
                "definition_hash": "",
                "children": {},
                "status": "invalid",
                "mistakes": finding_rows(found),
                "warnings": [],
            }
            for file, found in mistakes.items()
        ]
        emit(rows, as_json=True)
        return typer.Exit(EXIT_REFUSED)
    for file, found in mistakes.items():
        for row in finding_rows(found):
            say(finding_line(file, row))
    count = sum(map(len, mistakes.values()))
    return CommandError(f"{count} {'mistake' if count == 1 else 'mistakes'}: nothing was published")
