"""The world around the engine: starts workflows, delivers events, decides approvals, and notes who has finished."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from holdfast.ops.chaos.faults import Fault
from holdfast.ops.chaos.mix import EVENT, Visit
from holdfast.ops.client import Client
from holdfast.ops.errors import CommandError
from holdfast.ops.trial.reading import messages, reader
from holdfast.ops.trial.sandbox import Sandbox
from holdfast.schemas import events as e
from holdfast.schemas.record import Json
from holdfast.schemas.topics import ENDINGS, JOURNAL

BURST_S = 1.5
RETRY_S = 0.5

Ask = Callable[[], Awaitable[Any]]


def start_times(seed: int, visits: Sequence[Visit], faults: Sequence[Fault]) -> list[float]:
    """When each workflow starts, in seconds: spread over the faults, each shortly before one of them."""
    rng = random.Random(f"starts {seed}")
    moments = [fault.at_s for fault in faults] or [0.0]
    return [max(0.0, moments[n % len(moments)] - rng.uniform(0.0, BURST_S)) for n in range(len(visits))]


class World:
    """Drives the workflows of a run.

    `requester` starts them and delivers events, `reviewer` decides approvals; `finished` has the type of the last event
    of each workflow that has ended, and `one_finished` is called for each.
    """

    def __init__(
        self,
        project: Sandbox,
        requester: Client,
        reviewer: Client,
        visits: Sequence[Visit],
        one_finished: Callable[[], None],
    ) -> None:
        self.finished: dict[str, str] = {}
        self._project = project
        self._requester = requester
        self._reviewer = reviewer
        self._visits = {visit.workflow_id: visit for visit in visits}
        self._one_finished = one_finished
        self._sequences: dict[str, int] = {}
        self._changed = asyncio.Event()

    async def start_all(self, starts_s: Sequence[float]) -> None:
        """Start each workflow at its time from now on, with the events that come early."""
        async with asyncio.TaskGroup() as starting:
            for visit, at_s in zip(self._visits.values(), starts_s, strict=True):
                starting.create_task(self._start(visit, at_s))

    async def answer_for_ever(self) -> None:
        """Follow the journal and give the engine what it asks for, until cancelled."""
        names = [self._project.prefix + JOURNAL.name]
        async with asyncio.TaskGroup() as answers, reader(self._project.bootstrap, names) as consumer:
            async for _, message in messages(consumer):
                if self._is_new(message) and (answer := self._answer_to(message)):
                    answers.create_task(answer)

    async def all_finished(self) -> None:
        """Return when every workflow has."""
        while len(self.finished) < len(self._visits):
            self._changed.clear()
            await self._changed.wait()

    def _is_new(self, message: Any) -> bool:
        """True for the first event of a sequence: readers treat it as the only one."""
        workflow_id, sequence = message.meta.workflow_id, message.meta.sequence
        if sequence <= self._sequences.get(workflow_id, 0):
            return False
        self._sequences[workflow_id] = sequence
        return True

    def _answer_to(self, message: Any) -> Any:
        body, workflow_id = message.body, message.meta.workflow_id
        visit = self._visits.get(workflow_id)
        if visit is None:
            return None  # started by another workflow, which waits for it
        if isinstance(body, ENDINGS):
            self.finished[workflow_id] = message.meta.type
            self._changed.set()
            self._one_finished()
        elif isinstance(body, e.WaitStarted) and body.step not in visit.early:
            return self._deliver(visit, body.step)
        elif isinstance(body, e.ApprovalRequested):
            return self._decide(visit, body)
        return None

    async def _start(self, visit: Visit, at_s: float) -> None:
        await asyncio.sleep(at_s)
        name, event_id = visit.workflow_id, f"{visit.workflow_id}/start"
        await _insist(
            lambda: self._requester.start(visit.shape, dict(visit.input), workflow_id=name, event_id=event_id)
        )
        for step in sorted(visit.early):
            await self._deliver(visit, step)

    async def _deliver(self, visit: Visit, step: str) -> None:
        await asyncio.sleep(visit.answer_s)
        name, event_id = visit.workflow_id, f"{visit.workflow_id}/{step}"
        payload: Json = {"for": event_id}
        for _ in range(2 if step in visit.doubled else 1):
            await _insist(lambda: self._requester.deliver(name, EVENT, payload, correlation=step, event_id=event_id))

    async def _decide(self, visit: Visit, request: e.ApprovalRequested) -> None:
        await asyncio.sleep(visit.answer_s)
        name, event_id = visit.workflow_id, f"{visit.workflow_id}/{request.step}/decision"
        approval, call = request.approval_id, request.action_hash
        await _insist(lambda: self._reviewer.decide(name, approval, "approve", call, event_id=event_id))


async def _insist(ask: Ask) -> None:
    """Ask until Kafka has it. Nobody knows what became of a try that failed: the event id makes repeats harmless."""
    while True:
        try:
            await ask()
        except CommandError:
            await asyncio.sleep(RETRY_S)
        else:
            return
