"""Hand-off: from an event that comes in to the command that it leads to, while nothing else goes on.

It begins when the broker appends an executor's report of a step to the inbox (the record's append time: whole ms,
rounded down), and ends when a consumer of the tasks topic, in the measuring process, is handed the task of the next
step. In between lie the fetch of the orchestrator, the fold, journal and task written and acknowledged by the broker,
and the fetch of that consumer: what the executor sees too.
"""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from typing import Any

from holdfast.ops.trial.reading import reader
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.schemas import topics
from holdfast.schemas.codec import decode
from holdfast.schemas.reports import ReportToolResult

Step = tuple[str, int]
"""Workflow id, and the number of the step in its chain."""


class HandoffMeter:
    """Watches inbox and tasks from their present ends on; an async context manager."""

    def __init__(self, project: Sandbox) -> None:
        self._project = project
        self._open = AsyncExitStack()
        self._watching: list[asyncio.Task[None]] = []
        self._reported_at_ms: dict[Step, float] = {}
        self._commanded_at_ms: dict[Step, float] = {}

    async def __aenter__(self) -> "HandoffMeter":
        # Two consumers: one's answer must not make the other wait for its next fetch.
        for topic, watch in ((topics.INBOX, self._watch_inbox), (topics.TASKS_TOOL, self._watch_tasks)):
            names = [self._project.prefix + topic.name]
            consumer = await self._open.enter_async_context(reader(self._project.bootstrap, names, from_end=True))
            self._watching.append(asyncio.create_task(watch(consumer)))
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._watching:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._open.aclose()

    def handoffs_ms(self) -> list[float]:
        """Every hand-off seen so far, in ms."""
        return [
            self._commanded_at_ms[workflow, number + 1] - reported_at_ms
            for (workflow, number), reported_at_ms in self._reported_at_ms.items()
            if (workflow, number + 1) in self._commanded_at_ms
        ]

    async def _watch_inbox(self, consumer: Any) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    message = decode(record.value)
                    if isinstance(message.body, ReportToolResult):
                        self._reported_at_ms[_step(message)] = record.timestamp

    async def _watch_tasks(self, consumer: Any) -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=1_000)
            now_ms = time.time() * 1000
            for records in batches.values():
                for record in records:
                    self._commanded_at_ms[_step(decode(record.value))] = now_ms


def _step(message: Any) -> Step:
    """The step that a task or report is about; its effect key is tenant/workflow/look_NUMBER.visit/..."""
    step = message.body.effect_key.split("/")[2]
    return message.meta.workflow_id, int(step.partition(".")[0].rpartition("_")[2])
