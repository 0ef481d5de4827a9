"""From a definition to what the fold runs: every expression compiled, every mistake found.

`problems` lists all mistakes at once, each with the place and what to do; `compile_definition` refuses a definition
that has any.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.expressions import (
    ExpressionError,
    Scope,
    Template,
    compile_expression,
    compile_template,
    expressions_in,
    steps_in,
)

Path = tuple[str | int, ...]
MAX_LISTED_ERRORS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: where it is in the definition, what is wrong, and what to do about it."""

    path: Path
    message: str
    cure: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'definition'}: {self.message} ({self.cure})"


class InvalidDefinition(Exception):
    """A definition with mistakes; `problems` has them all."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class CompiledDefinition:
    """A definition that may run. Built by `compile_definition` only."""

    def __init__(self, definition: d.Definition) -> None:
        self.definition = definition
        self.hash = definition.hash
        self.steps: Mapping[str, d.Step] = definition.steps
        self.events = frozenset(s.event for s in definition.steps.values() if isinstance(s, d.WaitStep))
        self._input = Draft202012Validator(definition.input)
        self._outputs = {
            name: Draft202012Validator(step.output)
            for name, step in definition.steps.items()
            if isinstance(step, d.AgentStep) and step.output is not None
        }
        self._expressions: dict[str, Template] = {}
        self._templates: dict[Path, Template] = {}
        for path, source in _bare_expressions(definition):
            self._expressions[source] = compile_expression(source)
            del path
        for path, template in _templates(definition):
            self._templates[path] = compile_template(template)

    def evaluate(self, source: str, scope: Scope) -> Json:
        """The value of one of the definition's bare expressions. Raises ExpressionError."""
        return self._expressions[source](scope)

    def render(self, step: str, field: str, scope: Scope) -> Json:
        """The value of a step's template field. Raises ExpressionError."""
        return self._templates["steps", step, field](scope)

    def input_errors(self, value: Json) -> list[str]:
        """Why a value is not an input of this workflow, one sentence each; empty if it is."""
        return _schema_errors(self._input, value)

    def output_errors(self, step: str, value: Json) -> list[str]:
        """Why a value is not an output of an agent step; empty if it is, or if the step declares no schema."""
        validator = self._outputs.get(step)
        return _schema_errors(validator, value) if validator is not None else []


def compile_definition(definition: d.Definition) -> CompiledDefinition:
    """The definition, ready to run. Raises InvalidDefinition with every mistake."""
    found = tuple(problems(definition))
    if found:
        raise InvalidDefinition(found)
    return CompiledDefinition(definition)


def problems(definition: d.Definition) -> Iterator[Problem]:
    """Every mistake of a definition that is well-formed."""
    yield from _schema_problems(definition)
    yield from _expression_problems(definition)
    yield from _graph_problems(definition)
    yield from _tool_problems(definition)
    yield from _approval_problems(definition)


def exits(step: d.Step) -> list[tuple[Path, str]]:
    """Where a step can lead to: the field's path within the step, and the target's name."""
    if isinstance(step, d.ChoiceStep):
        branches: list[tuple[Path, str]] = [
            (("branches", i, "next"), branch.next) for i, branch in enumerate(step.branches)
        ]
        return [*branches, (("default",), step.default)]
    if isinstance(step, d.SucceedStep | d.FailStep):
        return []
    caught = step.catch if isinstance(step, d._Working) else {}
    return [(("next",), step.next), *((("catch", error), target) for error, target in caught.items())]


def _bare_expressions(definition: d.Definition) -> Iterator[tuple[Path, str]]:
    for name, step in definition.steps.items():
        if isinstance(step, d.ChoiceStep):
            for i, branch in enumerate(step.branches):
                yield ("steps", name, "branches", i, "when"), branch.when
        if isinstance(step, d.AgentStep | d.ToolStep):
            for i, source in enumerate(step.check):
                yield ("steps", name, "check", i), source


_TEMPLATE_FIELDS: Mapping[type, tuple[str, ...]] = {
    d.AgentStep: ("instructions", "prompt"),
    d.ToolStep: ("arguments",),
    d.ApprovalStep: ("arguments", "summary"),
    d.WaitStep: ("correlation",),
    d.SleepStep: ("until",),
    d.AssignStep: ("set",),
    d.SucceedStep: ("output",),
    d.FailStep: ("message",),
}


def _templates(definition: d.Definition) -> Iterator[tuple[Path, Json]]:
    for name, step in definition.steps.items():
        for field in _TEMPLATE_FIELDS.get(type(step), ()):
            value = getattr(step, field)
            if value is not None:
                yield ("steps", name, field), value


def _schema_problems(definition: d.Definition) -> Iterator[Problem]:
    schemas: list[tuple[Path, dict[str, Json]]] = [(("input",), definition.input)]
    for name, step in definition.steps.items():
        if isinstance(step, d.AgentStep) and step.output is not None:
            schemas.append((("steps", name, "output"), step.output))
    for path, schema in schemas:
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as exc:
            yield Problem(path=path, message=f"not a JSON Schema: {exc.message}", cure="correct the schema")


def _expression_problems(definition: d.Definition) -> Iterator[Problem]:
    for path, source in _bare_expressions(definition):
        yield from _check_sources(definition, path, [source])
    for path, template in _templates(definition):
        try:
            sources = expressions_in(template)
        except ExpressionError as exc:
            yield Problem(path=path, message=str(exc), cure="close the placeholder with }")
            continue
        yield from _check_sources(definition, path, sources)


def _check_sources(definition: d.Definition, path: Path, sources: list[str]) -> Iterator[Problem]:
    for source in sources:
        try:
            compile_expression(source)
        except ExpressionError as exc:
            yield Problem(path=path, message=str(exc), cure="the variables are input, steps, vars and workflow")
            continue
        for name in sorted(steps_in(source) - set(definition.steps)):
            yield Problem(
                path=path, message=f"`{source}` reads step {name!r}, which does not exist", cure=_names(definition)
            )


def _graph_problems(definition: d.Definition) -> Iterator[Problem]:
    if definition.start not in definition.steps:
        yield Problem(path=("start",), message=f"there is no step {definition.start!r}", cure=_names(definition))
        return
    dangling = False
    for name, step in definition.steps.items():
        for path, target in exits(step):
            if target not in definition.steps:
                dangling = True
                yield Problem(
                    path=("steps", name, *path), message=f"there is no step {target!r}", cure=_names(definition)
                )
    reachable = _closure({definition.start}, {n: {t for _, t in exits(s)} for n, s in definition.steps.items()})
    for name in definition.steps:
        if name not in reachable:
            yield Problem(
                path=("steps", name),
                message="no path from the start leads here",
                cure="name it as a `next` or `catch`, or delete it",
            )
    if dangling:
        return  # whether a path ends cannot be told before every `next` leads somewhere
    incoming: dict[str, set[str]] = {}
    for name, step in definition.steps.items():
        for _, target in exits(step):
            incoming.setdefault(target, set()).add(name)
    endings = {n for n, s in definition.steps.items() if isinstance(s, d.SucceedStep | d.FailStep)}
    ending = _closure(endings, incoming)
    for name in sorted(reachable & set(definition.steps) - ending):
        yield Problem(
            path=("steps", name),
            message="no path leads from here to an end",
            cure="lead it to a `succeed` or `fail` step",
        )


def _tool_problems(definition: d.Definition) -> Iterator[Problem]:
    for name, step in definition.steps.items():
        if isinstance(step, d.AgentStep):
            used = [((("tools", i)), tool) for i, tool in enumerate(step.tools)]
        elif isinstance(step, d.ToolStep | d.ApprovalStep):
            used = [(("tool", 0), step.tool)]
        else:
            continue
        for path, tool in used:
            if tool not in definition.tools:
                known = ", ".join(sorted(definition.tools)) or "none"
                yield Problem(
                    path=("steps", name, path[0]),
                    message=f"there is no tool {tool!r}",
                    cure=f"known tools: {known}; name the module that declares it in HOLDFAST_TOOL_MODULES",
                )


def _approval_problems(definition: d.Definition) -> Iterator[Problem]:
    for name, step in definition.steps.items():
        if not isinstance(step, d.ToolStep) or step.approved_by is None:
            continue
        approval = definition.steps.get(step.approved_by)
        path: Path = ("steps", name, "approved_by")
        if not isinstance(approval, d.ApprovalStep):
            yield Problem(
                path=path, message=f"{step.approved_by!r} is not an approval step", cure="name a step of kind approval"
            )
        elif approval.tool != step.tool:
            yield Problem(
                path=path,
                message=f"{step.approved_by!r} approves {approval.tool!r}, not {step.tool!r}",
                cure="an approval allows one exact call: use the same tool in both",
            )


def _closure(start: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    seen, todo = set(start), list(start)
    while todo:
        for target in edges.get(todo.pop(), set()) - seen:
            seen.add(target)
            todo.append(target)
    return seen


def _schema_errors(validator: Draft202012Validator, value: Json) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error, _ in zip(validator.iter_errors(value), range(MAX_LISTED_ERRORS), strict=False)
    ]


def _names(definition: d.Definition) -> str:
    return "the steps are " + ", ".join(definition.steps)
