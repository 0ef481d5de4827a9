"""Rows of the tables: workflows, a cache of the journal; and what the correlator keeps.

Each class mirrors the newest version of its `.avsc` in `avro/state/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Json, Record

NAMESPACE = "holdfast.state.v1"


@dataclass(frozen=True, kw_only=True)
class WorkflowRow(Record):
    """One workflow as folded from its journal. The first four fields are all that recovery reads."""

    inbox_offset: int
    sequence: int
    journal_offset: int
    due_at_ms: int
    definition_hash: str
    status: str
    head_hash: bytes
    state: bytes


@dataclass(frozen=True, kw_only=True)
class PartitionRow(Record):
    """How far one partition has been folded; answers for workflows without a row."""

    inbox_offset: int
    journal_offset: int


@dataclass(frozen=True, kw_only=True)
class SubscriptionRow(Record):
    """One open subscription; its key says which."""

    input_offset: int
    due_at_ms: int


@dataclass(frozen=True, kw_only=True)
class EventRow(Record):
    """One published event and its fate; its key says which."""

    input_offset: int
    due_at_ms: int
    place: int
    status: str
    handed_to: str
    told: int
    repeats: int
    payload: Json
    broadcast: bool
    published_at_ms: int
    expires_at_ms: int
    correlation_id: str
    traceparent: str
    actor_kind: str
    actor_id: str
