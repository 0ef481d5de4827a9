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
from holdfast.streams.core import graph
from holdfast.streams.core.expressions import (
    ExpressionError,
    Scope,
    Template,
    compile_expression,
    compile_template,
    expressions_in,
    steps_in,
)
from holdfast.streams.core.graph import Path

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
        self._homes = {name: scope for scope in graph.scopes(definition) for name in scope.steps}
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

    def home(self, step: str, start_step: str) -> tuple[str, str | None]:
        """Where a step belongs: the step that opens its scope (empty for the top) and the branch.

        `start_step` is the first step of the workflow if that is not the definition's: the top of an item's workflow is
        the item. The branch is None for steps of another workflow.
        """
        top = self._homes[start_step or self.definition.start]
        home = self._homes[step]
        if home is top:
            return "", ""
        if home.own_row:
            return "", None
        return home.opened_by, home.branch

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
    yield from _sight_problems(definition)
    yield from _tool_problems(definition)
    yield from _child_problems(definition)
    yield from _approval_problems(definition)


def _bare_expressions(definition: d.Definition) -> Iterator[tuple[Path, str]]:
    for name, step in definition.steps.items():
        if isinstance(step, d.ChoiceStep):
            for i, branch in enumerate(step.branches):
                yield ("steps", name, "branches", i, "when"), branch.when
        if isinstance(step, d.ParallelStep):
            for branch_name, parallel in step.branches.items():
                if parallel.when:
                    yield ("steps", name, "branches", branch_name, "when"), parallel.when
        if isinstance(step, d.AgentStep | d.ToolStep):
            for i, source in enumerate(step.check):
                yield ("steps", name, "check", i), source


_TEMPLATE_FIELDS: Mapping[type, tuple[str, ...]] = {
    d.AgentStep: ("instructions", "prompt"),
    d.ToolStep: ("arguments",),
    d.ApprovalStep: ("arguments", "summary"),
    d.WaitStep: ("correlation",),
    d.SleepStep: ("until",),
    d.MapStep: ("items", "shared"),
    d.ChildStep: ("input",),
    d.ScheduleStep: ("input",),
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
        if isinstance(step, d.ToolStep) and step.compensate is not None:
            yield ("steps", name, "compensate"), step.compensate.arguments


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


def _all_sources(definition: d.Definition) -> Iterator[tuple[Path, str]]:
    yield from _bare_expressions(definition)
    for path, template in _templates(definition):
        try:
            sources = expressions_in(template)
        except ExpressionError:
            continue  # said elsewhere
        yield from ((path, source) for source in sources)


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
    steps = definition.steps
    if definition.start not in steps:
        yield Problem(path=("start",), message=f"there is no step {definition.start!r}", cure=_names(definition))
        return
    dangling = False
    for name, step in steps.items():
        for exit_ in [*graph.exits(step), *(entry for _, entry in graph.entries(step))]:
            if exit_.target not in steps:
                dangling = True
                yield Problem(
                    path=("steps", name, *exit_.path),
                    message=f"there is no step {exit_.target!r}",
                    cure=_names(definition),
                )
    scopes = list(graph.scopes(definition))
    yield from _scope_problems(definition, scopes)
    if dangling:
        return  # whether a path ends cannot be told before every `next` leads somewhere
    incoming: dict[str, set[str]] = {}
    for name, targets in graph.edges(definition).items():
        for target in targets:
            incoming.setdefault(target, set()).add(name)
    endings = {name for name, step in steps.items() if isinstance(step, d.SucceedStep | d.FailStep)}
    ending = graph.closure(endings, incoming)
    for name in sorted({name for scope in scopes for name in scope.steps} - ending):
        yield Problem(
            path=("steps", name),
            message="no path leads from here to an end",
            cure="lead it to a `succeed` or `fail` step",
        )


def _scope_problems(definition: d.Definition, scopes: list[graph.ScopeNode]) -> Iterator[Problem]:
    for name in definition.steps:
        homes = [scope for scope in scopes if name in scope.steps]
        if not homes:
            yield Problem(
                path=("steps", name),
                message="no path from the start leads here",
                cure="name it as a `next` or `catch`, or delete it",
            )
        elif len(homes) > 1:
            places = " and ".join(_place(scope) for scope in homes)
            yield Problem(
                path=("steps", name),
                message=f"it belongs to {places}, but a step can only be in one place at a time",
                cure="give each its own step; a branch and an item end with a `succeed` or `fail` step of their own",
            )


def _place(scope: graph.ScopeNode) -> str:
    if not scope.opened_by:
        return "the workflow itself"
    return f"branch {scope.branch!r} of {scope.opened_by!r}" if scope.branch else f"the items of {scope.opened_by!r}"


def _sight_problems(definition: d.Definition) -> Iterator[Problem]:
    home = {name: scope for scope in graph.scopes(definition) for name in scope.steps}
    for path, source in _all_sources(definition):
        own = home.get(str(path[1]))
        for name in sorted(steps_in(source) & set(definition.steps)):
            other = home.get(name)
            if own is not None and other is not None and not own.sees(other):
                yield Problem(
                    path=path,
                    message=f"`{source}` reads step {name!r} of {_place(other)}, which cannot be seen from here",
                    cure="pass what is needed as `shared` into items, and as the output of their `succeed` step out",
                )


def _child_problems(definition: d.Definition) -> Iterator[Problem]:
    for name, step in definition.steps.items():
        if isinstance(step, d.ChildStep | d.ScheduleStep) and step.definition not in definition.children:
            yield Problem(
                path=("steps", name, "definition"),
                message=f"there is no published definition {step.definition!r}",
                cure="apply that definition first, or its file in the same call",
            )


def _tool_problems(definition: d.Definition) -> Iterator[Problem]:
    for name, step in definition.steps.items():
        if isinstance(step, d.AgentStep):
            used = [((("tools", i)), tool) for i, tool in enumerate(step.tools)]
        elif isinstance(step, d.ToolStep | d.ApprovalStep):
            used = [(("tool", 0), step.tool)]
            if isinstance(step, d.ToolStep) and step.compensate is not None:
                used.append((("compensate", 0), step.compensate.tool))
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


def _schema_errors(validator: Draft202012Validator, value: Json) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error, _ in zip(validator.iter_errors(value), range(MAX_LISTED_ERRORS), strict=False)
    ]


def _names(definition: d.Definition) -> str:
    return "the steps are " + ", ".join(definition.steps)
