"""Rows of the orchestrator's table: one workflow each, and how they stand on the changelog.

Every row of every table begins with the offset of the input that it was folded from last.
"""

import io
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import orjson
from fastavro import parse_schema, schemaless_reader
from pydantic import TypeAdapter

from holdfast.schemas.codec import FRAME, decode_row, encode
from holdfast.schemas.state import WorkflowRow
from holdfast.streams.core.pending import next_due_ms
from holdfast.streams.core.state import WorkflowState

PARTITION_ROW_KEY = b"\x00partition"
_STATE = TypeAdapter(WorkflowState)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPrefix:
    """What recovery and timers need of a row; read without decoding the rest."""

    inbox_offset: int
    sequence: int
    journal_offset: int
    due_at_ms: int


@cache
def _longs(count: int) -> Any:
    fields = [{"name": f"n{number}", "type": "long"} for number in range(count)]
    return parse_schema({"type": "record", "name": f"Longs{count}", "fields": fields})


def leading_longs(value: bytes, count: int) -> tuple[int, ...]:
    """The first fields of a changelog value: an Avro record is read front to back, so a shorter schema stops early."""
    buffer = io.BytesIO(value)
    buffer.seek(FRAME.size)
    read: Any = schemaless_reader(buffer, _longs(count), None)
    return tuple(read.values())


def row_offset(value: bytes) -> int:
    """The offset of the input that a row of any table was folded from last."""
    return leading_longs(value, 1)[0]


def row_prefix(value: bytes) -> RowPrefix:
    """The first fields of a workflow's row."""
    inbox_offset, sequence, journal_offset, due_at_ms = leading_longs(value, 4)
    return RowPrefix(inbox_offset=inbox_offset, sequence=sequence, journal_offset=journal_offset, due_at_ms=due_at_ms)


def due_at_ms(value: bytes) -> int:
    """When something of a workflow is due, 0 if nothing is."""
    return row_prefix(value).due_at_ms


@dataclass(frozen=True, kw_only=True)
class Row:
    """One workflow's state, and what it was folded from.

    `inbox_offset` is the last input folded; `sequence`, `journal_offset` and `head_hash` are those of the last event;
    `text` is the state's JSON, made once.
    """

    inbox_offset: int
    sequence: int
    journal_offset: int
    head_hash: bytes
    state: WorkflowState
    text: bytes


def state_json(state: WorkflowState) -> bytes:
    """The JSON text of a state. Its maps keep the order of what happened, which decisions go by."""
    return orjson.dumps(state)


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
            state=row.text,
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
        text=stored.state,
    )
