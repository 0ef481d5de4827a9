"""The command line: help with examples, JSON everywhere, errors as sentences, exit codes that mean something."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from holdfast.ops import cli, console
from holdfast.ops.errors import CommandError

HOLDFAST = [sys.executable, "-m", "holdfast.ops.cli"]
# They do not return a result: one becomes a role's process.
WITHOUT_RESULT = {"run"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(typer.main.get_group(cli.build_app())))


@pytest.mark.parametrize("name", ALL)
def test_every_command_shows_an_example(name: str) -> None:
    assert "Example: holdfast " + name in (ALL[name].help or "")


@pytest.mark.parametrize("name", sorted(set(ALL) - WITHOUT_RESULT))
def test_every_command_with_a_result_can_print_json(name: str) -> None:
    assert any("--json" in parameter.opts for parameter in ALL[name].params)


def test_help_works_without_loading_a_client_library() -> None:
    program = (
        "import sys; from holdfast.ops import cli; cli.build_app()\n"
        "heavy = {'faust', 'aiokafka', 'chdb', 'openai', 'pydantic', 'rich.console', 'fastavro'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    result = CliRunner().invoke(cli.build_app(), ["--version"])
    assert result.output == f"holdfast {version('holdfast')}\n"


def test_wrong_use_exits_with_2() -> None:
    assert CliRunner().invoke(cli.build_app(), ["topics", "nonsense"]).exit_code == 2
    assert CliRunner().invoke(cli.build_app(), ["run", "nonsense"]).exit_code == 2


def test_an_error_is_a_sentence_with_its_cure_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> typer.Typer:
        raise CommandError("the well is dry", cure="`holdfast rain`")

    monkeypatch.setattr(cli, "build_app", fail)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == "error: the well is dry\n  try: `holdfast rain`\n"


def test_a_reader_that_leaves_early_causes_no_noise() -> None:
    with subprocess.Popen(
        [*HOLDFAST, "topics", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""


def test_json_is_one_document_whatever_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": 1, "b": ["x"]}]
    console.emit(rows, as_json=True)
    assert json.loads(capsys.readouterr().out) == rows


def test_a_table_into_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit([{"name": "x" * 500, "why": "[brackets] are text"}], table=("name", "why"))
    out = capsys.readouterr().out
    assert "x" * 500 in out
    assert "[brackets] are text" in out


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    console.emit([], table=("name",))
    assert capsys.readouterr().out == "nothing\n"
