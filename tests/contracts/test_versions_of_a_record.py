"""Reading what older and newer versions of this code wrote, with a catalogue of two versions of one record."""

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from holdfast.schemas import codec
from holdfast.schemas.catalog import Schema
from holdfast.schemas.record import EventMeta, Json, Record
from support import tiny
from support.tiny import JSON_TEXT, TIME, Node, field

KIND = field("kind", default="plain")
BODY = field("body", JSON_TEXT, default="null")
META_FIELDS = [
    *(field(name) for name in ("event_id", "type", "tenant", "workflow_id", "actor_kind", "actor_id")),
    field("occurred_at_ms", TIME),
]
META: dict[str, Any] = {
    "event_id": "e",
    "type": "ThingDone",
    "tenant": "acme",
    "workflow_id": "order-7",
    "actor_kind": "person",
    "actor_id": "ann",
    "occurred_at_ms": 5,
}


@dataclass(frozen=True, kw_only=True)
class ThingDone(Record):
    """As today's code knows it."""

    step: str
    kind: str = "plain"
    body: Json = None


def schema(*fields: Node, meta: tuple[Node, ...] = ()) -> Schema:
    node = tiny.record("ThingDone", field("step"), *fields)
    node["fields"][0]["type"]["fields"] = [*META_FIELDS, *meta]
    return tiny.versions(node)[0]


def written(by: Schema, values: dict[str, Any], **meta: Any) -> bytes:
    """What a writer that knows just this schema puts on a topic: no code of ours."""
    buffer = io.BytesIO()
    buffer.write(b"\x00" + by.id.to_bytes(4, "big"))
    schemaless_writer(buffer, parse_schema(json.loads(by.text)), {"meta": {**META, **meta}, **values})
    return buffer.getvalue()


def read(writer: Schema, data: bytes) -> tuple[EventMeta | None, Record]:
    return codec.read(codec.plan(writer, ThingDone), data)


def test_a_field_that_an_older_writer_did_not_know_takes_its_default() -> None:
    older = schema()
    assert read(older, written(older, {"step": "s"})) == (EventMeta(**META), ThingDone(step="s"))


def test_a_field_that_a_newer_writer_added_is_dropped() -> None:
    newer = schema(KIND, BODY, field("mood", default=""), field("extra", JSON_TEXT, default="null"))
    values = {"step": "s", "kind": "k", "body": "[1]", "mood": "good", "extra": '{"a": 1}'}
    assert read(newer, written(newer, values)) == (EventMeta(**META), ThingDone(step="s", kind="k", body=[1]))


def test_a_field_that_a_newer_writer_added_to_the_meta_is_dropped() -> None:
    newer = schema(KIND, BODY, meta=(field("run", default=""),))
    data = written(newer, {"step": "s", "kind": "k", "body": "1"}, run="r")
    assert read(newer, data) == (EventMeta(**META), ThingDone(step="s", kind="k", body=1))


def test_fields_of_the_meta_that_an_older_writer_did_not_know_take_their_defaults() -> None:
    meta, _ = read(schema(), written(schema(), {"step": "s"}))
    assert meta is not None
    assert (meta.sequence, meta.cause_offset, meta.hash) == (0, -1, b"")


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_a_record_of_an_older_writer_that_was_cut_short_is_refused(cut: int) -> None:
    older = schema()
    with pytest.raises(codec.DecodeError) as refused:
        read(older, written(older, {"step": "s"})[:-cut])
    assert refused.value.code == "undecodable"
