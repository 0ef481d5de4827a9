"""One plain record of every type, made from its schema: the same values on every run."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from holdfast.schemas.codec import record_types, schema_of
from holdfast.schemas.record import EventMeta, Record

TENANT = "acme"
WORKFLOW_ID = "order-7"
KEY = f"{TENANT}/{WORKFLOW_ID}"
AT_MS = 1_767_225_600_000

_JSON = {
    "text": "Zürich ✓ 漢字 \u0000",
    "numbers": [0, -1, 2**63, 0.1, 1e300],
    "nested": {"none": None, "yes": True, "": {}},
}

_VALUES: Mapping[str, Callable[[str, int], Any]] = {
    '"string"': lambda name, place: f"{name} {place}: Zürich ✓ 漢字",
    '"int"': lambda _, place: 2**31 - 1 - place,
    '"long"': lambda _, place: 2**40 + place,
    '"boolean"': lambda _, place: place % 2 == 0,
    '"bytes"': lambda name, _: hashlib.sha256(name.encode()).digest(),
    '{"logicalType":"timestamp-millis","type":"long"}': lambda _, place: AT_MS + place,
    '{"mediaType":"application/json","type":"string"}': lambda name, _: {**_JSON, "field": name},
    '{"items":"string","type":"array"}': lambda name, _: (f"{name} 1", "", "✓"),
}


def sample(cls: type[Record]) -> Record:
    """A record with every field set to something that is not its zero."""
    fields = [field for field in schema_of(cls).parsed()["fields"] if field["name"] != "meta"]
    return cls(**{field["name"]: _value(field, place) for place, field in enumerate(fields, start=1)})


def sample_meta(cls: type[Record]) -> EventMeta | None:
    """The meta of a sample; None for rows of state topics."""
    first = schema_of(cls).parsed()["fields"][0]
    if first["name"] != "meta":
        return None
    values = {field["name"]: _value(field, place) for place, field in enumerate(first["type"]["fields"], start=1)}
    return EventMeta(**{**values, "type": cls.__name__, "tenant": TENANT, "workflow_id": WORKFLOW_ID})


def samples() -> list[tuple[Record, EventMeta | None]]:
    """One record of every type."""
    return [(sample(cls), sample_meta(cls)) for cls in record_types().values()]


def _value(field: Mapping[str, Any], place: int) -> Any:
    sort = orjson.dumps(field["type"], option=orjson.OPT_SORT_KEYS).decode()
    return _VALUES[sort](field["name"], place)
