"""Rules that every committed schema and the catalogue as a whole keep. No Avro library is needed for them.

What Avro's own checker allows is wider than what a log that is kept for years can bear: it lets a `timestamp-millis`
turn into a `timestamp-micros`, a namespace change, an attribute be misspelt. Each rule here has a stable name.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from holdfast.schemas import catalog
from holdfast.schemas.catalog import Schema

RULES: Mapping[str, str] = {
    "ids": "Ids count up from 1 in the order of the manifest: none is given twice, left out or used again.",
    "versions": "The versions of a subject count up from 1.",
    "file_missing": "Every file that the manifest lists is there.",
    "file_unlisted": "Every .avsc file is listed in the manifest.",
    "file_edited": "A committed version never changes: its text has the SHA-256 that the manifest gives.",
    "path": "A file is <folder of its kind>/<Name>.<version>.avsc.",
    "unreadable": "A file is a JSON object that describes an Avro record with fields.",
    "namespace": "A namespace is holdfast.<kind>.v<major> with a known kind; the subject is namespace and name.",
    "name": "Record names are CamelCase, field names snake_case, and no field stands twice.",
    "doc": "Every record and every field says what it is, in a sentence.",
    "attribute": "Only attributes that Avro or the codec knows: a misspelt one would be ignored in silence.",
    "alias": "Nothing is renamed: there are no aliases.",
    "meta_first": "The first field is `meta`, of the type holdfast.v1.EventMeta; rows of state topics have none.",
    "meta_differs": "The newest versions of all records have the same EventMeta.",
    "type": "Only types that the codec reads; no floats, no maps, no nested records.",
    "recursion": "No type refers to itself.",
    "media_type": "A string with a media type is application/json; JSON is never anything else than such a string.",
    "time": "A point in time is a timestamp-millis whose name ends in _at_ms or _until_ms, and the other way round.",
    "unit": "A unit stands last in a name, and is one of ms, bytes, tokens and microusd.",
    "enum": "The first symbol of an enum is UNKNOWN, and that is its default.",
}

FOLDERS: Mapping[str, str] = {
    "event": "events",
    "request": "requests",
    "report": "reports",
    "task": "tasks",
    "result": "results",
    "definition": "definitions",
    "correlation": "correlations",
    "control": "controls",
    "state": "state",
}
META = "holdfast.v1.EventMeta"
JSON_TEXT = {"type": "string", "mediaType": "application/json"}
TIMESTAMP = {"type": "long", "logicalType": "timestamp-millis"}

_PRIMITIVES = frozenset({"boolean", "int", "long", "string", "bytes"})
_UNITS = frozenset({"ms", "bytes", "tokens", "microusd"})
_OTHER_UNITS = frozenset({"s", "sec", "secs", "second", "seconds", "minutes", "us", "ns", "millis", "usd", "kb", "mb"})
_ATTRIBUTES = {
    "record": frozenset({"type", "name", "namespace", "doc", "fields", "aliases"}),
    "field": frozenset({"name", "type", "doc", "default", "aliases"}),
    "type": frozenset({"type", "logicalType", "mediaType"}),
}
_NAMESPACE = re.compile(r"holdfast\.([a-z]+)\.v[1-9][0-9]*")
_CAMEL = re.compile(r"[A-Z][A-Za-z0-9]*")
_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule. `where` is a file and the field in it."""

    rule: str
    where: str
    message: str


def check(schemas: Sequence[Schema], files: Collection[str]) -> list[Finding]:
    """All broken rules of a catalogue. `files` are the paths of all its .avsc files, relative to its folder."""
    present = [schema for schema in schemas if schema.path in files]
    readable = [schema for schema in present if _is_record(schema)]
    unreadable = (
        Finding("unreadable", schema.path, RULES["unreadable"]) for schema in present if schema not in readable
    )
    return [
        *_manifest(schemas, files),
        *unreadable,
        *(finding for schema in readable for rule in _RECORD_RULES for finding in rule(schema, schema.parsed())),
        *(finding for schema in readable for finding in _fields(schema)),
        *_metas(readable),
    ]


def check_folder(root: Path) -> list[Finding]:
    """All broken rules of the catalogue in a folder. Raises CatalogError if its manifest cannot be read."""
    return check(catalog.read(root), files_in(root))


def files_in(root: Path) -> frozenset[str]:
    """The paths of all .avsc files under `root`, relative to it."""
    return frozenset(path.relative_to(root).as_posix() for path in root.rglob("*.avsc"))


def _is_record(schema: Schema) -> bool:
    try:
        node = orjson.loads(schema.text)
    except ValueError:
        return False
    return _looks_like_a_record(node) and isinstance(node.get("namespace"), str)


def _looks_like_a_record(node: object) -> bool:
    if not isinstance(node, dict) or node.get("type") != "record" or not isinstance(node.get("name"), str):
        return False
    fields = node.get("fields")
    return isinstance(fields, list) and all(
        isinstance(field, dict) and isinstance(field.get("name"), str) and "type" in field for field in fields
    )


def _manifest(schemas: Sequence[Schema], files: Collection[str]) -> Iterator[Finding]:
    versions: Counter[str] = Counter()
    for place, schema in enumerate(schemas, start=1):
        versions[schema.subject] += 1
        if schema.id != place:
            yield Finding("ids", schema.path, f"entry {place} of the manifest has the id {schema.id}")
        if schema.version != versions[schema.subject]:
            expected = versions[schema.subject]
            yield Finding("versions", schema.path, f"version {schema.version} of {schema.subject} should be {expected}")
        if schema.path not in files:
            yield Finding("file_missing", schema.path, "the manifest lists it, but there is no such file")
        elif catalog.digest(schema.text) != schema.sha256:
            yield Finding("file_edited", schema.path, "differs from the committed version: add a new version instead")
    for path in sorted(set(files) - {schema.path for schema in schemas}):
        yield Finding("file_unlisted", path, "add it with `holdfast schemas add`, or remove it")


def _naming(schema: Schema, record: Mapping[str, Any]) -> Iterator[Finding]:
    kind = _NAMESPACE.fullmatch(record["namespace"])
    folder = FOLDERS.get(kind.group(1)) if kind else None
    if folder is None or schema.subject != f"{record['namespace']}.{record['name']}":
        yield Finding("namespace", schema.path, f"{record['namespace']}.{record['name']} is listed as {schema.subject}")
    elif schema.path != f"{folder}/{record['name']}.{schema.version}.avsc":
        yield Finding("path", schema.path, f"should be {folder}/{record['name']}.{schema.version}.avsc")
    if not _CAMEL.fullmatch(record["name"]):
        yield Finding("name", schema.path, f"{record['name']} is not CamelCase")


def _meta_first(schema: Schema, record: Mapping[str, Any]) -> Iterator[Finding]:
    places = [place for place, field in enumerate(record["fields"]) if field["name"] == "meta"]
    is_row = record["namespace"].startswith("holdfast.state.")
    if places != ([] if is_row else [0]):
        yield Finding("meta_first", schema.path, RULES["meta_first"])
    elif not is_row and _full_name(record["fields"][0]["type"]) != META:
        yield Finding("meta_first", f"{schema.path}: meta", f"is not a {META}")


_RECORD_RULES: Sequence[Callable[[Schema, Mapping[str, Any]], Iterator[Finding]]] = (_naming, _meta_first)


def _full_name(node: object) -> str:
    return f"{node.get('namespace')}.{node.get('name')}" if isinstance(node, dict) else ""


def _metas(schemas: Sequence[Schema]) -> Iterator[Finding]:
    newest = {schema.subject: schema for schema in schemas}
    metas = {
        schema.path: orjson.dumps(field["type"])
        for schema in newest.values()
        for field in schema.parsed()["fields"][:1]
        if field["name"] == "meta"
    }
    if metas:
        usual = Counter(metas.values()).most_common(1)[0][0]
        for path, meta in metas.items():
            if meta != usual:
                yield Finding("meta_differs", f"{path}: meta", "differs from the EventMeta of most other records")


def _fields(schema: Schema) -> Iterator[Finding]:
    """The rules of a record's fields, those of its meta included."""
    record = schema.parsed()
    yield from _record(schema.path, "", record)
    for field in record["fields"][:1]:
        if _looks_like_a_record(field["type"]):
            yield from _record(schema.path, "meta.", field["type"])


def _record(path: str, prefix: str, record: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _described(f"{path}: {prefix or record['name']}", "record", record)
    names = Counter(field["name"] for field in record["fields"])
    for field in record["fields"]:
        where = f"{path}: {prefix}{field['name']}"
        yield from _described(where, "field", field)
        if not _SNAKE.fullmatch(field["name"]) or names[field["name"]] > 1:
            yield Finding("name", where, "is not snake_case, or stands twice")
        if not (field["name"] == "meta" and not prefix and _looks_like_a_record(field["type"])):
            yield from _type(where, record, field["type"])
            yield from _time_and_unit(where, field)


def _described(where: str, sort: str, node: Mapping[str, Any]) -> Iterator[Finding]:
    if not str(node.get("doc", "")).endswith("."):
        yield Finding("doc", where, f"this {sort} has no doc that is a sentence")
    if "aliases" in node:
        yield Finding("alias", where, RULES["alias"])
    for unknown in sorted(node.keys() - _ATTRIBUTES[sort]):
        yield Finding("attribute", where, f"Avro knows no attribute {unknown!r} of a {sort}")


def _time_and_unit(where: str, field: Mapping[str, Any]) -> Iterator[Finding]:
    words = field["name"].split("_")
    is_time = field["type"] == TIMESTAMP
    if is_time != (words[-1] == "ms" and words[-2:-1] in (["at"], ["until"])):
        yield Finding("time", where, RULES["time"])
    if field["type"] in ("int", "long") and (set(words[:-1]) & _UNITS or set(words) & _OTHER_UNITS):
        yield Finding("unit", where, RULES["unit"])


def _type(where: str, record: Mapping[str, Any], node: Any) -> Iterator[Finding]:
    """What the codec reads: primitives, times, JSON text, enums, arrays of primitives, and [null, one of these]."""
    own_names = (record["name"], _full_name(record))
    if isinstance(node, list) and len(node) == 2 and node[0] == "null" and not isinstance(node[1], list):
        yield from _type(where, record, node[1])
    elif isinstance(node, dict) and node.get("type") == "array":
        yield from _array(where, record, node)
    elif isinstance(node, dict):
        yield from _annotated(where, node)
    elif node in own_names:
        yield Finding("recursion", where, f"{node} refers to itself")
    elif not isinstance(node, str) or node not in _PRIMITIVES:
        yield Finding("type", where, f"{orjson.dumps(node).decode()} is not a type that the codec reads")


def _array(where: str, record: Mapping[str, Any], node: Mapping[str, Any]) -> Iterator[Finding]:
    items = node.get("items")
    if isinstance(items, str):
        yield from _type(where, record, items)
    else:
        yield Finding("type", where, "the items of an array are of a primitive type")


def _annotated(where: str, node: Mapping[str, Any]) -> Iterator[Finding]:
    unknown = sorted(node.keys() - _ATTRIBUTES["type"])
    if node.get("type") == "enum":
        if node.get("symbols", [])[:1] != ["UNKNOWN"] or node.get("default") != "UNKNOWN":
            yield Finding("enum", where, RULES["enum"])
    elif node.get("type") not in _PRIMITIVES:
        yield Finding("type", where, f"{orjson.dumps(node).decode()} is not a type that the codec reads")
    elif unknown:
        yield Finding("attribute", where, f"Avro knows no attribute {', '.join(unknown)} of a type")
    elif "mediaType" in node and node != JSON_TEXT:
        yield Finding("media_type", where, RULES["media_type"])
    elif "logicalType" in node and node != TIMESTAMP:
        yield Finding("time", where, f"{node.get('logicalType')} is not the one logical type, timestamp-millis on long")
    elif node not in (JSON_TEXT, TIMESTAMP):
        yield Finding("type", where, f"{orjson.dumps(node).decode()} should be the bare name of the type")
