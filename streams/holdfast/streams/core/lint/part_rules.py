"""Rules about what a definition brings along: its schemas, and the definitions that it starts."""

from collections.abc import Iterator

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from holdfast.schemas.record import Json
from holdfast.streams.core import definition as d
from holdfast.streams.core.graph import Path
from holdfast.streams.core.lint.references import dangling
from holdfast.streams.core.lint.rule import Hit, Rule, Severity
from holdfast.streams.core.lint.subject import Subject


def _bad_schema(subject: Subject) -> Iterator[Hit]:
    for path, schema in _schemas(subject):
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as exc:
            yield Hit(path, f"not a JSON Schema: {exc.message}")
            continue
        for reference in dangling(schema):
            yield Hit(path, f"{reference!r} leads nowhere within the schema")


def _schemas(subject: Subject) -> Iterator[tuple[Path, dict[str, Json]]]:
    yield ("input",), subject.definition.input
    for name, step in subject.steps.items():
        if isinstance(step, d.AgentStep) and step.output is not None:
            yield ("steps", name, "output"), step.output


def _no_such_child(subject: Subject) -> Iterator[Hit]:
    for name, step in subject.steps.items():
        if isinstance(step, d.ChildStep | d.ScheduleStep) and step.definition not in subject.definition.children:
            yield Hit(("steps", name, "definition"), f"there is no published definition {step.definition!r}")


PART_RULES: tuple[Rule[Subject], ...] = (
    Rule(
        name="bad_schema",
        severity=Severity.ERROR,
        sentence="`input`, or the `output` of an agent, is not a JSON Schema (draft 2020-12), or refers outside.",
        cure="correct the schema",
        check=_bad_schema,
        vital=True,
    ),
    Rule(
        name="no_such_child",
        severity=Severity.ERROR,
        sentence="A `child` or `schedule` step names a definition that is not published.",
        cure="apply that definition first, or its file in the same call",
        check=_no_such_child,
        vital=True,
    ),
)
