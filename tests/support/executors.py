"""Executors in child processes, and a stand-in for the orchestrator that hands them tasks and reads their reports."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from holdfast.ops.embedded.tether import spawn
from holdfast.schemas import codec, headers, ids, topics
from holdfast.schemas.record import EventMeta, Json, Message, Record
from holdfast.schemas.tasks import WITHDRAWN, GrantTask, LookUpEffect, RunModelCall, RunToolCall, StopTask

T = TypeVar("T")
SUPPORT = Path(__file__).parent
TENANT = "acme"
TOPIC_OF: dict[type[Record], topics.Topic] = {
    RunToolCall: topics.TASKS_TOOL,
    RunModelCall: topics.TASKS_MODEL,
    LookUpEffect: topics.TASKS_TOOL,
    GrantTask: topics.GRANTS,
    StopTask: topics.GRANTS,
}


class Executor:
    """One executor process."""

    def __init__(self, home: Path, name: str, **options: Any) -> None:
        self.id = options["config"]["executor_id"]
        self.log = home / f"{name}.log"
        self.probe_file = home / "probe"
        path = os.pathsep.join([str(SUPPORT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        environment = {**os.environ, "PYTHONPATH": path, "PROBE_FILE": str(self.probe_file)}
        with self.log.open("wb") as log:
            self.process = spawn(
                [sys.executable, str(SUPPORT / "run_executor.py"), json.dumps(options)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def wait(self, timeout_s: float = 20.0) -> int:
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Fleet:
    """Starts executors for one prefix; all of them share one probe file."""

    def __init__(self, bootstrap: str, prefix: str, home: Path) -> None:
        self.bootstrap, self.prefix, self.home = bootstrap, prefix, home
        self.content_url = (home / "content").as_uri()
        self.executors: list[Executor] = []

    def tools(
        self, *, slots: int = 8, executor_id: str = "", modules: Sequence[str] = ("probe_tools",), **config: Any
    ) -> Executor:
        return self._start(slots, executor_id, config, modules=list(modules), content_url=self.content_url)

    def models(self, endpoint: dict[str, Any], *, slots: int = 8, executor_id: str = "", **config: Any) -> Executor:
        return self._start(slots, executor_id, config, endpoint=endpoint)

    def _start(self, slots: int, executor_id: str, config: dict[str, Any], **options: Any) -> Executor:
        name = f"executor-{len(self.executors)}"
        settings = {
            "bootstrap": self.bootstrap,
            "topic_prefix": self.prefix,
            "executor_id": executor_id or f"{name}@test/1",
            "slots": slots,
            "session_timeout_ms": 6_000,
            **config,
        }
        executor = Executor(self.home, name, config=settings, **options)
        self.executors.append(executor)
        return executor

    def probes(self) -> list[list[str]]:
        """What tools have written down: (what, tool, effect key, attempt, process id) each."""
        file = self.home / "probe"
        return [line.split(" ") for line in file.read_text().splitlines()] if file.exists() else []

    def begun(self, effect_key: str) -> int:
        return sum(1 for what, _, key, *_ in self.probes() if what == "begin" and key == effect_key)

    def stop(self) -> None:
        for executor in self.executors:
            executor.kill()


class Orchestrator:
    """Writes tasks and grants, reads the inbox from its beginning. An async context manager."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap, self._prefix = bootstrap, prefix
        self.reports: list[Message[Record]] = []
        self.records: list[ConsumerRecord] = []

    async def __aenter__(self) -> "Orchestrator":
        self._producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self._prefix + topics.INBOX.name, number) for number in range(4)])
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()

    async def send(
        self,
        body: Record,
        *,
        workflow_id: str = "w1",
        topic: topics.Topic | None = None,
        cause_id: str = "",
        tenant: str = TENANT,
        partition: int | None = None,
    ) -> EventMeta:
        where = topic or TOPIC_OF[type(body)]
        type_ = codec.schema_of(type(body)).subject
        key = f"{getattr(body, 'effect_key', '')}#{getattr(body, 'attempt', '')}"
        meta = EventMeta(
            event_id=ids.derived_id(key, type_),
            type=type_,
            tenant=tenant,
            workflow_id=workflow_id,
            cause_id=cause_id,
            correlation_id="correlation-1",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            actor_kind="engine",
            actor_id="orchestrator",
            occurred_at_ms=int(time.time() * 1000),
        )
        value, ce_headers = codec.encode(body, meta), headers.cloud_event(body, meta, "/test")
        await self.send_bytes(where, value, key.encode(), ce_headers, partition)
        return meta

    async def send_bytes(
        self,
        topic: topics.Topic,
        value: bytes,
        key: bytes = b"k",
        headers: headers.Headers | None = None,
        partition: int | None = None,
    ) -> None:
        await self._producer.send_and_wait(
            self._prefix + topic.name, value, key=key, headers=headers, partition=partition
        )

    async def wait_for(self, kind: type[T], count: int = 1, *, effect_key: str = "") -> list[T]:
        """The first `count` reports of a type (about one call), in the order they were read."""
        return (await self.until(lambda: self.of(kind, effect_key), count))[:count]

    async def until(self, found: Callable[[], list[T]], count: int, timeout_s: float = 20.0) -> list[T]:
        give_up_at = time.monotonic() + timeout_s
        while len(found()) < count:
            if time.monotonic() > give_up_at:
                raise AssertionError(f"{len(found())} of {count}: reports {[r.body for r in self.reports]}")
            await self.read(0.1)
        return found()

    async def read(self, seconds: float) -> None:
        """Read reports for a while."""
        batches = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        for records in batches.values():
            self.records += records
            self.reports += [codec.decode(record.value) for record in records]

    async def settle(self, seconds: float) -> None:
        """Read reports for the whole of a time in which something must not happen."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await self.read(0.1)

    def of(self, kind: type[T], effect_key: str = "") -> list[T]:
        """The reports of a type (about one call) read so far."""
        bodies = [report.body for report in self.reports]
        return [b for b in bodies if isinstance(b, kind) and effect_key in ("", b.effect_key)]  # type: ignore[attr-defined]


async def eventually(holds: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait until a condition holds."""
    give_up_at = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up_at, "the condition never held"
        await asyncio.sleep(0.02)


def tool_task(
    name: str,
    arguments: Json,
    *,
    effect: str = "read",
    n: int = 0,
    attempt: int = 1,
    timeout_ms: int = 10_000,
    lease_ms: int = 0,
    deadline_in_ms: int = 600_000,
    workflow_id: str = "w1",
) -> RunToolCall:
    """A tool task; `n` makes its effect key."""
    return RunToolCall(
        effect_key=ids.effect_key(TENANT, workflow_id, "step", 1, n, 0),
        attempt=attempt,
        step="step",
        tool=name,
        effect=effect,
        arguments=arguments,
        action_hash="a" * 64,
        timeout_ms=timeout_ms,
        lease_ms=lease_ms,
        deadline_at_ms=int(time.time() * 1000) + deadline_in_ms,
    )


def search_task(
    name: str, arguments: Json, *, n: int = 0, lookup: int = 1, not_before_in_ms: int = 0, timeout_ms: int = 10_000
) -> LookUpEffect:
    """A search for traces of the call that `tool_task` with the same `n` asks for."""
    return LookUpEffect(
        effect_key=ids.effect_key(TENANT, "w1", "step", 1, n, 0),
        attempt=1,
        lookup=lookup,
        step="step",
        tool=name,
        arguments=arguments,
        not_before_at_ms=int(time.time() * 1000) + not_before_in_ms,
        timeout_ms=timeout_ms,
    )


def stop(task: RunToolCall | RunModelCall, reason: str = WITHDRAWN) -> StopTask:
    """Word that nobody waits for a task any more, or that its claim was refused."""
    return StopTask(effect_key=task.effect_key, attempt=task.attempt, reason=reason)
