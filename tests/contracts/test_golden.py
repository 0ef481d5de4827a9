"""What was once on a log is readable for ever, and is still written to the very same bytes."""

import shutil
from pathlib import Path

import orjson
import pytest

from holdfast.schemas.catalog import Schema, newest_by_subject, schemas_by_id
from holdfast.schemas.codec import payload_of
from support import goldens

SCHEMAS = list(schemas_by_id().values())


@pytest.mark.parametrize("schema", SCHEMAS, ids=goldens.stem)
def test_a_stored_record_is_read_and_written_as_ever(schema: Schema) -> None:
    assert goldens.problems(goldens.load(goldens.FOLDER, schema)) == []


def test_every_schema_version_has_a_golden_and_every_golden_a_schema_version() -> None:
    assert {path.name for path in goldens.FOLDER.iterdir()} == goldens.expected_files()


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    return Path(shutil.copytree(goldens.FOLDER, tmp_path / "golden"))


@pytest.mark.parametrize("suffix", ["bin", "json"])
def test_an_edited_golden_is_noticed(suffix: str, copies: Path) -> None:
    schema = SCHEMAS[0]
    path = copies / f"{goldens.stem(schema)}.{suffix}"
    path.write_bytes(path.read_bytes().replace(b"acme", b"acmf", 1))
    assert goldens.problems(goldens.load(copies, schema)) != []


def test_the_bytes_of_another_record_are_noticed(copies: Path) -> None:
    one, other = (copies / f"{goldens.stem(schema)}.bin" for schema in SCHEMAS[:2])
    shutil.copy(other, one)
    assert goldens.problems(goldens.load(copies, SCHEMAS[0])) != []


def test_undecodable_bytes_are_noticed(copies: Path) -> None:
    path = copies / f"{goldens.stem(SCHEMAS[0])}.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert goldens.problems(goldens.load(copies, SCHEMAS[0])) != []


def test_writing_goldens_fills_gaps_and_never_overwrites(copies: Path) -> None:
    gone, kept = (goldens.stem(schema) for schema in list(newest_by_subject().values())[:2])
    (copies / f"{gone}.bin").unlink()
    (copies / f"{gone}.json").unlink()
    (copies / f"{kept}.bin").write_bytes(b"mine")
    assert goldens.write_missing(copies) == [gone]
    assert (copies / f"{kept}.bin").read_bytes() == b"mine"
    assert (copies / f"{gone}.bin").read_bytes() == (goldens.FOLDER / f"{gone}.bin").read_bytes()


@pytest.mark.parametrize("schema", [s for s in SCHEMAS if s.subject.startswith("holdfast.event.")], ids=goldens.stem)
def test_an_event_keeps_the_text_that_its_hash_covers_when_its_record_gains_fields(schema: Schema) -> None:
    written = {field["name"] for field in schema.parsed()["fields"]} - {"meta"}
    assert set(orjson.loads(payload_of(goldens.load(goldens.FOLDER, schema).body))) <= written
