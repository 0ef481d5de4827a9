"""`holdfast schemas` as a person runs it, on a copy of the source tree."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.schemas.catalog import newest_by_subject, schemas_by_id
from support.tidy import PORTIONS, ROOT

AVRO = "schemas/holdfast/schemas/avro"
NEWEST = newest_by_subject()["holdfast.event.v1.StepStarted"]
STEP_STARTED = f"{AVRO}/{NEWEST.path}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree of the test's own."""
    for portion in PORTIONS:
        shutil.copytree(ROOT / portion / "holdfast", tmp_path / portion / "holdfast")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / portion) for portion in PORTIONS)}
    command = [sys.executable, "-m", "holdfast.ops.cli", "schemas", *arguments]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_check_is_content_with_what_is_committed(tree: Path) -> None:
    result = run(tree, "check")
    assert (result.returncode, result.stdout) == (0, f"{len(schemas_by_id())} schemas keep all rules\n")


def test_check_fails_on_an_edited_version_and_says_which(tree: Path) -> None:
    path = tree / STEP_STARTED
    path.write_text(path.read_text(encoding="utf-8").replace('"visit"', '"visits"'), encoding="utf-8")
    result = run(tree, "check", "--json")
    assert result.returncode == 1
    [finding] = json.loads(result.stdout)
    assert finding["rule"] == "file_edited"
    assert finding["where"] == NEWEST.path
    assert "file_edited" in run(tree, "check").stdout


def test_check_says_that_a_manifest_cannot_be_read(tree: Path) -> None:
    (tree / AVRO / "catalog.json").write_text("[")
    result = run(tree, "check")
    assert result.returncode == 1
    assert result.stderr.startswith("error: catalog.json cannot be read")


def test_add_makes_the_next_version_and_refuses_to_make_it_twice(tree: Path) -> None:
    record = json.loads((tree / STEP_STARTED).read_text(encoding="utf-8"))
    record["fields"].append({"name": "reason", "type": "string", "doc": "Why it was entered.", "default": ""})
    draft = tree / "draft.avsc"
    draft.write_text(json.dumps(record), encoding="utf-8")

    added = run(tree, "add", str(draft), "--json")
    assert added.returncode == 0, added.stderr
    [row] = json.loads(added.stdout)
    version = NEWEST.version + 1
    assert (row["version"], row["path"]) == (version, f"events/StepStarted.{version}.avsc")
    assert (
        run(tree, "show", "StepStarted", "--version", str(version)).stdout == draft.read_text(encoding="utf-8") + "\n"
    )

    again = run(tree, "add", str(draft))
    assert again.returncode == 1
    assert "unchanged" in again.stdout
    assert "nothing was added" in again.stderr


def test_list_and_show_answer_in_json() -> None:
    rows = json.loads(run(ROOT, "list", "--json").stdout)
    assert {"id": 6, "version": 1, "record": "holdfast.event.v1.StepStarted"} in rows
    shown = json.loads(run(ROOT, "show", "StepStarted", "--json").stdout)
    assert (shown["id"], shown["topics"], shown["schema"]["name"]) == (NEWEST.id, ["journal"], "StepStarted")


def test_show_names_its_cure_when_there_is_no_such_record() -> None:
    result = run(ROOT, "show", "Nothing")
    assert result.returncode == 1
    assert "holdfast schemas list" in result.stderr


def test_asyncapi_is_written_into_the_tree(tree: Path) -> None:
    assert run(tree, "asyncapi", "--write").returncode == 0
    committed = (ROOT / "schemas" / "asyncapi.yaml").read_text(encoding="utf-8")
    assert (tree / "schemas" / "asyncapi.yaml").read_text(encoding="utf-8") == committed
    assert run(tree, "asyncapi").stdout == committed


def test_wrong_use_is_told_apart_from_refusal() -> None:
    assert run(ROOT, "add").returncode == 2
    assert run(ROOT, "nonsense").returncode == 2
