"""Rows of the orchestrator's table. A cache of the journal.

Each class mirrors the newest version of its `.avsc` in `avro/state/`; the field docs stand there.
"""

from dataclasses import dataclass

from holdfast.schemas.record import Record

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
