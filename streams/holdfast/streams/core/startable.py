"""What a definition that starts other ones has to know of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.schemas.record import Json
from holdfast.streams.core.definition import ChildStep, Definition, ScheduleStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Startable:
    """A definition that a `child` or `schedule` step can start: its hash, and the JSON Schema of its input."""

    hash: str
    input: Mapping[str, Json]


NOTHING_STARTABLE: Mapping[str, Startable] = {}


def unpinned(definition: Definition) -> set[str]:
    """The names of the definitions that it starts and that are not pinned yet."""
    started = {step.definition for step in definition.steps.values() if isinstance(step, ChildStep | ScheduleStep)}
    return started - definition.children.keys()
