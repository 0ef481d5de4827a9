"""Where expressions stand in a definition: bare ones (`when`, `check`), and those within templates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.expressions import ExpressionError, expressions_in
from holdfast.streams.core.graph import Path


class Use(Enum):
    """What becomes of an expression's value: it decides, it is taken as it is, or it is written into a text."""

    CONDITION = "condition"
    VALUE = "value"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One expression: its place in the definition, its step, the field of the step that it stands in, its source."""

    path: Path
    step: str
    field: str
    source: str
    use: Use


TEMPLATE_FIELDS: Mapping[type, tuple[str, ...]] = {
    d.AgentStep: ("instructions", "prompt"),
    d.ToolStep: ("arguments",),
    d.ApprovalStep: ("arguments", "summary"),
    d.WaitStep: ("correlation", "events"),
    d.SleepStep: ("until",),
    d.MapStep: ("items", "shared"),
    d.ChildStep: ("input",),
    d.ScheduleStep: ("input",),
    d.AssignStep: ("set",),
    d.SucceedStep: ("output",),
    d.FailStep: ("message",),
}


_PLACES: Mapping[str, Path] = {
    "compensate": ("compensate", "arguments"),
    "restore": ("compensate", "restore", "written"),
}
"""Where the templates stand that are not a field of their step."""


def conditions(definition: d.Definition) -> Iterator[Site]:
    """The bare expressions, which must give true or false."""
    for name, step in definition.steps.items():
        for path, source in _conditions_of(step):
            yield Site(path=("steps", name, *path), step=name, field=str(path[0]), source=source, use=Use.CONDITION)


def _conditions_of(step: d.Step) -> Iterator[tuple[Path, str]]:
    if isinstance(step, d.ChoiceStep):
        yield from ((("branches", i, "when"), branch.when) for i, branch in enumerate(step.branches))
    if isinstance(step, d.ParallelStep):
        yield from ((("branches", name, "when"), b.when) for name, b in step.branches.items() if b.when)
    if isinstance(step, d.AgentStep | d.ToolStep):
        yield from ((("check", i), source) for i, source in enumerate(step.check))


def templates(definition: d.Definition) -> Iterator[tuple[Path, Json]]:
    """The fields of steps that may hold placeholders, each with its path `steps, name, field`."""
    for name, step in definition.steps.items():
        for field in TEMPLATE_FIELDS.get(type(step), ()):
            value = getattr(step, field)
            if isinstance(value, tuple):
                value = [part.model_dump() for part in value]
            if value is not None:
                yield ("steps", name, field), value
        if isinstance(step, d.ToolStep) and step.compensate is not None:
            yield ("steps", name, "compensate"), step.compensate.arguments
            if step.compensate.restore is not None and step.compensate.restore.written is not None:
                yield ("steps", name, "restore"), step.compensate.restore.written


def placeholders(definition: d.Definition) -> Iterator[Site]:
    """The expressions within templates. Text whose placeholder is not closed has none; `unclosed` tells of it."""
    for (_, step, field), path, text in _texts(definition):
        try:
            sources = expressions_in(text)
        except ExpressionError:
            continue
        use = Use.VALUE if sources == [text[2:-1]] else Use.TEXT
        for source in sources:
            yield Site(path=path, step=str(step), field=str(field), source=source, use=use)


def unclosed(definition: d.Definition) -> Iterator[tuple[Path, str]]:
    """The texts with a placeholder that does not end, each with its place and a sentence."""
    for _, path, text in _texts(definition):
        try:
            expressions_in(text)
        except ExpressionError as exc:
            yield path, str(exc)


def _texts(definition: d.Definition) -> Iterator[tuple[Path, Path, str]]:
    """Every text within a template: the field that it belongs to, its own path, the text."""
    for field, template in templates(definition):
        place = (*field[:-1], *_PLACES.get(str(field[-1]), field[-1:]))
        yield from ((field, path, text) for path, text in _texts_in(template, place))


def _texts_in(template: Json, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(template, str):
        yield path, template
    elif isinstance(template, list):
        for index, item in enumerate(template):
            yield from _texts_in(item, (*path, index))
    elif isinstance(template, dict):
        for key, value in template.items():
            yield from _texts_in(value, (*path, key))
