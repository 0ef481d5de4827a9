"""The command line in a project of its own, as people type it."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from holdfast.ops.cli import main
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.topics import admin_client
from holdfast.schemas.topics import TOPICS

EXAMPLES = Path(__file__).parents[2] / "ops" / "examples"
WAIT_S = 30.0
APART = frozenset({"up", "down"})
"""What starts and ends processes has a process of its own; so does whatever a test has to interrupt (`command`)."""


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    """The command line for a process of its own."""
    return [sys.executable, "-m", "holdfast.ops.cli", *arguments]


def run_here(*arguments: str, env: Mapping[str, str], folder: Path, stdin: str = "") -> Ran:
    """Run a command within this process: starting one takes longer than most commands do."""
    cleared: dict[str, str | None] = dict.fromkeys(os.environ.keys() - env.keys())
    with (
        CliRunner().isolation(input=stdin, env={**cleared, **env}) as (out, err, _),
        chdir(folder),
        _arguments(["holdfast", *arguments], path=env.get("PYTHONPATH", "")),
        _level(logging.getLogger("aiokafka")),
    ):
        try:
            main()
            code = 0
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        return Ran(code, out.getvalue().decode(), err.getvalue().decode())


@contextmanager
def _arguments(arguments: list[str], path: str) -> Iterator[None]:
    before = sys.argv, sys.path
    sys.argv, sys.path = arguments, [*path.split(os.pathsep), *sys.path]
    try:
        yield
    finally:
        sys.argv, sys.path = before


@contextmanager
def _level(logger: logging.Logger) -> Iterator[None]:
    """Leave a logger as loud as it was."""
    before = logger.level
    try:
        yield
    finally:
        logger.setLevel(before)


@dataclass(frozen=True)
class Cli:
    """The command line of one project, in a folder of its own."""

    folder: Path
    env: Mapping[str, str]
    bootstrap: str
    prefix: str

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        if arguments[0] not in APART:
            return run_here(*arguments, env=self.env, folder=self.folder, stdin=stdin)
        done = subprocess.run(
            command(*arguments),
            env=self.env,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "") -> Ran:
        ran = self(*arguments, stdin=stdin)
        assert ran.code == 0, ran.out + ran.err
        return ran

    def file(self, text: str, name: str = "") -> str:
        path = self.folder / (name or f"{uuid.uuid4().hex}.yaml")
        path.write_text(text, encoding="utf-8")
        return path.name

    def shows(self, workflow_id: str, holds: Callable[[Any], bool]) -> Any:
        """The story of a workflow as JSON, once something is true of it."""
        return self.until(holds, "show", workflow_id)

    def until(self, holds: Callable[[Any], bool], *arguments: str) -> Any:
        """What a command says as JSON, once something is true of it: each table is a moment behind in its own way."""
        give_up_at = time.monotonic() + WAIT_S
        while True:
            ran = self(*arguments, "--json")
            if ran.code == 0 and holds(ran.json):
                return ran.json
            assert time.monotonic() < give_up_at, ran.out + ran.err
            time.sleep(0.1)

    def says(self, text: str, *arguments: str) -> str:
        """What a command says for people, once a text is part of it."""
        give_up_at = time.monotonic() + WAIT_S
        while text not in (said := self.ok(*arguments).out):
            assert time.monotonic() < give_up_at, said
            time.sleep(0.1)
        return said

    def lists(self, workflow_id: str, status: str, *arguments: str) -> Any:
        """What `holdfast list` has, as JSON, once a workflow stands in it with a status."""
        same = {"workflow_id": workflow_id, "status": status}
        return self.until(
            lambda rows: any(same.items() <= row.items() for row in rows), "list", "--limit", "1000", *arguments
        )

    def forget(self) -> None:
        """Stop what runs, and delete the topics."""
        self("down")
        asyncio.run(delete_topics(self.bootstrap, self.prefix))


async def delete_topics(bootstrap: str, prefix: str) -> None:
    """Remove every topic of a project."""
    async with admin_client(bootstrap) as admin:
        await admin.delete_topics([prefix + topic.name for topic in TOPICS])


def new_id() -> str:
    return f"w-{uuid.uuid4().hex[:8]}"


def environment(home: Path, broker: Broker, prefix: str, **settings: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
    own = {"HOME": str(home), "BOOTSTRAP": broker.bootstrap, "TOPIC_PREFIX": prefix, **settings}
    return env | {f"HOLDFAST_{name}": value for name, value in own.items()}
