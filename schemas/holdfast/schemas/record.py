"""What every record on the wire is: a body of one type, and the meta that goes before it."""

import dataclasses
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from pydantic import JsonValue

Json: TypeAlias = JsonValue
"""A JSON value. On the wire it is a string field whose schema says `mediaType: application/json`."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of all bodies. A body's class name is the record name in its `.avsc`."""


BodyT = TypeVar("BodyT", bound=Record, covariant=True)


@dataclass(frozen=True, kw_only=True)
class EventMeta:
    """First field of every record outside the state topics; the field docs stand in any `.avsc`."""

    event_id: str
    type: str
    tenant: str
    workflow_id: str
    definition_name: str = ""
    definition_hash: str = ""
    sequence: int = 0
    index: int = 0
    count: int = 0
    cause_offset: int = -1
    cause_id: str = ""
    correlation_id: str = ""
    traceparent: str = ""
    actor_kind: str
    actor_id: str
    occurred_at_ms: int
    recorded_at_ms: int = 0
    previous_hash: bytes = b""
    hash: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Message(Generic[BodyT]):
    """A decoded record: its meta and its body."""

    meta: EventMeta
    body: BodyT


ValueT = TypeVar("ValueT")


_field_names: dict[type, frozenset[str]] = {}


def changed(value: ValueT, **changes: object) -> ValueT:
    """A copy of a frozen dataclass without slots, with other values for some fields. Raises TypeError for no field.

    The same as `dataclasses.replace` where a class checks nothing at construction, at a tenth of its cost: the fold
    makes about a dozen such copies for each step.
    """
    cls = type(value)
    known = _field_names.get(cls)
    if known is None:
        known = _field_names[cls] = frozenset(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]
    if not changes.keys() <= known:
        raise TypeError(f"{cls.__name__} has no field {', '.join(changes.keys() - known)}")
    copy = object.__new__(cls)
    copy.__dict__.update(value.__dict__, **changes)
    return copy
