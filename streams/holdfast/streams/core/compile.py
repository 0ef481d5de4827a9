"""From a definition to what the fold runs: every expression compiled.

`problems` lists all mistakes at once, each with the place and what to do (the rules stand in `lint/`);
`compile_definition` refuses a definition that has any.
"""

from collections.abc import Iterator, Mapping

from jsonschema import Draft202012Validator

from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core import graph
from holdfast.streams.core.expressions import Scope, Template, compile_expression, compile_template
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.rule import Problem
from holdfast.streams.core.lint.table import findings, vital_findings
from holdfast.streams.core.sites import conditions, templates

MAX_LISTED_ERRORS = 5
KEPT_ANYWHERE = d.EventRule()


class InvalidDefinition(Exception):
    """A definition with mistakes; `problems` has them all."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class CompiledDefinition:
    """A definition that may run. Built by `compile_definition` and `compile_published` only."""

    def __init__(self, definition: d.Definition) -> None:
        self.definition = definition
        self.hash = definition.hash
        self.steps: Mapping[str, d.Step] = definition.steps
        self.events = _awaited_types(definition)
        self._homes = {name: scope for scope in graph.scopes(definition) for name in scope.steps}
        self._input = Draft202012Validator(definition.input)
        self._outputs = {
            name: Draft202012Validator(step.output)
            for name, step in definition.steps.items()
            if isinstance(step, d.AgentStep) and step.output is not None
        }
        self._expressions: dict[str, Template] = {}
        self._templates: dict[Path, Template] = {}
        for site in conditions(definition):
            self._expressions[site.source] = compile_expression(site.source)
        for path, template in templates(definition):
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

    def rule_for(self, event_type: str) -> d.EventRule:
        """What becomes of events of a type that come early."""
        return self.definition.events.get(event_type, KEPT_ANYWHERE)

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
    return _compiled(definition, problems(definition))


def compile_published(definition: d.Definition) -> CompiledDefinition:
    """A definition that was accepted before, ready to run: rules that became stricter since do not stop workflows.

    Raises InvalidDefinition with every reason why the engine cannot run it.
    """
    return _compiled(definition, vital_findings(definition))


def _compiled(definition: d.Definition, problems: Iterator[Problem]) -> CompiledDefinition:
    if found := tuple(problems):
        raise InvalidDefinition(found)
    return CompiledDefinition(definition)


def problems(definition: d.Definition) -> Iterator[Problem]:
    """Every mistake for which a well-formed definition is refused."""
    return (finding for finding in findings(definition) if finding.is_error)


def _awaited_types(definition: d.Definition) -> frozenset[str]:
    waits = [step for step in definition.steps.values() if isinstance(step, d.WaitStep)]
    return frozenset(event_type for step in waits for event_type in step.types)


def _schema_errors(validator: Draft202012Validator, value: Json) -> list[str]:
    return [
        f"{error.json_path}: {error.message[:200]}"
        for error, _ in zip(validator.iter_errors(value), range(MAX_LISTED_ERRORS), strict=False)
    ]
