"""`holdfast apply` and `holdfast definitions`: publish workflow definitions, and read what is published."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.ops.commands.acting import Acting, ActorOption, acting
from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.client import Published
    from holdfast.streams.core.definition import Definition

HASH_LENGTH = 12


def register(app: typer.Typer) -> None:
    """Add `holdfast apply` and `holdfast definitions`."""
    app.command("apply")(apply)
    group = typer.Typer(no_args_is_help=True, help="Workflow definitions that are published.")
    group.command("list")(list_)
    group.command("show")(show)
    app.add_typer(group, name="definitions")


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

    JSON, one per file: file, name, definition_hash, status (new, new version, unchanged, newest again, invalid; valid
    if a dry run finds no broker to compare with), mistakes (line, column, place, message, cure).

    Example: holdfast apply workflow.yaml --tools my_project.tools
    """
    parsed, mistakes = _parse(files, _manifests(tools or []))
    if mistakes:
        _refuse(mistakes, as_json=as_json)
    results = asyncio.run(_publish(parsed, actor, dry_run=dry_run))
    if as_json:
        emit(results, as_json=True)
        return
    for result in results:
        done = " (nothing was published)" if dry_run else ""
        emit(f"{result['name']} @ {result['definition_hash'][:HASH_LENGTH]}: {result['status']}{done}")


def _manifests(modules: Sequence[str]) -> dict[str, dict[str, Any]]:
    from holdfast.ops.settings import load_settings
    from holdfast.tools import RegistryError, registry_from_modules

    # Tools of a project usually lie where the command is typed.
    sys.path.insert(0, str(Path.cwd()))
    try:
        registry = registry_from_modules(tuple(dict.fromkeys((*load_settings().tool_modules, *modules))))
    except RegistryError as exc:
        raise CommandError(str(exc), cure="correct the module, --tools, or HOLDFAST_TOOL_MODULES") from exc
    return {name: dict(manifest.to_json()) for name, manifest in registry.manifests().items()}


def _parse(
    files: Sequence[Path], manifests: Mapping[str, Mapping[str, object]]
) -> tuple[dict[Path, "Definition"], dict[Path, list[Any]]]:
    """The definitions by file, and the mistakes by file. Raises CommandError if two files define one name."""
    from holdfast.streams.definition_file import InvalidFile, parse_definition

    parsed: dict[Path, Definition] = {}
    mistakes: dict[Path, list[Any]] = {}
    for file in files:
        try:
            parsed[file] = parse_definition(file.read_text(encoding="utf-8"), str(file), manifests)
        except UnicodeDecodeError as exc:
            raise CommandError(f"{file} is not UTF-8 text: {exc}", cure="save it as UTF-8") from exc
        except InvalidFile as exc:
            mistakes[file] = list(exc.problems)
    names: dict[str, Path] = {}
    for file, definition in parsed.items():
        if (other := names.setdefault(definition.name, file)) is not file:
            raise CommandError(f"{other} and {file} both define {definition.name!r}", cure="rename one, or apply one")
    return parsed, mistakes


def _refuse(mistakes: Mapping[Path, Sequence[Any]], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "file": str(file),
                "name": "",
                "definition_hash": "",
                "status": "invalid",
                "mistakes": [
                    {
                        "line": at.line,
                        "column": at.column,
                        "place": ".".join(map(str, at.problem.path)),
                        "message": at.problem.message,
                        "cure": at.problem.cure,
                    }
                    for at in found
                ],
            }
            for file, found in mistakes.items()
        ]
        emit(rows, as_json=True)
        raise typer.Exit(EXIT_REFUSED)
    for file, found in mistakes.items():
        for at in found:
            say(f"{file}:{at.line}:{at.column}: {at.problem}")
    count = sum(map(len, mistakes.values()))
    raise CommandError(f"{count} {'mistake' if count == 1 else 'mistakes'}: nothing was published")


async def _publish(parsed: Mapping[Path, "Definition"], actor: str, *, dry_run: bool) -> list[dict[str, Any]]:
    from holdfast.ops.client import Client, read_definitions

    try:
        who = acting("", actor)
        published = await read_definitions(who.bootstrap, who.topic_prefix)
    except CommandError as exc:
        if not dry_run:
            raise
        say(f"not compared with what is published: {exc}")
        published = None
    results = [
        {
            "file": str(file),
            "name": definition.name,
            "definition_hash": definition.hash,
            "status": _status(definition, published),
            "mistakes": [],
        }
        for file, definition in parsed.items()
    ]
    if not dry_run:
        async with Client(who.bootstrap, who.topic_prefix, who.tenant, who.actor) as client:
            for definition, result in zip(parsed.values(), results, strict=True):
                if result["status"] != "unchanged":
                    await client.publish(definition)
    return results


def _status(definition: "Definition", published: "Sequence[Published] | None") -> str:
    if published is None:
        return "valid"
    known = [other for other in published if other.name == definition.name]
    if not known:
        return "new"
    same = next((other for other in known if other.hash == definition.hash), None)
    if same is None:
        return "new version"
    return "unchanged" if same.newest else "newest again"


def list_(
    versions: Annotated[bool, typer.Option("--versions", help="Older versions too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """The definitions that workflows can be started with.

    JSON, one per definition: name, definition_hash, newest, published_at_ms, published_by, steps, purpose.

    Example: holdfast definitions list
    """
    from holdfast.ops.event_text import moment

    found = [other for other in _read(acting("")) if versions or other.newest]
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
        row["version"] = row["definition_hash"][:HASH_LENGTH] + ("" if row["newest"] else " (old)")
        row["published"] = f"{moment(row['published_at_ms'])} by {row['published_by']}"
    emit(rows, table=("name", "version", "published", "steps", "purpose"))


def show(
    name: Annotated[str, typer.Argument(help="NAME for the newest version, NAME@HASH for another.")],
    as_json: JsonOption = False,
) -> None:
    """One definition: its steps and where they lead, and the tools that it pinned.

    JSON: name, definition_hash, newest, published_at_ms, published_by, body (the definition as it is hashed).

    Example: holdfast definitions show support-ticket
    """
    published = find(_read(acting("")), name)
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


def _read(who: Acting) -> "tuple[Published, ...]":
    from holdfast.ops.client import read_definitions

    return asyncio.run(read_definitions(who.bootstrap, who.topic_prefix))


def find(published: "Sequence[Published]", name: str) -> "Published":
    """The definition that NAME (its newest version) or NAME@HASH (a hash's beginning) stands for.

    Raises CommandError if there is none, or more than one.
    """
    wanted, _, prefix = name.partition("@")
    of_name = [other for other in published if other.name == wanted]
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
