"""What people do with workflows, as commands against a real engine: orchestrator, executors, sink, a scripted model."""

import asyncio
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.embedded.ports import free_port
from holdfast.ops.history import history
from holdfast.ops.scripted_model.child import ChildServer, ScriptedModel
from holdfast.ops.settings import Project
from holdfast.projections.client import ClickHouse
from holdfast.schemas.codec import decode
from holdfast.schemas.ids import workflow_key
from holdfast.schemas.partitioner import partition_of
from holdfast.schemas.record import Message, Record
from holdfast.schemas.topics import CHANGELOG, DEFAULT_PARTITIONS, JOURNAL
from holdfast.streams.rows import load_row, state_json
from support.cli import EXAMPLES, Cli, command, environment, new_id

SUPPORT = EXAMPLES / "support_ticket"
ROLES = "orchestrator,executor-model,executor-tool,sink"

WAITER = """
name: waiter
deadline: 1h
input: {type: object, required: [who], properties: {who: {type: string}}}
start: greet
steps:
  greet: {kind: assign, set: {greeting: "Hello ${input.who}"}, next: word}
  word: {kind: wait, event: word.said, correlation: "${input.who}", timeout: 10m, next: nap}
  nap: {kind: sleep, for: 100ms, next: choose}
  choose: {kind: choice, branches: [{when: steps.word.output.text == 'stop', next: silent}], default: done}
  done: {kind: succeed, output: {greeting: "${vars.greeting}", word: "${steps.word.output.text}"}}
  silent: {kind: fail, error: silence, message: Nobody said anything.}
"""


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The systems around the support example; their addresses as environment variables."""
    home = tmp_path_factory.mktemp("systems")
    tickets = ChildServer([str(SUPPORT / "ticket_system.py")], home / "tickets")
    emails = ChildServer([str(SUPPORT / "email_system.py")], home / "emails")
    model = ScriptedModel(SUPPORT / "model_script.yaml", home / "model")
    started: list[ChildServer] = []
    try:
        for server in (tickets, emails, model):
            server.start()
            started.append(server)
        yield {
            "SUPPORT_TICKET_SYSTEM_URL": tickets.url,
            "SUPPORT_EMAIL_SYSTEM_URL": emails.url,
            "HOLDFAST_MODEL_BASE_URL": model.base_url,
            "HOLDFAST_MODEL_NAME": "scripted",
            "HOLDFAST_TOOL_MODULES": "support_ticket.tools",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH")])),
        }
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="module")
def cli(broker: Broker, systems: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """A running project on the shared broker, with definitions `waiter` and `support-ticket` published."""
    folder, prefix = tmp_path_factory.mktemp("project"), f"t{uuid.uuid4().hex[:10]}."
    project = Cli(folder, environment(folder / "home", broker, prefix) | systems, broker.bootstrap, prefix)
    try:
        project.ok("up", "--detach", "--roles", ROLES)
        project.ok("apply", project.file(WAITER, "waiter.yaml"), str(SUPPORT / "workflow.yaml"))
        yield project
    finally:
        project.forget()


def started_waiter(cli: Cli) -> str:
    workflow_id = new_id()
    cli.ok("start", "waiter", "--input", '{"who": "ann"}', "--id", workflow_id, "--as", "ann")
    return workflow_id


def waits_for(kind: str) -> Callable[[Any], bool]:
    return lambda told: [matter["kind"] for matter in told["waits_for"]] == [kind]


def test_a_ticket_from_start_to_result_with_two_refused_approvals(cli: Cli) -> None:
    workflow_id = new_id()
    started = cli.ok(
        "start", "support-ticket", "--id", workflow_id, "--input", '{"ticket_id": "T-1"}', "--as", "ann", "--json"
    ).json
    assert (started["outcome"], started["workflow_id"], started["tenant"]) == ("folded", workflow_id, "default")

    told = cli.shows(workflow_id, waits_for("event"))
    command = told["waits_for"][0]["command"]
    assert command == f"holdfast signal {workflow_id} customer.replied --correlation T-1 --data '{{}}'"
    text = cli.ok("show", workflow_id).out
    assert "scripted; " in text
    assert "tool read_ticket" in text
    assert f"next  {command}" in text

    signalled = cli.ok(
        "signal", workflow_id, "customer.replied", "--correlation", "T-1", "--data", '{"text": "A new one."}'
    )
    assert f"customer.replied is delivered to {workflow_id}: the workflow goes on with draft" in signalled.out

    told = cli.shows(workflow_id, waits_for("approval"))
    asked = cli.until(lambda rows: workflow_id in [row["workflow_id"] for row in rows], "approvals", "list")
    (row,) = [row for row in asked if row["workflow_id"] == workflow_id]
    approval_id, action_hash = row["approval_id"], row["action_hash"]
    assert told["waits_for"][0]["command"] == f"holdfast approvals show {approval_id}"
    question = cli.ok("approvals", "show", approval_id[:8]).out
    assert action_hash in question
    assert 'thank you for your answer: "A new one."' in question
    assert "started by  ann, who may not decide" in question

    own = cli("approvals", "approve", approval_id, "--as", "ann")
    assert (own.code, "refused (self_approval)" in own.err, "try: let somebody else decide" in own.err) == (
        1,
        True,
        True,
    )
    other = cli("approvals", "approve", approval_id, "--as", "lea", "--hash", "0" * 64, "--json")
    assert (other.code, other.json["outcome"], other.json["code"]) == (1, "refused", "approval_hash_mismatch")

    approved = cli.ok(
        "approvals", "approve", approval_id, "--as", "lea", "--hash", action_hash[:12], "--comment", "Good."
    )
    assert "approved by lea: the workflow goes on with send" in approved.out
    told = cli.shows(workflow_id, lambda told: told["status"] == "completed")
    assert told["output"]["category"] == "damaged_item"
    refusals = [entry["code"] for entry in told["story"] if entry["type"] == "notice"]
    assert refusals == ["self_approval", "approval_hash_mismatch"]
    assert (told["started_by"], told["model_calls"], told["scripted_model_calls"]) == ("ann", 4, 4)

    decided = cli.until(lambda told: told["status"] == "approved", "approvals", "show", approval_id)
    assert (decided["decided_by"], decided["comment"]) == ("lea", "Good.")
    assert (decided["step"], decided["started_by"]) == ("approve", "ann")
    assert decided["used_by"] == f"default/{workflow_id}/send.1/0/0"
    again = cli("approvals", "reject", approval_id, "--as", "lea")
    assert (again.code, "refused (workflow_finished)" in again.err) == (1, True)


def test_what_clickhouse_has_of_a_workflow_is_its_journal_and_folds_to_the_engines_own_state(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    cli("start", "waiter", "--input", '{"who": "ann"}', "--id", workflow_id)  # refused, and recorded
    told = cli.shows(workflow_id, lambda told: told["last_sequence"] == 6)
    runtime = Project(home=cli.folder / "home").read_runtime()
    assert runtime is not None
    clickhouse = ClickHouse(url=runtime.bridge_url, token=runtime.bridge_token)
    key = workflow_key("default", workflow_id).encode()
    journal = [decode(value) for value in asyncio.run(_values(cli, JOURNAL.name, key))]
    row = load_row(asyncio.run(_values(cli, CHANGELOG.name, key))[-1])

    read: list[Message[Record]] = list(history(clickhouse, "default", workflow_id))
    state = cli.ok("state", workflow_id, "--json").json

    assert read == journal
    assert told["last_sequence"] == row.sequence == len(read)
    assert state == json.loads(state_json(row.state))


async def _values(cli: Cli, topic: str, key: bytes) -> list[bytes]:
    partition = TopicPartition(cli.prefix + topic, partition_of(key, DEFAULT_PARTITIONS))
    found: list[bytes] = []
    consumer = AIOKafkaConsumer(bootstrap_servers=cli.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        while await consumer.position(partition) < end:
            records = (await consumer.getmany(partition, timeout_ms=200)).get(partition, ())
            found += [record.value for record in records if record.key == key and record.value is not None]
    finally:
        await consumer.stop()
    return found


def test_the_state_after_any_event_can_be_asked_for(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    cli.shows(workflow_id, lambda told: told["last_sequence"] == 5)
    assert cli.ok("state", workflow_id, "--at", "2").json["status"] == "running"
    assert list(cli.ok("state", workflow_id, "--at", "2").json["active"]) == ["greet"]
    beyond = cli.ok("state", workflow_id, "--at", "99")
    assert beyond.json["active"]["word"]["wait"]["event_type"] == "word.said"
    assert "the last event is 5" in beyond.err


def test_an_event_is_taken_once_whoever_repeats_it(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    say = ("signal", workflow_id, "word.said", "--correlation", "ann", "--data", '{"text": "go"}', "--event-id", "e-1")
    first, second = cli.ok(*say, "--json").json, cli.ok(*say, "--json").json
    assert (first["outcome"], first["waited_for"], first["event_id"]) == ("folded", True, "e-1")
    assert (second["outcome"], second["waited_for"]) == ("repeated", False)
    assert "the same request was folded before" in cli.ok(*say).out
    told = cli.shows(workflow_id, lambda told: told["status"] == "completed")
    assert told["output"] == {"greeting": "Hello ann", "word": "go"}
    # No second event, and not even a note of the repeats.
    assert [entry["type"] for entry in told["story"]] == ["step"] * 5


def test_an_event_that_no_step_expects_is_refused_and_an_early_one_is_kept(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    wrong = cli("signal", workflow_id, "word.sung")
    assert (wrong.code, "refused (event_not_expected)" in wrong.err) == (1, True)
    early = cli.ok("signal", workflow_id, "word.said", "--correlation", "somebody-else")
    assert "nobody waits for it yet, it is kept" in early.out
    big = cli.file(json.dumps({"text": "x" * 70_000}), f"{workflow_id}.json")
    large = cli("signal", workflow_id, "word.said", "--data", f"@{big}")
    assert (large.code, "refused (payload_too_large)" in large.err) == (1, True)


def test_start_and_wait_shows_what_happens_and_prints_the_output(cli: Cli) -> None:
    workflow_id = new_id()
    arguments = ("start", "waiter", "--id", workflow_id, "--input", "-", "--wait", "--timeout", "30s")
    with subprocess.Popen(
        command(*arguments),
        env=cli.env,
        cwd=cli.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdin
        waiting.stdin.write('{"who": "bob"}')
        waiting.stdin.close()
        assert waiting.stderr
        seen = [waiting.stderr.readline() for _ in range(5)]
        cli.ok("signal", workflow_id, "word.said", "--correlation", "bob", "--data", '{"text": "yes"}')
        assert waiting.wait(30) == 0
        assert waiting.stdout
        assert json.loads(waiting.stdout.read()) == {"greeting": "Hello bob", "word": "yes"}
        seen += waiting.stderr.readlines()
    assert "WorkflowStarted" in seen[0]
    assert "WaitStarted" in seen[4]
    assert "WorkflowCompleted" in seen[-1]


def test_waiting_for_a_workflow_that_fails_or_takes_too_long_is_exit_code_1(cli: Cli) -> None:
    workflow_id = new_id()
    start = ("start", "waiter", "--input", '{"who": "eve"}', "--wait")
    late = cli(*start, "--id", workflow_id, "--timeout", "500ms", "--json")
    assert (late.code, late.json["status"]) == (1, "running")
    assert f"try: holdfast show {workflow_id}" in late.err

    # Sent before the workflow gets to its wait step, so that it ends by itself.
    with subprocess.Popen(
        command(*start, "--id", (second := new_id()), "--json"),
        env=cli.env,
        cwd=cli.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as failing:
        assert failing.stderr
        while "WaitStarted" not in failing.stderr.readline():
            pass
        cli.ok("signal", second, "word.said", "--correlation", "eve", "--data", '{"text": "stop"}')
        out, _ = failing.communicate(timeout=30)
    assert failing.returncode == 1
    ended = json.loads(out)
    assert (ended["status"], ended["error_class"], ended["output"]) == ("failed", "silence", None)


def test_an_id_is_used_once_and_an_input_must_fit(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    again = cli("start", "waiter", "--input", '{"who": "ann"}', "--id", workflow_id, "--json")
    assert (again.code, again.json["code"]) == (1, "workflow_exists")
    assert again.json["cure"]
    wrong = cli("start", "waiter", "--input", "{}")
    assert (wrong.code, "refused (input_invalid)" in wrong.err) == (1, True)
    odd = cli("start", "waiter", "--input", '{"who": "ann"}', "--id", "not/an id")
    assert (odd.code, "refused (workflow_id_invalid)" in odd.err) == (1, True)
    text = cli("start", "waiter", "--input", "{who: ann}")
    assert (text.code, "--input is not JSON" in text.err) == (1, True)


def test_a_cancelled_workflow_says_who_and_why(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    assert (
        "the workflow has ended: cancelled"
        in cli.ok("cancel", workflow_id, "--reason", "Not needed.", "--as", "mia").out
    )
    told = cli.shows(workflow_id, lambda told: told["status"] == "cancelled")
    assert told["error_message"] == "Not needed."
    last = cli.ok("show", workflow_id, "--events", "--json").json[-1]
    assert (last["type"], last["actor_kind"], last["actor_id"]) == ("WorkflowCancelled", "person", "mia")
    again = cli("cancel", workflow_id, "--reason", "Again.")
    assert (again.code, "refused (workflow_finished)" in again.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [("show",), ("state",), ("graph",), ("cancel", "--reason", "x"), ("signal", "word.said"), ("approvals", "show")],
    ids=lambda arguments: arguments[0],
)
def test_what_nobody_knows_is_a_sentence_with_a_cure(cli: Cli, arguments: tuple[str, ...]) -> None:
    command, *rest = arguments
    ran = cli(command, *(["show", "nobody"] if command == "approvals" else ["nobody", *rest]))
    assert ran.code == 1
    assert "nobody" in ran.err
    assert "  try: " in ran.err
    assert "Traceback" not in ran.err


def test_a_published_definition_and_a_workflow_on_it_are_drawn(cli: Cli) -> None:
    picture = cli.ok("graph", "waiter").out
    assert "│ wait word.said, 10m │" in picture
    drawn = cli.ok("graph", "waiter", "--json").json
    assert cli.ok("graph", f"waiter@{drawn['definition_hash'][:8]}").out == picture
    assert {step["status"] for step in drawn["steps"]} == {""}

    workflow_id = started_waiter(cli)
    told = cli.shows(workflow_id, waits_for("event"))
    running = cli.ok("graph", workflow_id).out
    assert running.startswith(f"{workflow_id}: waiter, waiting\n")
    assert "┃ waiting " in running
    assert f"next  {told['waits_for'][0]['command']}" in running
    drawn = cli.ok("graph", workflow_id, "--json").json
    states = {step["step"]: step["status"] for step in drawn["steps"]}
    assert states == {"greet": "done", "word": "waiting"} | dict.fromkeys(("nap", "choose", "silent", "done"), "ahead")
    limits = [step["until_ms"] for step in drawn["steps"] if step["step"] == "word"]
    assert limits == [matter["until_ms"] for matter in told["waits_for"]]

    cli.ok("signal", workflow_id, "word.said", "--correlation", "ann", "--data", '{"text": "stop"}')
    cli.shows(workflow_id, lambda told: told["status"] == "failed")
    cli.ok("graph", workflow_id, "--svg", f"{workflow_id}.svg")
    svg = (cli.folder / f"{workflow_id}.svg").read_text(encoding="utf-8")
    assert f'<title id="holdfast-title">{workflow_id}: waiter, failed</title>' in svg
    drawn = cli.ok("graph", workflow_id, "--json").json
    assert [step["step"] for step in drawn["steps"] if step["status"] == "skipped"] == ["done"]
    assert [way["to"] for way in drawn["ways"] if way["taken"]] == ["word", "nap", "choose", "silent"]


def test_an_id_that_is_a_definitions_name_too_can_be_drawn_as_a_workflow(cli: Cli) -> None:
    cli.ok("start", "waiter", "--input", '{"who": "ann"}', "--id", "waiter")
    cli.shows("waiter", waits_for("event"))
    assert cli.ok("graph", "waiter").out.startswith("waiter\n")
    assert cli.ok("graph", "waiter", "--run").out.startswith("waiter: waiter, waiting\n")


def test_an_unknown_definition_is_refused_with_the_known_ones(cli: Cli) -> None:
    ran = cli("start", "waitor")
    assert (ran.code, "there are: " in ran.err, "waiter" in ran.err) == (1, True, True)


def test_another_tenant_sees_nothing_of_it(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    cli.shows(workflow_id, lambda told: told["status"] == "waiting")
    assert cli("show", workflow_id, "--tenant", "other").code == 1
    ran = cli("cancel", workflow_id, "--reason", "x", "--tenant", "other")
    assert "refused (workflow_not_found)" in ran.err
    assert workflow_id not in cli.ok("list", "--tenant", "other", "--limit", "1000").out


def test_lists_are_filtered_by_status_definition_and_time(cli: Cli) -> None:
    waiting, cancelled = started_waiter(cli), started_waiter(cli)
    cli.ok("cancel", cancelled, "--reason", "x")
    cli.lists(cancelled, "cancelled")

    def statuses(*arguments: str) -> dict[str, str]:
        rows = cli.ok("list", "--limit", "1000", "--json", *arguments).json
        return {row["workflow_id"]: row["status"] for row in rows}

    found = statuses("--definition", "waiter", "--since", "1h")
    assert found[cancelled] == "cancelled"
    for workflow_id, other in ((waiting, cancelled), (cancelled, waiting)):
        of_status = statuses("--status", found[workflow_id])
        assert workflow_id in of_status
        assert other not in of_status
    assert statuses("--definition", "nothing") == {}
    assert statuses("--since", "2999-01-01") == {}
    assert waiting in cli.ok("list", "--limit", "1000").out
    assert cli("list", "--status", "asleep").code == 2
    assert cli("list", "--since", "soon").code == 2


def test_watching_follows_a_workflow_until_it_ends(cli: Cli) -> None:
    workflow_id = started_waiter(cli)
    with watching(cli, workflow_id, "--json") as watch:
        cli.ok("signal", workflow_id, "word.said", "--correlation", "somebody-else")
        started_waiter(cli)
        cli.ok("cancel", workflow_id, "--reason", "Enough.")
        out, _ = watch.communicate(timeout=30)
    rows = [json.loads(line) for line in out.splitlines()]
    assert watch.returncode == 0
    assert [(row["workflow_id"], row["sequence"], row["type"]) for row in rows] == [
        (workflow_id, 6, "EventReceived"),
        (workflow_id, 7, "StepCancelled"),
        (workflow_id, 8, "WorkflowCancelled"),
    ]


def test_watching_everything_ends_quietly_with_ctrl_c(cli: Cli) -> None:
    with watching(cli) as watch:
        workflow_id = started_waiter(cli)
        assert watch.stdout
        while workflow_id not in (line := watch.stdout.readline()):
            assert line
        assert "WorkflowStarted" in line
        watch.send_signal(signal.SIGINT)
        _, err = watch.communicate(timeout=30)
    assert (watch.returncode, err) == (0, "")


@contextmanager
def watching(cli: Cli, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`holdfast watch`, once it stands at the journal's end."""
    with subprocess.Popen(
        command("watch", *arguments),
        env=cli.env,
        cwd=cli.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as watch:
        assert watch.stderr
        assert "watching" in watch.stderr.readline()
        try:
            yield watch
        finally:
            watch.kill()


def test_definitions_are_published_once_per_version(cli: Cli) -> None:
    name = f"v-{uuid.uuid4().hex[:8]}"
    text = f"name: {name}\nstart: end\nsteps: {{end: {{kind: succeed}}}}\n"
    first, second = cli.file(text + "deadline: 1h\n"), cli.file(text + "deadline: 2h\n")

    def applied(file: str, *more: str) -> str:
        (result,) = cli.ok("apply", file, "--json", *more).json
        assert result["name"] == name
        return str(result["status"])

    assert applied(first, "--dry-run") == "new"
    assert cli("definitions", "show", name).code == 1
    assert [applied(file) for file in (first, first, second, second, first)] == [
        "new",
        "unchanged",
        "new version",
        "unchanged",
        "newest again",
    ]
    versions = [row for row in cli.ok("definitions", "list", "--versions", "--json").json if row["name"] == name]
    assert [row["newest"] for row in versions] == [False, True]
    old, new = [row["definition_hash"] for row in versions]
    assert cli.ok("definitions", "show", f"{name}@{old[:12]}", "--json").json["body"]["deadline"] == 7_200_000
    # What is started runs by what is newest now, also where the engine knew another one before.
    assert cli.ok("start", f"{name}@{old[:12]}", "--wait", "--json").json["definition_hash"] == old
    ended = cli.ok("start", name, "--wait", "--json").json
    assert (ended["definition_hash"], ended["status"]) == (new, "completed")
    assert cli.shows(ended["workflow_id"], lambda told: told["ended_at_ms"])["definition_hash"] == new


def test_a_definition_is_shown_in_the_order_of_its_steps(cli: Cli) -> None:
    lines = cli.ok("definitions", "show", "waiter").out.splitlines()
    table = [line.split()[0] for line in lines[lines.index("") + 2 :]]
    assert table == ["greet", "word", "nap", "choose", "silent", "done"]


def test_every_mistake_of_every_file_is_shown_with_its_place_and_nothing_is_published(cli: Cli) -> None:
    broken = cli.file(
        "name: broken\ndeadline: 1h\nstart: a\nsteps:\n"
        "  a: {kind: tool, tool: missing, next: b}\n"
        "  b: {kind: choice, branches: [{when: 'steps.zz.output ==', next: a}], default: gone}\n"
    )
    good_name = f"good-{uuid.uuid4().hex[:8]}"
    good = cli.file(f"name: {good_name}\ndeadline: 1h\nstart: end\nsteps: {{end: {{kind: succeed}}}}\n")
    text = cli("apply", broken, good)
    assert text.code == 1
    assert f"{broken}:5:" in text.err
    assert "steps.a.tool: there is no tool 'missing'" in text.err
    assert f"{broken}:6:" in text.err
    assert "steps.b.default: there is no step 'gone'" in text.err
    assert "3 mistakes: nothing was published" in text.err
    rows = cli("apply", broken, "--json").json
    assert [row["status"] for row in rows] == ["invalid"]
    assert {mistake["line"] for mistake in rows[0]["mistakes"]} == {5, 6}
    assert all(mistake["cure"] for mistake in rows[0]["mistakes"])
    assert cli("definitions", "show", good_name).code == 1


def test_tools_can_be_named_on_the_command_line(cli: Cli) -> None:
    name = f"own_{uuid.uuid4().hex[:8]}"
    module = (
        "from holdfast.tools import tool\n\n\n"
        '@tool(effect="read", description="Say it.")\n'
        f"def {name}(word: str) -> str:\n"
        "    return word\n"
    )
    cli.file(module, f"{name}.py")
    file = cli.file(
        f"name: {name.replace('_', '-')}\ndeadline: 1h\nstart: a\nsteps:\n"
        f"  a: {{kind: tool, tool: {name}, arguments: {{word: hi}}, next: end}}\n  end: {{kind: succeed}}\n"
    )
    assert "there is no tool" in cli("apply", file, "--dry-run").err
    assert cli.ok("apply", file, "--dry-run", "--tools", name, "--json").json[0]["status"] == "new"
    missing = cli("apply", file, "--tools", "no_such_module")
    assert (missing.code, "no_such_module" in missing.err, "try: " in missing.err) == (1, True, True)


def test_a_request_that_nobody_folds_is_said_to_be_accepted_only(broker: Broker, topics: str, tmp_path: Path) -> None:
    cli = Cli(tmp_path, environment(tmp_path / "home", broker, topics), broker.bootstrap, topics)
    ran = cli("cancel", "w-1", "--reason", "x", "--json")
    assert ran.code == 1
    assert ran.json["outcome"] == "accepted"
    assert "is the orchestrator running?" in ran.err
    assert "`holdfast doctor`" in ran.err


def test_what_cannot_be_reached_is_said_with_its_cure(broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    env = environment(tmp_path / "home", broker, topic_prefix)
    bare = Cli(tmp_path, env, broker.bootstrap, topic_prefix)("definitions", "list")
    assert (bare.code, "`holdfast topics" in bare.err) == (1, True)
    elsewhere = env | {"HOLDFAST_BOOTSTRAP": f"127.0.0.1:{free_port()}"}
    nobody = Cli(tmp_path, elsewhere, "", "")("cancel", "w-1", "--reason", "x")
    assert (nobody.code, "no Kafka broker answers" in nobody.err, "`holdfast up`" in nobody.err) == (1, True, True)
    embedded = {name: value for name, value in env.items() if name != "HOLDFAST_BOOTSTRAP"}
    idle = Cli(tmp_path, embedded, "", "")("list")
    assert (idle.code, "no project runs" in idle.err, "`holdfast up`" in idle.err) == (1, True, True)
