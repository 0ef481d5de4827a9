"""Bytes to records and back: Confluent framing (`00`, 4-byte schema id) around an Avro body.

Readers decode with the writer's schema only and dispatch on the schema id; a field that a newer writer added is
dropped, a field that an older writer did not know takes the class's default. Logical types are stripped from the
copies used here: times stay plain integers (ms), which halves the cost of decoding.
"""

import dataclasses
import functools
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from holdfast.schemas import (
    controls,
    correlations,
    definitions,
    events,
    jsontext,
    reports,
    requests,
    results,
    state,
    tasks,
)
from holdfast.schemas.catalog import Schema, newest_by_subject, schemas_by_id
from holdfast.schemas.record import EventMeta, Message, Record

FRAME = struct.Struct(">BI")
RecordT = TypeVar("RecordT")
INT32_MAX = 2**31 - 1
LAST_MS = 253_402_300_799_999  # the end of the year 9999: what RFC 3339 can say
_INPUTS = (requests.NAMESPACE, reports.NAMESPACE)
_CANONICAL = orjson.OPT_SORT_KEYS
_MODULES = (events, requests, reports, tasks, results, definitions, correlations, controls, state)


class DecodeError(Exception):
    """The bytes are not a record of this catalogue. `code` is stable, the text says what is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@functools.cache
def record_types() -> Mapping[str, type[Record]]:
    """All record classes by their subject."""
    return {
        f"{module.NAMESPACE}.{cls.__name__}": cls
        for module in _MODULES
        for cls in vars(module).values()
        if isinstance(cls, type) and issubclass(cls, Record) and cls is not Record
    }


@dataclass(frozen=True, slots=True)
class Plan:
    """How one schema version maps to its class."""

    schema: Schema
    cls: type[Record]
    frame: bytes
    avro: Any
    has_meta: bool
    json_fields: tuple[str, ...]
    json_depth: int
    int_fields: tuple[str, ...]
    array_fields: tuple[str, ...]
    unknown_fields: tuple[str, ...]
    unknown_meta: tuple[str, ...]
    complete: bool
    meta_complete: bool


def _strip_logical_types(node: Any) -> Any:
    if isinstance(node, dict):
        if "logicalType" in node:
            return node["type"]
        return {key: _strip_logical_types(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_strip_logical_types(value) for value in node]
    return node


def plan(schema: Schema, cls: type[Record]) -> Plan:
    """How records of `cls` are read and written with one version of its schema."""
    parsed = schema.parsed()
    known = {field.name for field in dataclasses.fields(cls)}
    known_meta = {field.name for field in dataclasses.fields(EventMeta)}
    body = [field for field in parsed["fields"] if field["name"] != "meta"]
    meta = [field for field in parsed["fields"] if field["name"] == "meta"]
    meta_names = {f["name"] for m in meta for f in m["type"]["fields"]}
    types = {field["name"]: field["type"] for field in body if isinstance(field["type"], dict)}
    from_outside = schema.subject.rpartition(".")[0] in _INPUTS
    return Plan(
        schema=schema,
        cls=cls,
        frame=FRAME.pack(0, schema.id),
        avro=parse_schema(_strip_logical_types(parsed), _write_hint=True),
        has_meta=bool(meta),
        json_fields=tuple(n for n, t in types.items() if t.get("mediaType") == "application/json"),
        json_depth=jsontext.INPUT_DEPTH_LIMIT if from_outside else jsontext.DEPTH_LIMIT,
        int_fields=tuple(f["name"] for f in body if f["type"] == "int"),
        array_fields=tuple(n for n, t in types.items() if t.get("type") == "array"),
        unknown_fields=tuple(f["name"] for f in body if f["name"] not in known),
        unknown_meta=tuple(sorted(meta_names - known_meta)),
        complete=known <= {field["name"] for field in body},
        meta_complete=known_meta <= meta_names,
    )


@functools.cache
def _plans_by_id() -> Mapping[int, Plan]:
    types = record_types()
    return {id_: plan(schema, types[schema.subject]) for id_, schema in schemas_by_id().items()}


@functools.cache
def _plans_by_class() -> Mapping[type[Record], Plan]:
    newest = newest_by_subject()
    return {cls: _plans_by_id()[newest[subject].id] for subject, cls in record_types().items()}


def schema_of(cls: type[Record]) -> Schema:
    """The schema that records of a class are written with."""
    return _plans_by_class()[cls].schema


@functools.cache
def _later_fields() -> Mapping[type[Record], Mapping[str, object]]:
    """The fields that were added to a record after its first version, with their defaults."""
    return {
        cls: {
            field.name: field.default for field in dataclasses.fields(cls) if field.default is not dataclasses.MISSING
        }
        for cls in record_types().values()
    }


def payload_of(body: Record) -> str:
    """The canonical JSON text of a body: what the hash chain covers and ClickHouse stores.

    A field that a later version of the record added is left out as long as it has its default, so an event that was
    written before the field existed keeps its text, and with it its hash.
    """
    values = vars(body)
    if later := _later_fields()[type(body)]:
        values = {name: value for name, value in values.items() if name not in later or value != later[name]}
    return orjson.dumps(values, option=_CANONICAL).decode()


def _check_int(name: str, value: object) -> None:
    """Raise unless `value` fits Avro's `int`: fastavro writes more, and readers in other languages then fail."""
    if type(value) is not int:
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not -INT32_MAX - 1 <= value <= INT32_MAX:
        raise ValueError(f"{name} does not fit 32 bits")


def _check_time(meta: EventMeta) -> None:
    """Raise unless the producer's clock gives a time that headers and tables can show."""
    if not 0 <= meta.occurred_at_ms <= LAST_MS:
        raise ValueError("occurred_at_ms is not within the years 1970 to 9999")


def encode(body: Record, meta: EventMeta | None = None) -> bytes:
    """The wire bytes of a record. `meta` belongs to every record but the rows of the state topics.

    Raises ValueError or TypeError if a field does not fit its schema.
    """
    plan = _plans_by_class()[type(body)]
    values = dict(vars(body))
    for name in plan.json_fields:
        text = orjson.dumps(values[name], option=_CANONICAL).decode()
        jsontext.check_depth(values[name], text, plan.json_depth)
        values[name] = text
    for name in plan.int_fields:
        _check_int(name, values[name])
    if plan.has_meta:
        if meta is None:
            raise ValueError(f"{type(body).__name__} needs a meta")
        _check_time(meta)
        values["meta"] = vars(meta)
    buffer = io.BytesIO()
    buffer.write(plan.frame)
    schemaless_writer(buffer, plan.avro, values)
    return buffer.getvalue()


def peek(data: bytes | None) -> Schema:
    """The schema that framed bytes name. Raises DecodeError."""
    if data is None:
        raise DecodeError("no_value", "the record has no value")
    if len(data) < FRAME.size or data[0] != 0:
        raise DecodeError("not_framed", "the value does not begin with the Confluent frame (00 and a schema id)")
    schema = schemas_by_id().get(FRAME.unpack_from(data)[1])
    if schema is None:
        raise DecodeError("unknown_schema", f"schema id {FRAME.unpack_from(data)[1]} is not in the catalogue")
    return schema


def read(plan: Plan, data: bytes) -> tuple[EventMeta | None, Record]:
    """Meta and body in framed bytes that were written with the schema of `plan`. Raises DecodeError."""
    buffer = io.BytesIO(data)
    buffer.seek(FRAME.size)
    try:
        values: dict[str, Any] = schemaless_reader(buffer, plan.avro, None)  # type: ignore[assignment]
        if buffer.tell() != len(data):
            raise DecodeError("trailing_bytes", f"{len(data) - buffer.tell()} bytes follow the {plan.schema.name}")
        return _meta(plan, values), _body(plan, values)
    except DecodeError:
        raise
    except Exception as exc:
        raise DecodeError("undecodable", f"the bytes are not a {plan.schema.name}: {exc}") from exc


def _meta(plan: Plan, values: dict[str, Any]) -> EventMeta | None:
    if not plan.has_meta:
        return None
    fields = values.pop("meta")
    for name in plan.unknown_meta:
        del fields[name]
    meta = _filled(EventMeta, fields, plan.meta_complete)
    _check_time(meta)
    return meta


def _body(plan: Plan, values: dict[str, Any]) -> Record:
    for name in plan.json_fields:
        text = values[name]
        values[name] = orjson.loads(text)
        jsontext.check_depth(values[name], text, plan.json_depth)
    for name in plan.int_fields:
        _check_int(name, values[name])
    for name in plan.array_fields:
        values[name] = tuple(values[name])
    for name in plan.unknown_fields:
        del values[name]
    return _filled(plan.cls, values, plan.complete)


def _filled(cls: type[RecordT], values: dict[str, Any], complete: bool) -> RecordT:
    """A frozen dataclass with these fields. If all are there, the constructor's field by field work is spared."""
    if not complete:
        return cls(**values)
    filled = object.__new__(cls)
    filled.__dict__.update(values)
    return filled


def decode(data: bytes | None) -> Message[Record]:
    """The record in framed bytes, with its meta. Raises DecodeError, also for rows (they have no meta)."""
    plan = _plans_by_id()[peek(data).id]
    assert data is not None
    meta, body = read(plan, data)
    if meta is None:
        raise DecodeError("no_meta", f"{plan.schema.name} has no meta: it belongs on a state topic")
    return Message(meta=meta, body=body)


def decode_row(data: bytes | None) -> Record:
    """The row in framed bytes. Raises DecodeError, also for records that carry a meta."""
    plan = _plans_by_id()[peek(data).id]
    assert data is not None
    meta, body = read(plan, data)
    if meta is not None:
        raise DecodeError("not_a_row", f"{plan.schema.name} is not a row of a state topic")
    return body
