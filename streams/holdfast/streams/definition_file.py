"""A definition as text: YAML in, a definition or every mistake with its line out."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml
from pydantic import ValidationError

from holdfast.streams.core.compile import Problem, problems
from holdfast.streams.core.definition import Definition
from holdfast.streams.core.graph import Path
from holdfast.streams.core.startable import NOTHING_STARTABLE, Startable, input_problems

SIZE_LIMIT_BYTES = 1_048_576
STARTING_KINDS = ("child", "schedule")


class _Loader(yaml.SafeLoader):
    """YAML with JSON's scalars: a step named `no` or `on` is a step, and a date is text."""


_DROPPED = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A mistake with its place in the text: line and column from 1, or 0 if the text has no such place."""

    problem: Problem
    line: int
    column: int


class InvalidFile(Exception):
    """A definition file with mistakes; `problems` has them all, in the order of the file."""

    def __init__(self, file: str, located: tuple[Located, ...]) -> None:
        lines = [f"{file}:{at.line}:{at.column}: {at.problem}" for at in located]
        super().__init__("\n".join(lines))
        self.file = file
        self.problems = located


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A definition file that is a mapping, not checked yet. `places` has line and column by path."""

    file: str
    data: Mapping[str, object]
    places: Mapping[Path, tuple[int, int]]

    @property
    def name(self) -> str:
        """The name that it gives to its definition; empty if it gives none."""
        name = self.data.get("name")
        return name if isinstance(name, str) else ""

    def starts(self) -> Mapping[str, str]:
        """The steps that start a workflow, and the name of the definition that each of them starts."""
        steps = {name: step for name, step in self._steps().items() if step.get("kind") in STARTING_KINDS}
        return {name: started for name, step in steps.items() if isinstance(started := step.get("definition"), str)}

    def definition(
        self, tools: Mapping[str, Mapping[str, object]], startable: Mapping[str, Startable] = NOTHING_STARTABLE
    ) -> Definition:
        """The definition, with what it names of `tools` and of `startable` pinned into it. Raises InvalidFile."""
        named = self._tools_named()
        pinned = {
            "tools": {name: manifest for name, manifest in tools.items() if name in named},
            "children": {name: startable[name].hash for name in self.starts().values() if name in startable},
        }
        try:
            definition = Definition.model_validate({**self.data, **pinned})
        except ValidationError as exc:
            raise self.invalid(_from_pydantic(exc)) from None
        if found := [*problems(definition), *input_problems(definition, startable)]:
            raise self.invalid(found)
        return definition

    def invalid(self, found: Iterable[Problem]) -> InvalidFile:
        """The exception that says that these mistakes are in the file."""
        located = [_at(problem, self.places) for problem in found]
        return InvalidFile(self.file, tuple(sorted(located, key=lambda at: (at.line, at.column))))

    def _steps(self) -> dict[str, dict[str, object]]:
        steps = self.data.get("steps")
        found = steps.items() if isinstance(steps, dict) else ()
        return {name: step for name, step in found if isinstance(step, dict)}

    def _tools_named(self) -> set[str]:
        named: set[str] = set()
        for step in self._steps().values():
            several, undoing = step.get("tools"), step.get("compensate")
            tools = [step.get("tool"), undoing.get("tool") if isinstance(undoing, dict) else None]
            tools += several if isinstance(several, list) else []
            named.update(tool for tool in tools if isinstance(tool, str))
        return named


def parse_definition(
    text: str,
    file: str,
    tools: Mapping[str, Mapping[str, object]],
    startable: Mapping[str, Startable] = NOTHING_STARTABLE,
) -> Definition:
    """The definition in a YAML text, with the tools and the definitions that it names pinned into it.

    Arguments: the text, the name to show in messages, the known manifests by tool name, and the definitions that
    steps can start, by name. Raises InvalidFile with every mistake.
    """
    return read_document(text, file).definition(tools, startable)


def read_document(text: str, file: str) -> Document:
    """The mapping that a text holds. Raises InvalidFile if it holds none."""
    if len(text.encode()) > SIZE_LIMIT_BYTES:
        raise InvalidFile(
            file, (_at(Problem(path=(), message="the file is too large", cure="keep it under 1 MiB"), {}),)
        )
    try:
        root = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader with fewer scalars)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        problem = Problem(path=(), message=f"not YAML: {getattr(exc, 'problem', exc)}", cure="correct the syntax")
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        raise InvalidFile(file, (Located(problem=problem, line=line, column=column),)) from None
    places: dict[Path, tuple[int, int]] = {}
    if root is not None:
        _collect(root, (), places)
    if not isinstance(data, dict):
        problem = Problem(path=(), message="the file is not a mapping", cure="begin with `name:`")
        raise InvalidFile(file, (_at(problem, places),))
    return Document(file=file, data=data, places=places)


def _collect(node: yaml.Node, path: Path, places: dict[Path, tuple[int, int]]) -> None:
    places.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            child = (*path, key.value)
            places[child] = (key.start_mark.line + 1, key.start_mark.column + 1)
            _collect(value, child, places)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(value, (*path, index), places)


def _at(problem: Problem, places: Mapping[Path, tuple[int, int]]) -> Located:
    path = problem.path
    while path and path not in places:
        path = path[:-1]
    line, column = places.get(path, (0, 0))
    return Located(problem=problem, line=line, column=column)


_CURES = {
    "missing": "add it",
    "extra_forbidden": "delete it, or check its spelling",
    "union_tag_not_found": "add `kind`",
    "union_tag_invalid": "use one of the known kinds",
}


def _from_pydantic(exc: ValidationError) -> list[Problem]:
    found = []
    for error in exc.errors():
        # pydantic puts the name of the chosen step kind into the path: steps, name, kind, field
        parts = tuple(error["loc"])
        if len(parts) > 2 and parts[0] == "steps":
            parts = (*parts[:2], *parts[3:])
        message = error["msg"].removeprefix("Value error, ")
        found.append(Problem(path=parts, message=message, cure=_CURES.get(error["type"], "correct the value")))
    return found
