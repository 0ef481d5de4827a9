"""Definitions as text: YAML in, a definition and every finding with its line out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from holdfast.streams.core.definition import Definition
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.form import SIZE_LIMIT_BYTES, Form, Malformed, form_findings, malformed, mended
from holdfast.streams.core.lint.rule import Problem
from holdfast.streams.core.lint.table import findings


class _Loader(yaml.SafeLoader):
    """YAML with JSON's scalars: a step named `no` or `on` is a step, and a date is text."""


_DROPPED = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


Manifests = Mapping[str, Mapping[str, object]]
Place = tuple[int, int]
_STARTING = ("child", "schedule")
_NOTHING_PUBLISHED: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A finding with its place in the text: line and column from 1, or 0 if the text has no such place."""

    problem: Problem
    line: int
    column: int

    @property
    def is_mistake(self) -> bool:
        """True if the file is refused for it."""
        return self.problem.is_error

    def order(self) -> Place:
        """What findings are sorted by."""
        return self.line, self.column


class InvalidFile(Exception):
    """A definition file with mistakes; `problems` has them all, in the order of the file."""

    def __init__(self, file: str, located: tuple[Located, ...]) -> None:
        lines = [f"{file}:{at.line}:{at.column}: {at.problem}" for at in located]
        super().__init__("\n".join(lines))
        self.file = file
        self.problems = located


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What a definition file came to: the definition, if the text is one, and all findings in the order of the file."""

    definition: Definition | None
    findings: tuple[Located, ...]

    @property
    def mistakes(self) -> tuple[Located, ...]:
        """The findings for which the file is refused."""
        return tuple(at for at in self.findings if at.is_mistake)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A definition file that is a mapping, not checked yet.

    `places` has line and column by path, `doubled` the paths of keys that are given twice.
    """

    file: str
    data: Mapping[str, Any]
    places: Mapping[Path, Place]
    doubled: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The name that it gives to its definition; empty if it gives none."""
        name = self.data.get("name")
        return name if isinstance(name, str) else ""

    def starts(self) -> Mapping[str, str]:
        """The `child` and `schedule` steps, and the name of the definition that each of them starts."""
        steps = {name: step for name, step in self._steps().items() if step.get("kind") in _STARTING}
        return {name: started for name, step in steps.items() if isinstance(started := step.get("definition"), str)}

    def inspect(self, tools: Manifests, children: Mapping[str, str]) -> Inspection:
        """The definition, with what it names of the manifests and of the hashes of definitions pinned into it, and
        everything that can be said about it."""
        named, started = self._tools_named(), set(self.starts().values())
        data = {
            **self.data,
            "tools": {name: manifest for name, manifest in tools.items() if name in named},
            "children": {name: hash_ for name, hash_ in children.items() if name in started},
        }
        definition: Definition | None = None
        stand_in: Definition | None = None
        found: tuple[Malformed, ...] = ()
        try:
            definition = Definition.model_validate(data)
        except ValidationError as exc:
            found = malformed(exc)
            stand_in = _stand_in(mended(data, found))
        looked_at = definition or stand_in
        meaning = findings(looked_at) if looked_at is not None else ()
        form = form_findings(Form(doubled=self.doubled, malformed=found))
        return Inspection(definition=definition, findings=self.located([*form, *meaning]))

    def located(self, problems: Iterable[Problem]) -> tuple[Located, ...]:
        """Findings with their places, in the order of the text."""
        return tuple(sorted((_at(problem, self.places) for problem in problems), key=Located.order))

    def _steps(self) -> dict[str, dict[str, Any]]:
        steps = self.data.get("steps")
        found = steps.items() if isinstance(steps, dict) else ()
        return {name: step for name, step in found if isinstance(step, dict)}

    def _tools_named(self) -> set[str]:
        named: set[str] = set()
        for step in self._steps().values():
            several, undo = step.get("tools"), step.get("compensate")
            found = [step.get("tool"), *(several if isinstance(several, list) else ())]
            found += [undo.get("tool")] if isinstance(undo, dict) else []
            named.update(tool for tool in found if isinstance(tool, str))
        return named


def parse_definition(
    text: str, file: str, tools: Manifests, children: Mapping[str, str] = _NOTHING_PUBLISHED
) -> Definition:
    """The definition in a YAML text, with the tools and the definitions that it names pinned into it.

    Arguments: the text, the name to show in messages, the known manifests by tool name, and the hashes of the
    definitions that it can start, by name. Raises InvalidFile with every mistake.
    """
    inspection = read_document(text, file).inspect(tools, children)
    if inspection.mistakes or inspection.definition is None:
        raise InvalidFile(file, inspection.mistakes)
    return inspection.definition


def read_document(text: str, file: str) -> Document:
    """The mapping that a text holds. Raises InvalidFile if it holds none."""
    if (size := len(text.encode())) > SIZE_LIMIT_BYTES:
        raise _unreadable(file, Form(size_bytes=size))
    places: dict[Path, Place] = {}
    doubled: list[Path] = []
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = loader.construct_document(root) if root is not None else None
        if root is not None:
            _collect(root, (), places, doubled)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        place = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise _unreadable(file, Form(syntax_error=str(getattr(exc, "problem", None) or exc)), place) from None
    except RecursionError:
        raise _unreadable(file, Form(syntax_error="nested too deeply, or within itself"), (1, 1)) from None
    if not isinstance(data, dict):
        raise _unreadable(file, Form(is_mapping=False), places.get((), (1, 1)))
    return Document(file=file, data=data, places=places, doubled=tuple(doubled))


def _unreadable(file: str, form: Form, place: Place = (0, 0)) -> InvalidFile:
    return InvalidFile(file, tuple(_at(problem, {(): place}) for problem in form_findings(form)))


def _stand_in(data: Mapping[str, Any] | None) -> Definition | None:
    """A definition made from mended data, to look at the rest of a file; None if it cannot be mended."""
    if data is None:
        return None
    try:
        return Definition.model_validate(data)
    except ValidationError:
        return None


def _collect(node: yaml.Node, path: Path, places: dict[Path, Place], doubled: list[Path]) -> None:
    places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            child = (*path, key.value)
            if key.value in seen:
                doubled.append(child)
            seen.add(key.value)
            places[child] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _collect(value, child, places, doubled)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(value, (*path, index), places, doubled)


def _at(problem: Problem, places: Mapping[Path, Place]) -> Located:
    path = problem.path
    while path and path not in places:
        path = path[:-1]
    line, column = places.get(path, (0, 0))
    return Located(problem=problem, line=line, column=column)
