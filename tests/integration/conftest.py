"""Fixtures for the parts that talk to real processes."""

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.ops.embedded.broker import Broker
from holdfast.ops.restarts import RestartPolicy
from holdfast.ops.roles import Role
from holdfast.ops.settings import Project, Settings
from holdfast.ops.supervisor import Supervisor
from support.clickhouse_server import ClickHouseServer
from support.executors import Fleet, Orchestrator
from support.orchestrators import NewWorker, Worker
from support.sinks import MakeSink, SinkProcess
from support.small_disk import SmallDisk

# Restarts at once, and gives up soon.
QUICK = RestartPolicy(first_s=0.05, longest_s=0.2, limit=4)


@pytest.fixture
def stand_in() -> Callable[..., Role]:
    """A function (name, program, **fields) that makes a role of a small Python program."""

    def make(name: str, program: str, **fields: object) -> Role:
        return Role(name=name, command=(sys.executable, "-c", program), needs_topics=False, **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    return Project(home=tmp_path / "home")


@pytest.fixture
def supervise(project: Project, cache_dir: Path) -> Iterator[Callable[..., Supervisor]]:
    """A function (*roles, log=, settings=, policy=) that makes a supervisor for `project`, stopped after the test."""
    made: list[Supervisor] = []

    def make(*roles: Role, **fields: object) -> Supervisor:
        settings = fields.pop("settings", None) or Settings(home=project.home, cache_dir=cache_dir)
        supervisor = Supervisor(project, settings, roles=roles, **{"policy": QUICK, **fields})  # type: ignore[arg-type]
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        supervisor.stop()


@pytest.fixture
def make_sink(broker: Broker, topics: str, tmp_path: Path) -> Iterator[MakeSink]:
    """A function (**options) that makes a sink of this test's topics; killed afterwards."""
    made: list[SinkProcess] = []

    def make(**options: Any) -> SinkProcess:
        sink = SinkProcess(tmp_path / f"sink-{len(made)}", broker.bootstrap, topics, **options)
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.kill()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouseServer]:
    """A ClickHouse server that has not been started yet."""
    server = ClickHouseServer(tmp_path / "server")
    yield server
    server.close()


@pytest.fixture
def worker(broker: Broker, topics: str, tmp_path: Path) -> Iterator[NewWorker]:
    """A function that makes orchestrator workers on the test's topics; they are killed after the test."""
    made: list[Worker] = []

    def make(name: str = "o1", *, bootstrap: str = broker.bootstrap, **options: Any) -> Worker:
        made.append(Worker(tmp_path, bootstrap, topics, name, **options))
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., SmallDisk]]:
    """A function (folder, size_bytes, files=) that mounts a disk of its own there; it is gone after the test."""
    made: list[SmallDisk] = []

    def make(folder: Path, size_bytes: int, **options: int) -> SmallDisk:
        made.append(SmallDisk(folder, size_bytes, **options))
        return made[-1]

    yield make
    for disk in made:
        disk.unmount()


@pytest.fixture
def fleet(broker: Broker, topics: str, tmp_path: Path) -> Iterator[Fleet]:
    """Executors of the test's own, with probe tools; stopped after the test."""
    fleet = Fleet(broker.bootstrap, topics, tmp_path)
    yield fleet
    fleet.stop()


@pytest.fixture
async def orchestrator(broker: Broker, topics: str) -> AsyncIterator[Orchestrator]:
    """A stand-in for the fold: sends tasks to executors, and collects what they report."""
    async with Orchestrator(broker.bootstrap, topics) as orchestrator:
        yield orchestrator
