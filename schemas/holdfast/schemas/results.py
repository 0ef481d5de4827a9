"""What downstream systems consume beside the endings of workflows.

Each class mirrors the newest version of its `.avsc` in `avro/results/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.result.v1"


@dataclass(frozen=True, kw_only=True)
class RequestRejected(Record):
    """A request was refused before it reached a workflow."""

    code: str
    message: str
    request_type: str
    request_id: str


@dataclass(frozen=True, kw_only=True)
class WorkflowStatus(Record):
    """The latest state of one workflow."""

    status: str
    step: str
    updated_at_ms: int


@dataclass(frozen=True, kw_only=True)
class EventExpired(Record):
    """A published event was given up: nobody waited for it in time."""

    event_type: str
    correlation: str
    source_id: str
    payload: Json
    published_at_ms: int
    expires_at_ms: int
    repeats: int
