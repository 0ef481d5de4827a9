"""Versions as people use them: compared, tried on what has happened, moved to, taken back."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from support.cli import Cli, environment, new_id

OLD = """
name: talk
deadline: 1h
start: hear
steps:
  hear: {kind: wait, event: told, timeout: 30m, next: size}
  size: {kind: choice, branches: [{when: steps.hear.output.n > 5, next: again}], default: done}
  again: {kind: wait, event: told.again, timeout: 30m, next: done}
  done: {kind: succeed, output: {n: "${steps.hear.output.n}"}}
"""
STRICTER = OLD.replace("n > 5", "n > 50")
WITHOUT_AGAIN = OLD.replace("next: again}", "next: more}").replace("  again:", "  more:")


@pytest.fixture(scope="module")
def cli(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running project without executors, with three versions published; the first is the newest."""
    folder, prefix = tmp_path_factory.mktemp("project"), f"t{uuid.uuid4().hex[:10]}."
    project = Cli(folder, environment(folder / "home", broker, prefix), broker.bootstrap, prefix)
    try:
        project.ok("up", "--detach", "--roles", "orchestrator,sink")
        for text, name in ((STRICTER, "stricter.yaml"), (WITHOUT_AGAIN, "without.yaml"), (OLD, "old.yaml")):
            project.ok("apply", project.file(text, name))
        yield project
    finally:
        project.forget()


def version(cli: Cli, file: str) -> str:
    """The hash of a published version."""
    told = cli.ok("definitions", "diff", "talk", str(cli.folder / file), "--json").json
    return str(told["new"]["definition_hash"])


def started(cli: Cli, *told: int) -> str:
    """A workflow that was told these numbers, as far as the tables know."""
    workflow_id = new_id()
    cli.ok("start", "talk", "--id", workflow_id)
    for n in told:
        cli.ok("signal", workflow_id, "told", "--data", f'{{"n": {n}}}')
    story = cli.shows(workflow_id, lambda story: story["last_sequence"] > 2 + 3 * len(told))
    listed(cli, workflow_id, story["last_sequence"])
    return workflow_id


def listed(cli: Cli, workflow_id: str, sequence: int) -> None:
    """Wait until the table that conditions go by has followed the events."""

    def holds(rows: list[dict[str, Any]]) -> bool:
        return any(row["workflow_id"] == workflow_id and row["last_sequence"] >= sequence for row in rows)

    cli.until(holds, "list")


def rows(cli: Cli, code: int, *arguments: str) -> dict[str, Any]:
    ran = cli("migrate", *arguments, "--json")
    assert ran.code == code, ran.out + ran.err
    return {row["workflow_id"]: row for row in ran.json}


def test_workflows_are_tried_moved_and_taken_back(cli: Cli) -> None:
    hearing, again, ended = started(cli), started(cli, 7), started(cli, 1)
    ours = ("--where", f"workflow_id IN ('{hearing}', '{again}', '{ended}')")
    old, without = version(cli, "old.yaml"), version(cli, "without.yaml")

    told = cli.ok("definitions", "diff", "talk", without[:12], "--json").json["differences"]
    assert {(row["step"], row["change"], row["reach"]) for row in told if not row["path"]} == {
        ("again", "removed", "obstacle"),
        ("more", "added", "visits"),
    }

    tried = rows(cli, 1, "--to", f"talk@{without[:12]}", *ours, "--dry-run")
    assert {name: row["outcome"] for name, row in tried.items()} == {hearing: "can_move", again: "cannot"}
    assert tried[again]["code"] == "cannot_migrate"
    assert "step 'again' is under way" in tried[again]["message"]
    assert cli("migrate", "--to", without, *ours).err.startswith("histories ..."), "nobody has said that they shall"
    assert rows(cli, 0, "--to", "talk", *ours, "--dry-run")[hearing]["outcome"] == "there"

    moved = rows(cli, 1, "--to", without, *ours, "--yes", "--reason", "It was wrong.")
    assert {name: row["outcome"] for name, row in moved.items()} == {hearing: "moved", again: "cannot"}
    story = cli.shows(hearing, lambda story: story["definition_hash"] == without)
    assert story["status"] == "waiting"

    back = rows(cli, 0, hearing, "--back", "--yes")
    assert (back[hearing]["from_hash"], back[hearing]["to_hash"]) == (without, old)
    cli.shows(hearing, lambda story: story["definition_hash"] == old)
    assert rows(cli, 1, again, "--back", "--dry-run")[again]["code"] == "never_moved"


def test_a_candidate_is_tried_on_what_has_happened(cli: Cli) -> None:
    small, large = started(cli, 1), started(cli, 7)
    ours = ("--where", f"workflow_id IN ('{small}', '{large}')")
    told = cli.ok("definitions", "shadow", str(cli.folder / "stricter.yaml"), *ours, "--json").json
    assert (told["same"], told["differs"], told["unreadable"]) == (1, 1, 0)
    found = {row["workflow_id"]: row for row in told["workflows"]}
    assert found[small]["result"] == "same"
    assert (found[large]["step"], found[large]["recorded"]) == ("size", "StepCompleted size, then again")
    assert found[large]["candidate"] == "StepCompleted size, then done"
    assert told["first_differences"] == [{"step": "size", "event": "StepCompleted", "count": 1}]
    text = cli.ok("definitions", "shadow", "talk", *ours).out
    assert "over 2 histories: 2 same, 0 differs" in text


def test_a_condition_that_is_none_is_refused_before_anything_happens(cli: Cli) -> None:
    ran = cli("migrate", "--to", "talk", "--where", "1) OR (1 = 1", "--yes")
    assert (ran.code, ran.out) == (1, "")
    assert "this is not one condition" in ran.err
    ran = cli("migrate", "--to", "talk", "--where", "colour = 'red'", "--yes")
    assert ran.code == 1
    assert "ClickHouse refused the query" in ran.err


def test_a_workflow_is_forked_and_its_lineage_is_on_record_everywhere(cli: Cli) -> None:
    source, forked, other = started(cli, 7), new_id(), new_id()
    told = cli.ok("show", source, "--json").json
    given = ("--id", forked, "--set", 'steps.hear.output={"n": 70}', "--reason", "What if?", "--json")
    said = cli.ok("fork", source, *given).json
    assert (said["outcome"], said["forked_from"], said["forked_at"]) == ("folded", source, told["last_sequence"])

    cli.ok("signal", forked, "told.again")
    story = cli.shows(forked, lambda story: story["status"] == "completed")
    assert (story["output"], story["forked_from"]) == ({"n": 70}, source)
    assert cli.ok("show", source, "--json").json["status"] == "waiting", "the other one is not touched"
    listed(cli, forked, story["last_sequence"])
    row = next(row for row in cli.ok("list", "--json").json if row["workflow_id"] == forked)
    assert (row["forked_from"], row["forked_at"]) == (source, told["last_sequence"])
    assert cli.ok("state", forked).json["origin"]["workflow_id"] == source
    assert f"forked from  {source}, after its event {told['last_sequence']}" in cli.ok("show", forked).out

    ran = cli("fork", source, "--at", "2", "--id", other, "--definition", "talk")
    assert ran.code == 0
    assert "event 2 belongs to a decision that ends with" in ran.err
    assert "the workflow goes on with hear" in ran.out
    assert cli("fork", source, "--at", "2000").err.startswith(
        "error: refused (sequence_unknown): Expected an event 2000"
    )
    assert "workflow_exists" in cli("fork", source, "--id", other).err
    assert "set_invalid" in cli("fork", source, "--set", "output=1").err
    assert cli.ok("audit", "verify", "--json").json["unfounded_forks"] == 0
