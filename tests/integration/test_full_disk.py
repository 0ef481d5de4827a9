"""A full disk stops what needs it, loudly; once there is room again everything goes on, and nothing was lost."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from holdfast.ops.commands.sql import answers
from holdfast.ops.doctor import Finding, Severity, examine
from holdfast.ops.embedded.broker import Broker
from holdfast.ops.errors import CommandError
from holdfast.ops.restarts import RestartPolicy
from holdfast.ops.roles import ROLES, Role
from holdfast.ops.settings import Project, Runtime, Settings
from holdfast.ops.supervisor import Supervisor
from holdfast.projections.embedded import KEEP_FREE_BYTES
from holdfast.streams import audit
from holdfast.streams.faustkit.exit import EXIT_CANNOT_GO_ON
from support.journal_builder import interleaved, tool_chain
from support.orchestrators import Outside, Worker, chain
from support.sinks import MakeSink, append, chains, eventually, has_all
from support.small_disk import SmallDisk

MIB = 1 << 20
BROKER = tuple(role for role in ROLES if role.is_broker)
NewDisk = Callable[..., SmallDisk]


class Writer:
    """Appends to the journal's first partition as long as it may, in a thread; `acknowledged` has what was taken."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.acknowledged: list[bytes] = []
        self._bootstrap, self._topic = bootstrap, f"{prefix}journal"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._write()))

    async def _write(self) -> None:
        number = 0
        while not self._stop.is_set():
            with suppress(KafkaError, TimeoutError):
                # A producer that waits for a broker is not to be stopped: a new one for each outage.
                producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
                try:
                    await producer.start()
                    while not self._stop.is_set():
                        number += 1
                        value = b"%d " % number + bytes(20_000)
                        await asyncio.wait_for(producer.send_and_wait(self._topic, value, partition=0), 3)
                        self.acknowledged.append(value)
                finally:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(producer.stop(), 1)
            await asyncio.sleep(0.1)

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def missing(self) -> set[bytes]:
        """What was acknowledged and is not there."""
        return set(self.acknowledged) - asyncio.run(self._all())

    async def _all(self) -> set[bytes]:
        place = TopicPartition(self._topic, 0)
        async with AIOKafkaConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest") as consumer:
            consumer.assign([place])
            end, found = (await consumer.end_offsets([place]))[place], set()
            while await consumer.position(place) < end:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    found |= {record.value for record in records}
            return found


def find(findings: list[Finding], subject: str) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def test_a_broker_without_room_is_started_again_until_there_is_some_or_it_is_given_up(
    supervise: Callable[..., Supervisor], project: Project, cache_dir: Path, small_disk: NewDisk
) -> None:
    disk = small_disk(project.data / "broker", 128 * MIB)
    lines: list[str] = []
    settings = Settings(home=project.home, cache_dir=cache_dir)
    patient = RestartPolicy(first_s=0.2, longest_s=1.0, limit=6)
    supervisor = supervise(*BROKER, settings=settings, policy=patient, log=lambda _role, line: lines.append(line))
    supervisor.start()
    with Writer(supervisor.runtime.bootstrap, settings.topic_prefix) as writer:
        eventually(lambda: len(writer.acknowledged) > 20)

        disk.fill()
        eventually(lambda: supervisor.runtime.roles["broker"].restarts >= 2)
        assert any("No space left on device" in line for line in lines)
        assert any("broker ended (exit code 1) and is started again" in line for line in lines)

        disk.make_room()
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 20)
        assert writer.missing() == set()

        disk.fill()
        reason = supervisor.wait()
        assert reason is not None
        assert "broker ended 7 times in a row" in reason
        assert f"the disk of broker is full, 0.0 GiB free at {disk.path}" in reason
        supervisor.stop()
    named = find(examine(settings, project), "disk of broker")
    assert (named.severity, "make room" in named.cure) == (Severity.BROKEN, True)

    disk.make_room()
    again = supervise(*BROKER, settings=settings)
    again.start()
    assert again.runtime.bootstrap == supervisor.runtime.bootstrap
    assert writer.missing() == set()


def test_a_supervisor_without_room_keeps_its_roles_running(
    supervise: Callable[..., Supervisor], stand_in: Callable[..., Role], project: Project, small_disk: NewDisk
) -> None:
    """Neither runtime.json, nor the roles' logs, nor what shows them can be written."""
    disk = small_disk(project.home, MIB)
    shown: list[str] = []

    def show(_role: str, line: str) -> None:
        shown.append(line)
        if disk.free_bytes == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    program = "import time\nfor n in range(10_000): print(n, flush=True); time.sleep(0.05)"
    supervisor = supervise(stand_in("talker", program), log=show)
    supervisor.start()
    eventually(lambda: len(shown) > 3)
    disk.fill()
    first, before = supervisor.pid("talker"), len(shown)
    eventually(lambda: len(shown) > before + 10)
    supervisor.signal("talker", signal.SIGKILL)
    eventually(lambda: supervisor.pid("talker") not in (None, first))
    assert any("runtime.json does not say so" in line for line in shown)
    published = project.read_runtime()
    assert published is not None
    assert published.roles["talker"].pid == first, "the old one is whole"

    disk.make_room()
    kept = project.logs / "talker.log"
    size = kept.stat().st_size
    eventually(lambda: kept.stat().st_size > size)
    supervisor.signal("talker", signal.SIGKILL)
    eventually(lambda: supervisor.runtime.roles["talker"].restarts == 2)
    eventually(lambda: project.read_runtime() == supervisor.runtime)
    assert list(project.home.glob("runtime-*")) == []


def test_a_project_whose_only_disk_is_full_goes_on_when_there_is_room(
    tmp_path: Path, cache_dir: Path, small_disk: NewDisk
) -> None:
    """As people run it: roles, logs, runtime.json and the supervisor's own output all want the same disk."""
    disk = small_disk(tmp_path / "home", 500 * MIB)
    first = Path(__file__).parents[2] / "ops" / "examples" / "first" / "workflow.yaml"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
    environment |= {"HOLDFAST_HOME": str(disk.path), "HOLDFAST_CACHE_DIR": str(cache_dir)}

    def holdfast(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "holdfast.ops.cli", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def runtime() -> Runtime:
        found = Project(home=disk.path).read_runtime()
        assert found is not None
        return found

    def ends(workflow_id: str) -> bool:
        holdfast("signal", workflow_id, "number.told", "--data", '{"n": 120}', "--event-id", workflow_id)
        return '"completed"' in holdfast("show", workflow_id, "--json").stdout

    try:
        assert holdfast("up", "--detach").returncode == 0
        assert holdfast("apply", str(first)).returncode == 0
        assert holdfast("start", "first", "--id", "before").returncode == 0
        supervisor_pid, broker_pid = runtime().supervisor_pid, runtime().roles["broker"].pid

        disk.fill()
        refused = holdfast("start", "first", "--id", "meanwhile", "--input", f'{{"text": "{"x" * 20_000}"}}')
        assert (refused.returncode, "try: " in refused.stderr) == (1, True), refused.stderr
        eventually(lambda: not psutil.pid_exists(broker_pid))
        doctor = holdfast("doctor")
        assert doctor.returncode == 1
        assert "disk of the project" in doctor.stdout
        time.sleep(3)  # the broker is started in vain, and whatever is said cannot be written down

        disk.make_room()
        eventually(lambda: holdfast("start", "first", "--id", "after").returncode == 0, timeout_s=90)
        for workflow_id in ("before", "after"):
            eventually(lambda: ends(workflow_id), timeout_s=90)  # noqa: B023 - called at once
        assert runtime().supervisor_pid == supervisor_pid, "it has gone on by itself"
        assert holdfast("audit", "verify").returncode == 0
        assert "Kafka Server started" in (disk.path / "logs" / "broker.log").read_text().splitlines()[-1]
        assert list(disk.path.glob("runtime-*")) == []
    finally:
        holdfast("down")


def test_a_clickhouse_without_room_costs_lag_and_nothing_else(
    broker: Broker, topics: str, make_sink: MakeSink, small_disk: NewDisk, tmp_path: Path
) -> None:
    disk = small_disk(tmp_path / "clickhouse", KEEP_FREE_BYTES + 128 * MIB)
    messages = list(interleaved(chains(60)))
    thirds = [messages[number::3] for number in range(3)]
    sink = make_sink(database_dir=str(disk.path))
    client = sink.ready()
    append(broker.bootstrap, topics, thirds[0])
    has_all(broker.bootstrap, topics, client, len(thirds[0]))

    # There is room, but the engine may not have it; then there is none at all.
    for leave_bytes, appended in ((KEEP_FREE_BYTES - MIB, thirds[1]), (0, thirds[2])):
        disk.fill(leave_bytes=leave_bytes)
        append(broker.bootstrap, topics, appended)
        eventually(lambda: (client.trouble() or {}).get("attempts", 0) > 2)
        status = sink.status(tmp_path / "home", exit_code=1)
        assert status["trouble"]["code"] == "disk_full"
        assert sum(row["rows"] for row in status["partitions"]) == len(thirds[0]), "it takes nothing, but can be read"
        assert sum(row["committed_offset"] for row in status["partitions"]) == len(thirds[0])

    disk.make_room()
    has_all(broker.bootstrap, topics, client, len(messages))
    assert client.named("dead_letters") == []
    assert client.trouble() is None
    assert sink.status(tmp_path / "home")["trouble"] is None


def test_a_sink_that_starts_without_room_makes_no_table_until_there_is_some(
    broker: Broker, topics: str, make_sink: MakeSink, small_disk: NewDisk, tmp_path: Path
) -> None:
    disk = small_disk(tmp_path / "clickhouse", KEEP_FREE_BYTES + 128 * MIB)
    disk.fill(leave_bytes=MIB)
    sink = make_sink(database_dir=str(disk.path))
    sink.start()
    eventually(lambda: "disk_full: ClickHouse has no room on its disk, attempt 3" in sink.output.read_text())
    assert not (disk.path / "store").exists()
    disk.make_room()
    append(broker.bootstrap, topics, tool_chain("late", 2).messages)
    has_all(broker.bootstrap, topics, sink.ready(), len(tool_chain("late", 2).messages))


def test_tables_with_damaged_files_are_made_again_from_the_journal(
    broker: Broker, topics: str, make_sink: MakeSink
) -> None:
    """What another writer on the same disk can do to the engine, if it takes the last room in the wrong moment."""
    messages = list(interleaved(chains(20)))
    append(broker.bootstrap, topics, messages)
    sink = make_sink()
    client = sink.ready()
    has_all(broker.bootstrap, topics, client, len(messages))
    cut_off = list(sink.database_dir.glob("store/store/*/*/*/data.bin"))
    assert cut_off
    for path in cut_off:
        path.write_bytes(b"")

    with pytest.raises(CommandError, match="refused") as refused, answers():
        client.query("SELECT * FROM events")
    assert "`holdfast projections rebuild`" in refused.value.cure
    assert client.rebuild() == 4
    has_all(broker.bootstrap, topics, client, len(messages))


async def test_an_orchestrator_whose_own_disk_is_full_ends_loudly_or_does_not_care(
    broker: Broker, topics: str, small_disk: NewDisk, tmp_path: Path
) -> None:
    """Its state is in Kafka and in memory, so there is nothing that a full disk could corrupt."""
    disk = small_disk(tmp_path / "own", MIB, files=16)
    disk.fill()
    only = Worker(tmp_path, broker.bootstrap, topics, data_dir=str(disk.path / "o1"))
    only.start()
    try:
        assert await asyncio.to_thread(only.wait) == EXIT_CANNOT_GO_ON
        assert "cannot go on: [Errno 28] No space left on device" in only.said()
        disk.make_room()
        only.start()
        async with Outside(broker.bootstrap, topics) as outside:
            await outside.client.publish(chain(6))
            await start(outside, 0, 20)
            await outside.until(lambda: outside.events)
            disk.fill()
            await start(outside, 20, 20)

            def all_ended() -> bool:
                only.restart_if_ended()
                return len(outside.endings) == 40

            await outside.until(all_ended)
        assert set(only.codes) <= {EXIT_CANNOT_GO_ON}
        found = await audit.compare(broker.bootstrap, topics)
        assert found.whole
        assert len(found.rows) == 40
    finally:
        only.kill()


async def start(outside: Outside, first: int, count: int) -> None:
    names = [f"w-{number}" for number in range(first, first + count)]
    await asyncio.gather(*(outside.client.start("test", {}, workflow_id=name, event_id=name) for name in names))
