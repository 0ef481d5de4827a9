"""Batches: what becomes a row, what becomes a dead letter, and when a batch is full."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from holdfast.projections.batch import BYTES_LIMIT, DEAD_LETTER_COLUMNS, ROWS_LIMIT, Batch, decoded
from holdfast.projections.rows import EVENT_COLUMNS, EXPIRED_COLUMNS, REJECTION_COLUMNS
from holdfast.schemas import codec, events, headers
from holdfast.schemas.record import EventMeta
from holdfast.schemas.requests import CancelWorkflow
from holdfast.schemas.results import EventExpired, RequestRejected
from support.journal_builder import record_of, support_ticket

META = EventMeta(
    event_id="5f0c6a4e-0000-8000-a000-000000000001",
    type="RequestRejected",
    tenant="acme",
    workflow_id="wf-1",
    actor_kind="service",
    actor_id="shop",
    occurred_at_ms=1_767_225_600_000,
)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A record as a consumer hands it out."""

    topic: str = "p.journal"
    partition: int = 1
    offset: int = 5
    timestamp: int = 1_767_225_600_123
    key: bytes | None = b"default/wf-1"
    value: bytes | None = b""
    headers: Sequence[tuple[str, bytes]] = ()


def batch_of(*records: Stored) -> Batch:
    batch = Batch("p.")
    for record in records:
        batch.add([record])
    return batch


def letters(batch: Batch) -> list[dict[str, object]]:
    return [dict(zip(DEAD_LETTER_COLUMNS, row, strict=True)) for row in batch.dead_letters.rows]


EVENT = record_of(support_ticket("wf-1").messages[0])


def test_an_event_becomes_a_row_and_its_place_is_remembered() -> None:
    batch = batch_of(Stored(value=EVENT.value))
    row = dict(zip(EVENT_COLUMNS, batch.events.rows[0], strict=True))
    assert (row["type"], row["kafka_partition"], row["kafka_offset"]) == ("WorkflowStarted", 1, 5)
    assert batch.positions == {("p.journal", 1): 6}
    assert not letters(batch)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no_value"),
        (b"", "not_framed"),
        (b"{}", "not_framed"),
        (b"\x00\x00\x00\xff\xff", "unknown_schema"),
        (EVENT.value[:-3], "undecodable"),
        (codec.encode(CancelWorkflow(reason="x"), META), "unexpected_type"),
    ],
)
def test_what_is_no_event_of_the_journal_becomes_a_dead_letter_with_its_bytes(value: bytes | None, code: str) -> None:
    batch = batch_of(Stored(value=value, key=None, headers=[("ce_id", b"\xff1")]))
    (letter,) = letters(batch)
    assert (letter["stage"], letter["code"]) == ("decode", code)
    assert (letter["topic"], letter["kafka_partition"], letter["kafka_offset"]) == ("p.journal", 1, 5)
    assert letter["record_value"] == (value or b"")
    assert letter["message"]
    assert not batch.events.rows
    assert batch.positions == {("p.journal", 1): 6}


def test_an_event_with_a_wrong_hash_has_its_row_and_a_dead_letter() -> None:
    message = support_ticket("wf-1").messages[0]
    forged = codec.encode(message.body, replace(message.meta, actor_id="mallory"))
    batch = batch_of(Stored(value=forged))
    assert len(batch.events.rows) == 1
    assert [(letter["stage"], letter["code"]) for letter in letters(batch)] == [("chain", "hash_mismatch")]


def test_an_event_under_another_workflows_key_has_its_row_and_a_dead_letter() -> None:
    batch = batch_of(Stored(value=EVENT.value, key=b"default/wf-2"))
    assert len(batch.events.rows) == 1
    assert [(letter["stage"], letter["code"]) for letter in letters(batch)] == [("key", "wrong_key")]


def test_a_refused_request_has_a_row_and_an_ending_has_none() -> None:
    body = RequestRejected(code="unknown_definition", message="No.", request_type="StartWorkflow", request_id="r-1")
    ending = events.WorkflowCompleted(output={})
    batch = batch_of(
        Stored(topic="p.results", value=codec.encode(body, META)),
        Stored(topic="p.results", value=codec.encode(ending, META), offset=6),
    )
    (row,) = (dict(zip(REJECTION_COLUMNS, row, strict=True)) for row in batch.rejections.rows)
    assert (row["tenant"], row["code"], row["request_id"]) == ("acme", "unknown_definition", "r-1")
    assert not batch.events.rows
    assert not letters(batch)
    assert batch.positions == {("p.results", 1): 7}


def test_a_published_event_that_nobody_waited_for_has_a_row() -> None:
    body = EventExpired(
        event_type="paid",
        correlation="o-1",
        source_id="e-1",
        payload={"cents": 5},
        published_at_ms=1_767_225_600_000,
        expires_at_ms=1_767_225_700_000,
        repeats=2,
    )
    batch = batch_of(Stored(topic="p.results", value=codec.encode(body, META)))
    (row,) = (dict(zip(EXPIRED_COLUMNS, row, strict=True)) for row in batch.expired.rows)
    assert (row["tenant"], row["source_id"], row["payload"], row["repeats"]) == ("acme", "e-1", '{"cents":5}', 2)
    assert not letters(batch)


def test_a_forwarded_dead_letter_goes_by_where_the_original_record_stood() -> None:
    said = headers.dead_letter(
        [("ce_id", b"1")],
        topic="p.inbox",
        partition=2,
        offset=77,
        timestamp_ms=123,
        stage="decode",
        code="not_framed",
        message="no frame",
    )
    (letter,) = letters(batch_of(Stored(topic="p.dead-letters", value=b"junk", headers=said)))
    assert (letter["topic"], letter["kafka_partition"], letter["kafka_offset"]) == ("p.inbox", 2, 77)
    assert (letter["stage"], letter["code"], letter["record_at"]) == ("decode", "not_framed", 123)
    assert letter["record_value"] == b"junk"


@pytest.mark.parametrize("said", [[], [("x-dlq-topic", b"p.inbox"), ("x-dlq-partition", b"two")]])
def test_a_dead_letter_without_its_place_goes_by_its_own(said: list[tuple[str, bytes]]) -> None:
    (letter,) = letters(batch_of(Stored(topic="p.dead-letters", value=None, headers=said)))
    assert (letter["topic"], letter["kafka_partition"], letter["kafka_offset"]) == ("p.dead-letters", 1, 5)
    assert letter["code"] == "unknown"


def test_a_batch_is_full_at_its_limit_of_rows_or_of_bytes() -> None:
    many = Batch("p.")
    many.add([Stored(offset=offset) for offset in range(ROWS_LIMIT - 1)])
    assert not many.full
    many.add([Stored(offset=ROWS_LIMIT)])
    assert many.full
    large = Batch("p.")
    large.add([Stored(value=bytes(BYTES_LIMIT - 1), key=None)])
    assert not large.full
    large.add([Stored(value=b"x", key=None)])
    assert large.full


def test_bytes_of_a_dead_letter_are_explained() -> None:
    assert decoded(EVENT.value)["type"] == "WorkflowStarted"
    assert decoded(b"\x00")["error"] == "not_framed"
