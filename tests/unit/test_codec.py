"""Framing, refusals and limits of the codec; what every record type has in common stands in tests/property."""

import io
from dataclasses import replace
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from holdfast.schemas import codec
from holdfast.schemas.catalog import newest_by_subject
from holdfast.schemas.events import OutputRejected, StepStarted, WorkflowStarted
from holdfast.schemas.headers import cloud_event
from holdfast.schemas.jsontext import INPUT_DEPTH_LIMIT
from holdfast.schemas.record import EventMeta, Record
from holdfast.schemas.requests import StartWorkflow
from holdfast.schemas.state import PartitionRow

META = EventMeta(
    event_id="e-1",
    type="StepStarted",
    tenant="acme",
    workflow_id="order-7",
    actor_kind="engine",
    actor_id="orchestrator",
    occurred_at_ms=1_767_225_600_000,
)
STEP = StepStarted(step="draft", visit=1, kind="agent", timeout_at_ms=0)
ROW = PartitionRow(inbox_offset=7, journal_offset=9)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def start(value: Any) -> StartWorkflow:
    return StartWorkflow(definition="refund", definition_hash="", input=value)


def foreign(body: Record, meta: EventMeta) -> bytes:
    """What a writer without our checks makes of a record; JSON fields are given as text."""
    schema = codec.schema_of(type(body))
    buffer = io.BytesIO()
    buffer.write(codec.FRAME.pack(0, schema.id))
    fields = {name: "null" if value is None else value for name, value in vars(body).items()}
    schemaless_writer(buffer, parse_schema(schema.parsed()), {**fields, "meta": vars(meta)})
    return buffer.getvalue()


def refusal(data: bytes | None) -> str:
    with pytest.raises(codec.DecodeError) as refused:
        codec.decode(data)
    assert str(refused.value)
    return refused.value.code


def test_bytes_begin_with_a_zero_and_the_id_of_the_newest_schema() -> None:
    data = codec.encode(STEP, META)
    assert data[:5] == b"\x00" + newest_by_subject()["holdfast.event.v1.StepStarted"].id.to_bytes(4, "big")


def test_a_record_is_read_as_it_was_written() -> None:
    message = codec.decode(codec.encode(STEP, META))
    assert (message.meta, message.body) == (META, STEP)


def test_a_row_is_read_as_it_was_written() -> None:
    assert codec.decode_row(codec.encode(ROW)) == ROW


def test_peek_names_the_schema_without_reading_the_body() -> None:
    assert codec.peek(codec.encode(STEP, META)[:5]).name == "StepStarted"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "no_value"),
        (b"", "not_framed"),
        (b"\x00\x00\x00\x00", "not_framed"),
        (b"\x01\x00\x00\x00\x01", "not_framed"),
        (b'{"json": true}', "not_framed"),
        (b"\x00\x00\x00\x00\x00", "unknown_schema"),
        (b"\x00\x7f\xff\xff\xff", "unknown_schema"),
        (codec.encode(STEP, META)[:-1], "undecodable"),
        (codec.encode(STEP, META)[:5], "undecodable"),
        (codec.encode(STEP, META) + b"\x00", "trailing_bytes"),
        (codec.encode(ROW), "no_meta"),
    ],
)
def test_what_is_no_record_is_refused_with_a_code(data: bytes | None, code: str) -> None:
    assert refusal(data) == code


def test_a_record_with_a_meta_is_no_row() -> None:
    with pytest.raises(codec.DecodeError) as refused:
        codec.decode_row(codec.encode(STEP, META))
    assert refused.value.code == "not_a_row"


def test_a_record_without_its_meta_is_not_written() -> None:
    with pytest.raises(ValueError, match="needs a meta"):
        codec.encode(STEP)


@pytest.mark.parametrize("visit", [2**31, -(2**31) - 1, 2**70])
def test_a_number_that_other_readers_could_not_hold_is_not_written(visit: int) -> None:
    with pytest.raises(ValueError, match="visit"):
        codec.encode(StepStarted(step="draft", visit=visit, kind="agent", timeout_at_ms=0), META)


@pytest.mark.parametrize("visit", [1.5, True, "1", None])
def test_a_value_of_another_type_is_not_written(visit: Any) -> None:
    with pytest.raises(TypeError, match="visit"):
        codec.encode(StepStarted(step="draft", visit=visit, kind="agent", timeout_at_ms=0), META)


@pytest.mark.parametrize("value", [2**64, b"bytes", {1: 2}, ..., "\ud800"], ids=repr)
def test_what_is_no_json_value_is_not_written(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        codec.encode(start(value), META)


def test_an_int_beyond_32_bits_from_a_foreign_writer_is_refused() -> None:
    """It would be read, and then stop the orchestrator that wants to write it again."""
    assert refusal(foreign(replace(STEP, visit=2**31), META)) == "undecodable"


@pytest.mark.parametrize("at_ms", [-1, codec.LAST_MS + 1, 2**62])
def test_a_time_that_no_header_can_show_is_not_written(at_ms: int) -> None:
    with pytest.raises(ValueError, match="occurred_at_ms"):
        codec.encode(STEP, replace(META, occurred_at_ms=at_ms))


def test_a_time_that_a_header_can_just_show_is_written() -> None:
    assert cloud_event(STEP, replace(META, occurred_at_ms=codec.LAST_MS), "/")


@pytest.mark.parametrize("at_ms", [-1, codec.LAST_MS + 1, 2**62])
def test_a_foreign_time_that_no_header_can_show_is_refused(at_ms: int) -> None:
    assert refusal(foreign(STEP, replace(META, occurred_at_ms=at_ms))) == "undecodable"


def test_an_input_is_nested_up_to_the_limit_and_no_deeper() -> None:
    deepest = start(nested(INPUT_DEPTH_LIMIT))
    assert codec.decode(codec.encode(deepest, META)).body == deepest
    with pytest.raises(ValueError, match="nested deeper"):
        codec.encode(start(nested(INPUT_DEPTH_LIMIT + 1)), META)


def test_a_flat_input_may_have_more_brackets_than_the_limit() -> None:
    wide = start([[], {}] * 500)
    assert codec.decode(codec.encode(wide, META)).body == wide


@pytest.mark.parametrize("depth", [INPUT_DEPTH_LIMIT + 1, 254, 255, 1000, 100_000])
def test_a_foreign_input_that_is_nested_too_deep_is_refused(depth: int) -> None:
    """An input that can be read but not written again would stop its partition for good."""
    assert refusal(foreign(start("[" * depth + "]" * depth), META)) == "undecodable"


@pytest.mark.parametrize("text", ["", "{", "NaN", "1e999", '"\\ud800"', "{} {}", "'a'"])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    assert refusal(foreign(start(text), META)) == "undecodable"


def test_the_engine_may_wrap_the_deepest_input() -> None:
    wrapped = WorkflowStarted(input={"of": {"the": nested(INPUT_DEPTH_LIMIT)}}, deadline_at_ms=0)
    assert codec.decode(codec.encode(wrapped, META)).body == wrapped


def test_lists_are_read_as_tuples() -> None:
    body = OutputRejected(step="s", visit=1, turn=1, effect_key="k", errors=("a", "b"), repair_round=1)
    assert codec.decode(codec.encode(body, META)).body == body


def test_json_is_canonical_whatever_the_order_of_its_keys() -> None:
    assert codec.encode(start({"b": 1, "a": 2}), META) == codec.encode(start({"a": 2, "b": 1}), META)


def test_the_payload_of_a_body_is_its_canonical_json() -> None:
    assert codec.payload_of(STEP) == '{"kind":"agent","step":"draft","timeout_at_ms":0,"visit":1}'


def test_every_record_class_is_known_by_its_full_name() -> None:
    types = codec.record_types()
    assert types["holdfast.event.v1.StepStarted"] is StepStarted
    assert all(issubclass(cls, Record) for cls in types.values())
