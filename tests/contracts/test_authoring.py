"""Adding records to a catalogue, and refusing to."""

import json
from pathlib import Path

import pytest

from holdfast.schemas import authoring
from holdfast.schemas.catalog import AVRO, MANIFEST, CatalogError, by_id, read
from support import tiny
from support.tiny import field, record

FIRST = record("ThingDone", field("step"))
SECOND = record("ThingDone", field("step"), field("kind", default=""))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tiny.write(
        tmp_path, [*tiny.versions(FIRST), tiny.entry(2, "tasks/DoThing.1.avsc", record("DoThing", kind="task"))]
    )


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_changed_record_becomes_the_next_version_with_the_next_free_id(root: Path) -> None:
    before = contents(root)
    [added] = authoring.add(root, [json.dumps(SECOND)])
    assert (added.id, added.version, added.path) == (3, 2, "events/ThingDone.2.avsc")
    assert by_id(read(root))[3] == added
    assert authoring.check(root) == []
    assert {path: data for path, data in contents(root).items() if path in before and path != MANIFEST} == {
        path: data for path, data in before.items() if path != MANIFEST
    }


def test_a_new_record_begins_with_version_1(root: Path) -> None:
    [added] = authoring.add(root, [json.dumps(record("OtherDone"))])
    assert (added.id, added.version, added.path) == (3, 1, "events/OtherDone.1.avsc")


def test_several_records_are_added_together_or_not_at_all(root: Path) -> None:
    before = contents(root)
    with pytest.raises(authoring.RefusedError):
        authoring.add(root, [json.dumps(SECOND), json.dumps(record("ThingGone", {"name": "x", "type": "string"}))])
    assert contents(root) == before
    added = authoring.add(root, [json.dumps(SECOND), json.dumps(record("OtherDone"))])
    assert [schema.id for schema in added] == [3, 4]


def test_a_new_meta_is_added_to_all_records_together(root: Path) -> None:
    thing, do_thing = record("ThingDone", field("step")), record("DoThing", kind="task")
    for node in (thing, do_thing):
        node["fields"][0]["type"]["fields"].append(field("run", default=""))
    with pytest.raises(authoring.RefusedError) as refused:
        authoring.add(root, [json.dumps(thing)])
    assert {finding.rule for finding in refused.value.findings} == {"meta_differs"}
    assert len(authoring.add(root, [json.dumps(thing), json.dumps(do_thing)])) == 2


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "unreadable"),
        ("[]", "unreadable"),
        ('"text"', "unreadable"),
        ('{"type": "record", "name": "X", "namespace": 7}', "unreadable"),
        ('{"type": "record", "name": "X", "namespace": "elsewhere"}', "unreadable"),
        (json.dumps(record("X", kind="idea")), "unreadable"),
        (json.dumps({**record(), "name": "../../../Escaped"}), "name"),
        (json.dumps(FIRST), "unchanged"),
        (json.dumps(record("ThingDone", field("step"), field("kind"))), "field_without_default"),
        (json.dumps(record("ThingDone", field("kind", default=""))), "field_removed"),
        (json.dumps(record("OtherDone", field("price", "double"))), "type"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_nothing_is_written(text: str, rule: str, root: Path) -> None:
    before = contents(root)
    with pytest.raises(authoring.RefusedError) as refused:
        authoring.add(root, [text])
    assert rule in {finding.rule for finding in refused.value.findings}
    assert contents(root) == before


def test_a_draft_may_lie_where_it_will_stand(root: Path) -> None:
    (root / "events/ThingDone.2.avsc").write_text(json.dumps(SECOND))
    authoring.add(root, [json.dumps(SECOND)])
    assert authoring.check(root) == []


def test_another_file_in_that_place_is_not_overwritten(root: Path) -> None:
    (root / "events/ThingDone.2.avsc").write_text("mine")
    with pytest.raises(authoring.RefusedError, match="another, unlisted file"):
        authoring.add(root, [json.dumps(SECOND)])
    assert (root / "events/ThingDone.2.avsc").read_text() == "mine"


def test_an_edited_version_stops_every_start(root: Path) -> None:
    path = root / "events/ThingDone.1.avsc"
    path.write_text(path.read_text().replace("step", "stop"))
    with pytest.raises(CatalogError, match="add a new version instead of editing it"):
        by_id(read(root))
    assert {finding.rule for finding in authoring.check(root)} == {"file_edited"}


def test_an_id_given_twice_stops_every_start(tmp_path: Path) -> None:
    twice = [*tiny.versions(FIRST), tiny.entry(1, "tasks/DoThing.1.avsc", record("DoThing", kind="task"))]
    with pytest.raises(CatalogError, match="given twice"):
        by_id(read(tiny.write(tmp_path, twice)))


def test_the_committed_manifest_is_written_as_add_would_write_it() -> None:
    assert authoring.manifest_text(read(AVRO)) == (AVRO / MANIFEST).read_text(encoding="utf-8")
