"""The page about step kinds, made from the models of definitions: fields, types, defaults, and what they are for.

What a class is for is its docstring; what a field is for stands below it in the source, like a docstring.
"""

import ast
import inspect
import json
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from textwrap import dedent
from types import NoneType, UnionType
from typing import Any, Literal

import annotated_types as limits
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from holdfast.schemas.durations import duration_text
from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.calendar import CalendarWindow
from holdfast.streams.core.cron import Cron
from holdfast.streams.core.durations import DurationMs
from holdfast.streams.core.times import END_OF_TIME_MS, TimeMs
from holdfast.streams.core.zones import ZoneName

PAGE = "docs/steps.md"
INTRODUCTION = """# Steps

Everything that a workflow definition may hold, made from the models that read it (a test compares). A definition is
YAML or JSON; `holdfast apply --dry-run` finds its mistakes, `holdfast graph` draws it.

- **Every step** has a `kind` and a name under `steps`.
- **Durations** are written `250ms`, `30s`, `2m`, `12h`, `7d`, or as a whole number of milliseconds; **times** as
  RFC 3339 text with an offset, or ms since 1970; **calendar windows** like `Mon-Fri 09:00-17:00 Europe/Paris`.
- **`${...}`** holds a CEL expression over `input`, `steps.<name>.output`, `vars` and `workflow`; a text that is nothing
  but one such placeholder has the value's own type. Conditions are CEL without the braces.
- **Error classes** are those that steps fail with: `timeout`, `rejected`, those of tools and executors, and whatever
  `fail` steps say. `holdfast explain` knows the engine's own.
"""
STEPS: tuple[type[BaseModel], ...] = typing.get_args(typing.get_args(d.Step)[0])
NAMED: tuple[tuple[Any, str], ...] = (
    (DurationMs, "duration"),
    (d.StepName, "step name"),
    (TimeMs, "time"),
    (ZoneName, "time zone"),
    (Cron, "cron expression"),
    (CalendarWindow, "calendar window"),
    (Json, "any JSON"),
    (d.Step, "[step](#step-kinds)"),
)
SIMPLE: Mapping[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false"}


def render() -> str:
    """The whole page, as Markdown."""
    sections = [INTRODUCTION, section("Definition", d.Definition)]
    sections += ["## Step kinds\n\n" + ", ".join(f"[`{kind(cls)}`](#{kind(cls)})" for cls in STEPS) + "\n"]
    sections += [section(f"`{kind(cls)}`", cls, "###") for cls in STEPS]
    sections += ["## Parts of steps\n", *(section(cls.__name__, cls, "###") for cls in parts())]
    return "\n".join(sections)


@cache
def parts() -> tuple[type[BaseModel], ...]:
    """The models that steps are made of, in the order in which they are met."""
    found: dict[type[BaseModel], None] = {}
    ahead: list[Any] = list(reversed(STEPS))
    while ahead:
        hint = ahead.pop()
        if isinstance(hint, type) and issubclass(hint, BaseModel) and hint not in found:
            found[hint] = None
            ahead += reversed(list(typing.get_type_hints(hint, include_extras=True).values()))
        ahead += reversed(typing.get_args(hint))
    return tuple(cls for cls in found if cls not in STEPS)


def section(title: str, cls: type[BaseModel], level: str = "##") -> str:
    """One model: what it is, and a table of its fields."""
    rows = ["| field | type | default | what it is |", "|---|---|---|---|", *fields(cls)]
    return f"{level} {title}\n\n{inspect.getdoc(cls)}\n\n" + "\n".join(rows) + "\n"


def fields(cls: type[BaseModel]) -> Iterator[str]:
    """A row of the table for each field. Raises KeyError for one of which nobody says what it is."""
    hints = typing.get_type_hints(cls, include_extras=True)
    meanings = meanings_of(cls)
    for name, field in cls.model_fields.items():
        if name != "kind":
            cells = (f"`{field.alias or name}`", type_of(hints[name], field), default_of(hints[name], field))
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in (*cells, meanings[name])) + " |"


def kind(cls: type[BaseModel]) -> str:
    """The kind of a step, as it is written."""
    return str(typing.get_args(cls.model_fields["kind"].annotation)[0])


def meanings_of(cls: type[BaseModel]) -> dict[str, str]:
    """What each field is for, those of base classes included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            (tree,) = ast.parse(dedent(inspect.getsource(base))).body
            assert isinstance(tree, ast.ClassDef)
            for statement, after in zip(tree.body, tree.body[1:], strict=False):
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    match after:
                        case ast.Expr(value=ast.Constant(value=str(text))):
                            found[statement.target.id] = " ".join(text.split())
    return found


def type_of(hint: Any, field: FieldInfo) -> str:
    """A type in words, with the limits that a field sets."""
    words = in_words(hint)
    lows: list[Any] = [limit.ge for limit in field.metadata if isinstance(limit, limits.Ge)]
    highs: list[Any] = [limit.le for limit in field.metadata if isinstance(limit, limits.Le)]
    if any(isinstance(limit, limits.Gt) for limit in field.metadata):
        return f"{words}, more than 0"
    low = max(lows, default=0)
    if hint == TimeMs or not (low or highs):
        return words
    if not highs:
        return f"{words}, at least {quantity(low, hint)}"
    return f"{words}, {quantity(low, hint)} to {quantity(min(highs), hint)}"


def in_words(hint: Any) -> str:
    """A type in words."""
    named = next((words for known, words in NAMED if hint == known), SIMPLE.get(hint, ""))
    if named:
        return named
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return in_words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (UnionType, typing.Union):
        return " or ".join(in_words(argument) for argument in arguments if argument is not NoneType)
    if origin in (tuple, list):
        return f"list of {in_words(arguments[0])}"
    if origin is dict:
        return f"{in_words(arguments[1])} by {in_words(arguments[0])}" if arguments[1] != Json else "object"
    if hint in parts():
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return f"`{hint.__name__}`"


def default_of(hint: Any, field: FieldInfo) -> str:
    """A default as it would be written; a dash if there is none because the field may be left out."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value == END_OF_TIME_MS:
        return "-"
    if isinstance(value, BaseModel):
        given = value.model_dump(exclude_defaults=True)
        return f"`{json.dumps(given)}`" if given else "its defaults"
    return f"`{quantity(value, hint)}`"


def quantity(value: Any, hint: Any) -> str:
    """A value as it would be written."""
    if DurationMs in (hint, *typing.get_args(hint)) and value:
        return duration_text(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value)
