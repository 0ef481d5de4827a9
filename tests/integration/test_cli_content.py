"""A map over content as people use it: a file is kept, its lines are the items, and every process is killed once."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.settings import Project
from support.cli import Cli, command, environment, new_id
from support.orchestrators import assert_whole

ITEMS, CONCURRENCY, KILLED_AFTER_EVENTS = 220, 40, 250
DEFINITION = f"""
name: each-line
deadline: 1h
start: each
steps:
  each:
    kind: map
    items: ${{input.lines}}
    do: nap
    concurrency: {CONCURRENCY}
    max_failures: 1
    timeout: 30m
    next: done
  nap: {{kind: sleep, for: "10ms", next: look}}
  look: {{kind: choice, branches: [{{when: input.item.n == 7.0, next: bad}}], default: seen}}
  bad: {{kind: fail, error: odd}}
  seen: {{kind: succeed, output: "${{input.item.n}}"}}
  done: {{kind: succeed, output: "${{steps.each.output}}"}}
"""


@pytest.fixture(scope="module")
def cli(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running project that calls no model, with the definition published."""
    folder, prefix = tmp_path_factory.mktemp("project"), f"t{uuid.uuid4().hex[:10]}."
    project = Cli(folder, environment(folder / "home", broker, prefix), broker.bootstrap, prefix)
    try:
        project.ok("up", "--detach", "--roles", "orchestrator,executor-tool")
        project.ok("apply", project.file(DEFINITION))
        yield project
    finally:
        project.forget()


def kill_everybody(cli: Cli) -> None:
    runtime = Project(home=cli.folder / "home").read_runtime()
    assert runtime is not None
    for state in runtime.roles.values():
        os.kill(state.pid, signal.SIGKILL)


def test_every_line_is_an_item_although_everybody_is_killed_on_the_way(cli: Cli) -> None:
    lines = "".join(json.dumps({"n": number}) + "\n" for number in range(ITEMS))
    reference = cli.ok("content", "put", cli.file(lines, "lines.jsonl")).json
    workflow_id = new_id()
    with subprocess.Popen(
        command("watch", workflow_id, "--json"),
        env=cli.env,
        cwd=cli.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "watching" in watching.stderr.readline()
        cli.ok("start", "each-line", "--id", workflow_id, "--input", json.dumps({"lines": reference}))
        events = map(json.loads, watching.stdout)
        seen = list(itertools.islice(events, KILLED_AFTER_EVENTS))
        assert seen[-1]["type"] != "WorkflowCompleted"
        kill_everybody(cli)
        seen += events
    output: Any = seen[-1]["body"]["output"]
    assert output["failed"] == 1
    assert output["failures"] == [{"index": 7, "error": {"class": "odd", "message": ""}}]
    kept = cli.ok("content", "get", json.dumps(output["results"])).out
    assert [json.loads(line) for line in kept.splitlines()] == [n if n != 7 else None for n in range(ITEMS)]
    assert cli.ok("content", "show", output["results"]["content"], "--json").json == output["results"]
    begun = [event["body"]["index"] for event in seen if event["type"] == "ChildRequested"]
    assert begun == list(range(ITEMS))
    asyncio.run(assert_whole(cli.bootstrap, cli.prefix, 1 + ITEMS))
