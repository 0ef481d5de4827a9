"""How a record class and the versions of its schema must agree."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, get_type_hints

from holdfast.schemas.catalog import Schema
from holdfast.schemas.record import EventMeta, Json, Record

TYPES: dict[str, Any] = {
    '"string"': str,
    '"int"': int,
    '"long"': int,
    '"boolean"': bool,
    '"bytes"': bytes,
    '{"type": "long", "logicalType": "timestamp-millis"}': int,
    '{"type": "string", "mediaType": "application/json"}': Json,
    '{"type": "array", "items": "string"}': tuple[str, ...],
    '["null", "string"]': str | None,
    '["null", "long"]': int | None,
}


def problems(cls: type[Record], versions: Sequence[Schema]) -> list[str]:
    """How a class differs from its schema. `versions` are all of them, oldest first."""
    fields = versions[-1].parsed()["fields"]
    body = [field for field in fields if field["name"] != "meta"]
    found = _fields(cls, body, [_names(schema.parsed()["fields"]) for schema in versions])
    if body != fields:
        metas = [_names(schema.parsed()["fields"][0]["type"]["fields"]) for schema in versions]
        found += _fields(EventMeta, fields[0]["type"]["fields"], metas)
    return found


def _names(fields: Sequence[dict[str, Any]]) -> set[str]:
    return {field["name"] for field in fields}


def _fields(cls: type[Any], wanted: Sequence[dict[str, Any]], versions: Sequence[set[str]]) -> list[str]:
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    names = [field["name"] for field in wanted]
    if list(fields) != names:
        return [f"{cls.__name__} has the fields {list(fields)}, its schema {names}"]
    found = [
        f"{cls.__name__}.{field['name']} is a {hints[field['name']]}, in the schema a {field['type']}"
        for field in wanted
        if hints[field["name"]] != TYPES[json.dumps(field["type"])]
    ]
    return found + [
        f"{cls.__name__}.{field['name']} is not in every version and needs the default {_default(field)!r}"
        for field in wanted
        if any(field["name"] not in version for version in versions)
        and fields[field["name"]].default != _default(field)
    ]


def _default(field: dict[str, Any]) -> Any:
    """A field's default as the codec would read it; `...` if there is none."""
    if "default" not in field:
        return ...
    if field["type"] == "bytes":
        return field["default"].encode("latin-1")
    is_json = isinstance(field["type"], dict) and "mediaType" in field["type"]
    return json.loads(field["default"]) if is_json else field["default"]
