"""`holdfast content`: files in, references out, and what is said about mistakes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from holdfast.ops.cli import build_app
from holdfast.ops.errors import CommandError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    (tmp_path / "lines.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "bad.jsonl").write_text("1\nnot json\n")
    (tmp_path / "raw").write_bytes(b"\xff\x00")
    return tmp_path


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(build_app(), ["content", *arguments], input=stdin)


def told(*arguments: str, stdin: str = "") -> Any:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def test_a_file_of_json_lines_is_kept_and_its_reference_is_one_line(folder: Path) -> None:
    reference = told("put", "lines.jsonl")
    assert (reference["bytes"], reference["lines"]) == (18, 2)
    assert run("put", "lines.jsonl").stdout.count("\n") == 1
    assert told("put", "lines.jsonl", "--json") == reference
    assert told("put", "-", stdin='{"n": 1}\n{"n": 2}\n') == reference
    assert told("show", reference["content"], "--json") == reference
    assert run("get", json.dumps(reference)).stdout == (folder / "lines.jsonl").read_text()
    assert (folder / "home" / "data" / "content").is_dir()


def test_any_bytes_are_kept_if_asked_for() -> None:
    reference = told("put", "raw", "--raw")
    assert reference.keys() == {"content", "bytes"}
    assert told("get", reference["content"], "--json") == {**reference, "base64": "/wA="}
    shown = run("show", reference["content"], "--json")
    assert json.loads(shown.stdout) == reference
    assert "not JSON lines: line 1 is not JSON" in shown.stderr


def test_the_store_is_where_the_settings_say(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CONTENT_URL", (folder / "elsewhere").as_uri())
    told("put", "lines.jsonl")
    assert list((folder / "elsewhere").rglob("*"))
    assert not (folder / "home").exists()


MISTAKES = [
    # what is typed, what is said
    (("put", "nowhere.jsonl"), "cannot read nowhere.jsonl"),
    (("put", "bad.jsonl"), "content_not_json_lines: line 2 is not JSON: invalid literal, expected 'null' at column 1"),
    (("get", "sha256:12"), "is no reference to content"),
    (("get", '{"content": "x"}'), "is no reference to content"),
    (("show", f"sha256:{'1' * 64}"), "content_missing: the content store has no"),
]


@pytest.mark.parametrize(("typed", "said"), MISTAKES)
def test_a_mistake_is_a_sentence_with_its_cure(typed: tuple[str, ...], said: str) -> None:
    error = run(*typed).exception
    assert isinstance(error, CommandError)
    assert said in str(error)
    assert error.cure


def test_a_url_that_names_no_store_is_a_sentence_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_CONTENT_URL", "nope://x")
    error = run("put", "lines.jsonl").exception
    assert isinstance(error, CommandError)
    assert "names no content store" in str(error)
    assert "HOLDFAST_CONTENT_URL" in error.cure
