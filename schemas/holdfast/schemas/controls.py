"""What operators limit, and what executors say about their queues.

Each class mirrors the newest version of its `.avsc` in `avro/controls/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.control.v1"


@dataclass(frozen=True, kw_only=True)
class LimitSet(Record):
    """Limit what the tasks of a scope may do together."""

    scope: str
    max_in_flight: int
    requests: str
    units: str
    weight: int
    paused: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class LimitRemoved(Record):
    """Nothing limits a scope any more."""

    scope: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class QueuesReported(Record):
    """An executor says what waits and runs at it."""

    executor_id: str
    task_class: str
    generation: int
    stopped: bool
    slots: int
    running: int
    unread: int
    queues: Json
    limited: Json
