"""`holdfast definitions diff` over files: text, JSON, mistakes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from holdfast.ops.cli import build_app
from holdfast.ops.errors import CommandError

OLD = """
name: test
deadline: 1h
start: hear
steps:
  hear: {kind: wait, event: told, timeout: 1h, next: done}
  done: {kind: succeed}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HOLDFAST_BOOTSTRAP", raising=False)
    texts = {
        "old": OLD,
        "new": OLD.replace("timeout: 1h", "timeout: 2h"),
        "wrong": OLD.replace("next: done", "next: gone"),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def diff(folder: Path, old: str, new: str, *more: str) -> Result:
    return CliRunner().invoke(build_app(), ["definitions", "diff", str(folder / old), str(folder / new), *more])


def test_files_are_compared_without_a_project(folder: Path) -> None:
    result = diff(folder, "old.yaml", "new.yaml")
    assert result.exit_code == 0
    assert "step hear\n  ~ timeout  1h -> 2h  moved workflows, when they enter the step\n" in result.stdout
    assert "they say the same" in diff(folder, "old.yaml", "old.yaml").stdout


def test_json_has_every_difference_and_both_versions(folder: Path) -> None:
    told = json.loads(diff(folder, "old.yaml", "new.yaml", "--json").stdout)
    assert told["old"]["name"] == "test"
    assert told["old"]["definition_hash"] != told["new"]["definition_hash"]
    assert told["differences"] == [
        {
            "step": "hear",
            "path": "timeout",
            "exit": False,
            "change": "changed",
            "old": 3_600_000,
            "new": 7_200_000,
            "reach": "visits",
            "reach_text": "moved workflows, when they enter the step",
        }
    ]


def test_a_file_with_mistakes_is_not_compared(folder: Path) -> None:
    result = diff(folder, "old.yaml", "wrong.yaml")
    assert isinstance(result.exception, CommandError)
    assert "wrong.yaml:6:" in result.stderr
    assert "error no_such_step" in result.stderr


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    result = diff(folder, "old.yaml", "none.yaml")
    assert "there is no file" in str(result.exception)
