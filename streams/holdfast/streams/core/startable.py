"""What a definition that starts other ones has to know of them, and whether what it hands over fits them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator

from holdfast.schemas.record import Json
from holdfast.streams.core.compile import MAX_LISTED_ERRORS, Problem
from holdfast.streams.core.definition import ChildStep, Definition, ScheduleStep
from holdfast.streams.core.expressions import ExpressionError, expressions_in

# Rules about an object's keys: a template's keys are known, whatever stands in its values.
_RULES_ABOUT_KEYS = frozenset({"required", "additionalProperties", "minProperties", "maxProperties"})
_CONDITIONS = frozenset({"if", "then", "else"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Startable:
    """A definition that a `child` or a `schedule` step can start: its hash, and the JSON Schema of its input."""

    hash: str
    input: Mapping[str, Json]


NOTHING_STARTABLE: Mapping[str, Startable] = {}


def unpinned(definition: Definition) -> set[str]:
    """The names of the definitions that its steps start and that are not pinned yet."""
    return {step.definition for _, step in _starting(definition)} - definition.children.keys()


def input_problems(definition: Definition, startable: Mapping[str, Startable]) -> Iterator[Problem]:
    """Every step that starts a workflow with an input that can never be one of its definition.

    What expressions compute is only known when they run; keys and constants are known now.
    """
    for name, step in _starting(definition):
        if step.definition in startable:
            schema = startable[step.definition].input
            for _, error in zip(range(MAX_LISTED_ERRORS), _certain_errors(schema, step.input), strict=False):
                yield Problem(
                    path=("steps", name, "input", *error.absolute_path),
                    message=f"not an input of {step.definition!r}: {error.message[:200]}",
                    cure=f"the schema stands under `input` in the definition of {step.definition!r}",
                )


def _starting(definition: Definition) -> list[tuple[str, ChildStep | ScheduleStep]]:
    return [(name, step) for name, step in definition.steps.items() if isinstance(step, ChildStep | ScheduleStep)]


def _certain_errors(schema: Mapping[str, Json], template: Json) -> Iterator[Any]:
    if not Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(schema):
        return  # nobody can start that: said where it is defined
    for error in Draft202012Validator(schema).iter_errors(template):
        about_keys = error.validator in _RULES_ABOUT_KEYS and isinstance(error.instance, dict)
        if (about_keys or not _computed(error.instance)) and not _CONDITIONS & set(error.absolute_schema_path):
            yield error


def _computed(template: Json) -> bool:
    try:
        return bool(expressions_in(template))
    except ExpressionError:
        return True  # said elsewhere
