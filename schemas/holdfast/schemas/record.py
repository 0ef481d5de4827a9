"""What every record on the wire is: a body of one type, and the meta that goes before it."""

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
