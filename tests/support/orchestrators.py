"""Orchestrator workers as child processes, and a stand-in for executors that answers every task."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from holdfast.ops.client import Client
from holdfast.ops.embedded.tether import spawn
from holdfast.schemas import codec, headers, ids, topics
from holdfast.schemas.record import EventMeta, Message, Record
from holdfast.schemas.reports import ReportToolResult
from holdfast.schemas.results import EventExpired
from holdfast.schemas.tasks import RunToolCall
from holdfast.streams import audit
from support.scenario import TENANT, define

SESSION_TIMEOUT_MS = 6_000
SCRIPT = Path(__file__).with_name("run_orchestrator.py")
PARTITIONS = 4


class Worker:
    """One place in the group, and the process that fills it at present."""

    def __init__(self, home: Path, bootstrap: str, prefix: str, name: str = "o1", **options: Any) -> None:
        self.log = home / f"{name}.log"
        self.codes: list[int] = []
        self._options = {
            "bootstrap": bootstrap,
            "topic_prefix": prefix,
            "partitions": PARTITIONS,
            "data_dir": str(home / name),
            "instance_id": name,
            "session_timeout_ms": SESSION_TIMEOUT_MS,
            "pause_after_seek_s": 0.0,
            "commits": True,
            "coordinator": True,
            **options,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = spawn([sys.executable, str(SCRIPT), json.dumps(self._options)], stdout=log, stderr=log)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_s: float = 30.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(timeout_s)

    def restart_if_ended(self) -> None:
        """What a supervisor does; `codes` has the exit codes of those that ended."""
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            self.codes.append(code)
            self.start()

    def wait(self, timeout_s: float = 30.0) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def said(self) -> str:
        return self.log.read_text(errors="replace")


NewWorker = Callable[..., Worker]


class Outside:
    """Everything around the engine: a client that asks, an executor that answers every tool task, and the results.

    An async context manager; `endings` has the type of the last event of each workflow that ended, `rejections` the
    codes of refused requests, `expired` the ids of published events that nobody waited for in time, `events` every
    journal record and `tasks` every task in the order they were read. Tasks are answered while `answering` is true, the
    others by `answer_all`.
    """

    def __init__(self, bootstrap: str, prefix: str, *, answering: bool = True) -> None:
        self.client = Client(bootstrap, prefix, TENANT, "ann")
        self.endings: dict[str, str] = {}
        self.rejections: list[str] = []
        self.expired: list[str] = []
        self.events: list[Message[Record]] = []
        self.tasks: list[Message[Record]] = []
        self.answering = answering
        self._bootstrap, self._prefix = bootstrap, prefix

    async def __aenter__(self) -> "Outside":
        await self.client.__aenter__()
        self.producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        await self.producer.start()
        await self._consumer.start()
        names = [self._prefix + topic.name for topic in (topics.TASKS_TOOL, topics.RESULTS, topics.JOURNAL)]
        self._consumer.assign([TopicPartition(name, number) for name in names for number in range(PARTITIONS)])
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._following.cancel()
        await asyncio.wait([self._following])
        await self._consumer.stop()
        await self.producer.stop()
        await self.client.__aexit__(kind, error, trace)

    async def until(self, holds: Callable[[], object], timeout_s: float = 60.0) -> None:
        give_up_at = time.monotonic() + timeout_s
        while not holds():
            if self._following.done():
                await self._following
            assert time.monotonic() < give_up_at, f"the condition never held; ended: {sorted(self.endings)}"
            await asyncio.sleep(0.02)

    async def send(self, topic: topics.Topic, key: bytes | None, value: bytes | None) -> None:
        """Raw bytes to a topic, by their key or else to its first partition."""
        partition = 0 if key is None else None
        await self.producer.send_and_wait(self._prefix + topic.name, value, key=key, partition=partition)

    async def report(self, body: Record, workflow_id: str, event_id: str) -> None:
        """A record of an executor's on the inbox."""
        meta = EventMeta(
            event_id=event_id,
            type=type(body).__name__,
            tenant=TENANT,
            workflow_id=workflow_id,
            actor_kind="executor",
            actor_id="x1",
            occurred_at_ms=int(time.time() * 1000),
        )
        key = ids.workflow_key(TENANT, workflow_id).encode()
        value = codec.encode(body, meta)
        await self.producer.send_and_wait(
            self._prefix + topics.INBOX.name, value, key=key, headers=headers.cloud_event(body, meta, "/test")
        )

    async def _follow(self) -> None:
        while True:
            for place, records in (await self._consumer.getmany(timeout_ms=100)).items():
                take = {topics.RESULTS.name: self._result, topics.JOURNAL.name: self._event}.get(
                    place.topic.removeprefix(self._prefix), self._task
                )
                for record in records:
                    await take(codec.decode(record.value))

    async def _result(self, message: Message[Record]) -> None:
        if message.meta.type == "RequestRejected":
            self.rejections.append(message.body.code)  # type: ignore[attr-defined]
        elif isinstance(message.body, EventExpired):
            self.expired.append(message.body.source_id)
        else:
            self.endings[message.meta.workflow_id] = message.meta.type

    async def _event(self, message: Message[Record]) -> None:
        self.events.append(message)

    async def answer_all(self) -> None:
        """Answer every task that was read so far, also those that were answered before."""
        for message in list(self.tasks):
            await self._answer(message)

    async def _task(self, message: Message[Record]) -> None:
        self.tasks.append(message)
        if self.answering:
            await self._answer(message)

    async def _answer(self, message: Message[Record]) -> None:
        task = message.body
        assert isinstance(task, RunToolCall)
        result = ReportToolResult(
            effect_key=task.effect_key, attempt=task.attempt, executor_id="x1", result={"ok": True}, duration_ms=1
        )
        event_id = ids.derived_id(task.effect_key, task.attempt)
        await self.report(result, message.meta.workflow_id, event_id)


def chain(steps: int) -> Any:
    """A definition with so many tool calls in a row, `look` and `send` by turns."""
    names = [f"s{number}" for number in range(steps)]
    return define(
        {
            name: {"kind": "tool", "tool": ("look", "send")[number % 2], "arguments": {"n": number}, "next": following}
            for number, (name, following) in enumerate(zip(names, [*names[1:], "end"], strict=True))
        }
    ).definition


async def assert_whole(bootstrap: str, prefix: str, workflows: int) -> None:
    """The topics of an engine at rest agree with each other, and are about so many workflows."""
    found = await audit.compare(bootstrap, prefix)
    odd = {name: value for name, value in vars(found).items() if name not in ("rows", "journal_events", "repeats")}
    assert found.whole, str(odd)
    assert len(found.rows) == workflows


STOP, GO_ON = signal.SIGSTOP, signal.SIGCONT
