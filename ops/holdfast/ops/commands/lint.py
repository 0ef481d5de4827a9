"""`holdfast lint`: everything that is wrong, or probably wrong, with definitions, before anybody publishes them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.ops.console import EXIT_REFUSED, JsonOption, emit, say


def register(app: typer.Typer) -> None:
    """Add `holdfast lint`."""
    app.command("lint")(lint)


def lint(
    files: Annotated[
        list[Path] | None, typer.Argument(exists=True, dir_okay=False, help="Definitions in YAML.")
    ] = None,
    tools: Annotated[
        list[str] | None, typer.Option("--tools", help="A module that declares tools, beside HOLDFAST_TOOL_MODULES.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Print the rules, as docs/lint.md has them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List all mistakes and doubts about definitions at once. Exits with 1 if there is a mistake that `apply` refuses.

    JSON, one per finding: file, line, column (from 1; 0 if there is no such place), severity (error, warning), rule,
    place, message, cure. With --rules: name, severity, vital, sentence, cure.

    Example: holdfast lint workflow.yaml --tools my_project.tools
    """
    if rules:
        _show_rules(as_json=as_json)
        return
    if not files:
        raise typer.BadParameter("name at least one file", param_hint="FILES")
    rows = _findings(files, tools or [])
    if as_json:
        emit(rows, as_json=True)
    else:
        from holdfast.ops.definition_files import finding_line

        for row in rows:
            emit(finding_line(row["file"], row))
        say(_summary(rows))
    if any(row["severity"] == "error" for row in rows):
        raise typer.Exit(EXIT_REFUSED)


def _findings(files: list[Path], tools: list[str]) -> list[dict[str, Any]]:
    from holdfast.ops.definition_files import finding_rows, manifests_of, text_of
    from holdfast.streams.definition_set import inspect_definitions

    texts = {str(file): text_of(file) for file in files}
    found = inspect_definitions(texts, manifests_of(tools), None)
    return [{"file": file, **row} for file in texts for row in finding_rows(found[file].findings)]


def _summary(rows: list[dict[str, Any]]) -> str:
    errors = sum(row["severity"] == "error" for row in rows)
    return ", ".join(_counted(number, what) for number, what in ((errors, "error"), (len(rows) - errors, "warning")))


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _show_rules(*, as_json: bool) -> None:
    from holdfast.ops.lint_page import EVERY_RULE, render

    if not as_json:
        emit(render().rstrip("\n"))
        return
    names = ("name", "severity", "vital", "sentence", "cure")
    emit([{**{n: getattr(r, n) for n in names}, "severity": r.severity.value} for r in EVERY_RULE], as_json=True)
