"""What may change between two versions of a record, and what may not. Every rule is proved to fire."""

import json
import sys
from typing import Any

import pytest

from holdfast.schemas import compatibility, lint
from holdfast.schemas.catalog import AVRO, Schema, read
from support import tiny
from support.tiny import JSON_TEXT, TIME, Node, field, record

MOOD = {"type": "enum", "name": "Mood", "symbols": ["UNKNOWN", "GOOD"], "default": "UNKNOWN"}
STEP = field("step")


def pair(old: list[Node], new: list[Node]) -> list[Schema]:
    return tiny.versions(record("ThingDone", *old), record("ThingDone", *new))


def mood(**changes: Any) -> list[Node]:
    return [field("mood", {**MOOD, **changes})]


def other_meta(*fields: Node) -> list[Schema]:
    newer = record("ThingDone", STEP)
    newer["fields"][0]["type"]["fields"] += fields
    return tiny.versions(record("ThingDone", STEP), newer)


# rules that fire; the two versions
REFUSED: list[tuple[set[str], str, list[Schema]]] = [
    ({"field_removed"}, "a field with a default removed", pair([STEP, field("more", default="")], [STEP])),
    ({"field_removed", "incompatible"}, "a field removed", pair([STEP, field("more")], [STEP])),
    (
        {"field_removed", "field_without_default", "incompatible"},
        "a field renamed",
        pair([STEP, field("reason")], [STEP, field("cause")]),
    ),
    ({"field_moved"}, "two fields swapped", pair([STEP, field("kind")], [field("kind"), STEP])),
    ({"field_moved"}, "a new field in front", pair([STEP], [field("kind", default=""), STEP])),
    ({"field_without_default", "incompatible"}, "a field added without a default", pair([STEP], [STEP, field("kind")])),
    ({"default_changed"}, "another default", pair([field("step", default="a")], [field("step", default="b")])),
    ({"default_changed"}, "a default that went", pair([field("step", default="a")], [STEP])),
    ({"default_changed"}, "a default that came", pair([STEP], [field("step", default="a")])),
    ({"type_changed", "incompatible"}, "a wider type", pair([field("turn", "int")], [field("turn", "long")])),
    ({"type_changed"}, "bytes for a string", pair([field("key")], [field("key", "bytes")])),
    ({"type_changed", "incompatible"}, "null allowed", pair([STEP], [field("step", ["null", "string"])])),
    (
        {"type_changed", "incompatible"},
        "other items",
        pair([field("of", {"type": "array", "items": "int"})], [field("of", {"type": "array", "items": "string"})]),
    ),
    (
        {"logical_type_changed"},
        "micros for millis, which Avro lets pass",
        pair([field("due_at_ms", TIME)], [field("due_at_ms", {"type": "long", "logicalType": "timestamp-micros"})]),
    ),
    ({"logical_type_changed"}, "a time for a number", pair([field("at", "long")], [field("at", TIME)])),
    ({"logical_type_changed"}, "JSON for text, which Avro lets pass", pair([STEP], [field("step", JSON_TEXT)])),
    ({"renamed", "incompatible"}, "another name of an enum", pair(mood(), mood(name="Feeling"))),
    ({"symbol_removed"}, "a symbol removed", pair(mood(), mood(symbols=["UNKNOWN"]))),
    ({"symbol_removed"}, "symbols swapped", pair(mood(), mood(symbols=["GOOD", "UNKNOWN"]))),
    ({"not_avro"}, "a type that Avro does not know", pair([STEP], [STEP, field("x", "Nowhere", default="")])),
    ({"field_without_default", "incompatible"}, "a field of the meta without a default", other_meta(field("run"))),
]

ALLOWED: list[tuple[str, list[Schema]]] = [
    ("nothing changed but a doc", pair([STEP], [{**STEP, "doc": "Another sentence."}])),
    ("a field added with a default", pair([STEP], [STEP, field("kind", default="")])),
    ("JSON added with a default", pair([STEP], [STEP, field("body", JSON_TEXT, default="null")])),
    ("a symbol added", pair(mood(), mood(symbols=["UNKNOWN", "GOOD", "BAD"]))),
    ("a field of the meta added with a default", other_meta(field("run", default=""))),
]


@pytest.mark.parametrize(
    ("rules", "schemas"), [pytest.param(rules, schemas, id=what) for rules, what, schemas in REFUSED]
)
def test_a_change_that_readers_cannot_bear_is_found(rules: set[str], schemas: list[Schema]) -> None:
    findings = compatibility.check(schemas)
    assert {finding.rule for finding in findings} == rules, findings


@pytest.mark.parametrize("schemas", [pytest.param(schemas, id=what) for what, schemas in ALLOWED])
def test_a_change_that_readers_can_bear_is_allowed(schemas: list[Schema]) -> None:
    assert compatibility.check(schemas) == []


def test_every_rule_is_proved_to_fire() -> None:
    assert set.union(*(rules for rules, _, _ in REFUSED)) == set(compatibility.RULES)


def test_the_newest_version_is_compared_with_every_older_one_and_not_with_the_last_alone() -> None:
    first, second = record("ThingDone", STEP), record("ThingDone", STEP, field("kind", default="a"))
    third = record("ThingDone", STEP, field("kind", default="a"), field("more", default=""))
    assert compatibility.check(tiny.versions(first, second, third)) == []
    back_to_first = record("ThingDone", STEP, field("other", default=""))
    findings = compatibility.check(tiny.versions(first, second, back_to_first))
    assert {finding.rule for finding in findings} == {"field_removed"}
    assert all("against version 2" in finding.where for finding in findings)


def test_rules_of_lint_and_of_compatibility_have_different_names() -> None:
    assert not set(lint.RULES) & set(compatibility.RULES)


def test_the_committed_versions_are_compatible() -> None:
    assert compatibility.check(read(AVRO)) == []


def test_a_missing_checker_is_said_and_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "avro.compatibility", None)
    with pytest.raises(compatibility.CheckerMissingError, match="avro"):
        compatibility.check(tiny.versions(record()))


def test_an_avro_reader_of_the_old_version_reads_what_the_new_one_writes_and_the_other_way_round() -> None:
    """The rules against real data: what is allowed above resolves in another Avro implementation."""
    import io

    from fastavro import parse_schema, schemaless_reader, schemaless_writer

    old, new = (json.loads(schema.text) for schema in pair([STEP], [STEP, field("kind", default="plain")]))
    meta = {"event_id": "e", "occurred_at_ms": 5}
    for writer, reader, values in (
        (old, new, {"meta": meta, "step": "s"}),
        (new, old, {"meta": meta, "step": "s", "kind": "k"}),
    ):
        buffer = io.BytesIO()
        schemaless_writer(buffer, parse_schema(writer), values)
        buffer.seek(0)
        read_back: Any = schemaless_reader(buffer, parse_schema(writer), parse_schema(reader))
        assert read_back.get("kind") == ("plain" if reader is new else None)
