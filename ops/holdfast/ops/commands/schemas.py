"""`holdfast schemas`: read the catalogue, check it, add to it, describe it as AsyncAPI."""

from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.ops.console import EXIT_REFUSED, CommandError, JsonOption, emit, say


def register(app: typer.Typer) -> None:
    """Adds the group `schemas` to the command line."""
    group = typer.Typer(help="Record schemas: read, check, add.", no_args_is_help=True)
    for command in (list_schemas, show, check, add, asyncapi):
        group.command(command.__name__.removesuffix("_schemas"))(command)
    app.add_typer(group, name="schemas")


def list_schemas(json: JsonOption = False) -> None:
    """Every version of every record's schema, with its fixed id.

    Example: holdfast schemas list --json
    """
    from holdfast.schemas.catalog import schemas_by_id

    rows = [{"id": s.id, "version": s.version, "record": s.subject} for s in schemas_by_id().values()]
    emit(rows, table=("id", "version", "record"), as_json=json)


def show(
    name: Annotated[str, typer.Argument(help="Record name, full name, or schema id.")],
    version: Annotated[int, typer.Option(help="Version to show; 0 is the newest.")] = 0,
    json: JsonOption = False,
) -> None:
    """One schema and the topics that carry it.

    Example: holdfast schemas show WorkflowStarted
    """
    from holdfast.schemas.catalog import schemas_by_id
    from holdfast.schemas.topics import TOPICS

    found = [
        s for s in schemas_by_id().values() if name in (s.name, s.subject, str(s.id)) and version in (0, s.version)
    ]
    if not found:
        raise CommandError(f"the catalogue has no schema {name!r}", cure="`holdfast schemas list` shows all of them")
    schema = found[-1]
    if not json:
        emit(schema.text.rstrip())
        return
    topics = [topic.name for topic in TOPICS if schema.name in {record.__name__ for record in topic.records}]
    head = {"id": schema.id, "subject": schema.subject, "version": schema.version, "sha256": schema.sha256}
    emit({**head, "topics": topics, "schema": schema.parsed()}, as_json=True)


def check(json: JsonOption = False) -> None:
    """Check every schema, the catalogue, and that all versions of a record read each other.

    Example: holdfast schemas check
    """
    from holdfast.schemas import authoring, catalog, compatibility

    try:
        findings = authoring.check(_folder())
    except (catalog.CatalogError, compatibility.CheckerMissingError) as exc:
        raise _stopped(exc) from exc
    rows = _rows(findings)
    if json:
        emit(rows, as_json=True)
    elif rows:
        emit(rows, table=("rule", "where", "message"))
    else:
        emit(f"{len(catalog.read(_folder()))} schemas keep all rules")
    if rows:
        raise typer.Exit(EXIT_REFUSED)


def add(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="New or changed records (.avsc).")],
    json: JsonOption = False,
) -> None:
    """Add records to the catalogue of a source tree, each as its next version with the next free id.

    Nothing is added if a rule would be broken. Example: holdfast schemas add StepStarted.avsc
    """
    from holdfast.schemas import authoring, catalog, compatibility

    _source_tree()
    try:
        added = authoring.add(_folder(), [file.read_text(encoding="utf-8") for file in files])
    except authoring.RefusedError as exc:
        emit(_rows(exc.findings), table=("rule", "where", "message"), as_json=json)
        raise CommandError(f"{len(exc.findings)} rules would be broken: nothing was added") from exc
    except (catalog.CatalogError, compatibility.CheckerMissingError, UnicodeDecodeError) as exc:
        raise _stopped(exc) from exc
    rows = [{"id": s.id, "version": s.version, "record": s.subject, "path": s.path} for s in added]
    emit(rows, as_json=json)
    say("next: the class, its golden bytes (tests/README.md), and `holdfast schemas asyncapi --write`")


def asyncapi(
    write: Annotated[bool, typer.Option("--write", help="Write it into the source tree instead.")] = False,
    json: JsonOption = False,
) -> None:
    """The AsyncAPI 3.0 description of all topics.

    Example: holdfast schemas asyncapi --json
    """
    from holdfast.schemas import asyncapi as description

    if not write:
        emit(description.document() if json else description.render().rstrip(), as_json=json)
        return
    path = _source_tree() / description.FILE_NAME
    path.write_text(description.render(), encoding="utf-8")
    emit({"written": str(path)}, as_json=json)


def _folder() -> Path:
    from holdfast.schemas.catalog import AVRO

    return Path(str(AVRO))


def _source_tree() -> Path:
    """The folder `schemas` of a source tree. Raises CommandError if this is an installed package."""
    root = _folder().parents[2]
    if not (root.parent / "pyproject.toml").is_file():
        raise CommandError("an installed package has no catalogue to change", cure="run this in a source tree")
    return root


def _stopped(error: Exception) -> CommandError:
    from holdfast.schemas.compatibility import CheckerMissingError

    missing = isinstance(error, CheckerMissingError)
    return CommandError(str(error), cure="`pip install avro`, or `make setup` in a source tree" if missing else "")


def _rows(findings: Any) -> list[dict[str, str]]:
    return [{"rule": f.rule, "where": f.where, "message": f.message} for f in findings]
