"""Rows of the orchestrator's table: one workflow each, and how they stand on the changelog."""

from dataclasses import dataclass
from typing import cast

import orjson
from pydantic import TypeAdapter

from holdfast.schemas.codec import decode_row, encode
from holdfast.schemas.state import WorkflowRow
from holdfast.streams.core.pending import next_due_ms
from holdfast.streams.core.state import WorkflowState

_STATE = TypeAdapter(WorkflowState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One workflow's state, and what it was folded from.

    `inbox_offset` is the last input folded; `sequence`, `journal_offset` and `head_hash` are those of the last event.
    """

    inbox_offset: int
    sequence: int
    journal_offset: int
    head_hash: bytes
    state: WorkflowState


def state_json(state: WorkflowState) -> bytes:
    """The canonical JSON text of a state."""
    return orjson.dumps(state, option=orjson.OPT_SORT_KEYS)


def state_from_json(text: bytes) -> WorkflowState:
    """The inverse of state_json. Raises pydantic.ValidationError."""
    return _STATE.validate_json(text)


def encode_row(row: Row) -> bytes:
    """The changelog value of a row."""
    return encode(
        WorkflowRow(
            inbox_offset=row.inbox_offset,
            sequence=row.sequence,
            journal_offset=row.journal_offset,
            due_at_ms=next_due_ms(row.state),
            definition_hash=row.state.definition_hash,
            status=row.state.status.value,
            head_hash=row.head_hash,
            state=state_json(row.state),
        )
    )


def load_row(value: bytes) -> Row:
    """The row in a changelog value. Raises DecodeError or pydantic.ValidationError."""
    stored = cast("WorkflowRow", decode_row(value))
    return Row(
        inbox_offset=stored.inbox_offset,
        sequence=stored.sequence,
        journal_offset=stored.journal_offset,
        head_hash=stored.head_hash,
        state=state_from_json(stored.state),
    )
