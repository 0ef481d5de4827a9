"""What holds for every record type and all its values; the strategies come from the committed schemas."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.schemas import codec
from holdfast.schemas.record import EventMeta, Record
from support.goldens import read
from support.samples import sample, sample_meta

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
BY_TYPE: Mapping[str, st.SearchStrategy[Any]] = {
    '"string"': TEXT,
    '"int"': INT32,
    '"long"': INT64,
    '"boolean"': st.booleans(),
    '"bytes"': st.binary(max_size=64),
    '{"logicalType":"timestamp-millis","type":"long"}': INT64,
    '{"mediaType":"application/json","type":"string"}': JSON,
    '{"items":"string","type":"array"}': st.lists(TEXT, max_size=4).map(tuple),
}
TYPES = list(codec.record_types().values())
EVERY_TYPE = pytest.mark.parametrize("cls", TYPES, ids=lambda cls: cls.__name__)


def fields(nodes: list[dict[str, Any]]) -> dict[str, st.SearchStrategy[Any]]:
    return {n["name"]: BY_TYPE[orjson.dumps(n["type"], option=orjson.OPT_SORT_KEYS).decode()] for n in nodes}


def bodies(cls: type[Record]) -> st.SearchStrategy[Record]:
    nodes = codec.schema_of(cls).parsed()["fields"]
    return st.builds(cls, **fields([node for node in nodes if node["name"] != "meta"]))


METAS = st.builds(
    EventMeta,
    **{
        **fields(codec.schema_of(TYPES[0]).parsed()["fields"][0]["type"]["fields"]),
        "occurred_at_ms": st.integers(0, codec.LAST_MS),
    },
)
ANY_META = EventMeta(event_id="", type="", tenant="", workflow_id="", actor_kind="", actor_id="", occurred_at_ms=0)
RECORDS = st.sampled_from(TYPES).flatmap(bodies)


def has_meta(body: Record) -> bool:
    return sample_meta(type(body)) is not None


def encoded(body: Record, meta: EventMeta) -> bytes:
    return codec.encode(body, meta if has_meta(body) else None)


@given(RECORDS, METAS)
def test_a_record_is_read_as_it_was_written(body: Record, meta: EventMeta) -> None:
    assert read(encoded(body, meta)) == (meta if has_meta(body) else None, body)


@given(RECORDS, METAS)
def test_equal_records_have_equal_bytes(body: Record, meta: EventMeta) -> None:
    _, again = read(encoded(body, meta))
    assert encoded(again, meta) == encoded(body, meta)


@given(RECORDS, METAS, st.data())
def test_a_record_that_was_cut_is_refused_and_never_another_one(
    body: Record, meta: EventMeta, data: st.DataObject
) -> None:
    whole = encoded(body, meta)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(codec.DecodeError):
        read(whole[:cut])


def outcome(data: bytes) -> Record | codec.DecodeError:
    """What the codec makes of any bytes. Any other exception fails the test."""
    try:
        return read(data)[1]
    except codec.DecodeError as error:
        return error


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_a_code(data: bytes) -> None:
    refused = outcome(data)
    assert isinstance(refused, codec.DecodeError)
    assert refused.code
    assert str(refused)


@given(st.sampled_from(TYPES), st.binary(max_size=200))
def test_arbitrary_bytes_in_a_good_frame_are_refused_or_read(cls: type[Record], data: bytes) -> None:
    assert isinstance(outcome(codec.FRAME.pack(0, codec.schema_of(cls).id) + data), (cls, codec.DecodeError))


@given(st.sampled_from(TYPES), st.integers(0), st.binary(min_size=1, max_size=12))
def test_a_record_that_was_damaged_is_refused_or_read_and_what_is_read_can_be_written(
    cls: type[Record], place: int, damage: bytes
) -> None:
    """An input that can be read and not written again would stop its partition for good."""
    whole = bytearray(encoded(sample(cls), sample_meta(cls) or ANY_META))
    at = codec.FRAME.size + place % (len(whole) - codec.FRAME.size)
    whole[at : at + len(damage)] = damage
    body = outcome(bytes(whole))
    if isinstance(body, Record):
        assert outcome(encoded(body, ANY_META)) == body


@EVERY_TYPE
def test_the_payload_of_a_body_is_json_that_says_the_same(cls: type[Record]) -> None:
    body = sample(cls)
    if any(isinstance(value, bytes) for value in vars(body).values()):
        with pytest.raises(TypeError):
            codec.payload_of(body)
        return
    later = {f.name: f.default for f in dataclasses.fields(cls) if f.default is not dataclasses.MISSING}
    said = {name: value for name, value in vars(body).items() if name not in later or value != later[name]}
    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
    assert orjson.loads(codec.payload_of(body)) == as_json
