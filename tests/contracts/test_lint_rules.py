"""Every rule of `schemas.lint` fires on a small catalogue that breaks it, and on nothing else."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.schemas import lint
from holdfast.schemas.catalog import AVRO, MANIFEST, CatalogError, Schema
from support import tiny
from support.tiny import Node, entry, field, record

Break = Callable[[Path], None]


def catalogue(*schemas: Schema) -> Break:
    return lambda root: void(tiny.write(root, schemas))


def void(_: Any) -> None:
    return None


def with_field(node: Node) -> Break:
    return catalogue(*tiny.versions(record("ThingDone", node)))


def with_record(**changes: Any) -> Break:
    return catalogue(entry(1, "events/ThingDone.1.avsc", {**record(), **changes}))


def then(first: Break, second: Break) -> Break:
    def both(root: Path) -> None:
        first(root)
        second(root)

    return both


GOOD = tiny.versions(record())
ENUM = {"type": "enum", "name": "Mood", "symbols": ["UNKNOWN", "GOOD"], "default": "UNKNOWN", "doc": "How it feels."}
OTHER_META = record("OtherDone")
OTHER_META["fields"][0]["type"]["fields"].append(field("tenant"))

BROKEN: list[tuple[str, str, Break]] = [
    ("ids", "an id left out", catalogue(replace(GOOD[0], id=2))),
    ("ids", "an id given twice", catalogue(*GOOD, entry(1, "events/OtherDone.1.avsc", record("OtherDone")))),
    ("versions", "a version left out", catalogue(entry(1, "events/ThingDone.2.avsc", record(), version=2))),
    ("file_missing", "a file removed", then(catalogue(*GOOD), lambda root: (root / GOOD[0].path).unlink())),
    (
        "file_unlisted",
        "a file nobody lists",
        then(catalogue(*GOOD), lambda r: void((r / "events/X.1.avsc").write_text(""))),
    ),
    (
        "file_edited",
        "a committed version edited",
        then(catalogue(*GOOD), lambda r: void((r / GOOD[0].path).write_text(GOOD[0].text.replace("step", "stop")))),
    ),
    ("path", "another folder", catalogue(entry(1, "reports/ThingDone.1.avsc", record()))),
    ("path", "another version in the name", catalogue(entry(1, "events/ThingDone.2.avsc", record()))),
    ("unreadable", "not JSON", catalogue(entry(1, "events/X.1.avsc", "{"))),
    ("unreadable", "not a record", catalogue(entry(1, "events/X.1.avsc", '{"type": "enum", "name": "X"}'))),
    ("unreadable", "fields without a type", with_record(fields=[{"name": "step"}])),
    ("namespace", "an unknown kind", catalogue(entry(1, "events/ThingDone.1.avsc", record(kind="idea")))),
    ("namespace", "no major version", with_record(namespace="holdfast.event")),
    ("type", "an annotation that says nothing", with_field(field("step", {"type": "string"}))),
    (
        "namespace",
        "another subject in the manifest",
        catalogue(entry(1, "events/ThingDone.1.avsc", record(), subject="holdfast.event.v1.OtherDone")),
    ),
    ("name", "a record in lower case", catalogue(*tiny.versions(record("thing_done")))),
    ("name", "a field in camel case", with_field(field("nextStep"))),
    ("name", "a field twice", catalogue(*tiny.versions(record("ThingDone", field("step"), field("step"))))),
    ("doc", "a record without a doc", with_record(doc="")),
    ("doc", "a field without a doc", with_field({"name": "step", "type": "string"})),
    ("doc", "a doc that is no sentence", with_field({"name": "step", "type": "string", "doc": "step"})),
    ("attribute", "a misspelt default", with_field(field("step", defualt="x"))),
    ("attribute", "a misspelt logical type", with_field(field("step", {"type": "string", "logicaltype": "uuid"}))),
    ("attribute", "an attribute of the record", with_record(namespce="x")),
    ("alias", "an alias of a field", with_field(field("step", aliases=["phase"]))),
    ("alias", "an alias of a record", with_record(aliases=["ThingWasDone"])),
    ("meta_first", "no meta", with_record(fields=[field("step")])),
    ("meta_first", "meta in second place", with_record(fields=[field("step"), tiny.meta()])),
    ("meta_first", "meta that is no record", with_record(fields=[field("meta"), field("step")])),
    ("meta_first", "a row with a meta", catalogue(entry(1, "state/ThingRow.1.avsc", record("ThingRow", kind="state")))),
    ("meta_differs", "two kinds of meta", catalogue(*GOOD, entry(2, "events/OtherDone.1.avsc", OTHER_META))),
    ("type", "a float", with_field(field("price", "double"))),
    ("type", "a map", with_field(field("labels", {"type": "map", "values": "string"}))),
    ("type", "a union of many", with_field(field("step", ["null", "string", "long"]))),
    ("type", "JSON in an array", with_field(field("steps", {"type": "array", "items": tiny.JSON_TEXT}))),
    ("type", "a nested record", with_field(field("step", tiny.meta()["type"]))),
    ("type", "the name of a type that nobody gave", with_field(field("step", "Nowhere"))),
    ("recursion", "a record in itself", with_field(field("step", "ThingDone"))),
    (
        "recursion",
        "a record in itself, by its full name",
        with_field(field("step", ["null", "holdfast.event.v1.ThingDone"])),
    ),
    ("media_type", "another media type", with_field(field("page", {"type": "string", "mediaType": "text/html"}))),
    ("media_type", "JSON as bytes", with_field(field("body", {"type": "bytes", "mediaType": "application/json"}))),
    ("time", "micros", with_field(field("due_at_ms", {"type": "long", "logicalType": "timestamp-micros"}))),
    ("time", "a time by another name", with_field(field("due_ms", tiny.TIME))),
    ("time", "a plain number by the name of a time", with_field(field("due_at_ms", "long"))),
    ("time", "a date", with_field(field("due_on", {"type": "int", "logicalType": "date"}))),
    ("unit", "a unit in front", with_field(field("tokens_input", "long"))),
    ("unit", "another unit", with_field(field("timeout_seconds", "long"))),
    ("enum", "no first UNKNOWN", with_field(field("mood", {**ENUM, "symbols": ["GOOD", "UNKNOWN"]}))),
    ("enum", "no default", with_field(field("mood", {k: v for k, v in ENUM.items() if k != "default"}))),
]


@pytest.mark.parametrize(
    ("rule", "broken"),
    [pytest.param(rule, broken, id=f"{rule}: {what}") for rule, what, broken in BROKEN],
)
def test_a_broken_rule_is_found_and_nothing_else_is(rule: str, broken: Break, tmp_path: Path) -> None:
    broken(tmp_path)
    findings = lint.check_folder(tmp_path)
    assert {finding.rule for finding in findings} == {rule}, findings
    assert all(finding.where and finding.message for finding in findings)


def test_every_rule_is_proved_to_fire() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(lint.RULES)


@pytest.mark.parametrize(
    "node",
    [
        field("retryable", "boolean"),
        field("digest", "bytes"),
        field("mood", ENUM),
        field("body", tiny.JSON_TEXT),
        field("roles", {"type": "array", "items": "string"}),
        field("cost_microusd", "long"),
        field("input_tokens", "long"),
        field("lease_until_ms", tiny.TIME),
        field("parent", ["null", "string"], default=None),
    ],
    ids=lambda node: node["name"],
)
def test_a_good_catalogue_has_no_findings(node: Node, tmp_path: Path) -> None:
    with_field(node)(tmp_path)
    assert lint.check_folder(tmp_path) == []


def test_the_committed_catalogue_keeps_all_rules() -> None:
    assert lint.check_folder(Path(str(AVRO))) == []


@pytest.mark.parametrize("text", ["", "{}", '[{"id": 1}]', "[1]", '[{"id": 1, "subject": "x", "more": 1}]'])
def test_a_manifest_that_is_no_list_of_entries_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CatalogError):
        lint.check_folder(tmp_path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError):
        lint.check_folder(tmp_path)
