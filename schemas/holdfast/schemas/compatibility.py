"""What may differ between the versions of one subject: full transitive compatibility, and our own, narrower rules.

Narrower because a log is read for years, by clients that never resolve schemas: a field is only ever added, at the
end and with a default; nothing is removed, renamed, retyped, or given another default or logical type.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from holdfast.schemas.catalog import Schema
from holdfast.schemas.lint import Finding

RULES: Mapping[str, str] = {
    "not_avro": "A schema can be read by Avro's reference implementation.",
    "incompatible": "The newest version reads what every older one wrote, and the other way round.",
    "field_removed": "A field is never removed or renamed.",
    "field_moved": "New fields stand last; the order of the others never changes.",
    "field_without_default": "A field that is added has a default.",
    "default_changed": "A default never changes or goes.",
    "type_changed": "A type never changes, not even to a wider one.",
    "logical_type_changed": "A logical or media type never changes: Avro would read wrong values without an error.",
    "renamed": "The name and the namespace of a nested type never change.",
    "symbol_removed": "Symbols of an enum are only added, at the end.",
}
_UNSET = object()
_ANNOTATIONS = ("logicalType", "mediaType")


class CheckerMissingError(Exception):
    """Avro's reference implementation, which only development needs, is not installed."""


def check(schemas: Sequence[Schema]) -> list[Finding]:
    """Compares the newest version of each subject with every older one.

    The schemas must have passed `lint.check`. Raises CheckerMissingError.
    """
    return [
        *(finding for schema in schemas for finding in _parses(schema)),
        *(
            finding
            for versions in _by_subject(schemas)
            for older in versions[:-1]
            for finding in compare(older, versions[-1])
        ),
    ]


def compare(older: Schema, newer: Schema) -> list[Finding]:
    """The rules that a newer version breaks towards an older one. Raises CheckerMissingError."""
    where = f"{newer.path} against version {older.version}"
    return [*_evolution(where, older.parsed(), newer.parsed()), *_resolution(where, older, newer)]


def _by_subject(schemas: Sequence[Schema]) -> Iterator[list[Schema]]:
    ordered = sorted(schemas, key=lambda schema: (schema.subject, schema.version))
    for _, versions in groupby(ordered, key=lambda schema: schema.subject):
        yield list(versions)


def _avro() -> Any:
    try:  # a dependency of development only
        import avro.compatibility
        import avro.schema
    except ImportError as exc:
        raise CheckerMissingError("checking compatibility needs the package `avro` of the dev group") from exc
    return avro


def _parses(schema: Schema) -> Iterator[Finding]:
    avro = _avro()
    try:
        avro.schema.parse(schema.text)
    except avro.errors.AvroException as exc:
        yield Finding("not_avro", schema.path, str(exc))


def _resolution(where: str, older: Schema, newer: Schema) -> Iterator[Finding]:
    avro = _avro()
    try:
        pair = [avro.schema.parse(schema.text) for schema in (older, newer)]
    except avro.errors.AvroException:
        return  # reported as not_avro
    for reader, writer, what in ((*reversed(pair), "cannot read what it wrote"), (*pair, "could not read it")):
        result = avro.compatibility.ReaderWriterCompatibilityChecker().get_compatibility(reader=reader, writer=writer)
        if result.compatibility != avro.compatibility.SchemaCompatibilityType.compatible:
            reasons = ", ".join(getattr(reason, "value", str(reason)) for reason in result.incompatibilities)
            yield Finding("incompatible", where, f"{what}: {reasons}")


def _evolution(where: str, older: Mapping[str, Any], newer: Mapping[str, Any]) -> Iterator[Finding]:
    """Compares two records field by field, nested ones too."""
    old = {field["name"]: field for field in older["fields"]}
    new = {field["name"]: field for field in newer["fields"]}
    if _name(older) != _name(newer):
        yield Finding("renamed", where, f"{_name(older)} became {_name(newer)}")
    for name in old.keys() - new.keys():
        yield Finding("field_removed", f"{where}: {name}", RULES["field_removed"])
    if [name for name in old if name in new] != list(new)[: len(old.keys() & new.keys())]:
        yield Finding("field_moved", where, RULES["field_moved"])
    for name in new.keys() - old.keys():
        if "default" not in new[name]:
            yield Finding("field_without_default", f"{where}: {name}", RULES["field_without_default"])
    for name in [name for name in old if name in new]:
        yield from _field(f"{where}: {name}", old[name], new[name])


def _field(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
    if old.get("default", _UNSET) != new.get("default", _UNSET):
        yield Finding("default_changed", where, RULES["default_changed"])
    yield from _type(where, old["type"], new["type"])


def _type(where: str, old: Any, new: Any) -> Iterator[Finding]:
    if _shape(old) != _shape(new):
        yield Finding("type_changed", where, f"{json.dumps(_shape(old))} became {json.dumps(_shape(new))}")
    elif _annotations(old) != _annotations(new):
        yield Finding("logical_type_changed", where, f"{json.dumps(old)} became {json.dumps(new)}")
    elif _shape(old) == "record":
        yield from _evolution(where, old, new)
    elif _shape(old) == "enum":
        yield from _enum(where, old, new)


def _enum(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Finding]:
    if _name(old) != _name(new):
        yield Finding("renamed", where, f"{_name(old)} became {_name(new)}")
    if new["symbols"][: len(old["symbols"])] != old["symbols"]:
        yield Finding("symbol_removed", where, RULES["symbol_removed"])


def _name(node: Mapping[str, Any]) -> str:
    return f"{node.get('namespace', '')}.{node['name']}"


def _shape(node: Any) -> Any:
    """A type without its annotations; records and enums by their sort only, their insides are compared apart."""
    if isinstance(node, list):
        return [_shape(branch) for branch in node]
    if not isinstance(node, dict):
        return node
    return {"array": _shape(node["items"])} if node["type"] == "array" else node["type"]


def _annotations(node: Any) -> Any:
    if isinstance(node, list):
        return [_annotations(branch) for branch in node]
    if not isinstance(node, dict):
        return []
    return [node.get(name) for name in _ANNOTATIONS]
