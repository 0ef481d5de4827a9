"""Sinks as child processes, and journals on a real broker for them to read."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from holdfast.ops.settings import Project, Runtime
from holdfast.projections import verify
from holdfast.projections.client import ClickHouse, QueryError, Unreachable
from holdfast.schemas.record import Message, Record
from support.cli import run_here
from support.journal_builder import WorkflowJournal, record_of, tool_chain

TOKEN = "test-token"
WAIT_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(check: Callable[[], Any], *, timeout_s: float = WAIT_S) -> Any:
    """The first true value of `check`; errors of a ClickHouse that is not there yet count as false."""
    deadline = time.monotonic() + timeout_s
    last: Any = None
    while time.monotonic() < deadline:
        try:
            last = check()
        except (Unreachable, QueryError) as exc:
            last = exc
        else:
            if last:
                return last
        time.sleep(0.05)
    raise AssertionError(f"did not come about within {timeout_s} s; last: {last!r}")


class SinkProcess:
    """One sink in its own process, with its output in a file."""

    def __init__(self, folder: Path, bootstrap: str, prefix: str, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.database_dir = folder / "clickhouse"
        self.port = free_port()
        self.output = folder / "sink.log"
        self._options = {
            "bootstrap": bootstrap,
            "topic_prefix": prefix,
            "database_dir": str(self.database_dir),
            "bridge_port": self.port,
            "bridge_token": TOKEN,
            **options,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def client(self) -> ClickHouse:
        return ClickHouse(url=f"http://127.0.0.1:{self.port}", token=TOKEN)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        script = Path(__file__).with_name("run_sink.py")
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(script), orjson.dumps(self._options).decode()], stdout=output, stderr=output
            )

    def ready(self) -> ClickHouse:
        """The client of a sink that has started, once its bridge answers."""
        if self._process is None:
            self.start()
        eventually(lambda: self._running() and self.client.query("SELECT 1 AS one"))
        return self.client

    def status(self, home: Path, *, exit_code: int = 0) -> Any:
        """What `holdfast projections status` says of this sink, asked in a project whose folder is `home`."""
        runtime = Runtime(
            bootstrap=self._options["bootstrap"],
            bridge_url=self.client.url,
            bridge_token=TOKEN,
            supervisor_pid=os.getpid(),
        )
        Project(home=home).write_runtime(runtime)
        settings = {"HOME": home, "BOOTSTRAP": runtime.bootstrap, "TOPIC_PREFIX": self._options["topic_prefix"]}
        env = {**os.environ, **{f"HOLDFAST_{name}": str(value) for name, value in settings.items()}}
        done = run_here("projections", "status", "--json", env=env, folder=home)
        assert done.code == exit_code, done.err + done.out
        return done.json

    def _running(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the sink ended:\n{self.output.read_text()}"
        return True

    def wait(self, timeout_s: float = 30.0) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, whatever it does; also fine if it has ended."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()


async def _send(bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None, Any]]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=1 << 18) as producer:
        sent = [await producer.send(topic, value, key=key, headers=headers) for key, value, headers in records]
        await asyncio.gather(*sent)


def send(bootstrap: str, topic: str, records: Iterable[tuple[bytes | None, bytes | None, Any]]) -> None:
    """Append (key, value, headers) to a topic and wait for every acknowledgement."""
    asyncio.run(_send(bootstrap, topic, records))


def append(bootstrap: str, prefix: str, messages: Iterable[Message[Record]]) -> None:
    """Append events to the journal."""
    records = [record_of(message) for message in messages]
    send(bootstrap, f"{prefix}journal", [(record.key, record.value, record.headers) for record in records])


def events_in(client: ClickHouse) -> int:
    return int(client.query("SELECT count() AS n FROM events FINAL")[0]["n"])


def has_all(bootstrap: str, prefix: str, client: ClickHouse, expected: int) -> verify.Comparison:
    """Wait until all rows are there, then compare each with the journal."""
    eventually(lambda: events_in(client) >= expected)
    found = verify.compare(bootstrap, prefix, client)
    assert found.equal, found
    assert found.events == expected
    return found


def chains(count: int, steps: int = 5) -> list[WorkflowJournal]:
    return [tool_chain(f"chain-{number}", steps) for number in range(count)]


MakeSink = Callable[..., SinkProcess]
