"""The command line in a project of its own, as people type it."""

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from holdfast.ops.cli import build_app
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.errors import CommandError
from holdfast.ops.topics import admin_client
from holdfast.schemas.topics import TOPICS

EXAMPLES = Path(__file__).parents[2] / "ops" / "examples"
WAIT_S = 30.0


@dataclass(frozen=True)
class Ran:
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Cli:
    """The command line of one project, in a folder of its own."""

    folder: Path
    env: Mapping[str, str]
    bootstrap: str
    prefix: str

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        done = subprocess.run(
            self.command(*arguments),
            env=self.env,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "holdfast.ops.cli", *arguments]

    def ok(self, *arguments: str, stdin: str = "") -> Ran:
        ran = self(*arguments, stdin=stdin)
        assert ran.code == 0, ran.out + ran.err
        return ran

    def file(self, text: str, name: str = "") -> str:
        path = self.folder / (name or f"{uuid.uuid4().hex}.yaml")
        path.write_text(text, encoding="utf-8")
        return path.name

    def shows(self, workflow_id: str, holds: Callable[[Any], bool]) -> Any:
        """The story of a workflow as JSON, once something is true of it: the tables are a moment behind."""
        give_up_at = time.monotonic() + WAIT_S
        while True:
            ran = self("show", workflow_id, "--json")
            if ran.code == 0 and holds(ran.json):
                return ran.json
            assert time.monotonic() < give_up_at, ran.out + ran.err

    def forget(self) -> None:
        """Stop what runs, and delete the topics."""
        self("down")
        asyncio.run(delete_topics(self.bootstrap, self.prefix))


class QuickCli(Cli):
    """The same within this process: without the time that it takes to start another one for each command.

    What starts and ends processes stays in one of its own.
    """

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        if arguments[0] in ("up", "down"):
            return super().__call__(*arguments, stdin=stdin)
        result = CliRunner().invoke(build_app(), list(arguments), input=stdin, env=dict(self.env))
        err = result.stderr
        if isinstance(result.exception, CommandError):
            err += f"error: {result.exception}\n  try: {result.exception.cure}\n"
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, err)

    def file(self, text: str, name: str = "") -> str:
        return str(self.folder / super().file(text, name))


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
