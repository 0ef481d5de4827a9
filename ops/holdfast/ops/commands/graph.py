"""`holdfast graph`: a definition or a run of it as a picture, in the terminal or as SVG."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from holdfast.ops.commands.acting import TenantOption, acting, tenant_of
from holdfast.ops.commands.definitions import find, published_definitions
from holdfast.ops.commands.workflow_views import messages_of
from holdfast.ops.console import CommandError, JsonOption, emit, say

if TYPE_CHECKING:
    from holdfast.ops.graph.diagram import Diagram
    from holdfast.ops.graph.run import Run
    from holdfast.ops.published import Published
    from holdfast.ops.timeline import Timeline
    from holdfast.streams.core.definition import Definition
    from holdfast.streams.definition_file import Located

SUFFIXES = (".yaml", ".yml")
STANDARD_OUTPUT = "-"
# Who breaks them has no graph.
SHAPE_RULES = frozenset({"no_such_step", "unreachable_step", "step_in_two_places"})


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is drawn. `definition_hash` is empty for a file: it gets one when it is applied."""

    definition: "Definition"
    definition_hash: str = ""
    run: "Run | None" = None
    timeline: "Timeline | None" = None


def register(app: typer.Typer) -> None:
    """Add `holdfast graph`."""
    app.command("graph")(graph)


def graph(
    what: Annotated[
        str, typer.Argument(metavar="FILE|NAME|ID", help="A definition in YAML, a published one, or a workflow.")
    ],
    svg: Annotated[str, typer.Option("--svg", metavar="FILE", help="Write an SVG file; - for standard output.")] = "",
    run: Annotated[
        bool, typer.Option("--run", help="It is a workflow's id, even if a definition has the same name.")
    ] = False,
    tenant: TenantOption = "",
    as_json: JsonOption = False,
) -> None:
    """Draw a definition; or a workflow on its definition: the ways it took, what goes on, what was left out.

    JSON: definition_name, definition_hash, workflow_id, status, steps (step, kind, opened_by, branch, status: done,
    running, waiting, failed, cancelled, skipped or ahead; visits, until_ms), ways (from, to, when, taken).

    Example: holdfast graph support-ticket --svg support-ticket.svg
    """
    if svg == STANDARD_OUTPUT and as_json:
        raise typer.BadParameter("--svg - and --json both need standard output")
    from holdfast.ops.graph.facts import facts
    from holdfast.ops.graph.flow import diagram_of

    subject = _file(what) if not run and _is_file(what) else _known(what, tenant, only_runs=run)
    diagram = diagram_of(subject.definition, subject.run)
    if svg:
        from holdfast.ops.graph.svg import render

        _write(svg, render(diagram))
    if as_json:
        emit(
            {
                "definition_name": subject.definition.name,
                "definition_hash": subject.definition_hash,
                "workflow_id": subject.run.workflow_id if subject.run else "",
                "status": subject.run.status if subject.run else "",
                **facts(subject.definition, subject.run),
            },
            as_json=True,
        )
    elif not svg:
        _print(diagram, subject.timeline)


def _is_file(what: str) -> bool:
    return what.endswith(SUFFIXES) or Path(what).is_file()


def _file(name: str) -> _Subject:
    from holdfast.streams.core.lint.table import RULES
    from holdfast.streams.definition_file import InvalidFile, read_document

    try:
        inspection = read_document(Path(name).read_text(encoding="utf-8"), name).inspect({}, {})
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{name} cannot be read: {exc}", cure="name a file of UTF-8 text") from exc
    except InvalidFile as exc:
        raise _not_drawn(name, exc.problems) from exc
    # Tools, children and expressions may be missing or wrong: what leads where is all that is drawn.
    passed_over = {rule.name for rule in RULES} - SHAPE_RULES
    mistakes = [at for at in inspection.mistakes if at.problem.rule not in passed_over]
    if mistakes or inspection.definition is None:
        raise _not_drawn(name, mistakes)
    return _Subject(definition=inspection.definition)


def _not_drawn(name: str, mistakes: "Sequence[Located]") -> CommandError:
    for at in mistakes:
        say(f"{name}:{at.line}:{at.column}: {at.problem}")
    return CommandError(f"{name} cannot be drawn", cure=f"`holdfast lint {name}` shows all mistakes")


def _known(what: str, tenant: str, *, only_runs: bool) -> _Subject:
    """What is published under a name, else the workflow of that id. Raises CommandError if there is neither."""
    published = published_definitions(acting(tenant))
    name = what.partition("@")[0]
    if not only_runs and any(other.name == name for other in published):
        found = find(published, what)
        return _Subject(definition=_definition(found), definition_hash=found.hash)
    from holdfast.ops.graph.run import run_of
    from holdfast.ops.timeline import tell

    timeline = tell(messages_of(tenant_of(tenant), what))
    assert timeline is not None, "there is at least one event"
    wanted = timeline.definition_hash
    of_run = next((other for other in published if other.hash == wanted), None)
    if of_run is None:
        raise CommandError(
            f"{what} goes by version {wanted} of {timeline.definition_name}, which is not published any more",
            cure="`holdfast show` tells its story without a picture",
        )
    definition = _definition(of_run)
    return _Subject(
        definition=definition,
        definition_hash=wanted,
        run=run_of(definition, timeline),
        timeline=timeline,
    )


def _definition(published: "Published") -> "Definition":
    from holdfast.streams.core.definition import Definition

    return Definition.model_validate(published.body)


def _write(file: str, picture: str) -> None:
    if file == STANDARD_OUTPUT:
        sys.stdout.write(picture)
        return
    try:
        Path(file).write_text(picture, encoding="utf-8")
    except OSError as exc:
        raise CommandError(f"{file} cannot be written: {exc}", cure="name a file in a folder that exists") from exc
    say(f"the picture is in {file}")


def _print(diagram: "Diagram", timeline: "Timeline | None") -> None:
    from rich.text import Text

    from holdfast.ops.graph.text import render
    from holdfast.ops.screen import line_printer, live, show
    from holdfast.ops.timeline_text import present

    show(Text(diagram.title, "bold"), "")
    lines, put = render(diagram), line_printer()
    for line in lines:
        line.rstrip()
        put(line)
    if timeline is not None:
        show("", *present(timeline, int(time.time() * 1000)))
    if (width := max(line.cell_len for line in lines)) > live().width:
        say(f"the picture is {width} columns wide: `| less -S` or --svg FILE shows all of it")
