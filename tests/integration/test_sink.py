"""The sink against a real broker and a real ClickHouse: nothing lost, nothing doubled, whatever dies or is away."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.settings import Project, Runtime
from holdfast.projections.client import ClickHouse, QueryError
from holdfast.schemas import codec, headers
from holdfast.schemas.record import EventMeta, Message
from holdfast.schemas.results import RequestRejected
from support.cli import run_here
from support.clickhouse_server import ClickHouseServer, broken_proxy, overloaded
from support.journal_builder import interleaved, record_of, support_ticket, tool_chain
from support.sinks import TOKEN, MakeSink, append, chains, events_in, eventually, has_all, send


def test_events_become_rows_and_the_offsets_are_committed_after_them(
    broker: Broker, topics: str, make_sink: MakeSink
) -> None:
    journals = [support_ticket(f"wf-{number}") for number in range(10)]
    append(broker.bootstrap, topics, interleaved(journals))
    sink = make_sink()
    client = sink.ready()
    has_all(broker.bootstrap, topics, client, 360)
    assert client.query("SELECT count() AS n FROM v_workflows WHERE status = 'completed'") == [{"n": 10}]
    assert sum(row["missing_offsets"] for row in client.named("partitions")) == 0
    assert sink.stop() == 0
    sink.start()
    assert events_in(sink.ready()) == 360
    append(broker.bootstrap, topics, support_ticket("later").messages)
    has_all(broker.bootstrap, topics, client, 396)
    (stored,) = client.query("SELECT count() AS n FROM events")
    assert stored == {"n": 396}, "the second run read again what the first had committed"


def test_poison_is_kept_and_stops_nothing(broker: Broker, topics: str, make_sink: MakeSink) -> None:
    good = support_ticket("good").messages
    first = good[0]
    # The codec writes what Python can hold; ClickHouse takes neither this id nor this hash.
    unwritable = Message(meta=replace(first.meta, event_id="no uuid", workflow_id="bad-1"), body=first.body)
    short = Message(meta=replace(first.meta, hash=b"short", workflow_id="bad-2"), body=first.body)
    forged = Message(meta=replace(first.meta, actor_id="mallory", workflow_id="bad-3"), body=first.body)
    journal = f"{topics}journal"
    send(
        broker.bootstrap,
        journal,
        [
            (b"k", b"junk", []),
            (b"k", None, []),
            *[(record_of(event).key, record_of(event).value, []) for event in (unwritable, short, forged)],
        ],
    )
    append(broker.bootstrap, topics, good)
    client = make_sink().ready()
    eventually(lambda: events_in(client) == len(good) + 1)
    eventually(lambda: len(client.named("dead_letters")) == 7)
    letters = {(row["stage"], row["code"]) for row in client.named("dead_letters")}
    assert {("decode", "not_framed"), ("decode", "no_value"), ("insert", "unwritable"), ("chain", "hash_mismatch")} <= (
        letters
    )
    (junk,) = [row for row in client.named("dead_letters") if row["code"] == "not_framed"]
    (shown,) = client.named(
        "dead_letter", topic=journal, partition=junk["kafka_partition"], offset=junk["kafka_offset"]
    )
    assert bytes.fromhex(shown["value_hex"]) == b"junk"
    assert sum(row["missing_offsets"] for row in client.named("partitions")) == 0
    assert sum(row["unreadable"] for row in client.named("partitions")) == 4


def test_refusals_and_dead_letters_of_others_arrive(broker: Broker, topics: str, make_sink: MakeSink) -> None:
    meta = EventMeta(
        event_id="5f0c6a4e-0000-8000-a000-000000000001",
        type="RequestRejected",
        tenant="acme",
        workflow_id="wf-1",
        actor_kind="service",
        actor_id="shop",
        occurred_at_ms=1_767_225_600_000,
    )
    body = RequestRejected(code="unknown_definition", message="No.", request_type="StartWorkflow", request_id="r-1")
    said = headers.dead_letter(
        [], topic="p.inbox", partition=1, offset=2, timestamp_ms=3, stage="decode", code="undecodable", message="why"
    )
    send(broker.bootstrap, f"{topics}results", [(b"acme/wf-1", codec.encode(body, meta), [])])
    send(broker.bootstrap, f"{topics}dead-letters", [(b"x", b"\x01\x02", said)])
    client = make_sink().ready()
    (refusal,) = eventually(lambda: client.named("rejections"))
    assert (refusal["tenant"], refusal["code"]) == ("acme", "unknown_definition")
    (letter,) = eventually(lambda: client.named("dead_letters"))
    assert (letter["topic"], letter["kafka_offset"], letter["message"]) == ("p.inbox", 2, "why")


def test_an_event_that_stands_in_the_journal_twice_is_one_row(broker: Broker, topics: str, make_sink: MakeSink) -> None:
    messages = support_ticket("twice").messages
    append(broker.bootstrap, topics, [*messages, *messages[-3:]])
    client = make_sink().ready()
    found = has_all(broker.bootstrap, topics, client, len(messages))
    assert found.repeats == 3
    eventually(lambda: sum(row["repeated_events"] for row in client.named("partitions")) == 3)
    assert sum(row["missing_offsets"] for row in client.named("partitions")) == 0
    assert client.named("chain")[0]["forks"] == 0


def test_a_sink_killed_again_and_again_loses_and_doubles_nothing(
    broker: Broker, topics: str, make_sink: MakeSink
) -> None:
    rng = random.Random(7)
    journals = chains(120)
    messages = list(interleaved(journals))
    sink = make_sink()
    sink.ready()
    slices = 6
    for number in range(slices):
        append(broker.bootstrap, topics, messages[number::slices])
        time.sleep(rng.uniform(0.05, 0.6))
        sink.kill()
        sink.start()
    client = sink.ready()
    has_all(broker.bootstrap, topics, client, len(messages))
    (counts,) = client.query(
        "SELECT (SELECT count() FROM events_by_time FINAL) AS by_time, (SELECT count() FROM v_tool_calls) AS calls,"
        " (SELECT count() FROM v_steps) AS steps, (SELECT countIf(status = 'completed') FROM v_workflows) AS ended"
    )
    assert counts == {"by_time": len(messages), "calls": 600, "steps": 600, "ended": 120}
    assert sum(row["missing_offsets"] for row in client.named("partitions")) == 0


def test_a_rebuild_gives_the_same_rows_again(broker: Broker, topics: str, make_sink: MakeSink) -> None:
    append(broker.bootstrap, topics, interleaved(chains(40)))
    send(broker.bootstrap, f"{topics}journal", [(b"k", b"junk", [])])
    sink = make_sink()
    client = sink.ready()
    expected = len(list(interleaved(chains(40))))
    has_all(broker.bootstrap, topics, client, expected)
    digest = "SELECT groupBitXor(cityHash64(tenant, workflow_id, sequence, hash, payload)) AS d FROM events FINAL"
    before = client.query(digest)
    assert client.rebuild() == 4
    has_all(broker.bootstrap, topics, client, expected)
    assert client.query(digest) == before
    assert len(client.named("dead_letters")) == 1
    assert sum(row["missing_offsets"] for row in client.named("partitions")) == 0


def test_two_sinks_share_the_work_and_neither_may_rebuild_alone(
    broker: Broker, topics: str, make_sink: MakeSink, server: ClickHouseServer
) -> None:
    server.start()
    first, second = (make_sink(clickhouse_dsn=server.dsn, instance_id=f"sink-{n}") for n in (1, 2))
    first.ready()
    second.ready()
    append(broker.bootstrap, topics, interleaved(chains(40)))
    expected = len(list(interleaved(chains(40))))
    has_all(broker.bootstrap, topics, first.client, expected)
    eventually(lambda: "Successfully synced group" in second.output.read_text())
    eventually(lambda: _refused(first.client))
    second.kill()


def _refused(client: ClickHouse) -> bool:
    try:
        client.rebuild()
    except QueryError as exc:
        return "another sink" in str(exc)
    return False


def test_every_kind_of_not_now_is_tried_again(
    broker: Broker, topics: str, make_sink: MakeSink, server: ClickHouseServer
) -> None:
    server.start()
    sink = make_sink(clickhouse_dsn=server.dsn)
    client = sink.ready()
    expected = 0
    for number, fault in enumerate((overloaded, broken_proxy)):
        server.fault = fault
        messages = tool_chain(f"fault-{number}", 5).messages
        append(broker.bootstrap, topics, messages)
        expected += len(messages)
        time.sleep(1.5)
        assert events_in(client) == expected - len(messages)
        server.fault = None
        has_all(broker.bootstrap, topics, client, expected)
    # The insert is done, its acknowledgement is lost: the same rows come again and collapse.
    server.lose_answers = 2
    messages = tool_chain("answer-lost", 5).messages
    append(broker.bootstrap, topics, messages)
    has_all(broker.bootstrap, topics, client, expected + len(messages))
    assert server.lose_answers == 0
    assert client.named("dead_letters") == []


def test_a_second_sink_on_one_folder_ends_loudly(broker: Broker, topics: str, make_sink: MakeSink) -> None:
    first = make_sink()
    first.ready()
    second = make_sink(database_dir=str(first.database_dir))
    second.start()
    assert second.wait(30) == 70
    assert "another process owns the database" in second.output.read_text()
    assert first.client.query("SELECT 1 AS one") == [{"one": 1}]


def test_a_database_that_takes_nothing_ends_the_sink_loudly(
    broker: Broker, topics: str, make_sink: MakeSink, server: ClickHouseServer
) -> None:
    server.start()
    sink = make_sink(clickhouse_dsn=server.dsn)
    sink.ready()
    server.engine.command("DROP TABLE holdfast.events")
    append(broker.bootstrap, topics, tool_chain("nowhere", 2).messages)
    assert sink.wait(30) == 70
    assert "UNKNOWN_TABLE" in sink.output.read_text()


def test_a_taken_port_ends_the_sink_loudly(broker: Broker, topics: str, make_sink: MakeSink) -> None:
    first = make_sink()
    first.ready()
    second = make_sink(bridge_port=first.port, instance_id="sink-2")
    second.start()
    assert second.wait(60) == 70


def test_sigterm_during_an_outage_ends_the_sink(
    broker: Broker, topics: str, make_sink: MakeSink, server: ClickHouseServer
) -> None:
    server.start()
    sink = make_sink(clickhouse_dsn=server.dsn)
    sink.ready()
    server.stop()
    append(broker.bootstrap, topics, tool_chain("lost", 2).messages)
    eventually(lambda: "does not answer" in sink.output.read_text())
    os.kill(sink.pid, signal.SIGTERM)
    assert sink.wait(20) == 0


# The commands, as people run them.


@pytest.fixture
def holdfast(broker: Broker, topics: str, make_sink: MakeSink, tmp_path: Path) -> Callable[..., Any]:
    """A function that runs a command on a project whose sink has read 10 workflows and one piece of junk."""
    append(broker.bootstrap, topics, interleaved([support_ticket(f"wf-{n}") for n in range(10)]))
    send(broker.bootstrap, f"{topics}journal", [(b"k", b"junk", [])])
    sink = make_sink()
    client = sink.ready()
    eventually(lambda: events_in(client) == 360 and client.named("dead_letters"))
    home = tmp_path / "home"
    Project(home=home).write_runtime(
        Runtime(bootstrap=broker.bootstrap, bridge_url=client.url, bridge_token=TOKEN, supervisor_pid=os.getpid())
    )
    environment = {**os.environ, "HOLDFAST_HOME": str(home), "HOLDFAST_TOPIC_PREFIX": topics}
    environment["HOLDFAST_BOOTSTRAP"] = broker.bootstrap

    def run(*arguments: str, exit_code: int = 0) -> str:
        done = run_here(*arguments, env=environment, folder=tmp_path)
        assert done.code == exit_code, done.err + done.out
        return done.out + done.err

    return run


def test_the_commands_answer(holdfast: Callable[..., Any], topics: str) -> None:
    assert json.loads(holdfast("sql", "SELECT count() AS n FROM events FINAL", "--json")) == [{"n": 360}]
    assert "ApprovalDecided" in holdfast("sql", "SELECT type, count() FROM events GROUP BY type")
    assert holdfast("sql", "SELECT 1, 'a,b'", "--format", "CSV").startswith('1,"a,b"')
    rows = json.loads(holdfast("sql", "-q", "timeline", "-p", "workflow=wf-3", "--json"))
    assert [row["sequence"] for row in rows] == list(range(1, 37))
    assert "stuck" in holdfast("sql", "--questions")
    assert "error: ClickHouse refused" in holdfast("sql", "DROP TABLE events", exit_code=1)
    assert "no question" in holdfast("sql", "-q", "nothing", exit_code=1)
    holdfast("sql", exit_code=2)
    holdfast("sql", "-q", "timeline", exit_code=2)

    status = json.loads(holdfast("projections", "status", "--json"))
    assert (status["lag"], status["open_dead_letters"]) == (0, 1)
    assert sum(row["rows"] for row in status["partitions"]) == 360
    assert sum(row["end_offset"] for row in status["partitions"]) == 361
    assert [row["missing_offsets"] for row in status["partitions"]] == [0, 0, 0, 0]
    assert all(row["committed_offset"] == row["end_offset"] for row in status["partitions"])
    assert json.loads(holdfast("projections", "compare", "--json"))["equal"]

    (letter,) = json.loads(holdfast("dead-letters", "list", "--json"))
    place = (letter["topic"], str(letter["kafka_partition"]), str(letter["kafka_offset"]))
    (shown,) = json.loads(holdfast("dead-letters", "show", *place, "--json"))
    assert (shown["value_hex"], shown["decoded"]["error"]) == (b"junk".hex(), "not_framed")
    assert "no dead letter" in holdfast("dead-letters", "show", f"{topics}journal", "0", "9999", exit_code=1)

    report = json.loads(holdfast("audit", "verify", "--json", exit_code=1))
    assert {name: n for name, n in report.items() if n and isinstance(n, int)} == {
        "events": 360,
        "workflows": 10,
        "unreadable_records": 1,
    }
    assert '"partitions": 4' in holdfast("projections", "rebuild", "--yes", "--json")
