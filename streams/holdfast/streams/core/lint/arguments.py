"""Whether what a step computes can fit the schema of what it is for: a tool's arguments, another workflow's input.

What expressions will give is only known when they run; keys and constants are known now, and often the kind of a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from holdfast.schemas.record import Json
from holdfast.streams.core.expressions import ExpressionError, expressions_in
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.references import dangling
from holdfast.streams.core.lint.shapes import Kind, Shape, shape_of
from holdfast.streams.core.lint.subject import Subject
from holdfast.streams.core.sites import Use

_ABOUT_KEYS = frozenset({"required", "additionalProperties", "minProperties", "maxProperties"})
"""Rules about an object's keys: a template's keys are known, whatever stands in its values."""
_CONDITIONAL = frozenset({"if", "then", "else"})
_NUMBERS = frozenset({Kind.WHOLE, Kind.NUMBER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A value that a step computes, and where it stands in the definition."""

    place: Path
    value: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A reason why a value can never fit: the place, and a sentence."""

    path: Path
    message: str


class Wanted:
    """What a schema asks for, to compare templates with. A schema that is none, or refers outside, asks for nothing."""

    def __init__(self, schema: Json, label: str) -> None:
        self.shape = shape_of(schema, label)
        usable = Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(schema) and not dangling(schema)
        # What is wrong with the schema is said where it is declared.
        self.validator: Any = Draft202012Validator(schema if usable and isinstance(schema, dict) else True)


def unfit(subject: Subject, template: Template, wanted: Wanted) -> Iterator[Unfit]:
    """Every reason why a template can never give what is wanted."""
    for error in _certain_errors(wanted.validator, template.value):
        yield Unfit(path=(*template.place, *error.absolute_path), message=error.message[:200])
    yield from _unfit_kinds(subject, template, wanted.shape)


def _certain_errors(validator: Any, template: Json) -> Iterator[ValidationError]:
    """The errors of a template against a schema that no value of its expressions can cure."""
    for error in validator.iter_errors(template):
        about_keys = error.validator in _ABOUT_KEYS and isinstance(error.instance, dict)
        if (about_keys or not _computed(error.instance)) and not _CONDITIONAL & set(error.absolute_schema_path):
            yield error


def _computed(template: Json) -> bool:
    try:
        return bool(expressions_in(template))
    except ExpressionError:
        return True  # said elsewhere


def _unfit_kinds(subject: Subject, template: Template, shape: Shape) -> Iterator[Unfit]:
    depth = len(template.place)
    for site in subject.sites_of.get(str(template.place[1]), ()):
        if site.path[:depth] != template.place or subject.compile_error(site):
            continue
        expected = _within(shape, site.path[depth:])
        given = subject.verdict(site).kind if site.use is Use.VALUE else Kind.TEXT
        if expected is not None and given is not None and not _takes(expected, given):
            name = ".".join(map(str, site.path[depth:])) or shape.label
            message = f"{name!r} is {expected.kind.value}, and `{site.source}` gives {given.value}"
            yield Unfit(path=site.path, message=message)


def _within(shape: Shape, path: Path) -> Shape | None:
    found: Shape | None = shape
    for part in path:
        if found is None:
            return None
        field = found.fields.get(part) if found.fields is not None and isinstance(part, str) else None
        found = found.items if isinstance(part, int) else field.shape if field is not None else None
    return found


def _takes(expected: Shape, given: Kind) -> bool:
    if Kind.ANY in (expected.kind, given) or given is expected.kind:
        return True
    if given is Kind.NOTHING:
        return expected.nullable or expected.kind is Kind.OBJECT
    return {given, expected.kind} <= _NUMBERS
