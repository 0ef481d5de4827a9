"""The journal of one workflow out of ClickHouse, as the records that it was made of, and the state they fold to."""

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import orjson

from holdfast.ops.errors import CommandError
from holdfast.projections.client import ClickHouse
from holdfast.projections.rows import META_COLUMNS
from holdfast.schemas import chain, events
from holdfast.schemas.codec import payload_of, record_types
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.streams.core.evolve import Cause, evolve
from holdfast.streams.core.state import WorkflowState

CHUNK_ROWS = 2_000
LAST_SEQUENCE = 2**63 - 1

# How a column of ClickHouse is written so that JSON carries it without loss.
_EXACT = {
    "event_id": "toString(event_id)",
    "occurred_at": "toUnixTimestamp64Milli(occurred_at)",
    "recorded_at": "toUnixTimestamp64Milli(recorded_at)",
    "previous_hash": "lower(hex(previous_hash))",
    "hash": "lower(hex(hash))",
}
_META = ", ".join(f"{_EXACT.get(column, column)} AS meta_{name}" for column, name in META_COLUMNS.items())
_SQL = f"""
SELECT {_META}, payload FROM holdfast.events FINAL
WHERE tenant = {{tenant:String}} AND workflow_id = {{workflow:String}}
  AND sequence > {{after:UInt64}} AND sequence <= {{until:UInt64}}
ORDER BY sequence, kafka_offset LIMIT {{rows:UInt32}}"""  # noqa: S608 - made of constants
_BYTES = ("previous_hash", "hash")


def history(
    clickhouse: ClickHouse, tenant: str, workflow_id: str, *, until: int = LAST_SEQUENCE
) -> Iterator[Message[Record]]:
    """The events of a workflow up to a sequence, in order, read in chunks; nothing if there is no such workflow.

    The first event of a sequence is the only one. Raises CommandError if an event cannot be read any more, and what
    the client raises.
    """
    after = 0
    while True:
        given = {"tenant": tenant, "workflow": workflow_id, "after": after, "until": until, "rows": CHUNK_ROWS}
        rows = clickhouse.query(_SQL, given)
        for row in rows:
            message = message_of(row)
            if message.meta.sequence > after:
                after = message.meta.sequence
                yield message
        if len(rows) < CHUNK_ROWS:
            return


def message_of(row: dict[str, Any]) -> Message[Record]:
    """The event in a row: `meta_<field>` for each field of the meta, and the body as JSON in `payload`."""
    values = {name: row[f"meta_{name}"] for name in META_COLUMNS.values()}
    values |= {name: bytes.fromhex(values[name]) for name in _BYTES}
    meta = EventMeta(**values)
    place = f"event {meta.sequence} of {meta.tenant}/{meta.workflow_id}"
    if not row["payload"]:
        raise CommandError(f"the content of {place} was erased")
    cls = record_types().get(f"{events.NAMESPACE}.{meta.type}")
    if cls is None:
        raise CommandError(f"{place} is a {meta.type}, which this version does not know", cure="use a newer version")
    return Message(meta=meta, body=_body(cls, orjson.loads(row["payload"])))


def _body(cls: type[Record], values: dict[str, Any]) -> Record:
    lists, known = _fields(cls)
    return cls(**{name: tuple(v) if name in lists else v for name, v in values.items() if name in known})


def _fields(cls: type[Record]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the fields that hold lists, and of all fields."""
    found = fields(cls)
    lists = frozenset(field.name for field in found if str(field.type).startswith("tuple"))
    return lists, frozenset(field.name for field in found)


def fold(messages: Iterable[Message[Record]]) -> WorkflowState | None:
    """The state after these events, exactly as the engine has it; None if there are none."""
    state: WorkflowState | None = None
    for message in messages:
        state = evolve(state, message.body, Cause.of(message.meta))
    return state


def whole(messages: Iterable[Message[Record]]) -> Iterator[Message[Record]]:
    """The same events, each checked to follow the one before it and to say what was hashed when it was written.

    Raises CommandError where that is not so: a fold that leaves out an event would be another workflow.
    """
    head = chain.GENESIS
    for sequence, message in enumerate(messages, start=1):
        meta = message.meta
        hashed = chain.event_hash(head, meta, payload_of(message.body))
        if meta.sequence != sequence or meta.previous_hash != head or meta.hash != hashed:
            raise CommandError(
                f"event {sequence} of {meta.workflow_id} is missing or not what it was, so its history cannot be used",
                cure="`holdfast audit verify`; `holdfast projections rebuild` reads the journal again",
            )
        head = meta.hash
        yield message


def up_to_decision(messages: Iterable[Message[Record]], at: int | None) -> Iterator[Message[Record]]:
    """The events up to the end of the decision that event `at` belongs to; all of them if it is None.

    A decision of which the end is missing is left out.
    """
    begun: list[Message[Record]] = []
    for message in messages:
        begun.append(message)
        if message.meta.index == message.meta.count - 1:
            yield from begun
            begun = []
            if at is not None and message.meta.sequence >= at:
                return


def ms_of(text: str) -> int | None:
    """A time as ClickHouse prints it, in ms since 1970; None for the time that means that it has not come about."""
    at_ms = round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    return at_ms or None
