"""Outages that last: a broker that is away for a minute, a ClickHouse for ten, cost that time and nothing else."""

import asyncio
import inspect
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from holdfast.ops.chaos.checks import count, folded
from holdfast.ops.chaos.driver import World
from holdfast.ops.chaos.mix import generate
from holdfast.ops.chaos.run import MODEL_SCRIPT, MUST_BE_ZERO
from holdfast.ops.chaos.tools import URL_VARIABLE
from holdfast.ops.client import Client
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.scripted_model.child import ChildServer, ScriptedModel
from holdfast.ops.trial.projected import projected
from holdfast.ops.trial.sandbox import Sandbox, sandbox
from holdfast.projections.patience import Patience
from holdfast.projections.sink import SinkConfig
from support import executors
from support.clickhouse_server import ClickHouseServer
from support.journal_builder import interleaved, tool_chain
from support.orchestrators import Worker
from support.sinks import MakeSink, SinkProcess, append, chains, eventually, has_all

WORKFLOWS = 60
STARTS_S = 8.0
BEFORE_S = 4.0
SETTLE_S = 60.0
EXIT_CANNOT_GO_ON = 70

Fault = Callable[[Broker], Awaitable[None]]


async def killed_for_a_minute(broker: Broker) -> None:
    broker.kill()
    await asyncio.sleep(60)
    broker.start()
    await asyncio.to_thread(broker.wait_ready)


async def suspended_for_a_while(broker: Broker) -> None:
    """It takes connections and says nothing; when it goes on, it is no member of its own cluster for a moment."""
    broker.signal(signal.SIGSTOP)
    await asyncio.sleep(15)
    broker.signal(signal.SIGCONT)


class Project:
    """A whole project on a broker of its own, which it does not supervise, and everything the supervisor says."""

    def __init__(self, sandbox: Sandbox, broker: Broker, target: ChildServer) -> None:
        self.sandbox, self.broker, self.target = sandbox, broker, target
        self.supervisor_said: list[str] = []
        sandbox.supervisor.log = self._log

    def _log(self, role: str, line: str) -> None:
        if role == "supervisor":
            self.supervisor_said.append(line)


@pytest.fixture
def project(private_broker: Callable[[], Broker], topic_prefix: str, tmp_path: Path) -> Iterator[Project]:
    """Orchestrator, executors and sink under a supervisor with the policy that everybody has."""
    broker = private_broker()
    home = tmp_path / "home"
    home.mkdir()
    target = ChildServer(["-m", "holdfast.ops.chaos.target"], tmp_path / "target")
    model = ScriptedModel(MODEL_SCRIPT, tmp_path / "model")
    with (
        target,
        model,
        sandbox(
            home,
            environment={URL_VARIABLE: target.url},
            bootstrap=broker.bootstrap,
            topic_prefix=topic_prefix,
            partitions=4,
            tool_modules=("holdfast.ops.chaos.tools",),
            model_base_url=model.base_url,
            model_name="scripted",
        ) as running,
    ):
        running.keep = True  # in the folder of a test, whose remains pytest sees to
        yield Project(running, broker, target)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [killed_for_a_minute, suspended_for_a_while], ids=lambda fault: fault.__name__)
async def test_a_broker_that_is_away_for_long_costs_time_and_nothing_else(project: Project, fault: Fault) -> None:
    mix = generate(5, WORKFLOWS)
    rng = random.Random(5)
    running = project.sandbox
    tenant = running.settings.tenant
    async with (
        Client(running.bootstrap, running.prefix, tenant, "requester") as requester,
        Client(running.bootstrap, running.prefix, tenant, "reviewer") as reviewer,
    ):
        for definition in mix.definitions:
            await requester.publish(definition)
        world = World(running, requester, reviewer, mix.visits, lambda: None)
        async with asyncio.TaskGroup() as work:
            answering = work.create_task(world.answer_for_ever())
            # Some are asked for while nobody can hear it.
            work.create_task(world.start_all([rng.uniform(0, STARTS_S) for _ in mix.visits]))
            await asyncio.sleep(BEFORE_S)
            await fault(project.broker)
            assert len(world.finished) < WORKFLOWS
            async with asyncio.timeout(120):
                await world.all_finished()
            answering.cancel()
    assert set(world.finished.values()) == {"WorkflowCompleted"}
    assert await folded(running, timeout_s=SETTLE_S)
    assert await projected(running, timeout_s=SETTLE_S)
    counts = await count(running, project.target.journal())
    assert {name: number for name, number in counts.items() if name in MUST_BE_ZERO and number} == {}
    ended = [line for line in project.supervisor_said if "ended" in line]
    assert [line for line in ended if f"exit code {EXIT_CANNOT_GO_ON}" not in line] == [], "not a loud end"


def test_a_process_that_finds_no_broker_waits_then_ends_loudly(tmp_path: Path) -> None:
    nowhere = "127.0.0.1:1"
    worker = Worker(tmp_path, nowhere, "t.", broker_wait_s=2.0)
    worker.start()
    executor = executors.Fleet(nowhere, "t.", tmp_path).tools(broker_wait_s=2.0)
    try:
        assert (worker.wait(), executor.wait()) == (EXIT_CANNOT_GO_ON, EXIT_CANNOT_GO_ON)
        for said in (worker.said(), executor.said()):
            assert f"no Kafka broker answers at {nowhere}, attempt 2" in said
            assert f"cannot go on: no Kafka broker answers at {nowhere}" in said or "cannot go on: BrokerAway" in said
    finally:
        worker.kill()
        executor.kill()


async def test_executors_and_sinks_that_wait_for_their_broker_can_be_stopped(tmp_path: Path) -> None:
    executor = executors.Fleet("127.0.0.1:1", "t.", tmp_path).tools()
    sink = SinkProcess(tmp_path / "sink", "127.0.0.1:1", "t.")
    sink.start()
    try:
        await executors.eventually(lambda: "attempt 1" in executor.said())
        executor.process.terminate()
        assert executor.wait(5) == 0
        await executors.eventually(lambda: "Unable connect" in sink.output.read_text(), timeout_s=60)
        assert sink.stop() == 0
    finally:
        executor.kill()
        sink.kill()


def test_a_worker_whose_group_cannot_be_coordinated_ends_loudly(broker: Broker, topics: str, tmp_path: Path) -> None:
    """Faust would wait for its partitions for good: the client's routine has ended, and nobody asks."""
    worker = Worker(tmp_path, broker.bootstrap, topics, coordinator=False)
    worker.start()
    try:
        assert worker.wait() == EXIT_CANNOT_GO_ON
        assert "the group's coordination has ended" in worker.said()
    finally:
        worker.kill()


TEN_MINUTES_S = 600
# The outage of a test, and limits so short that it is as long beside them as ten minutes are beside the real ones.
AWAY_S = 25.0
SHORT = {"session_timeout_ms": 6_000, "max_poll_interval_ms": 6_000}


def test_no_limit_of_the_sink_ends_before_ten_minutes_do() -> None:
    assert inspect.signature(Patience.insist).parameters["limit_s"].default > TEN_MINUTES_S
    real = SinkConfig(bootstrap="", topic_prefix="", database_dir=Path(), bridge_port=0, bridge_token="")
    assert AWAY_S * 1000 / SHORT["max_poll_interval_ms"] > TEN_MINUTES_S * 1000 / real.max_poll_interval_ms
    assert 2 * SHORT["session_timeout_ms"] < AWAY_S * 1000


def test_a_clickhouse_that_is_away_costs_lag_and_nothing_else(
    broker: Broker, topics: str, make_sink: MakeSink, server: ClickHouseServer, tmp_path: Path
) -> None:
    server.start()
    sink = make_sink(clickhouse_dsn=server.dsn, **SHORT)
    client = sink.ready()
    messages = list(interleaved(chains(1_200)))
    append(broker.bootstrap, topics, messages[:500])
    has_all(broker.bootstrap, topics, client, 500)
    assert client.trouble() is None
    process = psutil.Process(sink.pid)
    before_bytes = process.memory_info().rss

    server.stop()
    append(broker.bootstrap, topics, messages[500:])
    time.sleep(AWAY_S)

    # It holds one batch that waits and one that gathers; the rest stays in Kafka.
    assert process.memory_info().rss - before_bytes < 200 << 20
    status = sink.status(tmp_path / "home", exit_code=1)
    assert status["trouble"]["code"] == "clickhouse_away"
    assert status["trouble"]["attempts"] > 3
    assert (status["lag"], status["partitions"][0].get("rows")) == (len(messages) - 500, None)
    assert "clickhouse_away: ClickHouse does not answer, attempt 3" in sink.output.read_text()

    server.start()
    has_all(broker.bootstrap, topics, client, len(messages))
    assert sink.output.read_text().count("Successfully synced group") == 1, "the group took it for dead"
    eventually(lambda: sink.status(tmp_path / "home")["lag"] == 0)
    assert client.trouble() is None
    assert sum(row["missing_offsets"] for row in client.named("partitions")) == 0


def test_a_sink_that_starts_while_clickhouse_is_away_waits_then_goes_on(
    broker: Broker, topics: str, make_sink: MakeSink, server: ClickHouseServer
) -> None:
    sink = make_sink(clickhouse_dsn=server.dsn)
    sink.start()
    eventually(lambda: "ClickHouse does not answer, attempt 2" in sink.output.read_text())
    server.start()
    append(broker.bootstrap, topics, tool_chain("late", 2).messages)
    has_all(broker.bootstrap, topics, sink.ready(), len(tool_chain("late", 2).messages))
