"""The README's commands, run as they stand; and its definition, read as it stands."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from holdfast.streams.definition_file import parse_definition
from support.scenario import manifest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOLDFAST = ".venv/bin/holdfast"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith(HOLDFAST)]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def test_the_definition_in_the_readme_is_accepted() -> None:
    (text,) = blocks("yaml")
    tools = {name: manifest(name) for name in ("search_orders", "send_email")}
    assert parse_definition(text, "README.md", tools).name == "refund"


@pytest.mark.timeout(180)
def test_the_commands_in_the_readme_work_in_their_order(tmp_path: Path, cache_dir: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))},
        "HOLDFAST_HOME": str(tmp_path / "home"),
        "HOLDFAST_CACHE_DIR": str(cache_dir),
    }
    assert commands()[0][0] == "up"
    assert commands()[-1][0] == "down"
    outputs: dict[str, str] = {}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "holdfast.ops.cli", *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    try:
        for command in commands():
            outputs[command[0]] = run(*command)
            if command[0] == "signal":  # a reader takes longer to type on than the sink takes to catch up
                give_up_at = time.monotonic() + 30
                while "120 is large" not in run("show", "hello"):
                    assert time.monotonic() < give_up_at, "the signal never showed"
    finally:
        run("down")
    assert "120 is large" in outputs["show"]
    assert "hello: first, completed" in outputs["graph"]
    assert "WorkflowCompleted" in outputs["sql"]
