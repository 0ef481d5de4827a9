"""`holdfast graph FILE`: needs no broker and no project, and draws what can be drawn."""

import contextlib
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner, Result

from holdfast.ops import cli
from holdfast.ops.errors import CommandError

EXAMPLE = Path(__file__).parents[2] / "ops" / "examples" / "support_ticket" / "workflow.yaml"
HALF_DONE = """
name: half-done
deadline: 1h
start: ask
steps:
  ask: {kind: tool, tool: not_written_yet, arguments: {of: "${input.x +}"}, next: go}
  go: {kind: child, definition: not-published-yet, timeout: 1h, next: end}
  end: {kind: succeed}
"""


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))


def graph(*arguments: str) -> Result:
    return CliRunner().invoke(cli.build_app(), ["graph", *arguments])


def test_a_file_is_drawn_in_the_terminal() -> None:
    result = graph(str(EXAMPLE))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "support-ticket"
    assert "│ approval by support-lead, 2d │" in result.stdout
    assert "rejected, timeout" in result.stdout
    assert not [line for line in result.stdout.splitlines() if line != line.rstrip()]


def test_a_terminal_that_is_too_narrow_cuts_lines_and_says_so() -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 100, 40, 0, 0))
    # Given whole: libraries set COLUMNS in the process beside Python's own view of its environment.
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    command = [sys.executable, "-m", "holdfast.ops.cli", "graph", str(EXAMPLE)]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(theirs)
        printed = b"".join(chunks(ours)).decode()
        assert process.stderr
        assert process.stderr.read() == "the picture is 56 columns wide: `| less -S` or --svg FILE shows all of it\n"
    os.close(ours)
    lines = re.sub("\x1b\\[[0-9;]*m", "", printed).splitlines()
    assert max(map(len, lines)) == 40
    assert "    ┌───────────────────────────┐" in lines
    assert any(line.endswith("…") for line in lines)


def chunks(terminal: int) -> Iterator[bytes]:
    """What a program prints, until it has left the terminal."""
    with contextlib.suppress(OSError):
        while chunk := os.read(terminal, 65_536):
            yield chunk


def test_a_file_is_drawn_as_svg_into_a_file_or_to_standard_output() -> None:
    result = graph(str(EXAMPLE), "--svg", "picture.svg")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "the picture is in picture.svg\n")
    picture = Path("picture.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(picture)[0].text == "support-ticket"
    assert graph(str(EXAMPLE), "--svg", "-").stdout == picture


def test_a_file_as_json_has_its_steps_and_ways_and_no_hash_yet() -> None:
    told = json.loads(graph(str(EXAMPLE), "--json").stdout)
    assert (told["definition_name"], told["definition_hash"], told["workflow_id"]) == ("support-ticket", "", "")
    assert [step["step"] for step in told["steps"]][:3] == ["triage", "load_ticket", "ask"]
    assert {"from": "approve", "to": "give_up", "when": ["rejected", "timeout"], "taken": 0} in told["ways"]


def test_json_and_svg_do_not_share_standard_output() -> None:
    result = graph(str(EXAMPLE), "--svg", "-", "--json")
    assert (result.exit_code, "both need standard output" in result.stderr) == (2, True)


def test_a_definition_is_drawn_before_its_tools_children_and_expressions_exist() -> None:
    Path("half.yaml").write_text(HALF_DONE, encoding="utf-8")
    result = graph("half.yaml")
    assert result.exit_code == 0, result.output
    assert "tool not_written_yet" in result.stdout
    assert "child not-published-yet" in result.stdout


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("next: end", "next: nowhere", "bad.yaml:7:65: steps.go.next: there is no step 'nowhere'"),
        ("next: go", "next: ask", "bad.yaml:7:3: steps.go: no path from the start leads here"),
        ("kind: child", "kind: chidl", "bad.yaml:7:3: steps.go: Input tag 'chidl'"),
        ("start: ask", "start: [", "bad.yaml:6:6: definition: not YAML"),
    ],
)
def test_what_cannot_be_drawn_says_where_and_why(old: str, new: str, said: str) -> None:
    Path("bad.yaml").write_text(HALF_DONE.replace(old, new), encoding="utf-8")
    result = graph("bad.yaml")
    assert isinstance(result.exception, CommandError)
    assert str(result.exception) == "bad.yaml cannot be drawn"
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.yaml",), "missing.yaml cannot be read"),
        (("binary.yaml",), "binary.yaml cannot be read"),
        ((str(EXAMPLE), "--svg", "no/such/folder.svg"), "no/such/folder.svg cannot be written"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_with_a_cure(arguments: tuple[str, ...], said: str) -> None:
    Path("binary.yaml").write_bytes(b"\xff\xfe\x00")
    error = graph(*arguments).exception
    assert isinstance(error, CommandError)
    assert said in str(error)
    assert error.cure


@pytest.mark.parametrize("arguments", [("support-ticket",), (str(EXAMPLE), "--run")])
def test_a_name_or_an_id_needs_a_project(arguments: tuple[str, ...]) -> None:
    error = graph(*arguments).exception
    assert isinstance(error, CommandError)
    assert error.cure
