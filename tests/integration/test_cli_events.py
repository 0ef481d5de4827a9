"""What people do with events for whoever waits, as commands against a real orchestrator and sink."""

import json
import uuid
from collections.abc import Iterator

import pytest

from holdfast.ops.embedded.broker import Broker
from support.cli import Cli, environment, new_id

WAITER = """
name: waiter
deadline: 1h
start: word
steps:
  word: {kind: wait, event: word.said, correlation: "${input.who}", timeout: 10m, next: done}
  done: {kind: succeed, output: {word: "${steps.word.output.text}"}}
"""


@pytest.fixture(scope="module")
def cli(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running project on the shared broker, with the definition `waiter` published."""
    folder, prefix = tmp_path_factory.mktemp("project"), f"t{uuid.uuid4().hex[:10]}."
    project = Cli(folder, environment(folder / "home", broker, prefix), broker.bootstrap, prefix)
    try:
        project.ok("up", "--detach", "--roles", "orchestrator,sink")
        project.ok("apply", project.file(WAITER, "waiter.yaml"))
        yield project
    finally:
        project.forget()


def waiters(cli: Cli, who: str, *names: str) -> list[str]:
    """Workflows that wait for the word of somebody, once the correlator knows of them."""
    for name in names:
        cli.ok("start", "waiter", "--input", json.dumps({"who": who}), "--id", name)
    rows = cli.until(lambda rows: len(rows) == len(names), "events", "waiting", "--correlation", who)
    assert all((row["kind"], row["event_type"], row["status"]) == ("wait", "word.said", "open") for row in rows)
    return [row["workflow_id"] for row in rows]


def test_an_event_is_published_for_the_workflow_that_has_waited_longest(cli: Cli) -> None:
    who, first, second = new_id(), new_id(), new_id()
    assert waiters(cli, who, first, second) == [first, second]
    command = ("publish", "word.said", "--correlation", who, "--data", '{"text": "yes"}', "--event-id", f"e-{who}")
    published = cli.ok(*command, "--json").json
    assert (published["outcome"], published["workflow_id"], published["event_id"]) == ("handed", first, f"e-{who}")
    assert cli.shows(first, lambda told: told["status"] == "completed")["output"]["word"] == "yes"
    assert cli.ok(*command, "--json").json["outcome"] == "repeated"
    assert "nothing changed: it was published before" in cli.ok(*command).out
    told = cli.ok("publish", "word.said", "--correlation", who, "--data", '{"text": "yes"}').out
    assert told == f"word.said is published: {second} is handed it\n"


def test_an_event_is_published_for_everybody_who_waits(cli: Cli) -> None:
    who, names = new_id(), [new_id(), new_id()]
    waiters(cli, who, *names)
    published = cli.ok("publish", "word.said", "--correlation", who, "--data", '{"text": "yes"}', "--broadcast")
    assert published.out == "word.said is published: 2 waits are told of it\n"
    for name in names:
        cli.shows(name, lambda told: told["status"] == "completed")


def test_an_event_that_nobody_waits_for_is_kept_and_then_reported(cli: Cli) -> None:
    who = new_id()
    kept = cli.ok("publish", "word.said", "--correlation", who, "--ttl", "1h", "--json").json
    assert kept["outcome"] == "kept"
    rows = cli.ok("events", "waiting", "--correlation", who, "--json").json
    assert [(row["kind"], row["name"], row["status"]) for row in rows] == [("event", kept["event_id"], "kept")]
    assert rows[0]["until_ms"] == kept["kept_until_ms"]
    lost = cli.ok("publish", "word.said", "--correlation", who, "--ttl", "0s", "--json").json
    expired = cli.until(lambda rows: lost["event_id"] in [row["source_id"] for row in rows], "events", "expired")
    assert kept["event_id"] not in [row["source_id"] for row in expired]


def test_an_event_that_may_not_be_published_is_refused(cli: Cli) -> None:
    refused = cli("publish", "word/said", "--json")
    assert (refused.code, refused.json["outcome"], refused.json["code"]) == (1, "refused", "event_type_invalid")
    assert "try: letters, digits" in refused.err
