"""Golden bytes: one stored record of every schema version ever used, and what it says.

`PYTHONPATH=tests python -m support.goldens` writes those that are missing. It never changes one that exists: what was
once on a log must be readable for ever.
"""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from holdfast.schemas import codec
from holdfast.schemas.catalog import Schema, newest_by_subject, schemas_by_id
from holdfast.schemas.record import EventMeta, Record
from support.samples import sample, sample_meta

FOLDER = Path(__file__).parents[1] / "contracts" / "golden"


@dataclass(frozen=True)
class Golden:
    """The stored bytes of one schema version, and meta and body as they must be read. Rows have no meta."""

    schema: Schema
    data: bytes
    meta: EventMeta | None
    body: Record


def stem(schema: Schema) -> str:
    """File name of a golden, without its suffix."""
    return f"{schema.subject}.{schema.version}"


def load(folder: Path, schema: Schema) -> Golden:
    """Reads one golden. Raises FileNotFoundError if it is missing."""
    text = orjson.loads((folder / f"{stem(schema)}.json").read_bytes())
    return Golden(
        schema=schema,
        data=(folder / f"{stem(schema)}.bin").read_bytes(),
        meta=_build(EventMeta, text["meta"]) if text["meta"] is not None else None,
        body=_build(codec.record_types()[schema.subject], text["body"]),
    )


def problems(golden: Golden) -> list[str]:
    """How today's code and a golden disagree."""
    found = []
    try:
        meta, body = read(golden.data)
    except codec.DecodeError as exc:
        return [f"cannot be decoded: {exc}"]
    if (meta, body) != (golden.meta, golden.body):
        found.append(f"decodes to {meta} {body}, and should to {golden.meta} {golden.body}")
    newest = newest_by_subject()[golden.schema.subject] == golden.schema
    if newest and codec.encode(golden.body, golden.meta) != golden.data:
        found.append("the record is not encoded to the same bytes")
    if codec.peek(golden.data) != golden.schema:
        found.append("is framed with the id of another schema")
    return found


def read(data: bytes) -> tuple[EventMeta | None, Record]:
    """Meta and body of any record, rows included. Raises DecodeError."""
    if codec.peek(data).parsed()["fields"][0]["name"] != "meta":
        return None, codec.decode_row(data)
    message = codec.decode(data)
    return message.meta, message.body


def write_missing(folder: Path) -> list[str]:
    """Writes the goldens of newest versions that have none, and returns their names."""
    written = []
    for schema in newest_by_subject().values():
        if (folder / f"{stem(schema)}.bin").exists() or (folder / f"{stem(schema)}.json").exists():
            continue
        cls = codec.record_types()[schema.subject]
        body, meta = sample(cls), sample_meta(cls)
        text = {"meta": _plain(meta) if meta else None, "body": _plain(body)}
        (folder / f"{stem(schema)}.bin").write_bytes(codec.encode(body, meta))
        (folder / f"{stem(schema)}.json").write_bytes(
            orjson.dumps(text, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        )
        written.append(stem(schema))
    return written


def expected_files() -> set[str]:
    """The files that there should be: two for every schema version of the catalogue."""
    return {f"{stem(schema)}.{suffix}" for schema in schemas_by_id().values() for suffix in ("bin", "json")}


def _plain(record: Record | EventMeta) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in vars(record).items()}


def _build(cls: type[Any], values: dict[str, Any]) -> Any:
    """The inverse of `_plain`; a field that the stored version lacks takes the default of its class."""
    types = {field.name: field.type for field in dataclasses.fields(cls)}
    return cls(**{name: _value(types[name], value) for name, value in values.items()})


def _value(type_: Any, value: Any) -> Any:
    if type_ is bytes:
        return bytes.fromhex(value)
    return tuple(value) if type_ == tuple[str, ...] else value


if __name__ == "__main__":
    sys.stdout.write("".join(f"wrote {name}\n" for name in write_missing(FOLDER)) or "no golden is missing\n")
